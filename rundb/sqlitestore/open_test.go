package sqlitestore_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"
)

// foreign makes an SQLite file by these statements.
func foreign(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// tree lists what is in a folder, with contents.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			b = []byte("(folder)")
		}
		files[e.Name()] = string(b)
	}
	return files
}

func TestOpenErrors(t *testing.T) {
	write := func(content string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	cases := []struct {
		name   string
		make   func(t *testing.T, path string)
		create bool
		want   error
	}{
		{"missing", func(*testing.T, string) {}, false, rundb.ErrNotExist},
		{"empty file", write(""), false, rundb.ErrNotExist},
		{"text", write("this is a text, and not an SQLite file at all, however long one looks at it"), false, rundb.ErrInvalid},
		{"text, to be created", write("this is a text, and not an SQLite file at all, however long one looks at it"), true, rundb.ErrInvalid},
		{"directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}, true, rundb.ErrInvalid},
		{"another program's", func(t *testing.T, path string) { foreign(t, path, `CREATE TABLE runs (x)`) }, false, rundb.ErrInvalid},
		{"another program's, to be created", func(t *testing.T, path string) { foreign(t, path, `CREATE TABLE runs (x)`) }, true, rundb.ErrInvalid},
		{"another program's, named so", func(t *testing.T, path string) { foreign(t, path, `PRAGMA application_id=5`) }, true, rundb.ErrInvalid},
		{"newer", func(t *testing.T, path string) {
			d, err := sqlitestore.Open(t.Context(), path, &sqlitestore.Options{Create: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			foreign(t, path, `PRAGMA journal_mode=DELETE`, `PRAGMA user_version=99`)
			if err := os.Remove(path + ".lock"); err != nil {
				t.Fatal(err)
			}
		}, false, rundb.ErrInvalid},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "runs.db")
			c.make(t, path)
			before := tree(t, dir)
			d, err := sqlitestore.Open(t.Context(), path, &sqlitestore.Options{Create: c.create})
			if err == nil {
				d.Close()
			}
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
				t.Errorf("something was made or changed (-before +after):\n%s", diff)
			}
		})
	}
	t.Run("folder is missing", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "none")
		if _, err := sqlitestore.Open(t.Context(), filepath.Join(dir, "runs.db"), nil); !errors.Is(err, rundb.ErrNotExist) {
			t.Errorf("got %v", err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Error("the folder was made")
		}
	})
	t.Run("folder is a file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		write("")(t, path)
		if _, err := sqlitestore.Open(t.Context(), filepath.Join(path, "runs.db"), &sqlitestore.Options{Create: true}); !errors.Is(err, rundb.ErrInvalid) {
			t.Errorf("got %v", err)
		}
	})
}

// TestOpenAgain: by odd names and by links it is the same database, twice at once.
func TestOpenAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a ?b#c%20d&ä", "new")
	path := filepath.Join(dir, "r?u#n s%.db")
	d, err := sqlitestore.Open(t.Context(), path, &sqlitestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.Path() != path {
		t.Errorf("the path is %q, want %q", d.Path(), path)
	}
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{path, link} {
		again, err := sqlitestore.Open(t.Context(), other, &sqlitestore.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		if again.Path() != path {
			t.Errorf("%s is opened as %s", other, again.Path())
		}
		insert(t, &rundb.Store{Driver: again}, rundb.Run{Name: other, Detector: "tpc", Start: time.Unix(1, 0)})
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		// The other one's locks and connections are as they were.
		insert(t, &rundb.Store{Driver: d}, rundb.Run{Name: other, Detector: "other", Start: time.Unix(1, 0)})
	}
	n := 0
	for _, err := range d.Find(t.Context(), &rundb.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 4 {
		t.Errorf("%d runs, want 4", n)
	}
}

// TestCreateAtOnce: of many that make the same database, all get it.
func TestCreateAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "runs.db")
	errs := make(chan error)
	const n = 6
	for i := range n {
		go func() {
			d, err := sqlitestore.Open(t.Context(), path, &sqlitestore.Options{Create: true})
			if err == nil {
				var r *rundb.Run
				if r, err = rundb.NewRun(rundb.Run{Name: fmt.Sprint(i), Detector: "tpc", Start: time.Unix(1, 0)}); err == nil {
					err = d.Insert(t.Context(), r.Raw())
				}
				err = errors.Join(err, d.Close())
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	wantSound(t, path)
}
