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

// indexKeys are the keys of one index, all ascending: MongoDB reads an index both
// ways.
type indexKeys []string

func (k indexKeys) bson() bson.D {
	d := bson.D{}
	for _, f := range k {
		d = append(d, bson.E{Key: f, Value: int32(1)})
	}
	return d
}

// identity is the index that is unique in a collection of our own.
var identity = indexKeys{"name", "detector"}

// indexes lists what each collection needs.
func indexes(runs string) map[string][]indexKeys {
	beside := []indexKeys{{"run", "time", "_id"}, {"time", "_id"}}
	all := map[string][]indexKeys{
		runs: {
			{"start", "_id"},
			{"number"},
			identity,
			{"data.host", "data.status", "data.type", "start"},
			{"data.location"},
			{"tags.name"},
		},
		string(rundb.Events):    beside,
		string(rundb.Manifests): beside,
	}
	// "Another version than this" is two ranges of such an index; when all runs have it,
	// both are short. Corrections themselves are few, and their collections other people's.
	for _, task := range corrected() {
		all[runs] = append(all[runs], indexKeys{rundb.CorrectionVersions + "." + task, "end", "number"})
	}
	return all
}

// corrected are the corrections that daemons look for in each cycle, by their tasks.
func corrected() []string {
	return []string{"AddGains", "AddDriftVelocity", "SetNeuralNetwork", "SetFieldDistortion", "SetLightCollectionEfficiency", "SetS2xyMap"}
}

// ensureIndexes makes the indexes that are missing, whatever they are called;
// that of identity unique, if asked to.
func (d *Driver) ensureIndexes(ctx context.Context, unique bool) error {
	var errs []error
	for name, want := range indexes(d.runs.Name()) {
		view := d.db.Collection(name).Indexes()
		have, err := existing(ctx, view)
		if err != nil {
			errs = append(errs, d.failed(ctx, "list the indexes of "+name, err))
			continue
		}
		for _, k := range want {
			if have[fmt.Sprint(k.bson())] {
				continue
			}
			m := mongo.IndexModel{Keys: k.bson()}
			if unique && fmt.Sprint(k) == fmt.Sprint(identity) {
				// Only for runs with a name: others are told apart by _id.
				m.Options = options.Index().SetUnique(true).SetPartialFilterExpression(
					bson.D{{Key: "name", Value: bson.D{{Key: "$gt", Value: ""}}}})
			}
			// Another process may be making it too, as unique or not: that is one.
			if _, err := view.CreateOne(ctx, m); err != nil && !hasCode(err, codeIndexOptionsConflict, codeIndexKeySpecsConflict) {
				errs = append(errs, d.failed(ctx, fmt.Sprintf("make the index %v of %s", k, name), err))
			}
		}
	}
	return errors.Join(errs...)
}

// existing are the keys of the indexes that are there, as text.
func existing(ctx context.Context, view mongo.IndexView) (map[string]bool, error) {
	cur, err := view.List(ctx)
	if hasCode(err, codeNamespaceNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer cur.Close(context.WithoutCancel(ctx))
	have := map[string]bool{}
	for cur.Next(ctx) {
		keys, ok := cur.Current.Lookup("key").DocumentOK()
		if !ok {
			continue
		}
		elems, err := keys.Elements()
		if err != nil {
			return nil, err
		}
		d := bson.D{}
		for _, e := range elems {
			// Some servers keep the direction as a double; a text is another kind of index.
			if n, ok := e.Value().AsInt64OK(); ok {
				d = append(d, bson.E{Key: e.Key(), Value: int32(n)})
			} else {
				d = append(d, bson.E{Key: e.Key(), Value: e.Value().String()})
			}
		}
		have[fmt.Sprint(d)] = true
	}
	return have, cur.Err()
}
