package cax

import (
	"context"
	"errors"
	"path"
	"strings"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/tsm"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// tapeCarrier is the carrier of tape servers: dsmc archives what is pushed, which counts
// when queries show it; what is pulled is brought from tape for many runs at once.
type tapeCarrier struct{}

func (tapeCarrier) keeps(s *Site, typ rundb.Type) bool {
	if s.tape() {
		return typ == rundb.Raw || typ == rundb.Processed
	}
	return s.Dir(typ) != ""
}

// place is the path under which tape knows the dataset: that of the folder in which it is
// prepared, or where it lies.
func (tapeCarrier) place(env *Env, to *Site, _ *rundb.Run, src *rundb.Copy) string {
	base := path.Base(src.Location)
	switch {
	case to == env.Site:
		return to.Location(src.Type, src.Version, base)
	case !oneName(base) || strings.ContainsAny(src.Location, "\n\r\x18\x19"):
		return ""
	case env.renames(to):
		return path.Join(env.Site.DirTSM, base)
	}
	return src.Location
}

// renames reports whether datasets are prepared for a tape server under other names.
func (e *Env) renames(tape *Site) bool {
	return e.Site.DirTSM != "" && e.tapeConfig(tape).Rename != wordNo
}

func (tapeCarrier) holds(env *Env, s *Site, location string) bool {
	if s == env.Site {
		return s.Contains(location) || location == noPlace
	}
	return path.IsAbs(location) && path.Clean(location) != "/" && !strings.ContainsAny(location, "\x00\n\r")
}

// statuses: the original's second word for an error, which nobody else looks after.
func (tapeCarrier) statuses() []rundb.Status { return []rundb.Status{rundb.Abandoned} }

func (tapeCarrier) failed(error) rundb.Status { return rundb.Failed }

func (by tapeCarrier) move(ctx context.Context, h *haul) (rundb.Status, bson.D, error) {
	place := by.place(h.w.env, h.to, h.w.run, h.src)
	if h.w.held.Copy.Location != place && (h.task.push || h.w.held.Copy.Location == noPlace) {
		// Of another configuration, or none: the record says from now on where it is.
		if err := h.w.held.Set(ctx, bson.D{{Key: "location", Value: place}}); err != nil {
			return "", nil, err
		}
		h.w.held.Copy.Location = place
	}
	drive, err := h.w.env.drive(ctx, h.remote())
	if err != nil {
		return "", nil, err
	}
	if h.task.push {
		u := &tapeUpload{haul: h, drive: drive, conf: h.w.env.tapeConfig(h.to)}
		return u.do(ctx)
	}
	return by.fetch(ctx, h, drive)
}

// A tapeProgress passes on what dsmc tells.
type tapeProgress struct{ to transfer.Progress }

func (p tapeProgress) Object(t tsm.Transfer) {
	if p.to != nil && (t.Outcome == tsm.Sent || t.Outcome == tsm.Done) && t.Size >= 0 {
		p.to.Moved(t.Size)
		p.to.File(t.Path)
	}
}

func (tapeProgress) Message(tsm.Message) {}

// tell writes a summary to the log, in the original's words.
func (h *haul) tell(s tsm.LogSummary) {
	about := []zap.Field{zap.Int64("run", h.w.run.Number), zap.String("name", h.w.run.Name)}
	if h.w.run.Detector == muonVeto {
		about = append(about, zap.String("detector", h.w.run.Detector))
	}
	for _, line := range s.Lines() {
		h.w.env.Log.Info(line, about...)
	}
}

// notTold is a part of a summary of which nothing is known.
func notTold() tsm.LogPart { return tsm.NewLogPart(nil, "") }

// addPart adds a run of dsmc to a part of a summary.
func addPart(p *tsm.LogPart, s tsm.Statistics) {
	n := tsm.NewLogPart(s, "")
	add := func(to *int64, x int64) {
		if x >= 0 {
			*to = max(*to, 0) + x
		}
	}
	add(&p.Files, n.Files)
	add(&p.Inspected, n.Inspected)
	add(&p.Failed, n.Failed)
	add(&p.Bytes, n.Bytes)
	if n.Seconds >= 0 {
		p.Seconds = max(p.Seconds, 0) + n.Seconds
	}
	if p.Rate = n.Rate; p.Seconds > 0 && p.Bytes >= 0 {
		p.Rate = float64(p.Bytes) / p.Seconds
	}
}

// outcomeOf is the word for a log.
func outcomeOf(err error) tsm.LogOutcome {
	if err != nil {
		return tsm.LogFailed
	}
	return tsm.LogSucceeded
}

// freed cancels a restore that the server keeps for this node from an earlier time, if
// that is what an error is about, and reports whether there is a point in trying again.
func (d *tapeDrive) freed(ctx context.Context, err error, log *zap.Logger) bool {
	if !errors.Is(err, tsm.ErrPending) {
		return false
	}
	log.Warn("an interrupted restore is cancelled on the tape server; what it was for is asked for anew", zap.Error(err))
	if err := d.client.CancelRestores(ctx); err != nil {
		log.Warn("the interrupted restore could not be cancelled", zap.Error(err))
		return false
	}
	return true
}

// bring runs a recall, and once more if an interrupted one was in its way.
func (d *tapeDrive) bring(ctx context.Context, backup bool, job tsm.Recall, dest string, p tsm.Progress, log *zap.Logger) (*tsm.Result, error) {
	do := d.client.Retrieve
	if backup {
		do = d.client.Restore
	}
	r, err := do(ctx, job, dest, true, p)
	if d.freed(ctx, err, log) {
		r, err = do(ctx, job, dest, true, p)
	}
	return r, err
}
