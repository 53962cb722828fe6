package rundb

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Export writes the whole database into a folder, which is made if it is missing:
// the runs, the events and the manifests, and corrections if there are any. In JSON
// formats there is one file per collection ("runs_new.json", as mongoexport writes it, with --collection for
// mongoimport); in BSON they lie in a folder that is named as the original's
// database ("run/runs_new.bson", as mongodump writes it, for mongorestore).
//
// If to ends in .json, .jsonl, .ndjson or .bson, perhaps with .gz, it is a file that
// gets the runs alone.
//
// Files appear under their names when they are complete and durable; ErrExist if
// a name is taken. A document that the format does not keep is written as well as
// can be, and named in the error, which is then an errors.Join and ErrInvalid. The
// counts are the documents written.
func (s *Store) Export(ctx context.Context, to string, format Format) (map[Collection]int, error) {
	counts := map[Collection]int{}
	files := map[Collection]string{}
	switch ext := filepath.Ext(strings.TrimSuffix(to, ".gz")); ext {
	case ".bson", ".json", ".jsonl", ".ndjson":
		if (ext == ".bson") != (format == BSON) {
			return counts, &Error{Op: "export", What: to, Kind: ErrInvalid, Err: fmt.Errorf("the name does not fit the format %q", format)}
		}
		files[Runs] = to
	default:
		dir := to
		if format == BSON {
			dir = filepath.Join(to, "run")
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return counts, &Error{Op: "export", What: to, Kind: ErrInvalid, Err: err}
		}
		for _, c := range collections() {
			if slices.Contains(Corrections(), c) {
				empty, err := s.empty(ctx, c)
				if err != nil {
					return counts, err
				}
				if empty {
					continue
				}
			}
			files[c] = filepath.Join(dir, string(c)+format.extension())
		}
	}
	for _, f := range files {
		if _, err := os.Lstat(f); err == nil {
			return counts, &Error{Op: "export", What: f, Kind: ErrExist, Err: errors.New("choose another place, or remove it")}
		}
	}
	var errs []error
	for _, c := range collections() {
		f, ok := files[c]
		if !ok {
			continue
		}
		n, err := s.exportFile(ctx, c, f, format)
		counts[c] = n
		if ctx.Err() != nil {
			return counts, ctx.Err()
		}
		errs = append(errs, err)
	}
	return counts, errors.Join(errs...)
}

// empty reports whether a collection beside the runs has no document.
func (s *Store) empty(ctx context.Context, c Collection) (bool, error) {
	for _, err := range s.Driver.Docs(ctx, &DocQuery{Coll: c, Limit: 1}) {
		return false, err
	}
	return true, nil
}

// exportFile writes one collection to a new file.
func (s *Store) exportFile(ctx context.Context, c Collection, name string, format Format) (n int, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".cax-export-*")
	if err != nil {
		return 0, &Error{Op: "export", What: name, Kind: ErrInvalid, Err: err}
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var w io.Writer = f
	zip := gzip.NewWriter(f)
	if strings.HasSuffix(name, ".gz") {
		w = zip
	}
	n, lost := s.ExportTo(ctx, w, c, format)
	if lost != nil && !errors.Is(lost, ErrInvalid) {
		return n, lost
	}
	if w == zip {
		err = zip.Close()
	}
	if err = errors.Join(err, f.Chmod(0o644), f.Sync()); err == nil {
		err = os.Link(f.Name(), name) // unlike a rename, never replaces
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return 0, &Error{Op: "export", What: name, Kind: ErrExist}
	case err != nil:
		return 0, &Error{Op: "export", What: name, Kind: ErrTransient, Err: err}
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return n, errors.Join(lost, err)
	}
	return n, errors.Join(lost, dir.Sync(), dir.Close())
}

// ExportTo writes one collection, oldest first, and returns how many documents
// were written. ErrInvalid if the format did not keep some, which are named;
// everything was written then all the same.
func (s *Store) ExportTo(ctx context.Context, to io.Writer, c Collection, format Format) (n int, err error) {
	if format != JSON && format != RelaxedJSON && format != BSON {
		return 0, &Error{Op: "export", What: string(c), Kind: ErrInvalid, Err: fmt.Errorf("there is no format %q, but %q, %q and %q", format, JSON, RelaxedJSON, BSON)}
	}
	var docs iter.Seq2[bson.Raw, error]
	switch c {
	case Runs:
		docs = s.Driver.Find(ctx, &Query{OldestFirst: true})
	case Events, Manifests, Gains, DriftVelocity, NeuralNetwork, FieldDistortion, LightCollectionEfficiency, S2XYMap:
		docs = s.Driver.Docs(ctx, &DocQuery{Coll: c})
	default:
		return 0, &Error{Op: "export", What: string(c), Kind: ErrInvalid, Err: errors.New("there is no such collection")}
	}
	w := bufio.NewWriterSize(to, 1<<20)
	var lost problems
	for doc, err := range docs {
		if err != nil {
			return n, err
		}
		line := []byte(doc)
		if format != BSON {
			if line, err = toJSON(doc, format); err != nil {
				lost.add(&Error{Op: "export", What: nameOf(c, doc), Kind: ErrInvalid, Err: err})
			}
			if line == nil {
				continue
			}
			line = append(line, '\n')
		}
		if _, err := w.Write(line); err != nil {
			return n, err
		}
		n++
	}
	if err := w.Flush(); err != nil {
		return n, err
	}
	return n, lost.join()
}

// toJSON writes a document as Extended JSON, and reads it back to see that it is
// the same. A document that cannot be written at all gives nil.
func toJSON(doc bson.Raw, format Format) ([]byte, error) {
	if err := validate(doc, maxDepth); err != nil {
		return nil, err
	}
	line, err := bson.MarshalExtJSON(doc, format == JSON, false)
	if err != nil {
		return nil, err
	}
	var back bson.Raw
	if err := bson.UnmarshalExtJSON(line, false, &back); err != nil {
		return line, fmt.Errorf("JSON cannot hold it, BSON can: %w", err)
	}
	if !Same(doc, back) {
		return line, errors.New("JSON does not keep it as it is, BSON does")
	}
	return line, nil
}

// nameOf names a document of a dump for people.
func nameOf(c Collection, doc bson.Raw) string {
	if c == Runs {
		if r, err := Decode(doc); err == nil {
			return r.String()
		}
	}
	return fmt.Sprintf("%s %s", c, lookup(doc, "_id"))
}

// maxProblems is how many errors of single documents are kept; the rest is counted.
const maxProblems = 50

// problems collects errors of single documents.
type problems struct {
	errs []error
	more int
}

func (p *problems) add(err error) {
	if len(p.errs) < maxProblems {
		p.errs = append(p.errs, err)
	} else {
		p.more++
	}
}

func (p *problems) join() error {
	if p.more > 0 {
		return errors.Join(append(p.errs, fmt.Errorf("and %d more like these", p.more))...)
	}
	return errors.Join(p.errs...)
}
