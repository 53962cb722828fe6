package cax

import (
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cax-go/cax/rundb"
)

// Dir is the directory for a type of data, "" if the site keeps none of it.
func (s *Site) Dir(t rundb.Type) string {
	switch t {
	case rundb.Raw:
		return s.DirRaw
	case rundb.Processed:
		return s.DirProcessed
	case "minitrees":
		return s.DirMinitrees
	}
	if _, ok := treemakerOf(t); ok {
		return s.DirMinitrees
	}
	return ""
}

// Types are the types of data that the site copies.
func (s *Site) Types() []rundb.Type {
	if s.DataType == nil {
		return []rundb.Type{rundb.Raw}
	}
	ts := make([]rundb.Type, len(s.DataType))
	for i, t := range s.DataType {
		ts[i] = rundb.Type(t)
	}
	return ts
}

// versions are the versions of a type that the site handles; nil: any.
func (s *Site) versions(t rundb.Type) []string {
	if t != rundb.Processed || len(s.PaxVersions) == 0 {
		return nil
	}
	return s.PaxVersions
}

// Wants reports whether a task runs at the site: those of its task_list, or, without
// one, all but those that run on request only.
func (s *Site) Wants(task string) bool {
	return s.TaskList == nil && !onRequest(task) || slices.Contains(s.TaskList, task)
}

// Accepts reports whether the site handles a run.
func (s *Site) Accepts(runName string) bool {
	return s.DatasetList == nil || slices.Contains(s.DatasetList, runName)
}

// Host is the address without a port, as an SSH client takes it. The port that
// a hostname carries is in Port once the configuration is loaded. For methods
// that do not use SSH it is the hostname as it stands.
func (s *Site) Host() string {
	if host, _, ok := splitAddress(s.Hostname); ok && (s.Method == "" || s.Method.overSSH()) {
		return host
	}
	return s.Hostname
}

func (s *Site) dirs() []string {
	return slices.DeleteFunc([]string{s.DirRaw, s.DirProcessed, s.DirMinitrees, s.DirTSM}, func(d string) bool { return !path.IsAbs(d) || path.Clean(d) == "/" })
}

// Contains reports whether a path lies inside one of the site's directories. It
// has to be absolute and in its shortest form; a directory does not contain
// itself. Links are not looked at.
func (s *Site) Contains(p string) bool {
	if !path.IsAbs(p) || path.Clean(p) != p || strings.ContainsRune(p, 0) {
		return false
	}
	return slices.ContainsFunc(s.dirs(), func(d string) bool { return below(p, path.Clean(d)) })
}

// below reports whether a clean path lies strictly inside a clean directory.
func below(p, dir string) bool {
	return len(p) > len(dir)+1 && strings.HasPrefix(p, dir) && p[len(dir)] == '/'
}

// Location is where a copy has its place: in the directory of the type, in the
// folder of its version if it has one, under its own name. It is "" if the site
// has no such directory, or if version or name are no single name of a file.
func (s *Site) Location(t rundb.Type, version, base string) string {
	dir := s.Dir(t)
	if !path.IsAbs(dir) || !oneName(base) {
		return ""
	}
	if version == "" {
		return path.Join(dir, base)
	}
	folder := "pax_" + version
	if !oneName(folder) {
		return ""
	}
	return path.Join(dir, folder, base)
}

// oneName reports whether s can be the name of one file or folder, as datasets
// are named: in UTF-8, and no longer than file systems take.
func oneName(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= 255 && utf8.ValidString(s) && !strings.ContainsAny(s, "/\x00")
}
