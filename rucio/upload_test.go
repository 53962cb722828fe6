package rucio_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rucio/ruciotest"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/transfertest"
)

// A second upload finds everything there, sends nothing and changes nothing.
func TestUploadTwice(t *testing.T) {
	w := newWorld(t, 1, 0, 5000)
	up := &rucio.Uploader{Client: w.client(t)}
	first, err := up.Upload(t.Context(), w.job)
	if err != nil || first.Sent != 5001 || first.Bytes != 5001 || first.RSE != ruciotest.RSEA || len(first.Files) != 3 {
		t.Fatalf("%+v, %v", first, err)
	}
	w.complete(t, ruciotest.RSEA)
	second, err := up.Upload(t.Context(), w.job)
	if err != nil || second.Sent != 0 || second.Rule != first.Rule {
		t.Fatalf("%+v, %v", second, err)
	}
	for i, f := range second.Files {
		if want := first.Files[i]; f.State != rucio.Present || f.PFN != want.PFN || f.Adler32 != want.Adler32 || f.MD5 != want.MD5 {
			t.Errorf("%+v, was %+v", f, want)
		}
	}
	w.complete(t, ruciotest.RSEA)
}

// Two hundred files cost few requests.
func TestUploadInBulk(t *testing.T) {
	w := newWorld(t, make([]int, 200)...)
	delete(w.job.Metadata, "x1t_note") // such keys cost two requests a file
	if _, err := (&rucio.Uploader{Client: w.client(t)}).Upload(t.Context(), w.job); err != nil {
		t.Fatal(err)
	}
	if n := len(w.srv.Requests()); n > 25 {
		t.Errorf("%d requests", n)
	}
	w.onlyFiles(t, ruciotest.RSEA, 200)
}

// C27: the original compared names alone. A name that the catalogue knows with other
// bytes is refused, whatever is known of them, and nothing is overwritten.
func TestC27SameNameOtherBytes(t *testing.T) {
	for _, tt := range []struct {
		name     string
		manifest []checksum.Algorithm // of the second upload; nil: none
		other    []byte
	}{
		{"other bytes", nil, []byte("xbcde")},
		{"other length", nil, []byte("abc")},
		{"other bytes, with adler32", []checksum.Algorithm{checksum.Adler32}, []byte("xbcde")},
		{"other bytes, with xxh3", []checksum.Algorithm{checksum.XXH3_128}, []byte("xbcde")},
		{"other length, with adler32", []checksum.Algorithm{checksum.Adler32}, []byte("abc")},
		{"empty", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 5)
			name := filepath.Base(w.job.Files[0].Path)
			w.bytes[name] = []byte("abcde")
			w.write(t, name)
			w.upload(t, ruciotest.RSEA)
			w.bytes[name] = tt.other
			w.write(t, name)
			if tt.manifest != nil {
				w.manifest(tt.manifest...)
			}
			for _, rse := range []string{ruciotest.RSEA, ruciotest.RSEB} {
				job := w.job
				job.RSE = rse
				if _, err := (&rucio.Uploader{Client: w.client(t)}).Upload(t.Context(), job); !errors.Is(err, rucio.ErrConflict) {
					t.Errorf("%s: %v", rse, err)
				}
			}
			w.bytes[name] = []byte("abcde")
			w.complete(t, ruciotest.RSEA)
			w.onlyFiles(t, ruciotest.RSEB, 0)
		})
	}
}

