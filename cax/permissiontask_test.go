package cax

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// modesOf lists the modes below a path, by path relative to it.
func modesOf(t *testing.T, root string) map[string]fs.FileMode {
	t.Helper()
	all := map[string]fs.FileMode{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		all[rel] = st.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// changed is when mode or owner of a file were last changed.
func changed(t *testing.T, path string) syscall.Timespec {
	t.Helper()
	st, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Sys().(*syscall.Stat_t).Ctim
}

func setsModes(c *Config) {
	c.Sites[0].Permissions.Raw = &Permission{Mode: Modes{Dirs: 0o2750, Files: 0o640}}
}

// TestSetPermission: copies get their modes once, what is right is not touched, and
// nothing is done outside the dataset.
func TestSetPermission(t *testing.T) {
	l := newLab(t, setsModes)
	l.register()
	p := l.raw("A").Location
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, nil, 0o604); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"out": outside, "dir": filepath.Dir(outside), "in": "a.zip", "nowhere": "x"} {
		if err := os.Symlink(to, p+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(p+"/a.zip", 0o640); err != nil {
		t.Fatal(err)
	}
	right := changed(t, p+"/a.zip")
	dry := l.env("A")
	dry.DryRun = true
	before := modesOf(t, p)
	d := NewDaemon(dry)
	d.Tasks = []Task{permissionTask{}}
	if sum, err := d.Once(t.Context()); err != nil || sum.Done != 1 {
		t.Errorf("dry run: %+v, %v", sum, err)
	}
	if after := modesOf(t, p); after["a.zip"] != before["a.zip"] || after["big.zip"] != before["big.zip"] || l.raw("A").Permissions != "" {
		t.Errorf("a dry run changed %v to %v, record %+v", before, after, l.raw("A"))
	}

	env := l.env("A")
	d = NewDaemon(env)
	d.Tasks = []Task{permissionTask{}}
	if sum, err := d.Once(t.Context()); err != nil || sum.Done != 1 {
		t.Fatalf("%+v, %v", sum, err)
	}
	for rel, mode := range modesOf(t, p) {
		switch {
		case mode&fs.ModeSymlink != 0:
		case mode.IsDir() && mode != fs.ModeDir|fs.ModeSetgid|0o750, mode.IsRegular() && mode != 0o640:
			t.Errorf("%s has mode %v", rel, mode)
		}
	}
	if st, err := os.Stat(outside); err != nil || st.Mode() != 0o604 {
		t.Errorf("changed through a link: %v %v", st, err)
	}
	if got := changed(t, p+"/a.zip"); got != right {
		t.Error("a file that was right was touched")
	}
	if l.raw("A").Permissions == "" {
		t.Error("the record does not say that it was done")
	}
	// Nothing is left to do, and no run is read to find that.
	l.sql, l.trace = nil, true
	if sum, err := d.Once(t.Context()); err != nil || sum != (Summary{}) {
		t.Errorf("again: %+v, %v", sum, err)
	}
	for _, s := range l.sql {
		if strings.Contains(s, ", doc ") {
			t.Errorf("a run is read: %s", s)
		}
	}
	// Another setting is another digest.
	l.site("A").Permissions.Raw = &Permission{Mode: Modes{Dirs: 0o755, Files: 0o644}}
	if sum, err := d.Once(t.Context()); err != nil || sum.Done != 1 {
		t.Errorf("after a change of the setting: %+v, %v", sum, err)
	}
	if m := modesOf(t, p)["big.zip"]; m != 0o644 {
		t.Errorf("mode %v", m)
	}
}

// TestC43OtherHostsDoNothing: C43: a site without the key sets nothing and fails
// nothing; nor is anything set on copies that are not ready, are in use, or lie
// elsewhere.
func TestC43OtherHostsDoNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		copy   func(*rundb.Copy)
		want   Verb
	}{
		"ready":           {want: Do},
		"no setting":      {change: func(c *Config) { c.Sites[0].Permissions = Permissions{} }, want: Skip},
		"for raw only":    {copy: func(c *rundb.Copy) { c.Type = rundb.Processed }, want: Skip},
		"in place":        {copy: func(c *rundb.Copy) { c.InPlace = true }, want: Skip},
		"not transferred": {copy: func(c *rundb.Copy) { c.Status = rundb.Verifying }, want: Skip},
		"claimed":         {copy: claimed("A", "h", "b", 1, time.Minute), want: Wait},
		"outside":         {copy: func(c *rundb.Copy) { c.Location = "/etc" }, want: Call},
		"done":            {copy: func(c *rundb.Copy) { c.Permissions = "given" }, want: Skip},
		"done otherwise":  {copy: func(c *rundb.Copy) { c.Permissions = "before" }, want: Do},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := twoSites()
			setsModes(cfg)
			if tc.change != nil {
				tc.change(cfg)
			}
			c := rawAt("A", rundb.Transferred)
			if tc.copy != nil {
				tc.copy(&c)
			}
			d := permissionTask{}.decide(envAt(t, cfg, "A", nil), aRun(t, c), &c, &grant{digest: "given"})
			if d.Verb != tc.want || d.Why == "" {
				t.Errorf("%s", d)
			}
		})
	}
}

