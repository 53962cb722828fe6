package transfer_test

import (
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/local"
)

// slowSync is a disk on which a file takes long to become durable.
type slowSync struct{ *local.Backend }

func (b slowSync) Create(ctx context.Context, p string, offset, size int64, mtime time.Time) (io.WriteCloser, error) {
	w, err := b.Backend.Create(ctx, p, offset, size, mtime)
	if err != nil {
		return nil, err
	}
	return slowFile{w}, nil
}

type slowFile struct{ io.WriteCloser }

func (f slowFile) WriteAt(p []byte, off int64) (int, error) {
	return f.WriteCloser.(io.WriterAt).WriteAt(p, off)
}

func (f slowFile) Sync(ctx context.Context) (bool, error) {
	select {
	case <-time.After(200 * time.Millisecond):
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// TestSyncOutlastsWrites: the end of a file does not wait for the disk, and a sync
// that is still under way then is no reason to fail.
func TestSyncOutlastsWrites(t *testing.T) {
	j, from, _ := sites(t, some)
	if err := os.Truncate(from+"/big", 65<<20); err != nil {
		t.Fatal(err)
	}
	j.Manifest = nil
	j.Target.Backend = slowSync{local.New(nil)}
	if _, err := new(transfer.Copier).Copy(t.Context(), j); err != nil {
		t.Fatal(err)
	}
}
