package rucio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/cax-go/cax/rucio/storage"
	"github.com/cax-go/cax/transfer"
)

// sources gives the replicas of files in the order in which they should be read, and
// remembers which RSEs have failed. It is safe for concurrent use.
type sources struct {
	s    *stores
	tape bool // those on tape may be read too

	mu     sync.Mutex
	failed map[string]int // by RSE, failures that say something of it as a whole
}

// Twice in a row, an RSE that cannot be reached is left for the end.
const patience = 2

// of gives the addresses of a file, the best first. RSEs that have failed come last;
// those in without are left out.
func (s *sources) of(r FileReplicas, without map[string]bool) []PFN {
	s.mu.Lock()
	defer s.mu.Unlock()
	var good, doubtful []PFN
	for _, p := range r.PFNs {
		switch {
		case without[p.RSE], p.Type == "TAPE" && !s.tape, p.ClientExtract, p.Domain == "zip":
		case s.failed[p.RSE] >= patience:
			doubtful = append(doubtful, p)
		default:
			good = append(good, p)
		}
	}
	return append(good, doubtful...)
}

// note remembers how reading from an RSE went.
func (s *sources) note(rse string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		delete(s.failed, rse)
	case errors.Is(err, transfer.ErrTransient), errors.Is(err, transfer.ErrStalled), errors.Is(err, transfer.ErrAuth):
		s.failed[rse]++
	}
}

// storage gives what an address is read by.
func (s *sources) storage(ctx context.Context, p PFN) (storage.Storage, error) {
	r, domain, err := s.s.rse(ctx, p.RSE)
	if err != nil {
		return nil, err
	}
	ways, err := s.s.usable(ctx, r, domain, OpRead)
	if err != nil {
		return nil, err
	}
	// Of several protocols of one scheme the address tells which.
	i := slices.IndexFunc(ways, func(w Protocol) bool { return hasPrefix(p.URL, w.base()) })
	if i < 0 {
		return nil, &Error{Op: "read", Thing: "RSE " + p.RSE, Kind: ErrUnsupported, Err: fmt.Errorf("no protocol of it leads to its address")}
	}
	st, _, err := s.s.at(ctx, r, ways[i])
	return st, err
}

func hasPrefix(url, base string) bool { return len(url) > len(base) && url[:len(base)] == base }

// schemes are those that addresses are asked for: of an RSE with several protocols each is
// a way to try.
func schemes() []string { return storage.Schemes() }

// open reads a file from an offset, and goes on at the next replica where one fails, or,
// if it is to be alone, does not.
func (s *sources) open(ctx context.Context, r FileReplicas, offset int64, without map[string]bool, alone bool) (*failover, error) {
	f := &failover{ctx: ctx, s: s, file: r, at: offset, left: s.of(r, without)}
	if len(f.left) == 0 {
		return nil, &Error{Op: "read", Thing: r.DID.String(), Kind: ErrUnavailable, Err: noSource(r, s.tape)}
	}
	if alone {
		f.left = f.left[:1]
	}
	return f, f.next(nil)
}

// noSource says why there is nothing to read.
func noSource(r FileReplicas, tape bool) error {
	switch {
	case len(r.PFNs) == 0:
		return errors.New("no RSE that can be read now has it, by a protocol that is spoken here")
	case !tape && !slices.ContainsFunc(r.PFNs, func(p PFN) bool { return p.Type != "TAPE" }):
		return errors.New("it is on tape alone, which was not allowed")
	}
	return errors.New("none of its replicas could be read")
}

// A failover reads one file from one replica after the other.
type failover struct {
	ctx  context.Context
	s    *sources
	file FileReplicas
	at   int64 // bytes given so far, from the begin of the file
	left []PFN
	gave []string // RSEs that gave bytes
	now  PFN
	body io.ReadCloser
	errs []error
}

// next opens the next replica that can be opened. err is why the one before is left.
func (f *failover) next(err error) error {
	if f.body != nil {
		f.body.Close()
		f.body = nil
	}
	for {
		if err != nil {
			f.errs = append(f.errs, fmt.Errorf("%s: %w", f.now.RSE, err))
			f.s.note(f.now.RSE, err)
		}
		if f.ctx.Err() != nil {
			return f.ctx.Err()
		}
		if len(f.left) == 0 {
			all := errors.Join(f.errs...)
			return &Error{Op: "read", Thing: f.file.DID.String(), Kind: kindOfMove(all), Err: all}
		}
		f.now, f.left = f.left[0], f.left[1:]
		var st storage.Storage
		if st, err = f.s.storage(f.ctx, f.now); err != nil {
			continue
		}
		if f.body, err = st.Get(f.ctx, f.now.URL, f.at); err != nil {
			f.body = nil
			continue
		}
		return nil
	}
}

func (f *failover) Read(p []byte) (int, error) {
	if f.body == nil {
		return 0, io.ErrClosedPipe
	}
	for {
		n, err := f.body.Read(p)
		f.at += int64(n)
		if n > 0 && !slices.Contains(f.gave, f.now.RSE) {
			f.gave = append(f.gave, f.now.RSE)
		}
		switch {
		case n > 0 && err != nil:
			return n, nil // the error comes again
		case err == io.EOF && f.file.Bytes >= 0 && f.at < f.file.Bytes:
			err = io.ErrUnexpectedEOF
		case err == io.EOF:
			f.s.note(f.now.RSE, nil)
			return 0, io.EOF
		case err == nil:
			return n, nil
		}
		if err := f.next(err); err != nil {
			return 0, err
		}
	}
}

// from are the RSEs that bytes came from, in order.
func (f *failover) from() []string { return f.gave }

func (f *failover) Close() error {
	if f.body == nil {
		return nil
	}
	err := f.body.Close()
	f.body = nil
	return err
}