// TestPermissionOfReplacedFiles: a copy that was made anew has lost what was set.
func TestPermissionOfReplacedFiles(t *testing.T) {
	l := newLab(t, pulls, func(c *Config) { c.Sites[1].Permissions.Raw = &Permission{Mode: Modes{Dirs: 0o750, Files: 0o640}} })
	l.register()
	l.must("B")
	l.must("B")
	first := l.raw("B")
	if first.Permissions == "" {
		t.Fatalf("record %+v", first)
	}
	err := l.store.CompareAndSet(t.Context(), l.run().ID, first, bson.D{{Key: "status", Value: string(rundb.Failed)},
		{Key: "error", Value: (&rundb.CopyError{Class: ClassCorrupt, Tries: 1}).BSON()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(first.Location); err != nil {
		t.Fatal(err)
	}
	env := l.env("B")
	env.Only.Name = runName
	d := NewDaemon(env)
	d.Tasks = []Task{copyTask{}}
	if _, err := d.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b := l.raw("B"); b.Status != rundb.Transferred || b.Permissions != "" {
		t.Errorf("record %+v, want transferred and no permissions", b)
	}
	l.must("B")
	if m := modesOf(t, first.Location)["a.zip"]; m != 0o640 {
		t.Errorf("mode %v", m)
	}
}

// TestPermissionErrors: what this machine does not know is told with what to do, and
// nothing is changed.
func TestPermissionErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		p    Permission
		path string
		says string
	}{
		"no such user":  {p: Permission{Owner: "nobody-of-that-name"}, says: `owner "nobody-of-that-name"`},
		"no such group": {p: Permission{Group: "nobody-of-that-name"}, says: `group "nobody-of-that-name"`},
		"no ACL file":   {p: Permission{ACLFile: "/nowhere/raw.acl"}, says: "acl_file: open /nowhere/raw.acl"},
		"no setfacl":    {p: Permission{ACLFile: os.DevNull}, path: "/nowhere", says: "apt-get install acl"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, func(c *Config) { c.Sites[0].Permissions.Raw = &tc.p })
			l.register()
			if tc.path != "" {
				t.Setenv("PATH", tc.path)
			}
			found := false
			for f := range l.env("A").Check(t.Context()) {
				found = found || f.What == AboutPermissions && f.Grade == CheckFail && strings.Contains(f.Text, tc.says)
			}
			if !found {
				t.Errorf("cax check does not say %s", tc.says)
			}
			d := NewDaemon(l.env("A"))
			d.Tasks = []Task{permissionTask{}}
			if _, err := d.Once(t.Context()); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v does not say %s", err, tc.says)
			}
			if c := l.raw("A"); c.Permissions != "" {
				t.Errorf("record %+v", c)
			}
		})
	}
}