// C27, at the storage: what lies there under the right name is looked at. Where the
// catalogue counts on it and it is damaged, nothing is called done; where it does not,
// it is a leftover and gives way.
func TestC27DamagedAtTheRSE(t *testing.T) {
	for _, state := range []string{"AVAILABLE", "COPYING", "BAD", ""} {
		for _, bytes := range []string{"abcde", "abXde", "ab", ""} {
			for _, sums := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s %q, sums %v", state, bytes, sums), func(t *testing.T) {
					w := newWorld(t, 5)
					name := filepath.Base(w.job.Files[0].Path)
					w.bytes[name] = []byte("abcde")
					w.write(t, name)
					if sums {
						w.manifest(checksum.Adler32, checksum.MD5)
					}
					w.upload(t, ruciotest.RSEA)
					w.srv.SetReplica(ruciotest.RSEA, ruciotest.Scope, name, state)
					if err := os.WriteFile(w.at(ruciotest.RSEA, name), []byte(bytes), 0o644); err != nil {
						t.Fatal(err)
					}
					res, err := (&rucio.Uploader{Client: w.client(t)}).Upload(t.Context(), w.job)
					if state == "AVAILABLE" && bytes != "abcde" {
						if !errors.Is(err, rucio.ErrCorrupt) {
							t.Errorf("%v", err)
						}
						if got, _ := os.ReadFile(w.at(ruciotest.RSEA, name)); string(got) != bytes {
							t.Errorf("it became %q", got)
						}
						return
					}
					want := rucio.Replaced
					if bytes == "abcde" {
						want = rucio.Present
					}
					if err != nil || res.Files[0].State != want {
						t.Fatalf("%+v, %v", res, err)
					}
					w.complete(t, ruciotest.RSEA)
				})
			}
		}
	}
}

// A3: the original did not look at what became of an upload. Bytes that change on their
// way, or do not all arrive, are found, and the catalogue hears of none of the files.
func TestA3DamagedOnTheWay(t *testing.T) {
	for _, tt := range []struct {
		name             string
		noHash, noRename bool
	}{{"temporary name", false, false}, {"no temporary name", false, true}, {"read back", true, false}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 5000, 10)
			bad := filepath.Base(w.job.Files[0].Path)
			if tt.noRename {
				w.srv.ChangeRSE(ruciotest.RSEA, func(r *ruciotest.FakeRSE) { r.Protocols[0].Impl += "NoRename" })
			}
			st := &stage{noHash: tt.noHash}
			st.after = func(_ int, op, pfn string) error {
				if op != "put" || !strings.Contains(pfn, bad) {
					return nil
				}
				p := strings.TrimPrefix(pfn, "file://localhost")
				b, err := os.ReadFile(p)
				if err != nil {
					return err
				}
				b[4000] ^= 1
				return os.WriteFile(p, b, 0o644)
			}
			_, err := (&rucio.Uploader{Client: w.client(t), Open: st.open}).Upload(t.Context(), w.job)
			if !errors.Is(err, rucio.ErrCorrupt) {
				t.Fatalf("got %v", err)
			}
			if _, err := w.client(t).DID(t.Context(), w.job.Dataset); !errors.Is(err, rucio.ErrNotExist) {
				t.Errorf("the dataset is there: %v", err)
			}
			for name := range w.bytes {
				if _, err := w.client(t).DID(t.Context(), w.did(name)); !errors.Is(err, rucio.ErrNotExist) {
					t.Errorf("%s is registered: %v", name, err)
				}
			}
			w.onlyFiles(t, ruciotest.RSEA, 1) // the other file waits for the next try
			w.upload(t, ruciotest.RSEA)
			w.complete(t, ruciotest.RSEA)
		})
	}
}

