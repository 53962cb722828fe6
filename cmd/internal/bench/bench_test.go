// Package bench compares cax with the tools that an operator would use instead,
// side by side in one run. It is run by make bench; go test without -compare
// only checks that the comparison itself works, on little data.
//
// Each contestant has to know as much at the end as cax does: that every file at
// the destination has the bytes of the source. So the copies of scp, rsync and
// rclone are followed by a pass of sha512sum on both sides. Machines differ and
// are noisy: what counts is the ratio of medians within one run.
package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/transfer/transfertest"
)

var (
	compare = flag.Bool("compare", false, "full sizes instead of a check that the comparison works")
	rounds  = flag.Int("rounds", 3, "how often each contestant runs; the median counts")
	workdir = flag.String("workdir", "", "where the data go; default: the temporary folder")
	runs    = flag.Int("runs", 100_000, "runs in the database of the idle cycle")
	program = flag.String("cax", "", "the cax to measure; default: built for this")
	out     = flag.String("out", "", "folder for the table and the plots; default: none are written")
)

// shape is a dataset: so many files of so many bytes.
type shape struct {
	name  string
	files int
	size  int64
}

func shapes() []shape {
	if !*compare {
		return []shape{{"3 × 64 KiB", 3, 64 << 10}}
	}
	return []shape{
		{"100 × 10 MiB", 100, 10 << 20},
		{"10 000 × 4 KiB", 10_000, 4 << 10},
	}
}

func TestPush(t *testing.T) {
	sshd := transfertest.StartSSHD(t, transfertest.SSHDOptions{})
	transfertest.RequireTool(t, "rsync", "rsync")
	w := newWorld(t, sshd)
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) { w.compare(t, s) })
	}
}

// TestPushFar is the same over a link with a round trip of 100 ms.
func TestPushFar(t *testing.T) {
	sshd := transfertest.StartSSHD(t, transfertest.SSHDOptions{})
	transfertest.RequireTool(t, "rsync", "rsync")
	far := &transfertest.SSHD{Host: sshd.Host, User: sshd.User, IdentityFile: sshd.IdentityFile, HostKey: sshd.HostKey,
		Port:       transfertest.StartProxy(t, net.JoinHostPort(sshd.Host, strconv.Itoa(sshd.Port)), 100*time.Millisecond),
		KnownHosts: filepath.Join(t.TempDir(), "known_hosts")}
	if err := os.WriteFile(far.KnownHosts, fmt.Appendf(nil, "[%s]:%d %s\n", far.Host, far.Port, far.HostKey), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, far)
	w.link = "SSH with a round trip of 100 ms"
	s := shape{"2 × 4 KiB", 2, 4 << 10}
	if *compare {
		s = shape{"20 × 10 MiB", 20, 10 << 20}
	}
	t.Run(s.name, func(t *testing.T) { w.compare(t, s) })
}

