package rundb

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// readBack is how long a write of unknown outcome is looked for when the caller's
// context has ended already.
const readBack = time.Second

// update carries out a guarded update. If nobody knows whether it was applied,
// the run is read back and applied tells: true only if this very update, or one
// that cannot be told from it, was.
func (s *Store) update(ctx context.Context, u *Update, applied func(*Run) bool) error {
	if err := u.Check(); err != nil {
		return err
	}
	err := s.Driver.Update(ctx, u)
	if !errors.Is(err, ErrUnknownOutcome) {
		return err
	}
	// A write that is still on its way can arrive after this read. Then the record
	// carries a claim that nobody works under, and its lease runs out.
	ctx, cancel := afterwards(ctx)
	defer cancel()
	r, gerr := s.Get(ctx, u.Run)
	switch {
	case gerr != nil:
		return errors.Join(err, gerr)
	case applied(r):
		return nil
	}
	return err
}

// afterwards is a context for reading back, or taking back: the caller's, or a short
// one if that has ended, which is the usual reason why an answer is missing.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return ctx, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(ctx), readBack)
}

// holds reports whether a copy that matches has these values.
func holds(r *Run, m CopyMatch, fields bson.D) bool {
	for _, v := range list(lookup(r.raw, "data")) {
		d, ok := v.DocumentOK()
		if !ok {
			continue
		}
		if c := decodeCopy(d); m.Match(&c) && hasFields(d, fields) {
			return true
		}
	}
	return false
}

// hasFields reports whether a document has these values, by dotted path; nil
// stands for a field that is not there or null.
func hasFields(d bson.Raw, fields bson.D) bool {
	for _, f := range fields {
		got, err := d.LookupErr(strings.Split(f.Key, ".")...)
		if err != nil {
			got = bson.RawValue{}
		}
		if f.Value == nil {
			if !isNull(got) {
				return false
			}
			continue
		}
		if want, err := rawValue(f.Value); err != nil || !want.Equal(got) {
			return false
		}
	}
	return true
}