// A damaged source is found by what its bytes have to be, and never published.
func TestUploadDamagedSource(t *testing.T) {
	for _, alg := range []checksum.Algorithm{checksum.Adler32, checksum.XXH3_128, checksum.SHA512} {
		w := newWorld(t, 5000, 10)
		w.manifest(alg)
		name := filepath.Base(w.job.Files[0].Path)
		b := bytes.Clone(w.bytes[name])
		b[4999] ^= 4
		if err := os.WriteFile(w.job.Files[0].Path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := (&rucio.Uploader{Client: w.client(t)}).Upload(t.Context(), w.job)
		if !errors.Is(err, checksum.ErrCorrupt) {
			t.Errorf("%v: got %v", alg, err)
		}
		if _, err := w.client(t).DID(t.Context(), w.did(name)); !errors.Is(err, rucio.ErrNotExist) {
			t.Errorf("%v: it is registered: %v", alg, err)
		}
		w.onlyFiles(t, ruciotest.RSEA, 1)
	}
}

// A file that is written to while it is sent is no dataset yet.
func TestUploadChangingSource(t *testing.T) {
	w := newWorld(t, 5000)
	st := &stage{spoil: func(string, []byte, int64) {
		f, err := os.OpenFile(w.job.Files[0].Path, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		_, err = f.WriteAt([]byte("new"), 4990)
		if err = errors.Join(err, f.Close(), os.Chtimes(w.job.Files[0].Path, time.Time{}, time.Now().Add(time.Second))); err != nil {
			t.Error(err)
		}
	}}
	if _, err := (&rucio.Uploader{Client: w.client(t), Open: st.open}).Upload(t.Context(), w.job); !errors.Is(err, transfer.ErrSourceChanged) {
		t.Errorf("got %v", err)
	}
	w.onlyFiles(t, ruciotest.RSEA, 0)
}

// What cannot come to an end is refused before a byte moves.
func TestUploadRefusedEarly(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*testing.T, *world)
		want   error
	}{
		{"no quota", func(_ *testing.T, w *world) { w.srv.RemoveLimit("ruciax", ruciotest.RSEA) }, rucio.ErrQuota},
		{"a quota of nothing", func(_ *testing.T, w *world) { w.srv.SetLimit("ruciax", ruciotest.RSEA, 0) }, rucio.ErrQuota},
		{"too small a quota", func(_ *testing.T, w *world) { w.srv.SetLimit("ruciax", ruciotest.RSEA, 99) }, rucio.ErrQuota},
		{"an RSE that takes no writes", func(_ *testing.T, w *world) {
			w.srv.ChangeRSE(ruciotest.RSEA, func(r *ruciotest.FakeRSE) { r.NoWrite = true })
		}, rucio.ErrUnavailable},
		{"an RSE that is not there", func(_ *testing.T, w *world) { w.job.RSE = "NONE" }, rucio.ErrInvalid},
		{"a protocol of the future", func(_ *testing.T, w *world) {
			w.srv.ChangeRSE(ruciotest.RSEA, func(r *ruciotest.FakeRSE) { r.Protocols[0].Scheme = "quantum" })
		}, rucio.ErrUnsupported},
		{"a container", func(t *testing.T, w *world) {
			if err := w.client(t).AddDID(t.Context(), rucio.NewDID{DID: w.job.Dataset, Type: rucio.Container}); err != nil {
				t.Fatal(err)
			}
		}, rucio.ErrConflict},
		{"a closed dataset", func(t *testing.T, w *world) {
			c := w.client(t)
			if err := errors.Join(c.AddDID(t.Context(), rucio.NewDID{DID: w.job.Dataset, Type: rucio.Dataset}), c.CloseDataset(t.Context(), w.job.Dataset)); err != nil {
				t.Fatal(err)
			}
		}, rucio.ErrConflict},
		{"a file that is being deleted there", func(t *testing.T, w *world) {
			w.upload(t, ruciotest.RSEA)
			name := filepath.Base(w.job.Files[0].Path)
			w.srv.SetReplica(ruciotest.RSEA, ruciotest.Scope, name, "BEING_DELETED")
			if err := os.Remove(w.at(ruciotest.RSEA, name)); err != nil {
				t.Fatal(err)
			}
		}, rucio.ErrUnavailable},
		{"no files", func(_ *testing.T, w *world) { w.job.Files = nil }, rucio.ErrInvalid},
		{"two of a name", func(_ *testing.T, w *world) { w.job.Files = append(w.job.Files, w.job.Files[0]) }, rucio.ErrInvalid},
		{"a file with the name of the dataset", func(_ *testing.T, w *world) { w.job.Files[0].Name = "raw" }, rucio.ErrInvalid},
		{"a file that is not there", func(_ *testing.T, w *world) { w.job.Files[0].Path += "x" }, os.ErrNotExist},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 100)
			tt.change(t, w)
			puts := 0
			st := &stage{before: func(_ int, op, _ string) error {
				if op == "put" {
					puts++
				}
				return nil
			}}
			_, err := (&rucio.Uploader{Client: w.client(t), Open: st.open}).Upload(t.Context(), w.job)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if puts != 0 {
				t.Errorf("%d files were sent", puts)
			}
		})
	}
}

