package cax

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A RunDBAddress says where the run database is, and how to get its password. It
// is made by [ResolveRunDB]. Printing it in any form shows no password.
type RunDBAddress struct {
	Scheme string // "sqlite" or "mongodb"
	Path   string // sqlite: absolute path of the file
	URI    string // mongodb: without the password; its options may be secret, print String
	User   string // mongodb: the user name of the URI, decoded; "" if it has none
	Source string // who named it: "--rundb", "$CAX_RUNDB", "rundb.uri of FILE", "default"

	inline   bool // the address holds a password
	password func(context.Context) (string, error)
}

// Schemes of run database addresses.
const (
	SchemeSQLite  = "sqlite"
	SchemeMongoDB = "mongodb"
)

// passwordVariables are the original's names for the password: of its README, and
// of its code. The first that is set is used.
var passwordVariables = [...]string{"MONGODB_PASSWORD", "MONGO_PASSWORD"}

// An addressError says what is wrong with the address of the run database. It
// never shows the address, which may hold a password.
type addressError struct{ source, text, remedy string }

func (e *addressError) Error() string { return e.source + ": " + e.text + ": " + e.remedy }

// ResolveRunDB finds the address of the run database: that of the flag, else of
// CAX_RUNDB, else the configuration's rundb.uri, else the embedded default,
// sqlite:$XDG_DATA_HOME/cax/runs.db. It opens nothing. env is os.Getenv; cfg may
// be nil.
//
// A relative path is relative to the configuration file if that names it, else to
// the working directory. A Mongo password in the environment while no address
// is given is an error: somebody wanted another database than the default. So is
// a password in the flag, which every user of the machine could read.
func ResolveRunDB(flag string, env func(string) string, cfg *Config) (RunDBAddress, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	password := ""
	for _, v := range passwordVariables {
		if password = env(v); password != "" {
			break
		}
	}
	text, a := flag, RunDBAddress{Source: "--rundb"}
	base := ""
	if text == "" {
		text, a.Source = env("CAX_RUNDB"), "$CAX_RUNDB"
	}
	if text == "" {
		text, a.Source = cfg.RunDB.URI, "rundb.uri of "+cfg.File
		base = filepath.Dir(cfg.File)
	}
	if text == "" {
		if password != "" {
			return RunDBAddress{}, errors.New("a MongoDB password is set in the environment and no run database is named: " +
				`name it with --rundb mongodb://USER@HOST/run, $CAX_RUNDB or "rundb" in the configuration, or unset MONGODB_PASSWORD and MONGO_PASSWORD`)
		}
		dir, err := dataHome(env)
		if err != nil {
			return RunDBAddress{}, err
		}
		return RunDBAddress{Scheme: SchemeSQLite, Path: filepath.Join(dir, "cax", "runs.db"), Source: "default"}, nil
	}
	scheme, rest, ok := strings.Cut(text, ":")
	switch {
	case ok && scheme == SchemeSQLite:
		return a.sqlite(rest, base, env)
	case ok && (scheme == SchemeMongoDB || scheme == SchemeMongoDB+"+srv"):
		return a.mongodb(scheme, rest, password, cfg)
	case !ok || strings.ContainsAny(scheme, "/@. "):
		return RunDBAddress{}, &addressError{a.Source, "the address of the run database has no scheme", "write sqlite:PATH or mongodb://USER@HOST/run"}
	}
	return RunDBAddress{}, &addressError{a.Source, fmt.Sprintf("run databases of scheme %q are not known", scheme), "write sqlite:PATH or mongodb://USER@HOST/run"}
}

// String gives the address without password and options.
func (a RunDBAddress) String() string {
	if a.Scheme == SchemeSQLite {
		return SchemeSQLite + ":" + a.Path
	}
	s, _, _ := strings.Cut(a.URI, "?")
	return s
}

// Password gets the password: of the environment, else of the URI, the
// configuration's password_file or password_command. It is "" where the address
// has no user. ctx bounds the command, which gets a minute at most.
func (a RunDBAddress) Password(ctx context.Context) (string, error) {
	if a.Scheme != SchemeMongoDB || a.User == "" {
		return "", nil
	}
	p, err := a.password(ctx)
	if err != nil {
		return "", fmt.Errorf("password of the run database %s: %w", a, err)
	}
	return p, nil
}

func (a RunDBAddress) sqlite(path, base string, env func(string) string) (RunDBAddress, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(env("HOME"), rest)
	}
	switch {
	case path == "":
		return RunDBAddress{}, &addressError{a.Source, "sqlite: without a path", "write sqlite:/data/runs.db"}
	case strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///"):
		return RunDBAddress{}, &addressError{a.Source, "the embedded run database is a file of this machine, not on a server", "write sqlite:/data/runs.db"}
	case !filepath.IsAbs(path):
		path = filepath.Join(base, path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return RunDBAddress{}, fmt.Errorf("%s: %w", a.Source, err)
	}
	a.Scheme, a.Path = SchemeSQLite, abs
	return a, nil
}

