package cax

import "path"

// Domain names what a host fails together with. Sites are in one domain if they
// say so, or if they are one storage, see [Config.SameStorage]. It is named as
// the first of them in the configuration. A host without a site is a domain of
// its own.
func (c *Config) Domain(host string) string {
	start, ok := c.Site(host)
	if !ok {
		return host
	}
	in := map[*Site]bool{start: true}
	for todo := []*Site{start}; len(todo) > 0; {
		s := todo[0]
		todo = todo[1:]
		for _, o := range c.Sites {
			if !in[o] && (o.domain() == s.domain() || sameStorage(s, o)) {
				in[o] = true
				todo = append(todo, o)
			}
		}
	}
	for _, s := range c.Sites {
		if in[s] {
			return s.domain()
		}
	}
	return start.domain()
}

func (s *Site) domain() string {
	if s.Domain != "" {
		return s.Domain
	}
	return s.Name
}

// SameStorage reports whether two sites have to be taken for one storage: they
// say so, or directories of theirs are equal or nested. Such sites at different
// addresses are two storages only if each names a domain and the domains differ.
func (c *Config) SameStorage(a, b string) bool {
	x, ok := c.Site(a)
	y, yok := c.Site(b)
	return a == b || ok && yok && sameStorage(x, y)
}

func sameStorage(a, b *Site) bool {
	switch {
	case a.Name != "" && b.SameStorageAs == a.Name, b.Name != "" && a.SameStorageAs == b.Name:
		return true
	case a.tape() || b.tape() || !overlap(a, b): // a directory of a tape server is no disk
		return false
	case a.Domain == "" || b.Domain == "" || a.Domain == b.Domain:
		return true
	}
	// They say that they are apart: believed of two machines only.
	return a.Host() == b.Host()
}

// overlap reports whether a directory of one site is that of another, or inside it.
func overlap(a, b *Site) bool {
	for _, x := range a.dirs() {
		for _, y := range b.dirs() {
			x, y := path.Clean(x), path.Clean(y)
			if x == y || below(x, y) || below(y, x) {
				return true
			}
		}
	}
	return false
}