// A closed dataset that has the files already is no obstacle.
func TestUploadToClosedThatIsComplete(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.upload(t, ruciotest.RSEA)
	if err := w.client(t).CloseDataset(t.Context(), w.job.Dataset); err != nil {
		t.Fatal(err)
	}
	w.upload(t, ruciotest.RSEB)
	if all := w.srv.Orphans(); len(all) != 0 {
		t.Error(all)
	}
	w.onlyFiles(t, ruciotest.RSEB, 2)
}

// The lease is asked for when all is verified, and its loss leaves the catalogue alone.
func TestUploadWithoutLease(t *testing.T) {
	w := newWorld(t, 10, 20)
	lost := errors.New("the lease is lost")
	w.job.Commit = func(context.Context) error {
		w.onlyFiles(t, ruciotest.RSEA, 2)
		return lost
	}
	if _, err := (&rucio.Uploader{Client: w.client(t)}).Upload(t.Context(), w.job); !errors.Is(err, lost) {
		t.Fatalf("got %v", err)
	}
	for _, r := range w.srv.Requests() {
		if r.Method != "GET" && r.Path != "/replicas/list" {
			t.Errorf("%s %s", r.Method, r.Path)
		}
	}
	w.job.Commit = nil
	w.upload(t, ruciotest.RSEA)
	w.complete(t, ruciotest.RSEA)
}

// An account that may not set states of replicas uploads all the same.
func TestUploadAsPlainUser(t *testing.T) {
	w := newWorld(t, 10, 20)
	w.job.Dataset = rucio.DID{Scope: "user.cax", Name: "raw"}
	w.job.Metadata = nil
	res, err := (&rucio.Uploader{Client: fakeClient(t, w.srv, w.srv.User)}).Upload(t.Context(), w.job)
	if err != nil || res.Sent != 30 {
		t.Fatalf("%+v, %v", res, err)
	}
	if all := w.srv.Orphans(); len(all) != 0 {
		t.Error(all)
	}
}

