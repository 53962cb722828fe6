package ruciotest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Install is how to get what a real server needs, on Debian.
const Install = "apt-get install -y python3-venv postgresql xrootd-server xrootd-server-plugins xrootd-plugins xrootd-client"

// packages are what the virtual environment holds: the server, which is the Python
// client too, and what serves it.
func packages() []string {
	return []string{"rucio[postgresql]==41.5.1", "gunicorn==27.0.1"}
}

// tools are the programs of a real server.
type tools struct {
	venv     string // folder of the virtual environment
	postgres string // folder of PostgreSQL's programs
	xrootd   string
	as       *user
}

// setUp finds the programs and makes the virtual environment if need be.
func setUp() (*tools, error) {
	var tl tools
	var err error
	if tl.postgres, err = postgresFolder(); err != nil {
		return nil, err
	}
	if tl.xrootd, err = exec.LookPath("xrootd"); err != nil {
		return nil, err
	}
	for _, client := range []string{"xrdcp", "xrdfs"} { // the Python client calls them
		if _, err := exec.LookPath(client); err != nil {
			return nil, err
		}
	}
	if tl.as, err = unprivileged(); err != nil {
		return nil, err
	}
	tl.venv, err = virtualEnv()
	return &tl, err
}

// postgresFolder is where the programs of the newest PostgreSQL are: Debian does not
// put those of the server on the PATH.
func postgresFolder() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(slices.Max(found)), nil
	}
	p, err := exec.LookPath("postgres")
	return filepath.Dir(p), err
}

// virtualEnv returns the folder of the virtual environment. It is named by its
// packages and its Python, and made by one process at a time.
func virtualEnv() (string, error) {
	python, version, err := findPython()
	if err != nil {
		return "", err
	}
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(cache, "ruciotest.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", err
	}
	id := sha256.Sum256([]byte(strings.Join(append(packages(), python, version), "\n")))
	dir := filepath.Join(cache, "ruciotest-"+hex.EncodeToString(id[:8]))
	// A virtual environment knows its own path, so it cannot be made elsewhere and
	// then renamed. The marker says that it is complete.
	marker := filepath.Join(dir, "complete")
	if _, err := os.Stat(marker); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	for _, argv := range [][]string{
		{python, "-m", "venv", dir},
		append([]string{filepath.Join(dir, "bin", "pip"), "install", "-q", "--no-input"}, packages()...),
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, bytes.TrimSpace(out))
		}
	}
	return dir, os.WriteFile(marker, nil, 0o644)
}

func cacheFolder() (string, error) {
	dir := os.Getenv("CAX_TEST_RUCIO")
	if dir == "" {
		dir = os.Getenv("CAX_TEST_CACHE")
	}
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(user, "cax-test")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// findPython finds a Python that can make virtual environments. The system's comes
// first: the packages of the system, such as gfal2, are for that one.
func findPython() (path, version string, err error) {
	const check = "import ensurepip, sys, venv; assert sys.version_info >= (3, 9); print(sys.version)"
	var all error
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		path, err := exec.LookPath(name)
		if err != nil {
			all = errors.Join(all, err)
			continue
		}
		out, err := exec.Command(path, "-c", check).Output()
		if err == nil {
			return path, string(bytes.TrimSpace(out)), nil
		}
		all = errors.Join(all, fmt.Errorf("%s cannot make virtual environments: %w", path, err))
	}
	return "", "", all
}
