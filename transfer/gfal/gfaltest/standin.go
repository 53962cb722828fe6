// Package gfaltest holds a stand-in for the programs of gfal2-util, for tests: it
// serves folders of this machine under addresses like "stand://se.example/", with the
// exit codes and the output of the real ones, and makes faults on demand.
package gfaltest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
)

// Faults is the variable that makes the stand-in fail, a list separated by blanks:
//
//	fail:NAME:CODE   gfal-copy of a file of this name ends with an exit code
//	stall:NAME       … writes the first half and stops
//	garble:NAME      … damages it on the way, which -K finds
//	rot:NAME         … damages it when it has arrived
//	nosum            the server knows no checksums
//	deny             nothing is allowed
//	log:FILE         each run adds a line with its arguments, and the certificate that it got
const Faults = "GFAL_STANDIN"

// Main runs the program that the process was called as and ends it, if that is one of
// gfal2-util. A test's TestMain calls it first.
func Main() {
	if name := filepath.Base(os.Args[0]); strings.HasPrefix(name, "gfal-") {
		// Not os.Exit, which takes the race detector a second.
		syscall.Exit(Run(name, os.Args[1:]))
	}
}

// Install makes links to this test binary under the names of programs, in a folder that
// it returns.
func Install(t testing.TB, programs []string) string {
	t.Helper()
	dir := t.TempDir()
	if err := Link(dir, programs); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Link makes links to this test binary under the names of programs in a folder.
func Link(dir string, programs []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, p := range programs {
		if err := os.Symlink(self, filepath.Join(dir, p)); err != nil {
			return err
		}
	}
	return nil
}

// Run runs a program and returns its exit code.
func Run(name string, args []string) int {
	s := &standIn{name: name, faults: strings.Fields(os.Getenv(Faults))}
	if file := s.fault("log:"); file != "" {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			fmt.Fprintf(f, "%s %s proxy=%s\n", name, strings.Join(args, " "), os.Getenv("X509_USER_PROXY"))
			f.Close()
		}
	}
	err := s.run(s.options(args))
	if err == nil {
		return 0
	}
	code := syscall.EIO
	errors.As(err, &code)
	fmt.Fprintf(os.Stderr, "%s error: %d (%s) - %v\n", name, int(code), code, err)
	return int(code)
}

type standIn struct {
	name   string
	faults []string

	flags  []string
	values map[string]string
}

// fault gives what follows a prefix in the list of faults; "" if it is not there.
func (s *standIn) fault(prefix string) string {
	for _, f := range s.faults {
		if rest, ok := strings.CutPrefix(f, prefix); ok {
			return rest
		}
	}
	return ""
}

func (s *standIn) on(fault string) bool { return slices.Contains(s.faults, fault) }

// options takes the options off and returns the paths.
func (s *standIn) options(args []string) []string {
	s.values = map[string]string{}
	var paths []string
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case slices.Contains([]string{"-t", "-T", "-n", "-K", "--time-style", "--color"}, a) && i+1 < len(args):
			i++
			s.values[a] = args[i]
		case strings.HasPrefix(a, "-"):
			s.flags = append(s.flags, a)
		default:
			paths = append(paths, a)
		}
	}
	return paths
}

// local gives the path of an address on this machine.
func local(address string) string {
	if _, sfn, ok := strings.Cut(address, "?SFN="); ok {
		return filepath.Clean(sfn)
	}
	_, rest, _ := strings.Cut(address, "://")
	_, p, _ := strings.Cut(rest, "/")
	return filepath.Clean("/" + p)
}

func (s *standIn) run(paths []string) error {
	if s.on("deny") {
		return syscall.EACCES
	}
	switch {
	case s.name == "gfal-copy" && len(paths) == 2:
		return s.copy(paths[0], paths[1])
	case s.name == "gfal-ls" && len(paths) == 1:
		return s.ls(paths[0])
	case s.name == "gfal-mkdir" && len(paths) == 1:
		// As with WebDAV: parents are made, and it is no error if it is there.
		return os.MkdirAll(local(paths[0]), 0o755)
	case s.name == "gfal-rename" && len(paths) == 2:
		return os.Rename(local(paths[0]), local(paths[1]))
	case s.name == "gfal-rm" && len(paths) == 1:
		if _, err := os.Stat(local(paths[0])); err != nil {
			return err
		}
		return os.RemoveAll(local(paths[0]))
	case s.name == "gfal-sum" && len(paths) == 2:
		return s.sum(paths[0], paths[1])
	case s.name == "gfal-cat" && len(paths) == 1:
		f, err := os.Open(local(paths[0]))
		if err != nil {
			return err
		}
		_, err = io.Copy(os.Stdout, f)
		return err
	}
	return fmt.Errorf("%s %q: %w", s.name, paths, syscall.EINVAL)
}

