// Command custom runs a pipeline of its own, from raw data to the archive, in a new
// folder: it registers a run, processes it with a program that no experiment has but
// this one, pushes raw data and product to two other sites, which verify them, and
// purges the raw data where they were taken.
//
//	custom FOLDER
//
// The program that processes is this one too, called as "custom histogram IN OUT": it
// counts how often each byte stands in the data.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "histogram":
		err = histogram(os.Args[2], os.Args[3])
	case len(os.Args) == 2:
		err = pipeline(ctx, os.Args[1], os.Stdout)
	default:
		err = fmt.Errorf("usage: %s FOLDER", os.Args[0])
	}
	if err != nil {
		log.Fatal(err)
	}
}

// configuration is that of three sites on one machine: data are taken at "lab", which
// keeps raw data for no day longer than it must. The processor is a command; nothing
// about it is known to cax.
func configuration(dir, self string) ([]byte, error) {
	site := func(name string, more map[string]any) map[string]any {
		s := map[string]any{"name": name, "method": "local", "dir_raw": filepath.Join(dir, name, "raw"), "dir_processed": filepath.Join(dir, name, "processed"),
			"data_type": []string{"raw", "processed"}, "upload_options": nil, "download_options": nil, "pax_versions": []string{"v1"}}
		for k, v := range more {
			s[k] = v
		}
		return s
	}
	return json.MarshalIndent([]any{
		site("lab", map[string]any{
			"upload_options": []string{"archive", "mirror"}, "purge": 0,
			"processing": map[string]any{"processors": []any{map[string]any{
				"name": "histogram", "version": "v1", "command": []string{self, "histogram", "{{.Path}}", "{{.Dir}}/{{.Name}}.json"}, "output": "{{.Name}}.json"}}},
		}),
		site("archive", nil), site("mirror", nil),
	}, "", "  ")
}

// pipeline does it all.
func pipeline(ctx context.Context, dir string, out io.Writer) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	raw := filepath.Join(dir, "lab", "raw", "170315_1432")
	for _, d := range []string{raw, "lab/processed", "archive/raw", "archive/processed", "mirror/raw", "mirror/processed"} {
		if !filepath.IsAbs(d) {
			d = filepath.Join(dir, d)
		}
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(raw, "events.txt"), []byte("abracadabra\n"), 0o644); err != nil {
		return err
	}
	text, err := configuration(dir, self)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "cax.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return err
	}
	cfg, err := cax.Load(file)
	if err != nil {
		return err
	}
	driver, err := sqlitestore.Open(ctx, filepath.Join(dir, "runs.db"), &sqlitestore.Options{Create: true})
	if err != nil {
		return err
	}
	store := &rundb.Store{Driver: driver, By: "custom"}
	defer store.Close()
	at := func(name string, f func(*cax.Env) error) error {
		site, _ := cfg.Site(name)
		owner, err := cax.ThisProcess(name)
		if err != nil {
			return err
		}
		env := cax.NewEnv(cfg, site, store, owner)
		env.Once = true
		defer env.Close()
		if err := f(env); err != nil {
			return fmt.Errorf("at %s: %w", name, err)
		}
		return nil
	}

	var run *rundb.Run
	if err := at("lab", func(env *cax.Env) error {
		if run, err = env.Register(ctx, cax.Registration{Path: raw, Number: 1}); err != nil {
			return err
		}
		fmt.Fprintf(out, "registered %s\n", run)
		made, err := env.Process(ctx, run, cax.ProcessOptions{})
		if err != nil {
			return err
		}
		for _, p := range made {
			if p.Err != nil {
				return p.Err
			}
			fmt.Fprintf(out, "processed: %s, %d bytes\n", filepath.Base(p.Location), p.Size)
		}
		return nil
	}); err != nil {
		return err
	}
	// One cycle of each daemon, as often as it takes: lab pushes to one site, which
	// verifies, then to the other, and purges when both copies count.
	for _, name := range []string{"lab", "archive", "lab", "mirror", "lab"} {
		if err := at(name, func(env *cax.Env) error {
			_, err := cax.NewDaemon(env).Once(ctx)
			return err
		}); err != nil {
			return err
		}
	}
	if run, err = store.Get(ctx, run.ID); err != nil {
		return err
	}
	slices.SortFunc(run.Data, func(a, b rundb.Copy) int {
		return cmp.Or(strings.Compare(a.Host, b.Host), strings.Compare(string(a.Type), string(b.Type)))
	})
	for _, c := range run.Data {
		fmt.Fprintf(out, "%s at %s: %s\n", c.Type, c.Host, c.Status)
	}
	if _, err := os.Stat(raw); err == nil {
		return fmt.Errorf("%s is still there", raw)
	}
	fmt.Fprintf(out, "raw data at lab were purged\n")
	return nil
}

// histogram is the processor: how often each byte stands in the files below a folder.
func histogram(in, to string) error {
	counts := map[string]int{}
	err := filepath.WalkDir(in, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		for _, c := range b {
			counts[string(rune(c))]++
		}
		return err
	})
	if err != nil {
		return err
	}
	b, err := json.Marshal(counts)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}
