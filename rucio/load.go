package rucio

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// LoadOptions say what [Load] does not take from the file. nil is all zero.
type LoadOptions struct {
	// Env reads the environment; a variable that is empty counts as not set. nil: none is set.
	Env func(string) string
	// File is the rucio.cfg. "": $RUCIO_CONFIG alone if that is set, else the
	// first that exists of etc/rucio.cfg in $RUCIO_HOME, $VIRTUAL_ENV, $CONDA_PREFIX
	// and /opt/rucio. With Host and AuthType given there need be none.
	File string

	// These win over environment and file where they are not "".
	Host, AuthHost, Account, VO, AuthType string

	// OIDC says where the token comes from if the login is by oidc. Zero: the
	// discovery of [OIDC], in Env.
	OIDC OIDC
}

// Load makes a configuration as the Python client does: from rucio.cfg and from
// RUCIO_ACCOUNT, RUCIO_AUTH_TYPE, RUCIO_VO, RUCIO_CLIENT_CERT, RUCIO_CLIENT_KEY,
// RUCIO_CLIENT_PROXY, X509_USER_PROXY, X509_CERT_DIR, RUCIO_LATITUDE and _LONGITUDE,
// SITE_NAME, which win over the file. Tokens are kept where that client keeps them, so
// that both use one. The kind is ErrNotExist if there is no file, ErrUnsupported for
// logins by gss and saml.
func Load(o *LoadOptions) (Config, error) {
	if o == nil {
		o = &LoadOptions{}
	}
	l := loader{LoadOptions: *o}
	if l.Env == nil {
		l.Env = func(string) string { return "" }
	}
	if err := l.open(); err != nil {
		return Config{}, err
	}
	cfg := Config{
		Host:     cmp.Or(l.Host, l.get("client", "rucio_host")),
		AuthHost: cmp.Or(l.AuthHost, l.Host, l.get("client", "auth_host")),
		Account:  cmp.Or(l.Account, l.Env("RUCIO_ACCOUNT"), l.get("client", "account")),
		VO:       cmp.Or(l.VO, l.Env("RUCIO_VO"), l.get("client", "vo")),
		Site:     cmp.Or(l.Env("SITE_NAME"), l.Env("ATLAS_SITE_NAME"), l.Env("OSG_SITE_NAME")),
	}
	cfg.TraceHost = l.get("trace", "trace_host")
	cfg.CA = cmp.Or(l.Env("X509_CERT_DIR"), l.path(l.get("client", "ca_cert")))
	if !strings.HasPrefix(cfg.Host, "https:") && !strings.HasPrefix(cfg.AuthHost, "https:") {
		// Not needed for the server, but storage may be signed by the same.
		if _, err := os.Stat(cfg.CA); err != nil {
			cfg.CA = ""
		}
	}
	if n, err := strconv.Atoi(l.get("client", "request_retries")); err == nil {
		cfg.Retries = cmp.Or(max(n-1, 0), -1) // they count tries
	}
	lat, err1 := strconv.ParseFloat(l.Env("RUCIO_LATITUDE"), 64)
	long, err2 := strconv.ParseFloat(l.Env("RUCIO_LONGITUDE"), 64)
	if err1 == nil && err2 == nil {
		cfg.Location.Latitude, cfg.Location.Longitude = &lat, &long
	}
	cfg.TokenFile = l.tokenFile(cfg.Account, cfg.VO)
	cfg.Auth = l.auth()
	return cfg, l.err
}

// A loader remembers the first thing that is wrong.
type loader struct {
	LoadOptions
	file configFile
	err  error
}

func (l *loader) fail(kind error, thing, hint string, cause error) {
	if l.err == nil {
		l.err = &Error{Op: "configure", Thing: thing, Kind: kind, Err: cause, Hint: hint}
	}
}

// open finds and reads the file.
func (l *loader) open() error {
	places := []string{cmp.Or(l.File, l.Env("RUCIO_CONFIG"))}
	if places[0] == "" {
		places = nil
		for _, v := range []string{"RUCIO_HOME", "VIRTUAL_ENV", "CONDA_PREFIX"} {
			if dir := l.Env(v); dir != "" {
				places = append(places, filepath.Join(dir, "etc", "rucio.cfg"))
			}
		}
		places = append(places, "/opt/rucio/etc/rucio.cfg")
	}
	for i, p := range places {
		text, err := os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) && i < len(places)-1 {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			if l.Host != "" && l.AuthType != "" && l.File == "" && l.Env("RUCIO_CONFIG") == "" {
				return nil
			}
			return &Error{Op: "configure", Thing: strings.Join(places, ", "), Kind: ErrNotExist, Hint: "name a rucio.cfg in RUCIO_CONFIG, or make one of these"}
		}
		if err == nil {
			l.File = p
			l.file, err = parseConfig(string(text))
		}
		if err != nil {
			return &Error{Op: "configure", Thing: p, Kind: ErrInvalid, Err: err}
		}
		return nil
	}
	return nil
}

