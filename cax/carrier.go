package cax

import (
	"context"
	"path"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// A carrier moves datasets between this site and the remotes of some methods.
// copyTask decides, claims, keeps the lease and records; a carrier knows what a
// place is at such a remote and how bytes get there. Its methods but move are pure.
type carrier interface {
	// keeps reports whether copies of a type can be at a site.
	keeps(s *Site, typ rundb.Type) bool

	// place is the location that a copy will have, "" if it can have none because
	// of its name.
	place(env *Env, to *Site, r *rundb.Run, src *rundb.Copy) string

	// holds reports whether a location on record can be that of a copy at a site.
	holds(env *Env, s *Site, location string) bool

	// statuses are further ones, beside error, in which this carrier leaves a copy
	// that has to be tried again.
	statuses() []rundb.Status

	// failed is the status that a failure leaves.
	failed(err error) rundb.Status

	// move moves the bytes of a claimed copy, verifies them as far as it can, and
	// says what the record becomes: a status and further fields.
	move(ctx context.Context, h *haul) (rundb.Status, bson.D, error)
}

// A haul is one copy on its way, under a claim.
type haul struct {
	task     copyTask
	w        *work
	from, to *Site
	src      *rundb.Copy
	job      transfer.Job // what earlier tries left, and whether to read back

	// confirm succeeds only if the claim is ours at that moment. It has to be
	// asked before what was moved becomes visible as the copy.
	confirm func(context.Context) error
}

// remote is the end that is not this site.
func (h *haul) remote() *Site {
	if h.task.push {
		return h.to
	}
	return h.from
}

// carrierOf gives the carrier of a method; nil if there is none.
func carrierOf(m Method) carrier {
	switch {
	case m.native():
		return direct{}
	case m == MethodRucio:
		return rucioCarrier{}
	case m == MethodTSM:
		return tapeCarrier{}
	}
	return nil
}

// direct is the carrier of the methods that transfer's backends speak.
type direct struct{}

func (direct) keeps(s *Site, typ rundb.Type) bool { return s.Dir(typ) != "" }

// place gives the path of a new copy: the directory of the type, the version's
// folder, and the name that the dataset has at the source.
func (direct) place(_ *Env, to *Site, _ *rundb.Run, src *rundb.Copy) string {
	return to.Location(src.Type, src.Version, path.Base(src.Location))
}

func (direct) holds(_ *Env, s *Site, location string) bool { return s.Contains(location) }

func (direct) statuses() []rundb.Status { return nil }

func (direct) failed(error) rundb.Status { return rundb.Failed }
