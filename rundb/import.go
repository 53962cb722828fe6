package rundb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// ImportOptions say how to import. nil: the defaults.
type ImportOptions struct {
	// DryRun reads and compares everything and writes nothing. The counts tell what
	// would have been done.
	DryRun bool

	// Progress, if not nil, is told now and then how far the current collection is.
	Progress func(Collection, ImportCount)
}

// An ImportCount counts documents.
type ImportCount struct {
	Read   int // in the dump
	Added  int // were not there
	Same   int // were there already, and say the same ([Same])
	Failed int // are not valid, or contradict what is there; each gives an error
}

// An ImportReport tells what an import did.
type ImportReport struct {
	Counts map[Collection]ImportCount

	// Ignored are files of a folder that hold no collection of a run database.
	Ignored []string
}

// A BulkInserter is a driver that can add many runs at once: all of them, or none
// and the error of one. [Store.Import] uses it where it is there.
type BulkInserter interface {
	InsertAll(ctx context.Context, docs ...bson.Raw) error
}

// Import adds what mongodump, mongoexport or [Store.Export] wrote: the documents of
// a file, or of all files of a folder and of the folders in it. A file that is
// named as a collection, "events", "manifests", "gains", … (.bson, .json, .jsonl,
// .ndjson, perhaps .gz), holds that, every other single file runs; of a folder "runs_new"
// (or "runs") and those are read. BSON documents are added byte for byte.
//
// A document that is there already and says the same is fine. One that says
// something else is left as it is in the database, and is an error that names the
// run and is ErrExist; a document that is no run is ErrInvalid. Both go into an
// errors.Join, the import goes on behind them, and the report is complete. Other
// errors end it. An import that was interrupted can be repeated.
func (s *Store) Import(ctx context.Context, from string, o *ImportOptions) (*ImportReport, error) {
	report := &ImportReport{Counts: map[Collection]ImportCount{}}
	files, err := dumpFiles(from, report)
	if err != nil {
		return report, err
	}
	var errs []error
	for _, c := range collections() {
		for _, name := range files[c] {
			n, lost, err := s.importFile(ctx, name, c, o)
			was := report.Counts[c]
			report.Counts[c] = ImportCount{was.Read + n.Read, was.Added + n.Added, was.Same + n.Same, was.Failed + n.Failed}
			if ctx.Err() != nil {
				return report, ctx.Err()
			}
			if lost != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, lost))
			}
			if err != nil {
				return report, errors.Join(append(errs, fmt.Errorf("%s: %w", name, err))...)
			}
		}
	}
	return report, errors.Join(errs...)
}

// dumpFiles finds the files to read, by collection.
func dumpFiles(from string, report *ImportReport) (map[Collection][]string, error) {
	fail := func(kind, err error) error { return &Error{Op: "import", What: from, Kind: kind, Err: err} }
	st, err := os.Stat(from)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fail(ErrNotExist, nil)
	case err != nil:
		return nil, fail(ErrInvalid, err)
	case !st.IsDir():
		c := collectionOf(filepath.ToSlash(from))
		if c == "" {
			c = Runs
		}
		return map[Collection][]string{c: {from}}, nil
	}
	var names []string
	for _, pattern := range []string{"*", filepath.Join("*", "*")} {
		found, err := filepath.Glob(filepath.Join(escapeGlob(from), pattern))
		if err != nil {
			return nil, fail(ErrInvalid, err)
		}
		names = append(names, found...)
	}
	files := map[Collection][]string{}
	for _, name := range names {
		if st, err := os.Stat(name); err != nil || !st.Mode().IsRegular() {
			continue
		}
		switch c := collectionOf(filepath.ToSlash(name)); {
		case c != "":
			files[c] = append(files[c], name)
		case !strings.Contains(filepath.Base(name), ".metadata.json"):
			report.Ignored = append(report.Ignored, name)
		}
	}
	if len(files) == 0 {
		return nil, fail(ErrInvalid, errors.New("there is no runs_new and no other collection of a run database in this folder, as .bson or .json: name the file itself"))
	}
	return files, nil
}

// escapeGlob makes a pattern that matches the path itself.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func (s *Store) importFile(ctx context.Context, name string, c Collection, o *ImportOptions) (n ImportCount, lost, err error) {
	f, err := os.Open(name)
	if err != nil {
		return n, nil, err
	}
	defer f.Close()
	return s.importFrom(ctx, f, c, o)
}

// ImportFrom is [Store.Import] of one collection from a reader.
func (s *Store) ImportFrom(ctx context.Context, r io.Reader, c Collection, o *ImportOptions) (ImportCount, error) {
	n, lost, err := s.importFrom(ctx, r, c, o)
	if ctx.Err() != nil {
		return n, ctx.Err()
	}
	return n, errors.Join(lost, err)
}

// importFrom gives the errors of single documents apart from the one that ended it.
func (s *Store) importFrom(ctx context.Context, r io.Reader, c Collection, o *ImportOptions) (n ImportCount, lost, err error) {
	if o == nil {
		o = &ImportOptions{}
	}
	if !slices.Contains(collections(), c) {
		return n, nil, &Error{Op: "import", What: string(c), Kind: ErrInvalid, Err: errors.New("there is no such collection")}
	}
	im := &importer{store: s, coll: c, dry: o.DryRun}
	for batch, err := range inBatches(ReadDump(r), im) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = im.batch(ctx, batch)
		}
		if err != nil {
			return im.count, im.problems.join(), err
		}
		if o.Progress != nil {
			o.Progress(c, im.count)
		}
	}
	return im.count, im.problems.join(), nil
}
