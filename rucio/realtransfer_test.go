package rucio_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rucio/ruciotest"
	"github.com/cax-go/cax/rucio/storage"
	"github.com/cax-go/cax/transfer/transfertest"
)

// TestRealTransfers uploads and downloads with a real server and real storage, in both
// directions against the Python client.
func TestRealTransfers(t *testing.T) {
	if !transfertest.Long() {
		t.Skip("a real Rucio server: set CAX_INTEGRATION=1")
	}
	srv := ruciotest.Start(t, nil)
	for _, rse := range []string{ruciotest.RSEA, ruciotest.RSEDavs, ruciotest.RSERoot} {
		t.Run("to Python by "+rse, func(t *testing.T) { toPython(t, srv.With(t), rse) })
		t.Run("from Python by "+rse, func(t *testing.T) { fromPython(t, srv.With(t), rse) })
		t.Run("damage at "+rse, func(t *testing.T) { damagedAt(t, srv.With(t), rse) })
	}
	t.Run("an account that is no administrator", func(t *testing.T) { asUser(t, srv.With(t)) })
	t.Run("no quota", func(t *testing.T) { withoutQuota(t, srv.With(t)) })
	t.Run("server that restarts", func(t *testing.T) { restarted(t, srv.With(t)) })
	t.Run("killed", func(t *testing.T) { killed(t, srv.With(t)) })
}

// secure is a client that shows a proxy to server and storage.
func secure(t *testing.T, srv *ruciotest.Server) (*rucio.Client, *storage.Options) {
	t.Helper()
	l := srv.Admin
	return client(t, rucio.Config{Host: srv.TLSURL, CA: srv.CAFile, Account: l.Account, Auth: rucio.X509Proxy{File: l.Proxy}}),
		&storage.Options{Proxy: l.Proxy, CADir: srv.CADir}
}

// dataset writes n files of some sizes and gives the upload of them.
func dataset(t *testing.T, name, rse string, n int) (rucio.Upload, map[string][]byte) {
	t.Helper()
	dir := t.TempDir()
	job := rucio.Upload{Dataset: rucio.DID{Scope: ruciotest.Scope, Name: name}, RSE: rse, Metadata: map[string]any{"run_number": 1234, "campaign": "SR000"}}
	all := map[string][]byte{}
	for i := range n {
		f := fmt.Sprintf("%s-%06d.zip", name, i)
		b := bytes.Repeat([]byte{byte(i), byte(i >> 8), 'x'}, (i*i*37)%50000)
		all[f] = b
		p := filepath.Join(dir, f)
		if err := os.WriteFile(p, b, 0o644); err != nil {
			t.Fatal(err)
		}
		job.Files = append(job.Files, rucio.UploadFile{Path: p})
	}
	return job, all
}