// mongodb takes a URI apart by hand: it may name several hosts with ports, which
// net/url refuses, and errors of a parser would show the password.
func (a RunDBAddress) mongodb(scheme, rest, fromEnv string, cfg *Config) (RunDBAddress, error) {
	rest, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return RunDBAddress{}, &addressError{a.Source, "the address has no // after the scheme", "write " + scheme + "://USER@HOST/run"}
	}
	a.Scheme = SchemeMongoDB
	main, options, hasOptions := strings.Cut(rest, "?")
	hosts, inline := main, ""
	if strings.Contains(options, "@") {
		return RunDBAddress{}, a.mustEscape()
	}
	if i := strings.LastIndexByte(main, '@'); i >= 0 {
		user, password, hasPassword := strings.Cut(main[:i], ":")
		hosts = main[i+1:]
		if hasPassword && a.Source == "--rundb" {
			return RunDBAddress{}, &addressError{a.Source, "a password on the command line shows in the process list", "leave it out of the address and set MONGODB_PASSWORD, or rundb.password_file in the configuration"}
		}
		var uerr, perr error
		a.User, uerr = url.PathUnescape(user)
		inline, perr = url.PathUnescape(password)
		if uerr != nil || perr != nil || strings.ContainsAny(main[:i], "/@[]") {
			return RunDBAddress{}, a.mustEscape()
		}
		if a.User == "" {
			return RunDBAddress{}, &addressError{a.Source, "the address has no user name before @", "write " + scheme + "://USER@HOST/run"}
		}
		a.URI = scheme + "://" + user + "@" + hosts
	} else {
		a.URI = scheme + "://" + hosts
	}
	if host, _, _ := strings.Cut(hosts, "/"); host == "" {
		return RunDBAddress{}, &addressError{a.Source, "the address names no host", "write " + scheme + "://USER@HOST/run"}
	}
	if hasOptions {
		a.URI += "?" + options
	}
	a.inline = inline != ""
	db := cfg.RunDB
	if db.URI != "" && !strings.HasPrefix(a.Source, "rundb.uri") {
		// What the configuration says is for the database that it names.
		db = RunDBConfig{}
	}
	dir := filepath.Dir(cfg.File)
	a.password = func(ctx context.Context) (string, error) {
		switch {
		case fromEnv != "":
			return fromEnv, nil
		case inline != "":
			return inline, nil
		case db.PasswordFile != "":
			return readPassword(db.PasswordFile, dir)
		case len(db.PasswordCommand) > 0:
			return askPassword(ctx, db.PasswordCommand)
		}
		return "", errors.New("there is none: set MONGODB_PASSWORD, or rundb.password_file or rundb.password_command in the configuration")
	}
	return a, nil
}

func (a RunDBAddress) mustEscape() error {
	return &addressError{a.Source, "user name or password of the address hold characters that must be written as %XX (/ as %2F, @ as %40, ? as %3F, % as %25)",
		"leave the password out and set MONGODB_PASSWORD"}
}

// dataHome is where a user's programs keep data (XDG base directories).
func dataHome(env func(string) string) (string, error) {
	if d := env("XDG_DATA_HOME"); filepath.IsAbs(d) {
		return d, nil
	}
	if h := env("HOME"); filepath.IsAbs(h) {
		return filepath.Join(h, ".local", "share"), nil
	}
	return "", errors.New("neither XDG_DATA_HOME nor HOME is set, so the embedded run database has no default place: name it with --rundb sqlite:PATH")
}

func readPassword(file, dir string) (string, error) {
	file = expandHome(file)
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("password_file: %w", err)
	}
	defer f.Close()
	p, err := firstLine(f)
	if err != nil {
		return "", fmt.Errorf("password_file %s: %w", file, err)
	}
	return p, nil
}

// askPassword runs a program for the password. What it says is in no error: it
// may be the password.
func askPassword(ctx context.Context, argv []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	var out strings.Builder
	cmd.Stdout = &limited{w: &out, left: 64 << 10}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", fmt.Errorf("password_command %s: %w; run it by hand to see what it says", argv[0], err)
	}
	p, err := firstLine(strings.NewReader(out.String()))
	if err != nil {
		return "", fmt.Errorf("password_command %s: %w", argv[0], err)
	}
	return p, nil
}

func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 64<<10)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.New("its first line is empty")
	}
	return line, nil
}

// limited drops what goes beyond a number of bytes.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	n := min(len(b), l.left)
	l.left -= n
	if _, err := l.w.Write(b[:n]); err != nil {
		return 0, err
	}
	return len(b), nil
}
