package cax

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// A trash folder holds one dataset on its way out, beside where it was:
//
//	.<name>.cax-trash-<claim>/
//	    data       the dataset
//	    info.json  what it was; see trashInfo
//
// It is complete, with info.json, before the dataset is moved into it.
type trash struct {
	disk transfer.Backend
	path string
	trashInfo
}

// trashInfo is what info.json says.
type trashInfo struct {
	Run      string    `json:"run"` // id of the document, hexadecimal
	Name     string    `json:"name"`
	Type     string    `json:"type"`
	Version  string    `json:"version,omitempty"`
	Host     string    `json:"host"`
	Location string    `json:"location"`
	Claim    string    `json:"claim"`
	Why      string    `json:"why"`
	Force    bool      `json:"force,omitempty"` // a person wanted it although too little is left
	Until    time.Time `json:"until"`           // kept until then, by the database's clock
}

func trashOf(location, claim string) string {
	return path.Join(path.Dir(location), transfer.TrashName(path.Base(location), claim))
}

func (t *trash) data() string { return t.path + "/data" }

// key is the copy that it was.
func (i *trashInfo) key() rundb.Key {
	return rundb.Key{Type: rundb.Type(i.Type), Version: i.Version, Host: i.Host}
}

// makeTrash makes the folder for a copy, or finds it.
func makeTrash(ctx context.Context, disk transfer.Backend, i trashInfo) (*trash, error) {
	t := &trash{disk: disk, path: trashOf(i.Location, i.Claim), trashInfo: i}
	if err := disk.Mkdir(ctx, t.path); err != nil && !errors.Is(err, transfer.ErrExist) {
		return nil, err
	}
	text, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return nil, err
	}
	w, err := disk.Create(ctx, t.path+"/info.json", 0, int64(len(text)), time.Time{})
	if err != nil {
		return nil, err
	}
	_, err = w.Write(text)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	return t, durable(ctx, disk, t.path)
}

// openTrash reads a folder that was made before. transfer.ErrCorrupt if its
// info.json is not there or says nothing that can be true.
func openTrash(ctx context.Context, disk transfer.Backend, dir string) (*trash, error) {
	bad := func(err error) error {
		return &transfer.Error{Op: "read", Place: disk.String(), Path: dir, Kind: transfer.ErrCorrupt, Err: err,
			Hint: "look into it, and move its data to where they belong"}
	}
	r, err := disk.Open(ctx, dir+"/info.json", 0)
	if errors.Is(err, transfer.ErrNotExist) {
		return nil, bad(errors.New("it has no info.json"))
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	t := &trash{disk: disk, path: dir}
	text, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &t.trashInfo); err != nil {
		return nil, bad(err)
	}
	if path.Dir(t.Location) != path.Dir(dir) || transfer.TrashName(path.Base(t.Location), t.Claim) != path.Base(dir) {
		return nil, bad(fmt.Errorf("its info.json is about %s", t.Location))
	}
	return t, nil
}

// take moves the dataset into the folder. It reports false if there was none.
func (t *trash) take(ctx context.Context) (bool, error) {
	err := t.disk.Rename(ctx, t.Location, t.data())
	if errors.Is(err, transfer.ErrNotExist) {
		_, err = t.disk.Lstat(ctx, t.data())
		if errors.Is(err, transfer.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	}
	if err != nil {
		return false, err
	}
	return true, durable(ctx, t.disk, path.Dir(t.Location))
}

// restore moves the dataset back to where it was. transfer.ErrExist if something
// else stands there now.
func (t *trash) restore(ctx context.Context) error {
	if err := t.disk.Rename(ctx, t.data(), t.Location); err != nil {
		return err
	}
	if err := durable(ctx, t.disk, path.Dir(t.Location)); err != nil {
		return err
	}
	return t.disk.Remove(ctx, t.path)
}

// empty deletes the folder and what is in it.
func (t *trash) empty(ctx context.Context) error { return t.disk.Remove(ctx, t.path) }

// durable makes a tree durable where the disk can.
func durable(ctx context.Context, disk transfer.Backend, p string) error {
	s, ok := disk.(transfer.Syncer)
	if !ok {
		return nil
	}
	_, err := s.Sync(ctx, p)
	return err
}

// history is what deleted_data keeps of a deletion, beside the record.
func (i *trashInfo) history() bson.D {
	return bson.D{{Key: "trash", Value: transfer.TrashName(path.Base(i.Location), i.Claim)}, {Key: "until", Value: i.Until}}
}
