package tsmtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"
)

// A record is a version of an object. The catalogue is a file to which records are
// appended; the last one with an id counts.
type record struct {
	ID          int
	Archive     bool
	Dir         bool
	Path        []byte
	Size        int64
	Date        time.Time
	Description string
	Active      bool
	Volume      int
	ModTime     time.Time
}

func (t *Tape) data(id int) string { return t.file("data/" + strconv.Itoa(id)) }

// locked keeps other processes out while f runs.
func (t *Tape) locked(f func() error) error {
	l, err := os.OpenFile(t.file("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := syscall.Flock(int(l.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	return f()
}

func (t *Tape) settings() (Settings, error) {
	var s Settings
	b, err := os.ReadFile(t.file("settings"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

func (t *Tape) save(s Settings) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(t.file("settings"), b, 0o600)
}

// appendLine writes one JSON line in one piece.
func (t *Tape) appendLine(file string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(t.file(file), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Close())
}

func readLines[T any](file string) ([]T, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []T
	for dec := json.NewDecoder(bufio.NewReader(f)); dec.More(); {
		var v T
		if err := dec.Decode(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// records are the versions in the order of their ids.
func (t *Tape) records() ([]record, error) {
	lines, err := readLines[record](t.file("catalogue"))
	if err != nil {
		return nil, err
	}
	var out []record
	at := map[int]int{}
	for _, r := range lines {
		if i, ok := at[r.ID]; ok {
			out[i] = r
			continue
		}
		at[r.ID] = len(out)
		out = append(out, r)
	}
	return out, nil
}

// An ending is the state of the library after the last version.
type ending struct {
	ID, Volume, Files int
	Bytes             int64
}

// place gives a new version its id and its volume, for ever: a run that dies leaves
// a gap. The caller has the lock.
func (t *Tape) place(r *record) error {
	s, err := t.settings()
	if err != nil {
		return err
	}
	e := ending{Volume: 1}
	b, err := os.ReadFile(t.file("ending"))
	if err == nil {
		err = json.Unmarshal(b, &e)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if e.Files > 0 && (s.VolumeFiles > 0 && e.Files >= s.VolumeFiles || s.VolumeBytes > 0 && e.Bytes+r.Size > s.VolumeBytes) {
		e.Volume, e.Files, e.Bytes = e.Volume+1, 0, 0
	}
	e.ID++
	e.Files++
	e.Bytes += r.Size
	r.ID, r.Volume = e.ID, e.Volume
	if b, err = json.Marshal(e); err != nil {
		return err
	}
	return os.WriteFile(t.file("ending"), b, 0o600)
}
