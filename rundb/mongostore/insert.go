package mongostore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Get implements [rundb.Driver].
func (d *Driver) Get(ctx context.Context, id rundb.ID) (bson.Raw, error) {
	doc, err := d.single.FindOne(ctx, bson.D{{Key: "_id", Value: id}}).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, &rundb.Error{Op: "get", What: "run " + id.Hex(), Kind: rundb.ErrNotExist}
	}
	if err != nil {
		return nil, d.failed(ctx, "get", err)
	}
	return doc, nil
}

// Insert implements [rundb.Driver]. Where no unique index stands behind it, name
// and detector are looked for before and after, and a document that turns out to
// be the second is taken back.
func (d *Driver) Insert(ctx context.Context, doc bson.Raw) error {
	r, err := rundb.Decode(doc)
	if err != nil {
		return err
	}
	if err := d.unused(ctx, r); err != nil {
		return err
	}
	counted, s := counting(ctx)
	if _, err := d.runs.InsertOne(counted, doc); err != nil {
		return d.wrote(counted, "insert", r.String(), s, err)
	}
	err = d.unused(ctx, r)
	if err == nil {
		return nil
	}
	if !errors.Is(err, rundb.ErrExist) {
		// It is there; whether it may stay was not found out.
		return &rundb.Error{Op: "insert", What: r.String(), Kind: rundb.ErrUnknownOutcome, Err: err}
	}
	filter := append(bson.D{{Key: "_id", Value: r.ID}}, pinned("data", doc.Lookup("data"))...)
	counted, s = counting(ctx)
	if _, derr := d.runs.DeleteOne(counted, filter); derr != nil {
		return errors.Join(err, d.wrote(counted, "take back", r.String(), s, derr))
	}
	return err
}

// unused reports ErrExist if another run has this one's name and detector.
func (d *Driver) unused(ctx context.Context, r *rundb.Run) error {
	if r.Name == "" {
		return nil // told apart by _id alone
	}
	filter := bson.D{in("name", []string{r.Name}), in("detector", []string{r.Detector}), {Key: "_id", Value: bson.D{{Key: "$ne", Value: r.ID}}}}
	other, err := d.newest.FindOne(ctx, filter, options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}})).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil
	}
	if err != nil {
		return d.failed(ctx, "insert", err)
	}
	return &rundb.Error{Op: "insert", What: r.String(), Kind: rundb.ErrExist, Err: fmt.Errorf("its _id is %s", other.Lookup("_id"))}
}