func (s *standIn) sum(address, algorithm string) error {
	a, err := checksum.ParseAlgorithm(algorithm)
	if err != nil {
		return syscall.ENOSYS
	}
	if s.on("nosum") || a != checksum.Adler32 && a != checksum.MD5 {
		return syscall.EOPNOTSUPP
	}
	sum, err := fileSum(local(address), a)
	if err != nil {
		return err
	}
	text := sum.Bare()
	if a == checksum.Adler32 {
		text = strings.TrimLeft(text, "0") // as some servers do
	}
	fmt.Println(address, text)
	return nil
}

func fileSum(p string, a checksum.Algorithm) (checksum.Sum, error) {
	f, err := os.Open(p)
	if err != nil {
		return checksum.Sum{}, err
	}
	defer f.Close()
	d := checksum.NewDigest(a)
	_, err = io.Copy(d, f)
	return d.Sum(a), err
}

func (s *standIn) ls(address string) error {
	p := local(address)
	st, err := os.Stat(p)
	if err != nil {
		return err
	}
	if !st.IsDir() || slices.Contains(s.flags, "-d") {
		line(st, address)
		return nil
	}
	es, err := os.ReadDir(p)
	if err != nil {
		return err
	}
	line(st, ".")
	for _, e := range es {
		if st, err = os.Stat(filepath.Join(p, e.Name())); err == nil {
			line(st, e.Name())
		}
	}
	return nil
}

func line(st fs.FileInfo, name string) {
	mode := "-rw-r--r--"
	if st.IsDir() {
		mode = "drwxr-xr-x"
	}
	fmt.Printf("%s   1 0     0     %9d %s +0000 %s\t\n", mode, st.Size(), st.ModTime().UTC().Format("2006-01-02 15:04:05.000000"), name)
}

func (s *standIn) copy(from, to string) error {
	src, dst := local(from), local(to)
	st, err := os.Stat(src)
	if err != nil {
		return err
	}
	is := func(kind string) bool {
		for _, f := range s.faults {
			if f == kind+":"+filepath.Base(src) || f == kind+":"+filepath.Base(dst) {
				return true
			}
		}
		return false
	}
	for _, f := range s.faults {
		var code int
		for _, name := range []string{filepath.Base(src), filepath.Base(dst)} {
			if n, _ := fmt.Sscanf(f, "fail:"+name+":%d", &code); n == 1 {
				return syscall.Errno(code)
			}
		}
	}
	k, sums := s.values["-K"]
	if sums && s.on("nosum") {
		return syscall.EOPNOTSUPP
	}
	_, want, _ := strings.Cut(k, ":")
	got, err := fileSum(src, checksum.Adler32)
	if err != nil {
		return err
	}
	if want != "" && got.Bare() != want {
		return syscall.EIO
	}
	b, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return err
	}
	if is("stall") {
		if err := os.WriteFile(dst, b[:len(b)/2], 0o644); err != nil {
			return err
		}
		time.Sleep(time.Hour)
	}
	if is("garble") {
		b[len(b)/2] ^= 1
	}
	if err := os.WriteFile(dst, b, 0o644); err != nil {
		return err
	}
	fmt.Printf("event: [1] BOTH   stand-in\tTRANSFER:ENTER\t%s => %s\n", from, to)
	fmt.Printf("monitor: %s %s 0 0 %d 0\n", from, to, st.Size())
	fmt.Printf("event: [2] DEST   stand-in\tCHECKSUM:ENTER\t\n")
	if there, err := fileSum(dst, checksum.Adler32); err != nil || sums && there != got {
		return errors.Join(os.Remove(dst), err, syscall.EIO)
	}
	if is("rot") {
		b[len(b)/2] ^= 1
		return os.WriteFile(dst, b, 0o644)
	}
	return nil
}
