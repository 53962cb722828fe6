// Command demo shows the main job in a temporary folder, with the commands that an
// operator would type: two sites, copies in both directions, a damaged byte that is
// found and mended. Where the machine has an SSH server the sites reach each other
// through one on 127.0.0.1, with keys of its own; else by the local backend.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	cax := flag.String("cax", "bin/cax", "the program to show")
	keep := flag.Bool("keep", false, "leave the folder when done")
	flag.Parse()
	err := run(ctx, *cax, *keep)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// A demo is two sites in a folder.
type demo struct {
	dir    string
	cax    string
	sshd   *sshd // nil: the local backend
	config string
	err    error // the first thing that went wrong
}

func run(ctx context.Context, cax string, keep bool) (err error) {
	cax, err = filepath.Abs(cax)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "cax-demo-")
	if err != nil {
		return err
	}
	d := &demo{dir: dir, cax: cax, config: dir + "/cax.json"}
	defer func() {
		if d.sshd != nil {
			d.sshd.stop()
		}
		if keep {
			fmt.Println("\nEverything is in", dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	if d.sshd, err = startSSHD(ctx, dir+"/sshd"); err != nil {
		fmt.Printf("No SSH server is used (%v): the sites reach each other by the local backend.\n", err)
	} else {
		fmt.Printf("An SSH server for the demo listens on %s:%d.\n", d.sshd.host, d.sshd.port)
	}
	if err := d.makeSites(); err != nil {
		return err
	}
	d.story(ctx)
	return d.err
}

// story is what the demo shows.
func (d *demo) story(ctx context.Context) {
	lngs, chicago := d.dir+"/lngs/raw/160315_1432", d.dir+"/chicago/raw/160315_1500"
	d.say("Two datasets arrive: one at lngs, which pushes, and one at chicago, from which lngs pulls.")
	d.do(ctx, 0, "register", "--host", "lngs", "--number", "1", lngs)
	d.do(ctx, 0, "register", "--host", "chicago", "--number", "2", chicago)
	d.say("What would be done now, and why?")
	d.do(ctx, 0, "plan", "--host", "lngs")
	d.say("Do it. A push is verified by its destination; a pull is hashed while it is written.")
	d.do(ctx, 0, "--once", "--host", "lngs", "--log", "warning")
	d.do(ctx, 0, "--once", "--host", "chicago", "--log", "warning")
	d.do(ctx, 0, "status")

	d.say("One byte of the copy at chicago goes bad, without a trace in size or time …")
	d.damage(d.dir + "/chicago/raw/160315_1432/LICENSE")
	d.say("… and is found when the copy is read again (exit code 1):")
	d.do(ctx, 1, "verify", "--host", "chicago", "--run", "1")
	d.do(ctx, 0, "explain", "--host", "chicago", "--run", "1")
	d.say("A named run is tried at once: lngs sends it again, chicago verifies it.")
	d.do(ctx, 0, "--once", "--host", "lngs", "--run", "1", "--log", "warning")
	d.do(ctx, 0, "--once", "--host", "chicago", "--run", "1", "--log", "warning")
	d.do(ctx, 0, "status")
	d.say("What happened to run 1, from the event log:")
	d.do(ctx, 0, "history", "--run", "1")
}

func (d *demo) say(text string) {
	if d.err == nil {
		fmt.Printf("\n# %s\n", text)
	}
}

// do runs cax as a person would and expects an exit code.
func (d *demo) do(ctx context.Context, want int, args ...string) {
	if d.err != nil {
		return
	}
	fmt.Printf("$ cax %s\n", strings.ReplaceAll(joined(args), d.dir+"/", ""))
	cmd := exec.CommandContext(ctx, d.cax, args...)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "CAX_CONFIG="+d.config, "CAX_RUNDB=sqlite:"+d.dir+"/runs.db")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.err = err
		return
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		d.err = fmt.Errorf("cax %s ended with %d instead of %d", strings.Join(args, " "), got, want)
	}
}

// joined joins arguments, those with blanks in quotes.
func joined(args []string) string {
	var s []string
	for _, a := range args {
		if strings.ContainsAny(a, " \t\n") {
			a = fmt.Sprintf("%q", a)
		}
		s = append(s, a)
	}
	return strings.Join(s, " ")
}

// makeSites writes the configuration and the datasets: real files, of this
// repository and the program itself.
func (d *demo) makeSites() error {
	site := func(name string) map[string]any {
		s := map[string]any{"name": name, "method": "local", "dir_raw": d.dir + "/" + name + "/raw", "data_type": []string{"raw"},
			"upload_options": nil, "download_options": nil}
		if d.sshd != nil {
			s["method"], s["hostname"], s["port"], s["username"] = "scp", d.sshd.host, d.sshd.port, d.sshd.user
			s["identity_file"], s["known_hosts"] = d.sshd.identity, d.sshd.knownHosts
		}
		return s
	}
	a, b := site("lngs"), site("chicago")
	a["upload_options"], a["download_options"] = []string{"chicago"}, []string{"chicago"}
	text, err := json.MarshalIndent([]any{a, b}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.config, append(text, '\n'), 0o644); err != nil {
		return err
	}
	for _, dir := range []string{"lngs/raw/160315_1432", "chicago/raw/160315_1500"} {
		if err := os.MkdirAll(d.dir+"/"+dir, 0o755); err != nil {
			return err
		}
		for _, f := range []string{"LICENSE", "README.md", "go.mod", "go.sum", d.cax} {
			if err := copyFile(f, d.dir+"/"+dir+"/"+filepath.Base(f)); err != nil {
				return err
			}
		}
	}
	// The two differ.
	return os.WriteFile(d.dir+"/chicago/raw/160315_1500/notes.txt", []byte("calibration\n"), 0o644)
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

// damage flips one bit and keeps size and time.
func (d *demo) damage(path string) {
	if d.err != nil {
		return
	}
	st, err := os.Stat(path)
	if err != nil {
		d.err = err
		return
	}
	b, err := os.ReadFile(path)
	if err != nil {
		d.err = err
		return
	}
	b[len(b)/2] ^= 1
	d.err = errors.Join(os.WriteFile(path, b, 0o644), os.Chtimes(path, st.ModTime(), st.ModTime()))
}
