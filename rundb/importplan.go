package rundb

import (
	"context"
	"crypto/sha256"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// plan counts what adding a document would do, without doing it.
func (im *importer) plan(ctx context.Context, doc bson.Raw) error {
	if im.coll == Runs {
		return im.planRun(ctx, doc)
	}
	if isNull(lookup(doc, "_id")) {
		im.failed(&Error{Op: "import", What: string(im.coll), Kind: ErrInvalid, Err: errors.New("a document has no _id")})
		return nil
	}
	if err := im.readThere(ctx); err != nil {
		return err
	}
	if _, ok := im.there[idText(doc)]; ok {
		return im.compareDoc(ctx, doc)
	}
	im.there[idText(doc)] = sumOf(doc)
	im.count.Added++
	return nil
}

func (im *importer) planRun(ctx context.Context, doc bson.Raw) error {
	r, err := Decode(doc)
	if err != nil {
		im.failed(err)
		return nil
	}
	id, sum := idText(doc), sumOf(doc)
	was, ok := im.planned[id]
	if !ok {
		there, err := im.store.Driver.Get(ctx, r.ID)
		switch {
		case err == nil:
			was, ok = sumOf(there), true
		case !errors.Is(err, ErrNotExist):
			return err
		}
	}
	switch {
	case ok && was == sum:
		im.count.Same++
		return nil
	case ok:
		im.conflict(doc, otherDocument)
		return nil
	}
	name := r.Name + "\x00" + r.Detector
	taken := r.Name != "" && im.names[name]
	if r.Name != "" && !taken {
		for other, err := range im.store.Find(ctx, &Query{Names: []string{r.Name}}) {
			if err != nil {
				return err
			}
			taken = taken || other.Detector == r.Detector
		}
	}
	if taken {
		im.conflict(doc, otherRun)
		return nil
	}
	if im.planned == nil {
		im.planned, im.names = map[string][sha256.Size]byte{}, map[string]bool{}
	}
	im.planned[id], im.names[name] = sum, true
	im.count.Added++
	return nil
}
