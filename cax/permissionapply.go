package cax

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"strings"
	"syscall"

	"github.com/cax-go/cax/transfer"
)

// A grant is a permission made ready for this machine.
type grant struct {
	*Permission
	digest   string
	uid, gid int    // -1: stays
	setfacl  string // path of the program; "" if none is needed
}

// grant looks up what the permission names. Its errors say what is missing here.
func (p *Permission) grant() (*grant, error) {
	g := &grant{Permission: p}
	var err error
	if g.uid, err = lookUser(p.Owner); err != nil {
		return nil, fmt.Errorf("owner %q: %w", p.Owner, err)
	}
	if g.gid, err = lookGroup(p.Group); err != nil {
		return nil, fmt.Errorf("group %q: %w", p.Group, err)
	}
	if g.digest, err = p.digest(); err != nil {
		return nil, fmt.Errorf("acl_file: %w", err)
	}
	if p.ACLFile != "" {
		if g.setfacl, err = exec.LookPath("setfacl"); err != nil {
			return nil, fmt.Errorf("acl_file: %w; install it (Debian: apt-get install acl), or leave acl_file out", err)
		}
	}
	return g, nil
}

// apply gives a dataset its permissions, and returns how many files and folders were
// changed; those that are right already are not touched. Links are left alone, and
// nothing outside the dataset is reached through one. Access control lists are set
// in any case: only setfacl knows what they would become.
func (g *grant) apply(ctx context.Context, location string) (int, error) {
	// Within the folder that holds the dataset, so that a link that is put in the
	// place of a file meanwhile does not lead out of it.
	root, err := os.OpenRoot(path.Dir(location))
	if err != nil {
		return 0, err
	}
	defer root.Close()
	base := path.Base(location)
	if st, err := root.Lstat(base); err != nil {
		return 0, err
	} else if st.Mode()&fs.ModeSymlink != 0 {
		return 0, &transfer.Error{Op: "set permissions", Path: location, Kind: transfer.ErrInvalid, Err: errors.New("the dataset is a link")}
	}
	n := 0
	err = fs.WalkDir(root.FS(), base, func(p string, e fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if !e.IsDir() && !e.Type().IsRegular() {
			return nil
		}
		changed, err := g.one(root, p)
		if changed {
			n++
		}
		return err
	})
	if err != nil || g.setfacl == "" {
		return n, err
	}
	cmd := exec.CommandContext(ctx, g.setfacl, "-R", "-P", "-M", expandHome(g.ACLFile), "--", location)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return n, ctx.Err()
		}
		return n, fmt.Errorf("setfacl -R -P -M %s: %w: %s", g.ACLFile, err, strings.TrimSpace(said.String()))
	}
	return n, nil
}

// modeBits are those that chmod sets.
const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// one changes what is wrong with one file or folder.
func (g *grant) one(root *os.Root, p string) (changed bool, err error) {
	st, err := root.Lstat(p)
	if err != nil {
		return false, err
	}
	if own, ok := st.Sys().(*syscall.Stat_t); ok && (g.uid >= 0 && int(own.Uid) != g.uid || g.gid >= 0 && int(own.Gid) != g.gid) {
		if err := root.Lchown(p, g.uid, g.gid); err != nil {
			if errors.Is(err, fs.ErrPermission) {
				err = fmt.Errorf("%w; only root may give files to another owner, and a group has to be one of ours", err)
			}
			return false, err
		}
		// A change of the owner may clear bits of the mode.
		if st, err = root.Lstat(p); err != nil {
			return true, err
		}
		changed = true
	}
	want := g.Mode.Files
	if st.IsDir() {
		want = g.Mode.Dirs
	}
	if want == 0 {
		return changed, nil
	}
	if mode := fileMode(want); st.Mode()&modeBits != mode {
		return true, root.Chmod(p, mode)
	}
	return changed, nil
}

// fileMode is a mode of chmod as Go has it.
func fileMode(m uint32) fs.FileMode {
	f := fs.FileMode(m) & fs.ModePerm
	for bit, mode := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if m&bit != 0 {
			f |= mode
		}
	}
	return f
}
