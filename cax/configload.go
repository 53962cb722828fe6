package cax

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxConfig is the largest file that is read as a configuration.
const maxConfig = 16 << 20

// Load reads the configuration of a file: the original's array of sites, or an
// object with the keys rundb, master_checksums, policy and sites, which is an
// array or the path of a file with one. The error is a [*ConfigError] that names
// everything that is wrong. No directory, server or database is looked at.
func Load(file string) (*Config, error) {
	data, err := readConfigFile(file)
	if err != nil {
		return nil, &ConfigError{Problems: []Problem{{File: file, Text: fmt.Sprintf("the configuration cannot be read: %v", plain(err)),
			Remedy: "name another one with --config"}}, cause: err}
	}
	return parseConfig(file, data, readConfigFile)
}

func readConfigFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && len(data) > maxConfig {
		err = fmt.Errorf("it is larger than %d MiB", maxConfig>>20)
	}
	return data, err
}

// plain is an error of the file system without operation and path, which stand
// beside it.
func plain(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// A decoder collects what is found in a configuration.
type decoder struct {
	src      *source // the file that is being read
	problems []Problem
	notes    []Problem
	said     map[string]bool // what is reported once, and was
}

func (d *decoder) fail(off int, key, text, remedy string) {
	d.problems = append(d.problems, d.src.problem(off, key, text, remedy))
}

func (d *decoder) note(off int, key, text, remedy string) {
	d.notes = append(d.notes, d.src.problem(off, key, text, remedy))
}

// ignored reports a key that has no effect, the first time it is met.
func (d *decoder) ignored(off int, at, name, why string) {
	if !d.said[name] {
		d.said[name] = true
		d.note(off, at, "the key has no effect: "+why, "remove it when nothing else reads this file")
	}
}

// parseConfig makes a configuration of a file's text. read reads the file that
// sites may name.
func parseConfig(file string, data []byte, read func(string) ([]byte, error)) (*Config, error) {
	d := &decoder{src: &source{file: file, data: data}, said: map[string]bool{}}
	cfg := &Config{File: file}
	main := d.src
	root, ok := d.parse()
	var top map[string]*node
	var sites []siteNode
	switch {
	case !ok:
	case root.kind == isArray:
		sites = d.sites(root, cfg)
	case root.kind == isObject:
		s := topSection()
		if looksLikeRule(root) {
			d.rule(root)
			break
		}
		top = s.decode(d, root, "", cfg)
		if n := top["sites"]; n != nil && n.kind != isNull {
			var err error
			if sites, err = d.sitesOf(n, cfg, read); err != nil {
				return nil, &ConfigError{Problems: d.problems, cause: err}
			}
		}
	default:
		d.fail(root.off, "", fmt.Sprintf("%s is no configuration", root), `write an array of sites, or an object with "sites"`)
	}
	if ok {
		d.checkSites(cfg, sites)
		d.src = main
		d.checkMasters(cfg, top["master_checksums"])
		d.checkPolicy(cfg, top["policy"])
	}
	inOrder := func(a, b Problem) int {
		return cmp.Or(-cmp.Compare(boolInt(a.File == file), boolInt(b.File == file)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	}
	slices.SortStableFunc(d.problems, inOrder)
	slices.SortStableFunc(d.notes, inOrder)
	if len(d.problems) > 0 {
		return nil, &ConfigError{Problems: d.problems}
	}
	cfg.Notes = d.notes
	return cfg, nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// parse reads the JSON of the current file; false if not all of it could be read.
func (d *decoder) parse() (*node, bool) {
	n, problems, gaveUp := parseJSON(d.src)
	d.problems = append(d.problems, problems...)
	return n, !gaveUp
}

// A siteNode is a site with the place where it stands.
type siteNode struct {
	site *Site
	src  *source
	at   string // sites[2]
	off  int
	vals map[string]*node
}

// sitesOf reads the value of the key sites of the object form.
func (d *decoder) sitesOf(n *node, cfg *Config, read func(string) ([]byte, error)) ([]siteNode, error) {
	switch n.kind {
	case isArray:
		return d.sites(n, cfg), nil
	case isString:
	default:
		d.fail(n.off, "sites", fmt.Sprintf("%s where an array of sites, or the path of a file, should be", n), `write for example "cax.json"`)
		return nil, nil
	}
	file, ok := readText(d, n, &slot{"sites", &KeyInfo{Example: `"cax.json"`}})
	if !ok {
		return nil, nil
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(filepath.Dir(cfg.File), file)
	}
	data, err := read(file)
	if err != nil {
		d.fail(n.off, "sites", fmt.Sprintf("the file of sites %s cannot be read: %v", file, plain(err)), "correct its path, which is relative to this file")
		return nil, err
	}
	d.src = &source{file: file, data: data}
	root, ok := d.parse()
	switch {
	case !ok:
		return nil, nil
	case root.kind != isArray:
		d.fail(root.off, "sites", fmt.Sprintf("%s where the array of sites should be", root), "name a file that holds nothing but an array of sites")
		return nil, nil
	}
	return d.sites(root, cfg), nil
}

// sites reads an array of sites.
func (d *decoder) sites(n *node, cfg *Config) []siteNode {
	if len(n.items) == 0 {
		d.fail(n.off, "sites", "there is no site", `write at least one, as {"name": "lab", "dir_raw": "/data/raw"}`)
		return nil
	}
	if slices.ContainsFunc(n.items, looksLikeRule) {
		d.rule(n)
		return nil
	}
	section := siteSection()
	var sites []siteNode
	for i, item := range n.items {
		s := siteNode{site: &Site{}, src: d.src, at: index("sites", i), off: item.off}
		if s.vals = section.decode(d, item, s.at, s.site); s.vals != nil {
			sites = append(sites, s)
			cfg.Sites = append(cfg.Sites, s.site)
		}
	}
	return sites
}

// looksLikeRule tells a rule of the original's --rucio-rule from a site.
func looksLikeRule(n *node) bool {
	has := func(key string) bool {
		return slices.ContainsFunc(n.members, func(m member) bool { return m.key == key })
	}
	return (has("destination_rse") || has("run_nb") || has("verification_only")) && !has("name") && !has("sites")
}

func (d *decoder) rule(n *node) {
	d.fail(n.off, "", "this is a Rucio rule file, not a configuration of sites", "give it to --rucio-rule, and a file with sites to --config")
}

// splitAddress takes an address of the form host, host:port, [v6]:port or v6
// apart; port is 0 if it has none.
func splitAddress(s string) (host string, port string, ok bool) {
	host = s
	switch {
	case strings.HasPrefix(s, "["):
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", "", false
		}
		host = s[1:end]
		rest := s[end+1:]
		if rest != "" {
			if port, ok = strings.CutPrefix(rest, ":"); !ok {
				return "", "", false
			}
		}
	case strings.Count(s, ":") == 1:
		host, port, _ = strings.Cut(s, ":")
		if port == "" {
			return "", "", false
		}
	}
	if host == "" || host[0] == '-' || strings.Contains(port, "/") || strings.ContainsAny(host, "/@[]?# \t\\'\"") {
		return "", "", false
	}
	return host, port, true
}
