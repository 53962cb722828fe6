package cax

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/cax-go/cax/rundb"
)

// Permissions are what SetPermission gives to the copies of a site, by type of
// data; nil: nothing.
type Permissions struct {
	Raw, Processed *Permission
}

// A Permission is what the files of a copy get.
type Permission struct {
	Mode    Modes
	Owner   string // name or number; "": stays
	Group   string // name or number; "": stays
	ACLFile string // for setfacl -M; "": none
}

// Modes are modes as chmod takes them; 0: stays.
type Modes struct {
	Dirs, Files uint32
}

// permission is what copies of a type get at the site; nil if nothing.
func (s *Site) permission(t rundb.Type) *Permission {
	switch t {
	case rundb.Raw:
		return s.Permissions.Raw
	case rundb.Processed:
		return s.Permissions.Processed
	}
	return nil
}

// String says for people what is set.
func (p *Permission) String() string {
	var s []string
	switch m := p.Mode; {
	case m.Dirs == m.Files && m.Dirs != 0:
		s = append(s, fmt.Sprintf("mode %04o", m.Dirs))
	default:
		if m.Dirs != 0 {
			s = append(s, fmt.Sprintf("mode %04o for directories", m.Dirs))
		}
		if m.Files != 0 {
			s = append(s, fmt.Sprintf("mode %04o for files", m.Files))
		}
	}
	for _, f := range []struct{ what, value string }{{"owner", p.Owner}, {"group", p.Group}, {"ACL of", p.ACLFile}} {
		if f.value != "" {
			s = append(s, f.what+" "+f.value)
		}
	}
	return strings.Join(s, ", ")
}

// lookUser gives the number of an account of this machine; -1 for "".
func lookUser(name string) (int, error) {
	return look(name, func() (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
}

// lookGroup gives the number of a group of this machine; -1 for "".
func lookGroup(name string) (int, error) {
	return look(name, func() (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
}

func look(name string, lookup func() (string, error)) (int, error) {
	if name == "" {
		return -1, nil
	}
	id := name
	if _, err := strconv.ParseUint(name, 10, 31); err != nil {
		if id, err = lookup(); err != nil {
			return 0, fmt.Errorf("%w; if it is known to a directory service only, write its number (getent tells it)", err)
		}
	}
	n, err := strconv.ParseUint(id, 10, 31)
	return int(n), err
}

// readACL reads the file for setfacl.
func readACL(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	return os.ReadFile(expandHome(file))
}

// modesKind is a mode for everything, or an object with one for directories and one
// for files.
func modesKind() valueKind[Modes] {
	pattern := map[string]any{"type": "string", "pattern": "^[0-7]{3,4}$"}
	schema := map[string]any{"anyOf": []any{pattern, map[string]any{"type": "object", "additionalProperties": false,
		"properties": map[string]any{"dirs": pattern, "files": pattern}}}}
	octal := func(d *decoder, n *node, k *slot, need uint64, what string) (uint32, bool) {
		if !d.want(n, k, isString) {
			return 0, false
		}
		m, err := strconv.ParseUint(n.text, 8, 32)
		switch {
		case err != nil || len(n.text) < 3 || len(n.text) > 4:
			d.wrong(n, k, "a mode of three or four octal digits")
			return 0, false
		case m&need != need:
			d.fail(n.off, k.at, fmt.Sprintf("with mode %s the owner could not read %s any more, nor could cax", n, what), fmt.Sprintf("add %04o", need))
			return 0, false
		}
		return uint32(m), true
	}
	return valueKind[Modes]{"mode, or modes", schema, func(d *decoder, n *node, k *slot) (Modes, bool) {
		if n.kind != isObject {
			v, ok := octal(d, n, k, 0o500, "directories")
			return Modes{Dirs: v, Files: v}, ok
		}
		var m Modes
		good := true
		for _, x := range n.members {
			at := &slot{join(k.at, x.key), k.info}
			var ok bool
			switch x.key {
			case "dirs":
				m.Dirs, ok = octal(d, x.value, at, 0o500, "directories")
			case "files":
				m.Files, ok = octal(d, x.value, at, 0o400, "files")
			default:
				d.fail(x.off, at.at, "a mode has no such key", suggest(x.key, []string{"dirs", "files"}))
			}
			good = good && ok
		}
		return m, good
	}}
}

// accountKind is the name of an account or group, or its number.
func accountKind() valueKind[string] {
	word := wordKind()
	return valueKind[string]{"name or number", map[string]any{"type": []any{"string", "integer"}}, func(d *decoder, n *node, k *slot) (string, bool) {
		if n.kind != isNumber {
			return word.read(d, n, k)
		}
		if _, err := strconv.ParseUint(n.text, 10, 31); err != nil {
			d.wrong(n, k, "the number of an account")
			return "", false
		}
		return n.text, true
	}}
}

// permissionSection is what copies of one type get.
func permissionSection() *section[Permission] {
	return &section[Permission]{"the permissions of a type", []key[Permission]{
		field(modesKind(), func(p *Permission) *Modes { return &p.Mode }, KeyInfo{Name: "mode", Default: "stays", Example: `{"dirs": "0750", "files": "0640"}`,
			Doc: "Mode in octal, as chmod takes it: one for everything, or one for directories and one for files."}),
		field(accountKind(), func(p *Permission) *string { return &p.Owner }, KeyInfo{Name: "owner", Default: "stays", Example: `"xenon"`,
			Doc: "Account that owns the files; changing it takes root."}),
		field(accountKind(), func(p *Permission) *string { return &p.Group }, KeyInfo{Name: "group", Default: "stays", Example: `"xenon1t-admins"`,
			Doc: "Group of the files."}),
		field(fileKind(), func(p *Permission) *string { return &p.ACLFile }, KeyInfo{Name: "acl_file", Default: "none", Example: `"/etc/cax/raw.acl"`,
			Doc: "File with access control entries, for setfacl -R -M."}),
	}}
}

// permissionsSection is the value of a site's key permissions.
func permissionsSection() *section[Permissions] {
	one := sectionKind("permission", permissionSection())
	of := func(name string, to func(*Permissions) **Permission) key[Permissions] {
		return field(orNil(one), to, KeyInfo{Name: name, Type: "object", Default: "nothing is set", Example: `{"mode": "0750", "group": "xenon"}`,
			Doc: "What " + name + " copies get."})
	}
	return &section[Permissions]{"permissions", []key[Permissions]{
		of("raw", func(p *Permissions) **Permission { return &p.Raw }),
		of("processed", func(p *Permissions) **Permission { return &p.Processed }),
	}}
}