// toPython: the Python client downloads what we uploaded, and agrees with every checksum
// of it.
func toPython(t *testing.T, srv *ruciotest.Server, rse string) {
	c, o := secure(t, srv)
	n := 30
	if rse == ruciotest.RSEA {
		n = 200
	}
	job, want := dataset(t, "to-python-"+strings.ToLower(rse), rse, n)
	up := &rucio.Uploader{Client: c, Storage: o}
	res, err := up.Upload(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := up.Upload(t.Context(), job); err != nil || again.Sent != 0 || again.Rule != res.Rule {
		t.Fatalf("again: %+v, %v", again, err)
	}
	dir := t.TempDir()
	out := srv.Python(`
import json, os, sys
from rucio.client import Client
from rucio.client.downloadclient import DownloadClient
from rucio.common.checksum import adler32, md5
scope, name, folder = sys.argv[1:]
client = Client()
files = list(client.list_content(scope, name))
got = DownloadClient().download_dids([{'did': scope + ':' + name, 'base_dir': folder}], num_threads=3)
good = 0
for f in files:
    path = os.path.join(folder, name, f['name'])
    good += os.path.getsize(path) == f['bytes'] and adler32(path) == f['adler32'] and md5(path) == f['md5']
rules = list(client.list_did_rules(scope, name))
meta = client.get_metadata(scope, files[0]['name'])
print(json.dumps([len(files), len(got), good, [(r['state'], r['locks_ok_cnt']) for r in rules], meta['run_number'], meta['campaign']]))
`, job.Dataset.Scope, job.Dataset.Name, dir)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var got any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		t.Fatal(err)
	}
	if s, want := fmt.Sprint(got), fmt.Sprintf("[%d %d %d [[OK %d]] 1234 SR000]", n, n, n, n); s != want {
		t.Errorf("the Python client has %s, want %s", s, want)
	}
	for name, b := range want {
		if got, err := os.ReadFile(filepath.Join(dir, job.Dataset.Name, name)); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	noLeftovers(t, srv.Folder(rse))
}

func noLeftovers(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(p, ".rucio.upload") {
			t.Errorf("%s was left", p)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// fromPython: what the Python client uploaded is fetched and verified, and to upload it
// again sends nothing.
func fromPython(t *testing.T, srv *ruciotest.Server, rse string) {
	c, o := secure(t, srv)
	job, want := dataset(t, "from-python-"+strings.ToLower(rse), rse, 8)
	var paths []string
	for _, f := range job.Files {
		if info, err := os.Stat(f.Path); err == nil && info.Size() > 0 { // of an empty one it waits a minute
			paths = append(paths, f.Path)
		}
	}
	srv.Python(`
import os, sys
from rucio.client.uploadclient import UploadClient
rse, scope, name = sys.argv[1:4]
UploadClient().upload([{'path': p, 'rse': rse, 'did_scope': scope, 'did_name': os.path.basename(p), 'dataset_scope': scope, 'dataset_name': name} for p in sys.argv[4:]])
`, append([]string{rse, job.Dataset.Scope, job.Dataset.Name}, paths...)...)
	dir := t.TempDir()
	res, err := (&rucio.Downloader{Client: c, Storage: o}).Download(t.Context(), rucio.Download{DID: job.Dataset, Dir: dir})
	if err != nil || len(res.Files) != len(paths) {
		t.Fatalf("%+v, %v", res, err)
	}
	for _, f := range res.Files {
		if got, err := os.ReadFile(f.Path); err != nil || !bytes.Equal(got, want[f.Name]) {
			t.Errorf("%s: %d bytes, %v", f.Name, len(got), err)
		}
	}
	up, err := (&rucio.Uploader{Client: c, Storage: o}).Upload(t.Context(), job)
	if err != nil || up.Sent != 0 {
		t.Errorf("uploaded again: %+v, %v", up, err)
	}
	for _, f := range up.Files {
		if f.State != rucio.Present && f.Bytes > 0 {
			t.Errorf("%+v", f)
		}
	}
}

// damagedAt: a file that is damaged at the RSE is found by upload and download.
func damagedAt(t *testing.T, srv *ruciotest.Server, rse string) {
	c, o := secure(t, srv)
	job, _ := dataset(t, "damaged-"+strings.ToLower(rse), rse, 5)
	up := &rucio.Uploader{Client: c, Storage: o}
	if _, err := up.Upload(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Base(job.Files[3].Path)
	p := srv.File(rse, job.Dataset.Scope, bad)
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(p, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := up.Upload(t.Context(), job); !errors.Is(err, rucio.ErrCorrupt) {
		t.Errorf("upload: %v", err)
	}
	if got, err := os.ReadFile(p); err != nil || !bytes.Equal(got, b) {
		t.Errorf("it was overwritten (%v)", err)
	}
	dir := t.TempDir()
	res, err := (&rucio.Downloader{Client: c, Storage: o}).Download(t.Context(), rucio.Download{DID: job.Dataset, Dir: dir})
	if !errors.Is(err, rucio.ErrCorrupt) || res.Failed != 1 || len(res.Files) != 4 {
		t.Errorf("download: %+v, %v", res, err)
	}
	if _, err := os.Stat(filepath.Join(dir, job.Dataset.Name, bad)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the damaged file has its name: %v", err)
	}
}

// asUser: who may not set states of replicas uploads too.
func asUser(t *testing.T, srv *ruciotest.Server) {
	job, _ := dataset(t, "as-user", ruciotest.RSEB, 5)
	job.Dataset.Scope, job.Metadata = "user.cax", nil
	for range 2 {
		if _, err := (&rucio.Uploader{Client: as(t, srv, srv.User)}).Upload(t.Context(), job); err != nil {
			t.Fatal(err)
		}
	}
}

// withoutQuota: it is said before bytes move, and the upload goes on when there is some.
func withoutQuota(t *testing.T, srv *ruciotest.Server) {
	const rse = "TEST-NOQUOTA_SCRATCHDISK"
	folder := srv.AddRSE(rse)
	srv.SetLimit(srv.User.Account, rse, 10)
	job, _ := dataset(t, "without-quota", rse, 5)
	job.Dataset.Scope, job.Metadata = "user.cax", nil
	up := &rucio.Uploader{Client: as(t, srv, srv.User)}
	if _, err := up.Upload(t.Context(), job); !errors.Is(err, rucio.ErrQuota) {
		t.Errorf("got %v", err)
	}
	if all, err := os.ReadDir(folder); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	srv.SetLimit(srv.User.Account, rse, 1<<40)
	if _, err := up.Upload(t.Context(), job); err != nil {
		t.Error(err)
	}
}

// restarted: the server is restarted in the middle, and all tokens end.
func restarted(t *testing.T, srv *ruciotest.Server) {
	job, _ := dataset(t, "restarted", ruciotest.RSEA, 20)
	c := client(t, rucio.Config{Host: srv.URL, Account: srv.Admin.Account, Retries: 20,
		Auth: rucio.Userpass{Username: srv.Admin.Username, Password: srv.Admin.Password}})
	n := 0
	st := &stage{after: func(_ int, op, _ string) error {
		if op == "rename" {
			if n++; n == 10 {
				srv.Restart()
				srv.ExpireTokens()
			}
		}
		return nil
	}}
	if _, err := (&rucio.Uploader{Client: c, Open: st.open, Parallel: 1}).Upload(t.Context(), job); err != nil {
		t.Fatal(err)
	}
}

// killedUpload is what the test binary does under RUCIO_TEST_UPLOAD.
type killedUpload struct {
	Host, Username, Password string
	Journal                  string
	Job                      struct {
		Dataset rucio.DID
		RSE     string
		Paths   []string
	}
}

// TestUploadOfAnotherProcess is what is killed; by itself it does nothing.
func TestUploadOfAnotherProcess(t *testing.T) {
	text := os.Getenv("RUCIO_TEST_UPLOAD")
	if text == "" {
		t.Skip("it is a part of TestRealTransfers")
	}
	var k killedUpload
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		t.Fatal(err)
	}
	job := rucio.Upload{Dataset: k.Job.Dataset, RSE: k.Job.RSE, Metadata: map[string]any{"run_number": 1234, "campaign": "SR000"}}
	for _, p := range k.Job.Paths {
		job.Files = append(job.Files, rucio.UploadFile{Path: p})
	}
	c := client(t, rucio.Config{Host: k.Host, Account: k.Username, Auth: rucio.Userpass{Username: k.Username, Password: k.Password}})
	if _, err := (&rucio.Uploader{Client: c, Journal: k.Journal}).Upload(t.Context(), job); err != nil {
		t.Fatal(err)
	}
}

// killed: uploads are killed at random moments, and finished.
func killed(t *testing.T, srv *ruciotest.Server) {
	const rounds = 40
	var whole time.Duration // of one that nobody kills
	began := 0
	for round := range rounds + 1 {
		job, want := dataset(t, fmt.Sprintf("killed-%d", round), ruciotest.RSEA, 10)
		k := killedUpload{Host: srv.URL, Username: srv.Admin.Username, Password: srv.Admin.Password}
		if round%2 == 1 {
			k.Journal = t.TempDir()
		}
		k.Job.Dataset, k.Job.RSE = job.Dataset, job.RSE
		for _, f := range job.Files {
			k.Job.Paths = append(k.Job.Paths, f.Path)
		}
		text, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		start := func() *exec.Cmd {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestUploadOfAnotherProcess$")
			cmd.Env = append(os.Environ(), "RUCIO_TEST_UPLOAD="+string(text))
			return cmd
		}
		if round == 0 {
			since := time.Now()
			if out, err := start().CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			whole = time.Since(since)
		} else {
			cmd := start()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rand.Int64N(int64(whole))))
			if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
			if cmd.Wait() != nil {
				began++
			}
			if out, err := start().CombinedOutput(); err != nil {
				t.Fatalf("round %d: %v: %s", round, err, out)
			}
		}
		finished(t, srv, job, want)
	}
	if began < rounds/10 {
		t.Errorf("only %d of %d were killed before their end", began, rounds)
	}
	noLeftovers(t, srv.Folder(ruciotest.RSEA))
	if n := strings.TrimSpace(srv.SQL("select count(*) from dev.replicas where state <> 'A'")); n != "0" {
		t.Errorf("%s replicas are not available", n)
	}
}

// finished looks into the catalogue and the storage for a whole dataset.
func finished(t *testing.T, srv *ruciotest.Server, job rucio.Upload, want map[string][]byte) {
	t.Helper()
	c := as(t, srv, srv.Admin)
	n := 0
	for f, err := range c.Replicas(t.Context(), rucio.ReplicaQuery{DIDs: []rucio.DID{job.Dataset}}) {
		if err != nil {
			t.Fatal(err)
		}
		d := checksum.NewDigest(checksum.Adler32)
		d.Write(want[f.Name])
		if f.States[job.RSE] != rucio.Available || f.Bytes != d.Size() || !rucio.SameAdler32(f.Adler32, d.Sum(checksum.Adler32).Bare()) {
			t.Errorf("%+v", f)
		}
		if got, err := os.ReadFile(srv.File(job.RSE, f.Scope, f.Name)); err != nil || !bytes.Equal(got, want[f.Name]) {
			t.Errorf("%s at the RSE: %d bytes, %v", f.Name, len(got), err)
		}
		n++
	}
	rules := 0
	for r, err := range c.RulesOf(t.Context(), job.Dataset) {
		if err != nil {
			t.Fatal(err)
		}
		if rules++; r.State != rucio.RuleOK || r.LocksOK != int64(len(want)) {
			t.Errorf("%+v", r)
		}
	}
	if n != len(want) || rules != 1 {
		t.Errorf("%s: %d files and %d rules, want %d and 1", job.Dataset, n, rules, len(want))
	}
}
