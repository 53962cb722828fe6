package rundb

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// importBatch and importBytes bound what is added in one write.
const (
	importBatch = 200
	importBytes = 4 << 20
)

// inBatches groups valid documents; those that are not go to the importer's problems.
func inBatches(docs iter.Seq2[bson.Raw, error], im *importer) iter.Seq2[[]bson.Raw, error] {
	return func(yield func([]bson.Raw, error) bool) {
		var batch []bson.Raw
		size := 0
		for doc, err := range docs {
			switch {
			case errors.Is(err, ErrInvalid):
				im.count.Read++
				im.failed(err)
				continue
			case err != nil:
				yield(nil, err)
				return
			}
			im.count.Read++
			batch = append(batch, doc)
			if size += len(doc); len(batch) == importBatch || size >= importBytes {
				if !yield(batch, nil) {
					return
				}
				batch, size = nil, 0
			}
		}
		yield(batch, nil)
	}
}

// Why a document is refused.
const (
	otherDocument = "another document is there under its _id; it is left as it is"
	otherRun      = "another run has its name and detector"
)

// importer adds the documents of one collection.
type importer struct {
	store    *Store
	coll     Collection
	dry      bool
	count    ImportCount
	problems problems

	// there are the events or manifests of the database, by _id; nil: not read yet.
	there map[string][sha256.Size]byte

	// What a dry run would have added: runs by _id, and names with detectors.
	planned map[string][sha256.Size]byte
	names   map[string]bool
}

func (im *importer) failed(err error) {
	im.count.Failed++
	im.problems.add(err)
}

func (im *importer) conflict(doc bson.Raw, why string) {
	im.failed(&Error{Op: "import", What: nameOf(im.coll, doc), Kind: ErrExist, Err: errors.New(why)})
}

// batch adds documents. Its error ends the import.
func (im *importer) batch(ctx context.Context, docs []bson.Raw) error {
	add := im.addRun
	if im.coll != Runs {
		add = im.addDoc
	}
	if im.dry {
		for _, d := range docs {
			if err := im.plan(ctx, d); err != nil {
				return err
			}
		}
		return nil
	}
	if len(docs) > 1 {
		err := im.addAll(ctx, docs)
		if err == nil {
			im.count.Added += len(docs)
			for _, d := range docs {
				if im.there != nil {
					im.there[idText(d)] = sumOf(d)
				}
			}
			return nil
		}
		if err != errOneByOne && !errors.Is(err, ErrExist) && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnknownOutcome) {
			return err
		}
	}
	for _, d := range docs {
		if err := add(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

var errOneByOne = errors.New("documents are added one by one")

// addAll adds all documents at once where the driver does all or nothing.
func (im *importer) addAll(ctx context.Context, docs []bson.Raw) error {
	bulk, ok := im.store.Driver.(BulkInserter)
	switch {
	case !ok:
		return errOneByOne
	case im.coll == Runs:
		return bulk.InsertAll(ctx, docs...)
	}
	return im.store.Driver.Add(ctx, im.coll, docs...)
}

func (im *importer) addRun(ctx context.Context, doc bson.Raw) error {
	r, err := Decode(doc)
	if err != nil {
		im.failed(err)
		return nil
	}
	switch err = im.store.Driver.Insert(ctx, doc); {
	case err == nil:
		im.count.Added++
		return nil
	case errors.Is(err, ErrInvalid):
		im.failed(err)
		return nil
	case !errors.Is(err, ErrExist) && !errors.Is(err, ErrUnknownOutcome):
		return err
	}
	there, gerr := im.store.Driver.Get(ctx, r.ID)
	switch {
	case gerr == nil && Same(doc, there):
		im.count.Same++
	case gerr == nil:
		im.conflict(doc, otherDocument)
	case !errors.Is(gerr, ErrNotExist):
		return gerr
	case errors.Is(err, ErrExist):
		im.conflict(doc, otherRun)
	default:
		return err
	}
	return nil
}

func (im *importer) addDoc(ctx context.Context, doc bson.Raw) error {
	err := im.store.add(ctx, im.coll, doc)
	switch {
	case err == nil:
		im.count.Added++
		if im.there != nil {
			im.there[idText(doc)] = sumOf(doc)
		}
		return nil
	case errors.Is(err, ErrInvalid):
		im.failed(err)
		return nil
	case !errors.Is(err, ErrExist):
		return err
	}
	return im.compareDoc(ctx, doc)
}

// compareDoc compares a document with the one that has its _id. All that are there
// are read once: usually a dump is imported into a database that has none, or all.
func (im *importer) compareDoc(ctx context.Context, doc bson.Raw) error {
	if err := im.readThere(ctx); err != nil {
		return err
	}
	sum, ok := im.there[idText(doc)]
	switch {
	case ok && sum == sumOf(doc):
		im.count.Same++
	case ok:
		im.conflict(doc, otherDocument)
	default:
		im.conflict(doc, "another process has just added one under its _id")
	}
	return nil
}

func (im *importer) readThere(ctx context.Context) error {
	if im.there != nil {
		return nil
	}
	there := map[string][sha256.Size]byte{}
	for d, err := range im.store.Driver.Docs(ctx, &DocQuery{Coll: im.coll}) {
		if err != nil {
			return err
		}
		there[idText(d)] = sumOf(d)
	}
	im.there = there
	return nil
}

func idText(doc bson.Raw) string { return lookup(doc, "_id").String() }

// sumOf is equal for documents that are [Same].
func sumOf(doc bson.Raw) (sum [sha256.Size]byte) {
	h := sha256.New()
	writeSame(h, bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: doc}, true)
	h.Sum(sum[:0])
	return sum
}

func writeSame(w io.Writer, v bson.RawValue, outermost bool) {
	n, ok := number(v)
	d, isDoc := v.DocumentOK()
	if v.Type == bson.TypeArray {
		d, isDoc = bson.Raw(v.Value), true
	}
	switch {
	case ok:
		fmt.Fprintf(w, "n%q", n)
	case isDoc:
		elems, _ := d.Elements() // of a document that was valid
		if outermost {
			elems = idFirst(elems)
		}
		fmt.Fprintf(w, "%d{", v.Type)
		for _, e := range elems {
			fmt.Fprintf(w, "%q:", e.Key())
			writeSame(w, e.Value(), false)
		}
		fmt.Fprint(w, "}")
	default:
		fmt.Fprintf(w, "%d%q", v.Type, v.Value)
	}
}
