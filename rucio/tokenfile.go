package rucio

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A tokenFile is where programs of one user share a token: one line, readable by
// the user alone, replaced as a whole.
type tokenFile string

var errTokenFile = errors.New("others could read or plant the token")

// read gives the token, "" if there is none. A file or folder that others could have
// written is not used.
func (f tokenFile) read() (string, error) {
	if f == "" {
		return "", nil
	}
	for _, p := range []string{filepath.Dir(string(f)), string(f)} {
		info, err := os.Lstat(p)
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		} else if err != nil {
			return "", err
		}
		if !private(info) {
			return "", errTokenFile
		}
	}
	data, err := os.ReadFile(string(f))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	line = strings.TrimSpace(line)
	if strings.ContainsFunc(line, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", nil // no token has such bytes
	}
	return line, nil
}

// write replaces the token of the file.
func (f tokenFile) write(token string) error {
	if f == "" {
		return nil
	}
	dir := filepath.Dir(string(f))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if info, err := os.Lstat(dir); err != nil {
		return err
	} else if !private(info) {
		return errTokenFile
	}
	tmp, err := os.CreateTemp(dir, ".token-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // after the rename there is nothing to remove
	if _, err := tmp.WriteString(token); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), string(f))
}

// private reports whether a folder or plain file is ours and no other's to write,
// nor a file another's to read.
func private(info fs.FileInfo) bool {
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
		return false
	}
	if info.IsDir() {
		return info.Mode().Perm()&0o022 == 0
	}
	return info.Mode().IsRegular() && info.Mode().Perm()&0o077 == 0
}
