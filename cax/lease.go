package cax

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.uber.org/zap"
)

// ErrLeaseLost is the cause of a context that ended because the claim is no
// longer surely ours: another process took it over, or no heartbeat was
// acknowledged for [Policy.LeaseLost].
var ErrLeaseLost = errors.New("the claim was lost")

// A lease keeps a claim alive while work goes on under it.
type lease struct {
	held   *rundb.Held
	policy Policy
	clock  Clock
	log    *zap.Logger

	acked  atomic.Int64 // Elapsed at the start of the last acknowledged heartbeat
	cancel context.CancelCauseFunc
	done   chan struct{}
}

// hold starts to keep a claim alive. The returned context ends with cause
// ErrLeaseLost when the claim is lost. stop must be called; it returns when no
// heartbeat is under way any more.
func hold(ctx context.Context, h *rundb.Held, p Policy, clock Clock, log *zap.Logger) (context.Context, *lease) {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &lease{held: h, policy: p, clock: clock, log: log, cancel: cancel, done: make(chan struct{})}
	l.acked.Store(int64(clock.elapsed()))
	go func() {
		defer close(l.done)
		// Two loops: a heartbeat that hangs must not keep the watch from seeing it.
		watched := make(chan struct{})
		go func() { defer close(watched); l.watch(ctx) }()
		l.beat(ctx)
		<-watched
	}()
	return ctx, l
}

func (l *lease) stop() {
	l.cancel(context.Canceled)
	<-l.done
}

func (l *lease) beat(ctx context.Context) {
	tick := time.NewTicker(l.policy.Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := l.confirm(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, rundb.ErrConflict), errors.Is(err, rundb.ErrNotExist):
			l.cancel(ErrLeaseLost)
			return
		default:
			l.log.Warn("heartbeat failed", zap.Error(err))
		}
	}
}

// confirm sends one heartbeat and returns nil only if the database has just said
// that the claim is ours.
func (l *lease) confirm(ctx context.Context) error {
	began := l.clock.elapsed()
	ctx, cancel := context.WithTimeout(ctx, max(l.policy.Heartbeat, time.Second))
	defer cancel()
	if err := l.held.Heartbeat(ctx); err != nil {
		return err
	}
	l.acked.Store(int64(began))
	return nil
}

func (l *lease) watch(ctx context.Context) {
	tick := time.NewTicker(max(min(time.Second, l.policy.LeaseLost/8), 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if l.clock.elapsed()-time.Duration(l.acked.Load()) > l.policy.LeaseLost {
				l.cancel(ErrLeaseLost)
				return
			}
		}
	}
}
