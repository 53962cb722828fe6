package correction

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// A Source has the documents of corrections.
type Source interface {
	// Newest returns the document of a correction with the latest calculation_time.
	// ErrNotExist if there is none.
	Newest(ctx context.Context, k Kind) (bson.Raw, error)
}

// A Store reads corrections from the collections of a run database.
type Store struct {
	Runs *rundb.Store
}

// Newest implements [Source]. Errors of the run database pass through.
func (s Store) Newest(ctx context.Context, k Kind) (bson.Raw, error) {
	for doc, err := range s.Runs.Driver.Docs(ctx, &rundb.DocQuery{Coll: k.Collection, Newest: true, Limit: 1}) {
		return doc, err
	}
	return nil, &Error{Op: "read", What: "collection " + string(k.Collection), Kind: ErrNotExist, Err: errors.New("the run database has no document in it"),
		Hint: "import it with cax db import, or name a file in corrections of the configuration"}
}

// A File reads a correction from a file, which holds its documents as mongoexport
// writes them: as one JSON array, or one after the other, in any form of Extended
// JSON.
type File string

// Newest implements [Source]. ErrInvalid if a document of the file cannot be read, or
// has no date: it might be the newest. ErrNotExist too if there is no such file.
func (f File) Newest(ctx context.Context, k Kind) (bson.Raw, error) {
	what := "file " + string(f)
	in, err := os.Open(string(f))
	if err != nil {
		kind := ErrInvalid
		if errors.Is(err, fs.ErrNotExist) {
			kind = ErrNotExist
		}
		return nil, &Error{Op: "read", What: what, Kind: kind, Err: plain(err), Hint: "correct its path, or its permissions"}
	}
	defer in.Close()
	var newest bson.Raw
	var when time.Time
	for doc, err := range rundb.ReadDump(in) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, &Error{Op: "read", What: what, Kind: ErrInvalid, Err: err, Hint: "write JSON, as mongoexport does"}
		}
		r := &reader{kind: k, doc: doc, what: nameOf(k, doc) + " in " + what}
		t, err := r.time("calculation_time")
		if err != nil {
			return nil, err
		}
		if newest == nil || !t.Before(when) {
			newest, when = doc, t
		}
	}
	if newest == nil {
		return nil, &Error{Op: "read", What: what, Kind: ErrNotExist, Err: errors.New("there is no document in it"), Hint: "write JSON, as mongoexport does"}
	}
	return newest, nil
}

// Newest reads the newest document of a correction, and checks it.
func Newest(ctx context.Context, s Source, k Kind) (*Document, error) {
	doc, err := s.Newest(ctx, k)
	if err != nil {
		return nil, err
	}
	return Parse(k, doc)
}

// plain is an error of the file system without operation and path, which stand
// beside it.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func symbolList(symbols []string) string { return strings.Join(slices.Clone(symbols), ", ") }