// What the Python client left half done, a replica that is still COPYING, becomes whole.
func TestUploadAfterAnotherClient(t *testing.T) {
	w := newWorld(t, 10, 20)
	c := w.client(t)
	name := filepath.Base(w.job.Files[0].Path)
	d := checksum.NewDigest(checksum.Adler32, checksum.MD5)
	d.Write(w.bytes[name])
	one := time.Hour
	if err := errors.Join(
		c.AddDID(t.Context(), rucio.NewDID{DID: w.job.Dataset, Type: rucio.Dataset, Rules: []rucio.NewRule{{RSEExpression: ruciotest.RSEA, Lifetime: &one}}}),
		c.AddReplicas(t.Context(), ruciotest.RSEA, []rucio.NewReplica{{DID: w.did(name), Bytes: 10, Adler32: d.Sum(checksum.Adler32).Bare(), MD5: d.Sum(checksum.MD5).Bare(), State: rucio.Copying}}),
	); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(w.at(ruciotest.RSEA, name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.at(ruciotest.RSEA, name)+".rucio.upload", w.bytes[name][:5], 0o644); err != nil {
		t.Fatal(err)
	}
	w.upload(t, ruciotest.RSEA)
	w.srv.Evaluate()
	w.complete(t, ruciotest.RSEA)
}

// A rule that was deleted is there for another hour. An upload that took it for one that
// keeps the dataset would lose it then.
func TestUploadUnderDeletedRule(t *testing.T) {
	w := newWorld(t, 10)
	c := w.client(t)
	res, err := (&rucio.Uploader{Client: c}).Upload(t.Context(), w.job)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteRule(t.Context(), res.Rule, false); err != nil {
		t.Fatal(err)
	}
	week := 7 * 24 * time.Hour
	for _, life := range []*time.Duration{&week, nil} {
		w.job.Lifetime = life
		w.upload(t, ruciotest.RSEA)
		r, err := c.Rule(t.Context(), res.Rule)
		if err != nil || life == nil != r.ExpiresAt.IsZero() || life != nil && time.Until(r.ExpiresAt) < week-time.Hour {
			t.Errorf("lifetime %v: %+v, %v", life, r, err)
		}
	}
}

// Faults of the catalogue that pass do not fail an upload, wherever they come.
func TestUploadThroughFaults(t *testing.T) {
	w := newWorld(t, 10, 0)
	w.upload(t, ruciotest.RSEA)
	requests := len(w.srv.Requests())
	for _, fault := range []ruciotest.Fault{ruciotest.Busy, ruciotest.Unauthorized, ruciotest.CutBefore, ruciotest.CutAfter, ruciotest.CutInLine, ruciotest.Trickle} {
		for k := 1; k <= requests; k++ {
			if !transfertest.Long() && (k+int(fault))%6 != 0 {
				continue
			}
			w := newWorld(t, 10, 0)
			var hit ruciotest.Request
			w.srv.Fail(1, fault, func(r ruciotest.Request) bool {
				if r.Number == k {
					hit = r
				}
				return r.Number == k
			})
			_, err := (&rucio.Uploader{Client: w.client(t), Parallel: 1}).Upload(t.Context(), w.job)
			switch {
			case fault == ruciotest.Unauthorized && (strings.HasPrefix(hit.Path, "/auth/") || hit.Path == "/ping"), hit.Path == "":
			case fault == ruciotest.CutBefore && hit.Method == "POST" && (hit.Path == "/dids/"+ruciotest.Scope+"/raw" || hit.Path == "/rules/"):
				// Whether it was done is not known to the client, which looks, and says so.
				if !errors.Is(err, rucio.ErrTransient) {
					t.Errorf("fault %d of %s %s: %v", fault, hit.Method, hit.Path, err)
				}
			case err != nil:
				t.Errorf("fault %d of %s %s: %v", fault, hit.Method, hit.Path, err)
			default:
				w.complete(t, ruciotest.RSEA)
			}
		}
	}
}

// A hundred 503 in a row are too many for one call; the next one goes on.
func TestUploadRecovers(t *testing.T) {
	w := newWorld(t, 10, 20)
	w.srv.Fail(100, ruciotest.Busy, func(r ruciotest.Request) bool { return r.Path == "/replicas" })
	if _, err := (&rucio.Uploader{Client: w.client(t)}).Upload(t.Context(), w.job); !errors.Is(err, rucio.ErrTransient) {
		t.Fatalf("got %v", err)
	}
	w.srv.Recover()
	res, err := (&rucio.Uploader{Client: w.client(t)}).Upload(t.Context(), w.job)
	if err != nil || res.Sent != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	w.complete(t, ruciotest.RSEA)
}

// Storage that fails now and then is tried again; one that is away is not waited for two
// hundred times.
func TestUploadToFailingStorage(t *testing.T) {
	passing := &transfer.Error{Op: "put", Kind: transfer.ErrTransient}
	t.Run("now and then", func(t *testing.T) {
		w := newWorld(t, 10, 0, 5000, 7)
		st := &stage{before: func(n int, _, _ string) error {
			if n%11 == 0 {
				return passing
			}
			return nil
		}}
		up := &rucio.Uploader{Client: client(t, rucio.Config{Host: w.srv.URL, Account: "ruciax", Backoff: time.Millisecond, Retries: 6,
			Auth: rucio.Userpass{Username: w.srv.Admin.Username, Password: w.srv.Admin.Password}}), Open: st.open}
		if _, err := up.Upload(t.Context(), w.job); err != nil {
			t.Fatal(err)
		}
		w.complete(t, ruciotest.RSEA)
	})
	t.Run("away", func(t *testing.T) {
		w := newWorld(t, make([]int, 200)...)
		st := &stage{before: func(int, string, string) error { return passing }}
		_, err := (&rucio.Uploader{Client: w.client(t), Open: st.open}).Upload(t.Context(), w.job)
		if !errors.Is(err, rucio.ErrTransient) || !strings.Contains(fmt.Sprint(err), "more files were not tried") {
			t.Errorf("got %v", err)
		}
		if st.n > 50 {
			t.Errorf("%d operations", st.n)
		}
	})
}

// Where the best protocol does not work the next one is taken.
func TestUploadByTheNextProtocol(t *testing.T) {
	w := newWorld(t, 10, 0)
	w.srv.ChangeRSE(ruciotest.RSEA, func(r *ruciotest.FakeRSE) {
		first := r.Protocols[0]
		first.Prefix = filepath.Join(r.Folder, "one")
		r.Protocols = append([]ruciotest.FakeProtocol{first}, r.Protocols...)
	})
	st := &stage{before: func(_ int, op, pfn string) error {
		if strings.Contains(pfn, "/one/") && op == "put" {
			return &transfer.Error{Op: op, Path: pfn, Kind: transfer.ErrPermission}
		}
		return nil
	}}
	if _, err := (&rucio.Uploader{Client: w.client(t), Open: st.open}).Upload(t.Context(), w.job); err != nil {
		t.Fatal(err)
	}
	w.onlyFiles(t, ruciotest.RSEA, 2)
}

// Where addresses do not follow from names, ours are registered with the files.
func TestUploadWhereAddressesAreFree(t *testing.T) {
	w := newWorld(t, 10, 0)
	w.srv.ChangeRSE(ruciotest.RSEA, func(r *ruciotest.FakeRSE) { r.NonDeterministic = true })
	for range 2 {
		res, err := (&rucio.Uploader{Client: w.client(t)}).Upload(t.Context(), w.job)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range w.client(t).Replicas(t.Context(), rucio.ReplicaQuery{DIDs: []rucio.DID{w.job.Dataset}}) {
			if err != nil || len(r.PFNs) != 1 || !strings.HasPrefix(r.PFNs[0].URL, "file://localhost/") {
				t.Errorf("%+v, %v", r, err)
			}
		}
		if len(res.Files) != 2 {
			t.Errorf("%+v", res)
		}
	}
	w.onlyFiles(t, ruciotest.RSEA, 2)
}

// Files in folders keep their paths, as servers since 38 allow it.
func TestUploadNamesWithFolders(t *testing.T) {
	w := newWorld(t, 10)
	name := "sub/dir/" + filepath.Base(w.job.Files[0].Path)
	w.bytes = map[string][]byte{name: w.bytes[filepath.Base(name)]}
	w.job.Files[0].Name = name
	w.upload(t, ruciotest.RSEA)
	w.complete(t, ruciotest.RSEA)
}

// Cancelled in the middle, it says so.
func TestUploadCancelled(t *testing.T) {
	w := newWorld(t, 10, 20, 30)
	ctx, cancel := context.WithCancel(t.Context())
	st := &stage{after: func(_ int, op, _ string) error {
		if op == "put" {
			cancel()
		}
		return nil
	}}
	if _, err := (&rucio.Uploader{Client: w.client(t), Open: st.open}).Upload(ctx, w.job); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	w.upload(t, ruciotest.RSEA)
	w.complete(t, ruciotest.RSEA)
}
