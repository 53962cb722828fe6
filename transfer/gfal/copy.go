package gfal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/internal/program"
	"golang.org/x/sys/unix"
)

// A move is one file on its way, by one gfal-copy.
type move struct {
	local  string // path on this machine
	remote string // path at the place
	push   bool   // to the place
	size   int64
	sum    checksum.Sum // the Adler-32 that it has to have; zero: not known
	tree   *transfer.Tree
}

// slowest is the rate, in bytes per second, that a checksum is trusted to be computed
// with, since that shows no progress.
const slowest = 10 << 20

// copy moves one file and counts its bytes.
func (b *Backend) copy(ctx context.Context, m move) error {
	if !plain(m.local) {
		return b.unfit("copy", m.local)
	}
	told := int64(0)
	tell := func(n int64) {
		if m.tree.Progress != nil {
			m.tree.Progress(max(0, n-told)) // 0: still at it
		}
		told = max(told, n)
	}
	sums := !b.noSums.Load() // another file may find out meanwhile
	err := b.gfalCopy(ctx, m, sums, tell)
	if err != nil && sums && ctx.Err() == nil && (errors.Is(err, transfer.ErrUnsupported) || exited(err, unix.EPERM)) {
		// Perhaps it is only that the server knows no checksums.
		if again := b.gfalCopy(ctx, m, false, tell); again == nil {
			b.noSums.Store(true)
			err = nil
		}
	}
	if err == nil {
		tell(m.size)
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return b.judge(ctx, m, err)
}

// gfalCopy runs the program. tell is told how many bytes have been moved.
func (b *Backend) gfalCopy(ctx context.Context, m move, sums bool, tell func(int64)) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	u, err := b.url("copy", m.remote)
	if err != nil {
		return err
	}
	from, to := u, "file://"+m.local
	if m.push {
		from, to = to, u
	}
	// -f: what stands there is of an earlier try. -v: it reports progress.
	args := []string{"-v", "-f", "-t", limitWork, "-T", limitWork}
	if b.o.Streams > 0 {
		args = append(args, "-n", strconv.Itoa(b.o.Streams))
	}
	if sums {
		k := "adler32"
		if !m.sum.IsZero() {
			k += ":" + m.sum.Bare()
		}
		args = append(args, "-K", k)
	}
	cmd := b.command("gfal-copy", append(args, from, to)...)
	said := &program.Tail{}
	cmd.Stderr = said
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	w := &watch{stall: m.tree.Stall, size: m.size}
	cctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err = program.Run(cctx, cmd, func(pid int) {
		stop := w.start(cctx, pid, cancel, func() { tell(w.moved.Load()) })
		defer stop()
		w.read(stdout)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var stalled *transfer.Error
	if errors.As(context.Cause(cctx), &stalled) {
		stalled.Place, stalled.Path = b.String(), m.remote
		return stalled
	}
	if err != nil {
		return b.failed("copy", m.remote, err, said.String())
	}
	return nil
}

// judge looks why a copy has failed, where the exit code leaves it open: the programs
// have no code of their own for sums that differ.
func (b *Backend) judge(ctx context.Context, m move, err error) error {
	if m.sum.IsZero() || !errors.Is(err, transfer.ErrTransient) || !exited(err, unix.EIO, unix.EILSEQ) {
		return err
	}
	e := &transfer.Error{Op: "read", Kind: transfer.ErrCorrupt, Hint: "verify the source at its own site"}
	var got checksum.Sum
	if m.push {
		sums, serr := checksum.FileSum(ctx, m.local, checksum.Adler32)
		if serr != nil {
			return errors.Join(err, serr)
		}
		got, e.Path, e.Kind, e.Hint = sums[0], m.local, transfer.ErrSourceChanged, "it is tried again when it is at rest"
	} else {
		sums, serr := b.Hash(ctx, checksum.Adler32, []string{m.remote})
		if serr != nil {
			return errors.Join(err, serr)
		}
		got, e.Place, e.Path = sums[0], b.String(), m.remote
	}
	if got == m.sum {
		return err // it was damaged on the way
	}
	e.Err = fmt.Errorf("it has %s, the manifest says %s", got, m.sum)
	return e
}

// A watch ends a gfal-copy that makes no progress.
type watch struct {
	stall   time.Duration // 0: never
	size    int64
	moved   atomic.Int64 // bytes, as the program reports them
	summing atomic.Bool  // an end computes a checksum, as far as can be seen
}

// read reads what gfal-copy -v prints:
//
//	monitor: FROM TO AVERAGE NOW BYTES SECONDS
//	event: [TIME] SIDE PLUGIN<tab>STAGE<tab>TEXT
//
// Of these, numbers and stages are meant for programs. Not all plugins report bytes.
func (w *watch) read(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		switch {
		case strings.HasPrefix(line, "monitor: "):
			f := strings.Fields(line)
			if len(f) < 6 {
				break
			}
			if n, err := strconv.ParseInt(f[len(f)-2], 10, 64); err == nil && n > w.moved.Load() && n <= w.size {
				w.moved.Store(n)
				if n == w.size {
					w.summing.Store(true)
				}
			}
		case strings.HasPrefix(line, "event: "):
			if f := strings.Split(line, "\t"); len(f) > 1 && strings.HasPrefix(f[1], "CHECKSUM:") {
				w.summing.Store(strings.TrimSpace(f[1]) == "CHECKSUM:ENTER")
			}
		}
		if err != nil {
			return
		}
	}
}

// start looks at the process now and then until stop is called, and ends it by cancel
// when nothing has happened for too long. alive is called as long as that is not so.
func (w *watch) start(ctx context.Context, pid int, cancel context.CancelCauseFunc, alive func()) (stop func()) {
	every := time.Second
	if w.stall > 0 {
		every = max(min(every, w.stall/8), time.Millisecond)
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		last, moved, traffic, summing := time.Now(), int64(0), int64(0), false
		for {
			select {
			case <-quit:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// Timers and signals within the process read and write a few bytes, too.
			const idle = 64 << 10
			if n := trafficOf(pid); n >= traffic+idle {
				traffic, last = n, time.Now()
			}
			if n, s := w.moved.Load(), w.summing.Load(); n > moved || s != summing {
				moved, summing, last = n, s, time.Now()
			}
			limit := w.stall
			if summing {
				limit += time.Duration(float64(w.size) / slowest * float64(time.Second))
			}
			if quiet := time.Since(last); w.stall > 0 && quiet > limit {
				cancel(&transfer.Error{Op: "copy", Kind: transfer.ErrStalled, Err: fmt.Errorf("for %v", quiet.Round(time.Millisecond)),
					Hint: "see whether the other side hangs; it is tried again"})
				return
			}
			alive()
		}
	}()
	return func() { close(quit); <-ended }
}

// trafficOf is how many bytes a process has read and written, where the system tells;
// else 0.
func trafficOf(pid int) (n int64) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/io")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		k, v, _ := strings.Cut(line, ":")
		if k == "rchar" || k == "wchar" {
			b, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			if err == nil {
				n += b
			}
		}
	}
	return n
}