// TestPermissionOwner: owner and group by number, links included in nothing.
func TestPermissionOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	dir := t.TempDir()
	p := dir + "/set"
	if err := os.MkdirAll(p+"/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p+"/sub/f", nil, 0o6755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", p+"/link"); err != nil {
		t.Fatal(err)
	}
	g, err := (&Permission{Owner: "12345", Group: "23456", Mode: Modes{Dirs: 0o4755, Files: 0o4755}}).grant()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := g.apply(t.Context(), p); err != nil || n != 3 {
		t.Fatalf("changed %d, %v", n, err)
	}
	for path, uid := range map[string]uint32{p: 12345, p + "/sub": 12345, p + "/sub/f": 12345, p + "/link": 0, "/etc/passwd": 0} {
		st, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := st.Sys().(*syscall.Stat_t).Uid; got != uid {
			t.Errorf("%s belongs to %d, want %d", path, got, uid)
		}
	}
	if m := modesOf(t, p)["sub/f"]; m != fs.ModeSetuid|0o755 {
		t.Errorf("mode %v, want that set after the owner was", m)
	}
	if err := os.Symlink(p, dir+"/other"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.apply(t.Context(), dir+"/other"); err == nil {
		t.Error("a dataset that is a link was followed")
	}
	if _, err := g.apply(t.Context(), dir+"/gone"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v of a dataset that is not there", err)
	}
}

// TestPermissionACL: entries of a file are set on all below, and a tool that fails is
// an error with its words.
func TestPermissionACL(t *testing.T) {
	getfacl, err := exec.LookPath("getfacl")
	if err != nil {
		t.Skip("no getfacl: apt-get install acl")
	}
	dir := t.TempDir()
	acl := dir + "/acl"
	if err := os.WriteFile(acl, []byte("user:12345:r-x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := dir + "/-set of 'odd' names"
	if err := os.MkdirAll(p+"/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p+"/sub/f", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	g, err := (&Permission{ACLFile: acl}).grant()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.apply(t.Context(), p); err != nil {
		t.Skipf("this file system has no access control lists: %v", err)
	}
	for _, f := range []string{p, p + "/sub", p + "/sub/f"} {
		out, err := exec.Command(getfacl, "-n", "--absolute-names", f).Output()
		if err != nil || !strings.Contains(string(out), "user:12345:r-x") {
			t.Errorf("%s has %s (%v)", f, out, err)
		}
	}
	was := g.digest
	if err := os.WriteFile(acl, []byte("nonsense\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if g, err = (&Permission{ACLFile: acl}).grant(); err != nil || g.digest == was {
		t.Errorf("another content has the digest %s, as before (%v)", was, err)
	}
	var exit *exec.ExitError
	if _, err := g.apply(t.Context(), p); !errors.As(err, &exit) {
		t.Errorf("error %v, want that of the tool", err)
	}
}

// TestPermissionConfig: what can be written, and what is wrong with what cannot.
func TestPermissionConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want *Permission // of raw; nil: it is refused
	}{
		"one mode":           {`{"mode": "0750"}`, &Permission{Mode: Modes{0o750, 0o750}}},
		"two modes":          {`{"mode": {"dirs": "2750", "files": "640"}}`, &Permission{Mode: Modes{0o2750, 0o640}}},
		"mode of files only": {`{"mode": {"files": "0644"}}`, &Permission{Mode: Modes{0, 0o644}}},
		"owner and group":    {`{"owner": "xenon", "group": 1234}`, &Permission{Owner: "xenon", Group: "1234"}},
		"ACL":                {`{"acl_file": "/etc/raw.acl"}`, &Permission{ACLFile: "/etc/raw.acl"}},
		"a decimal number":   {`{"mode": 750}`, nil},
		"not octal":          {`{"mode": "0780"}`, nil},
		"too long":           {`{"mode": "00750"}`, nil},
		"locks itself out":   {`{"mode": "0050"}`, nil},
		"cannot enter":       {`{"mode": {"dirs": "0640"}}`, nil},
		"unknown of mode":    {`{"mode": {"folders": "0750"}}`, nil},
		"unknown":            {`{"modes": "0750"}`, nil},
		"an option":          {`{"owner": "-R"}`, nil},
		"relative":           {`{"acl_file": "raw.acl"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := parseConfig("cax.json", []byte(`[{"name": "A", "permissions": {"raw": `+tc.text+`}}]`), nil)
			if tc.want == nil {
				var bad *ConfigError
				if !errors.As(err, &bad) || bad.Problems[0].Line != 1 || bad.Problems[0].Remedy == "" {
					t.Errorf("error %v, want a problem with its place and remedy", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := cfg.Sites[0].Permissions; got.Raw == nil || *got.Raw != *tc.want || got.Processed != nil {
				t.Errorf("got %+v, want %+v", got.Raw, tc.want)
			}
		})
	}
}
