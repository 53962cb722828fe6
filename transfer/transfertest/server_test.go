package transfertest_test

import (
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/local"
	"github.com/cax-go/cax/transfer/sftp"
	"github.com/cax-go/cax/transfer/ssh"
	"github.com/cax-go/cax/transfer/transfertest"
)

func connect(t *testing.T, s *transfertest.Server, change func(c *ssh.Config)) *ssh.Pool {
	t.Helper()
	c := ssh.Config{Host: s.Host, Port: s.Port, User: s.User, IdentityFiles: []string{s.IdentityFile}, HostKey: s.HostKey}
	if change != nil {
		change(&c)
	}
	p, err := ssh.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// TestSFTPByOthers: a server that is not OpenSSH: no shell, no extensions, and
// few sessions.
func TestSFTPByOthers(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]transfertest.ServerOptions{
		"bare":                     {NoExtensions: true},
		"one session a connection": {MaxSessions: 1, Shell: true},
		"with a shell":             {Shell: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := connect(t, transfertest.StartServer(t, o), nil)
			transfertest.Run(t, transfertest.Harness{Open: func(*testing.T) transfer.Backend { return sftp.New(p, nil) }, NoShell: name == "bare"})
		})
	}
}

// dataset makes a job between this machine and a server.
func dataset(t *testing.T, b transfer.Backend, push bool, files map[string]string) transfer.Job {
	t.Helper()
	from, to := t.TempDir()+"/run", t.TempDir()+"/run"
	transfertest.MakeTree(t, from, files)
	m, err := checksum.MakeManifest(t.Context(), from, &checksum.ManifestOptions{Algorithms: []checksum.Algorithm{checksum.XXH3_128}})
	if err != nil {
		t.Fatal(err)
	}
	j := transfer.Job{Claim: "0001", Manifest: m, Source: transfer.Location{Backend: local.New(nil), Path: from}, Target: transfer.Location{Backend: b, Path: to}}
	if !push {
		j.Source.Backend, j.Target.Backend = b, j.Source.Backend
	}
	return j
}

var files = map[string]string{"a": "alpha", "sub/b": "beta", "empty": "", "big": transfertest.Random(1, 3<<20+5), "middle": transfertest.Random(2, 100_000)}

// TestFlippedInTransit: a byte that changes inside the server, where no MAC sees
// it, is found: at once when it is pulled, by reading back when it is pushed. A
// push that is not read back cannot see it, and does not claim to: its copy is to
// be verified at the destination.
func TestFlippedInTransit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		push, back bool
	}{
		"pull":                {},
		"push, and read back": {push: true, back: true},
		"push":                {push: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := transfertest.ServerOptions{Answer: transfertest.FlipInPackets(transfertest.PacketData, 0)}
			if tc.push {
				o = transfertest.ServerOptions{Request: transfertest.FlipInPackets(transfertest.PacketWrite, 0)}
			}
			b := sftp.New(connect(t, transfertest.StartServer(t, o), nil), nil)
			defer b.Close()
			j := dataset(t, b, tc.push, files)
			j.ReadBack = tc.back
			res, err := new(transfer.Copier).Copy(t.Context(), j)
			if tc.push && !tc.back {
				if err != nil || res.ReadBack {
					t.Fatalf("%+v, %v", res, err)
				}
				return
			}
			if !errors.Is(err, transfer.ErrCorrupt) {
				t.Fatalf("error %v, want ErrCorrupt", err)
			}
			if _, err := os.Lstat(j.Target.Path); err == nil {
				t.Error("it was committed")
			}
			// The fault was one of the moment.
			if _, err := new(transfer.Copier).Copy(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			transfertest.SameTree(t, j.Source.Path, j.Target.Path)
		})
	}
}

// TestConnectionBreaks: when the connection breaks midway the copy ends with
// ErrTransient, also where the protocol's library calls it the end of a file, and
// the next copy over the same pool goes on.
func TestConnectionBreaks(t *testing.T) {
	t.Parallel()
	for name, push := range map[string]bool{"push": true, "pull": false} {
		t.Run(name, func(t *testing.T) {
			rounds := int64(4)
			if transfertest.Long() {
				rounds = 20
			}
			for n := range rounds {
				var s *transfertest.Server
				var seen atomic.Int64
				cut := func(p []byte) {
					if (p[0] == transfertest.PacketWrite || p[0] == transfertest.PacketData) && seen.Add(1) == n*8 {
						s.Break()
					}
				}
				s = transfertest.StartServer(t, transfertest.ServerOptions{Request: cut, Answer: cut})
				b := sftp.New(connect(t, s, nil), nil)
				j := dataset(t, b, push, files)
				_, err := new(transfer.Copier).Copy(t.Context(), j)
				if n > 0 && !errors.Is(err, transfer.ErrTransient) && err != nil || n == 0 && err != nil {
					t.Errorf("cut at %d: error %v, want ErrTransient", n*8, err)
				}
				// Connections that broke at the same time are noticed one by one.
				for try := 0; ; try++ {
					_, err := new(transfer.Copier).Copy(t.Context(), j)
					if err == nil {
						break
					}
					if !errors.Is(err, transfer.ErrTransient) || try > 5 {
						t.Fatalf("cut at %d, the next try: %v", n*8, err)
					}
				}
				transfertest.SameTree(t, j.Source.Path, j.Target.Path)
				b.Close()
			}
		})
	}
}

// TestServerStalls: a server that gives no answer, while its connection lives,
// ends the copy with ErrStalled; a backend that is closed leaves nothing behind.
func TestServerStalls(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	var holding atomic.Bool
	holding.Store(true)
	s := transfertest.StartServer(t, transfertest.ServerOptions{Request: func(p []byte) {
		if p[0] == transfertest.PacketWrite && holding.Load() {
			<-hold
		}
	}})
	p := connect(t, s, nil)
	b := sftp.New(p, nil)
	j := dataset(t, b, true, files)
	_, err := (&transfer.Copier{Stall: 300 * time.Millisecond}).Copy(t.Context(), j)
	if !errors.Is(err, transfer.ErrStalled) || errors.Is(err, transfer.ErrLingering) {
		t.Errorf("error %v, want ErrStalled", err)
	}
	b.Close()
	holding.Store(false)
	close(hold)
	b = sftp.New(p, nil)
	defer b.Close()
	j.Target.Backend = b
	if _, err := new(transfer.Copier).Copy(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	transfertest.SameTree(t, j.Source.Path, j.Target.Path)
}