// get is a value of the file.
func (l *loader) get(section, key string) string {
	v, err := l.file.get(section, key)
	if err != nil {
		l.fail(ErrInvalid, l.File, "", err)
	}
	return strings.TrimSpace(v)
}

// need is a value that must be there.
func (l *loader) need(key string) string {
	v := l.get("client", key)
	if v == "" {
		l.fail(ErrInvalid, cmp.Or(l.File, "rucio"), "key "+key+" is needed in section [client]", nil)
	}
	return v
}

// path expands ~ and variables; unknown ones stay.
func (l *loader) path(p string) string {
	if p == "" {
		return ""
	}
	p = l.variables(p)
	if p == "~" || strings.HasPrefix(p, "~/") {
		home := l.Env("HOME")
		if home == "" {
			if u, err := user.Current(); err == nil {
				home = u.HomeDir
			}
		}
		p = home + p[1:]
	}
	if abs, err := filepath.Abs(p); err == nil {
		return abs
	}
	return p
}

// variables fills in $NAME and ${NAME}.
func (l *loader) variables(p string) string {
	var b strings.Builder
	for {
		text, rest, found := strings.Cut(p, "$")
		b.WriteString(text)
		if !found {
			return b.String()
		}
		name, after, braced := "", rest, false
		if inner, ok := strings.CutPrefix(rest, "{"); ok {
			name, after, braced = strings.Cut(inner, "}")
		}
		if !braced {
			n := strings.IndexFunc(rest, func(r rune) bool {
				return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
			})
			if n < 0 {
				n = len(rest)
			}
			name, after = rest[:n], rest[n:]
		}
		if v := l.Env(name); name != "" && v != "" {
			b.WriteString(v)
			p = after
		} else {
			b.WriteByte('$')
			p = rest
		}
	}
}

// auth chooses the login.
func (l *loader) auth() Authenticator {
	switch method := cmp.Or(l.AuthType, l.Env("RUCIO_AUTH_TYPE"), l.get("client", "auth_type")); method {
	case "userpass":
		return Userpass{Username: l.need("username"), Password: l.need("password")}
	case "x509":
		cert := l.path(cmp.Or(l.Env("RUCIO_CLIENT_CERT"), l.get("client", "client_cert")))
		key := l.path(cmp.Or(l.Env("RUCIO_CLIENT_KEY"), l.get("client", "client_key")))
		if cert == "" {
			l.fail(ErrInvalid, l.File, "key client_cert or RUCIO_CLIENT_CERT is needed", nil)
		}
		return X509{Cert: cert, Key: cmp.Or(key, cert)}
	case "x509_proxy":
		return X509Proxy{File: l.path(cmp.Or(l.Env("RUCIO_CLIENT_PROXY"), l.get("client", "client_x509_proxy"), l.Env("X509_USER_PROXY"),
			"/tmp/x509up_u"+strconv.Itoa(os.Geteuid())))}
	case "ssh":
		return SSH{KeyFile: l.path(l.need("ssh_private_key"))}
	case "oidc":
		a := l.OIDC
		if a.Env == nil {
			a.Env = l.Env
		}
		a.Refresh = a.Refresh || pythonTrue(l.get("client", "auth_oidc_refresh_active"))
		if n, err := strconv.Atoi(l.get("client", "auth_oidc_refresh_before_exp")); err == nil && a.RefreshBefore == 0 {
			a.RefreshBefore = time.Duration(n) * time.Minute
		}
		return a
	case "":
		l.fail(ErrInvalid, cmp.Or(l.File, "rucio"), "key auth_type in section [client], or RUCIO_AUTH_TYPE, is needed", nil)
	case "gss", "saml":
		l.fail(ErrUnsupported, "login by "+method, "use userpass, x509, x509_proxy, ssh or oidc", nil)
	default:
		l.fail(ErrInvalid, "login by "+strconv.Quote(method), "it is one of userpass, x509, x509_proxy, ssh and oidc", nil)
	}
	return nil
}

// pythonTrue reads a boolean of a configuration file.
func pythonTrue(s string) bool {
	switch strings.ToLower(s) {
	case "1", "yes", "true", "on":
		return true
	}
	return false
}

// tokenFile is where the Python client keeps its token.
func (l *loader) tokenFile(account, vo string) string {
	if f := l.get("client", "auth_token_file_path"); f != "" {
		return f
	}
	tmp := "/tmp"
	for _, v := range []string{"TMPDIR", "TEMP", "TMP"} {
		if dir := l.Env(v); dir != "" && isDir(dir) {
			tmp = dir
			break
		}
	}
	name := cmp.Or(l.Env("LOGNAME"), l.Env("USER"), l.Env("LNAME"), l.Env("USERNAME"))
	if name == "" {
		u, err := user.Current()
		if err != nil {
			return "" // nothing is kept
		}
		name = u.Username
	}
	dir := ".rucio_" + name
	if vo != "" && vo != "def" {
		dir += "@" + vo
	}
	file := "auth_token_for_default_account"
	if account != "" {
		file = "auth_token_for_account_" + account
	}
	return filepath.Join(tmp, name, dir, file)
}