// cax is the program that is measured.
func cax(t *testing.T) string {
	if *program != "" {
		return *program
	}
	path := filepath.Join(t.TempDir(), "cax")
	build := exec.Command("go", "build", "-o", path, "github.com/cax-go/cax/cmd/cax")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// world is what all contestants share: a dataset, two site folders, a server.
type world struct {
	dir    string
	cax    string
	config string
	sshd   *transfertest.SSHD
	link   string
}

func newWorld(t *testing.T, sshd *transfertest.SSHD) *world {
	dir := *workdir
	if dir == "" {
		dir = t.TempDir()
	} else {
		var err error
		if dir, err = os.MkdirTemp(dir, "cax-bench-"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
	}
	w := &world{dir: dir, cax: cax(t), config: filepath.Join(dir, "cax.json"), sshd: sshd, link: "SSH on loopback"}
	site := func(name string, more map[string]any) map[string]any {
		d := filepath.Join(dir, name)
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		m := map[string]any{"name": name, "method": "local", "dir_raw": d, "dir_processed": nil, "data_type": []string{"raw"},
			"upload_options": nil, "download_options": nil}
		if sshd != nil {
			m["method"], m["hostname"], m["port"], m["username"] = "scp", sshd.Host, sshd.Port, sshd.User
			m["identity_file"], m["known_hosts"] = sshd.IdentityFile, sshd.KnownHosts
		}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	b, err := json.Marshal([]any{site("a", map[string]any{"upload_options": []string{"b"}}), site("b", nil)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.config, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) compare(t *testing.T, s shape) {
	source := filepath.Join(w.dir, "a", "160315_1432")
	makeData(t, source, s)
	ssh := []string{"-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i", w.sshd.IdentityFile,
		"-o", "UserKnownHostsFile=" + w.sshd.KnownHosts, "-o", "StrictHostKeyChecking=yes"}
	remote := w.sshd.User + "@" + w.sshd.Host + ":"
	sums := func(t *testing.T, target string) {
		if a, b := sha512sums(t, source), sha512sums(t, target); !bytes.Equal(a, b) {
			t.Fatal("the copy differs from its source")
		}
	}

	contestants := []contestant{
		{"cax push and verify", func(t *testing.T) func(t *testing.T) {
			db := filepath.Join(w.dir, "runs.db")
			w.run(t, nil, w.cax, "register", "--config", w.config, "--rundb", "sqlite:"+db, "--host", "a", "--number", "1", source)
			return func(t *testing.T) {
				for _, host := range []string{"a", "b"} {
					w.run(t, nil, w.cax, "--once", "--config", w.config, "--rundb", "sqlite:"+db, "--host", host, "--run", "1", "--log", "warning")
				}
			}
		}},
		{"scp -r, sha512sum × 2", func(t *testing.T) func(t *testing.T) {
			return func(t *testing.T) {
				target := filepath.Join(w.dir, "b", "160315_1432")
				w.run(t, nil, "scp", slices.Concat(ssh, []string{"-P", strconv.Itoa(w.sshd.Port), "-q", "-r", source, remote + target})...)
				sums(t, target)
			}
		}},
		{"rsync -rt, sha512sum × 2", func(t *testing.T) func(t *testing.T) {
			return func(t *testing.T) {
				target := filepath.Join(w.dir, "b", "160315_1432")
				e := "ssh -p " + strconv.Itoa(w.sshd.Port) + " " + strings.Join(ssh, " ")
				w.run(t, nil, "rsync", "-rt", "-e", e, source+"/", remote+target+"/")
				sums(t, target)
			}
		}},
	}
	if _, err := exec.LookPath("rclone"); err == nil {
		contestants = append(contestants, contestant{"rclone copy (sftp), sha512sum × 2", func(t *testing.T) func(t *testing.T) {
			return func(t *testing.T) {
				target := filepath.Join(w.dir, "b", "160315_1432")
				env := []string{"RCLONE_CONFIG=" + filepath.Join(w.dir, "none"), "RCLONE_CONFIG_B_TYPE=sftp",
					"RCLONE_CONFIG_B_HOST=" + w.sshd.Host, "RCLONE_CONFIG_B_PORT=" + strconv.Itoa(w.sshd.Port),
					"RCLONE_CONFIG_B_USER=" + w.sshd.User, "RCLONE_CONFIG_B_KEY_FILE=" + w.sshd.IdentityFile,
					"RCLONE_CONFIG_B_KNOWN_HOSTS_FILE=" + w.sshd.KnownHosts}
				w.run(t, env, "rclone", "copy", "--ignore-checksum", source, "b:"+target)
				sums(t, target)
			}
		}})
	}

	n := 1
	if *compare {
		n = *rounds
	}
	times := make([][]time.Duration, len(contestants))
	for range n {
		for i, c := range contestants { // in turn, so that a slow minute hits all
			w.clear(t)
			work := c.prepare(t)
			began := time.Now()
			work(t)
			times[i] = append(times[i], time.Since(began))
		}
	}
	w.clear(t)
	r := result{title: "verified push of " + s.name + " over " + w.link}
	for i, c := range contestants {
		r.rows = append(r.rows, row{c.name, times[i]})
	}
	r.report(t)
}

type contestant struct {
	name    string
	prepare func(t *testing.T) func(t *testing.T)
}

// clear removes what a contestant left, and lets the disk come to rest.
func (w *world) clear(t *testing.T) {
	for _, p := range []string{filepath.Join(w.dir, "b"), filepath.Join(w.dir, "runs.db"), filepath.Join(w.dir, "runs.db-wal"), filepath.Join(w.dir, "runs.db-shm")} {
		if err := os.RemoveAll(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(w.dir, "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.run(t, nil, "sync")
}

func (w *world) run(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func makeData(t *testing.T, dir string, s shape) {
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r := rand.NewChaCha8([32]byte{1})
	for i := range s.files {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("file-%06d.zip", i)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(f, r, s.size); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// sha512sums is what an operator without cax does to know that a copy is good.
func sha512sums(t *testing.T, dir string) []byte {
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--"}
	for _, n := range names {
		args = append(args, n.Name())
	}
	cmd := exec.CommandContext(t.Context(), "sha512sum", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sha512sum: %v", err)
	}
	return out
}
