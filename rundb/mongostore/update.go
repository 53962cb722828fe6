package mongostore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// tries bounds how often an update is decided again because others changed the
// run in between. Each time somebody got ahead: with 64 losses in a row,
// something else is wrong.
const tries = 64

// maxPause bounds the pause between two tries; it is drawn at random, so that
// those who collided do not meet again.
const maxPause = 50 * time.Millisecond

// errChanged says that the document was not as the filter wants it.
var errChanged = errors.New("the run changed in between")

// Update implements [rundb.Driver].
func (d *Driver) Update(ctx context.Context, u *rundb.Update) error {
	if err := u.Check(); err != nil {
		return err
	}
	if u.Push != nil {
		if c, ok := pushed(u); ok {
			// If not applied, the reason is found out below.
			if err := d.send(ctx, u.Run, c); !errors.Is(err, errChanged) {
				return err
			}
		}
	}
	var last error
	for try := range tries {
		doc, err := d.read(ctx, u)
		if err != nil {
			return err
		}
		var now time.Time
		if u.Change != nil && u.Change.ServerTime != "" {
			// Not $currentDate: the record is written as a whole, and servers that are
			// not MongoDB keep a finer time there than they give back, which no filter
			// finds again.
			if now, err = d.Now(ctx); err != nil {
				return err
			}
		}
		c, err := decided(doc, u, now)
		if err != nil {
			return err
		}
		if len(c.update) == 0 {
			return nil
		}
		if last = d.send(ctx, u.Run, c); !errors.Is(last, errChanged) {
			return last
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
	return &rundb.Error{Op: "update", What: "run " + u.Run.Hex(), Kind: rundb.ErrTransient,
		Err: fmt.Errorf("%d times in a row: %w", tries, last)}
}

// read gets what an update is decided on.
func (d *Driver) read(ctx context.Context, u *rundb.Update) (bson.Raw, error) {
	doc, err := d.newest.FindOne(ctx, bson.D{{Key: "_id", Value: u.Run}}, options.FindOne().SetProjection(fields(u))).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, &rundb.Error{Op: "update", What: "run " + u.Run.Hex(), Kind: rundb.ErrNotExist}
	}
	if err != nil {
		return nil, d.failed(ctx, "update", err)
	}
	return doc, nil
}

// send carries out a change. errChanged if it was not applied because the document
// is not as the filter or the update wants it.
func (d *Driver) send(ctx context.Context, id rundb.ID, c change) error {
	ctx, s := counting(ctx)
	res, err := d.runs.UpdateOne(ctx, c.filter, c.update)
	switch {
	case err == nil && res.MatchedCount == 1:
		return nil
	case err == nil:
		return errChanged
	case !s.unknown(err) && hasCode(err, codeBadValue, codePathNotViable, codeTypeMismatch):
		// The update met a null or a text where it was told to find a list or a
		// document. If that was no news, the next reading says so.
		return errors.Join(errChanged, err)
	}
	return d.wrote(ctx, "update", "run "+id.Hex(), s, err)
}

func pause(ctx context.Context, try int) error {
	longest := min(time.Millisecond<<min(try, 10), maxPause)
	t := time.NewTimer(rand.N(longest))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
