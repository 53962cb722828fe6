package gfal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Hash implements [transfer.Hasher], by a gfal-sum for each file. Servers know Adler-32,
// some of them MD5. The sum may be the one that the server computed when the file
// arrived.
func (b *Backend) Hash(ctx context.Context, a checksum.Algorithm, paths []string) ([]checksum.Sum, error) {
	if a != checksum.Adler32 && a != checksum.MD5 || b.noSums.Load() {
		return nil, &transfer.Error{Op: "hash", Place: b.String(), Kind: transfer.ErrUnsupported, Err: fmt.Errorf("by %s", a)}
	}
	sums := make([]checksum.Sum, len(paths))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(b.parallel())
	for i, p := range paths {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() (err error) {
			sums[i], err = b.sum(gctx, a, p)
			return err
		})
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return sums, err
}

func (b *Backend) sum(ctx context.Context, a checksum.Algorithm, p string) (checksum.Sum, error) {
	u, err := b.url("hash", p)
	if err != nil {
		return checksum.Sum{}, err
	}
	out, err := b.ask(ctx, "hash", p, "gfal-sum", "-t", limitWork, u, strings.ToUpper(a.String()))
	// A server that knows no sums, or another one, refuses the question.
	if exited(err, unix.EPERM, unix.EINPROGRESS, unix.EPROTONOSUPPORT) {
		var e *transfer.Error
		errors.As(err, &e)
		e.Kind, e.Hint = transfer.ErrUnsupported, ""
	}
	if err != nil {
		return checksum.Sum{}, err
	}
	s, err := parseSum(a, out)
	if err != nil {
		return s, &transfer.Error{Op: "hash", Place: b.String(), Path: p, Kind: transfer.ErrUnsupported, Err: fmt.Errorf("gfal-sum: %w", err)}
	}
	return s, nil
}

// parseSum reads what gfal-sum prints: the address and the digest. Some servers leave
// out zeros in front.
func parseSum(a checksum.Algorithm, out []byte) (checksum.Sum, error) {
	f := strings.Fields(string(out))
	if len(f) != 2 {
		return checksum.Sum{}, fmt.Errorf("cannot read %.100q", out)
	}
	digest := strings.ToLower(f[1])
	if missing := 2*a.Size() - len(digest); a == checksum.Adler32 && missing > 0 {
		digest = strings.Repeat("0", missing) + digest
	}
	return checksum.ParseBare(a, digest)
}
