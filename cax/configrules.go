package cax

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// overSSH reports whether the method reaches a site by SSH.
func (m Method) overSSH() bool {
	return m == MethodSFTP || m == MethodSCP || m == MethodRsync
}

// checkSites finds what is wrong between the keys of sites.
func (d *decoder) checkSites(cfg *Config, sites []siteNode) {
	var names []string
	first := map[string]siteNode{}
	for _, s := range sites {
		if s.site.Name == "" {
			continue
		}
		if was, ok := first[s.site.Name]; ok {
			line, _ := was.src.position(was.off)
			d.src = s.src
			d.fail(s.vals["name"].off, s.at+".name", fmt.Sprintf("there is a site %q already, on line %d", s.site.Name, line), "give each site a name of its own")
			continue
		}
		first[s.site.Name] = s
		names = append(names, s.site.Name)
	}
	targets := map[string]bool{}
	for _, s := range sites {
		d.src = s.src
		d.checkAddress(s)
		d.checkDirs(s)
		d.checkStorage(s, names)
		d.checkGrid(s)
		for _, key := range []string{"upload_options", "download_options"} {
			d.checkRemotes(s, key, names, first)
		}
		for _, name := range s.site.UploadOptions {
			targets[name] = true
		}
	}
	for _, s := range sites {
		if s.site.Daemon == "none" && !s.site.verifiedByPusher() && s.site.Method.native() && targets[s.site.Name] {
			d.src = s.src
			d.note(s.vals["daemon"].off, s.at+".daemon", fmt.Sprintf("nobody verifies what is pushed to %q: it has no daemon", s.site.Name), `set "verify": "remote", so that whoever pushes does it`)
		}
	}
}

// checkAddress takes hostname and port of a site that is reached by SSH apart.
func (d *decoder) checkAddress(s siteNode) {
	n := s.vals["hostname"]
	if n == nil || s.site.Hostname == "" || !s.site.Method.overSSH() {
		return
	}
	at := s.at + ".hostname"
	_, port, ok := splitAddress(s.site.Hostname)
	if !ok {
		remedy := `write for example "login.lab.example" or "login.lab.example:2222"`
		if strings.Contains(s.site.Hostname, "@") {
			remedy += ", and the account in username"
		}
		d.fail(n.off, at, fmt.Sprintf("%s is no address of a server", n), remedy)
		return
	}
	if port == "" {
		return
	}
	p, err := strconv.Atoi(port)
	switch {
	case err != nil || p < 1 || p > 65535:
		d.fail(n.off, at, fmt.Sprintf("port %q is not a number from 1 to 65535", port), `write for example "login.lab.example:2222"`)
	case s.site.Port != 0 && s.site.Port != p:
		d.fail(n.off, at, fmt.Sprintf("hostname says port %d and port says %d", p, s.site.Port), "remove one")
	default:
		s.site.Port = p
	}
}

// checkDirs finds directories of one site that are equal or nested: their
// datasets could not be told apart.
func (d *decoder) checkDirs(s siteNode) {
	var keys []string
	for _, k := range []string{"dir_raw", "dir_processed", "dir_minitrees", "dir_tsm"} {
		if n := s.vals[k]; n != nil && n.kind == isString && path.IsAbs(n.text) {
			keys = append(keys, k)
		}
	}
	for i, k := range keys {
		for _, other := range keys[:i] {
			a, b := path.Clean(s.vals[other].text), path.Clean(s.vals[k].text)
			word := ""
			switch {
			case a == b:
				word = "is the same directory as"
			case below(b, a):
				word = "lies inside"
			case below(a, b):
				word = "holds"
			default:
				continue
			}
			d.fail(s.vals[k].off, s.at+"."+k, fmt.Sprintf("%s %s that of %s, %s", b, word, other, a), "give each sort of data a directory of its own, side by side")
		}
	}
}

// checkStorage looks at same_storage_as.
func (d *decoder) checkStorage(s siteNode, names []string) {
	other, at := s.site.SameStorageAs, s.at+".same_storage_as"
	switch {
	case other == "":
	case other == s.site.Name:
		d.fail(s.vals["same_storage_as"].off, at, "a site always is the same storage as itself", "name another site, or remove the key")
	case !slices.Contains(names, other):
		d.fail(s.vals["same_storage_as"].off, at, fmt.Sprintf("there is no site %q", other), suggest(other, names))
	}
}

// checkRemotes looks at the sites that a site pushes to or pulls from.
func (d *decoder) checkRemotes(s siteNode, key string, names []string, sites map[string]siteNode) {
	n := s.vals[key]
	if n == nil || n.kind != isArray {
		return
	}
	for i, item := range n.items {
		if item.kind != isString || item.text == "" {
			continue
		}
		at := index(s.at+"."+key, i)
		name := item.text
		if name == s.site.Name {
			d.fail(item.off, at, fmt.Sprintf("site %q names itself", name), "remove it")
			continue
		}
		to, ok := sites[name]
		if !ok {
			d.fail(item.off, at, fmt.Sprintf("there is no site %q", name), suggest(name, names))
			continue
		}
		// What stands there and is wrong has been noted there.
		absent := func(key string) bool { n := to.vals[key]; return n == nil || n.kind == isNull || n.text == "" }
		switch m := to.site.Method; {
		case m == "" && absent("method"):
			d.fail(item.off, at, fmt.Sprintf("site %q has no method, so nothing says how to reach it", name), fmt.Sprintf(`give %q a "method", for example "scp"`, name))
		case absent("hostname") && (m.overSSH() || m == MethodGfal || m == MethodLcg):
			d.fail(item.off, at, fmt.Sprintf("site %q has no hostname, which method %q needs", name, m), fmt.Sprintf(`give %q a "hostname"`, name))
		}
	}
}

// checkMasters fills in the original's masters, where none are named and the
// configuration has such sites, and looks for unknown ones.
func (d *decoder) checkMasters(cfg *Config, n *node) {
	if n == nil {
		for _, m := range []Master{{"raw", "xe1t-datamanager"}, {"raw", "tsm-server"}, {"processed", "login"}, {"processed", "midway-login1"}} {
			if _, ok := cfg.Site(m.Host); ok {
				cfg.Masters = append(cfg.Masters, m)
			}
		}
		return
	}
	var names []string
	for _, s := range cfg.Sites {
		names = append(names, s.Name)
	}
	for i, item := range n.items {
		for _, m := range item.members {
			if m.key != "host" || m.value.kind != isString || m.value.text == "" || slices.Contains(names, m.value.text) {
				continue
			}
			d.fail(m.value.off, index("master_checksums", i)+".host", fmt.Sprintf("there is no site %q", m.value.text), suggest(m.value.text, names))
		}
	}
}

// checkPolicy finds times that cannot work together.
func (d *decoder) checkPolicy(cfg *Config, n *node) {
	if n == nil || n.kind != isObject {
		return
	}
	p := cfg.Policy.WithDefaults()
	where := map[string]int{}
	for _, m := range n.members {
		where[m.key] = m.off
	}
	for _, o := range []struct {
		small, large string
		s, l         time.Duration
		equal        bool
		why          string
	}{
		{"heartbeat", "lease_lost", p.Heartbeat, p.LeaseLost, false, "a holder would give up between two heartbeats"},
		{"lease_lost", "lease_expired", p.LeaseLost, p.LeaseExpired, false, "two sites could work on one copy at once"},
		{"lease_lost", "once_expired", p.LeaseLost, p.OnceExpired, false, "two sites could work on one copy at once"},
		{"stalled_alert", "stalled_after", p.StalledAlert, p.StalledAfter, true, "people would be told too late"},
		{"backoff_min", "backoff_max", p.BackoffMin, p.BackoffMax, true, "the first wait would be longer than the longest"},
	} {
		if o.s < o.l || o.equal && o.s == o.l {
			continue
		}
		off, key := where[o.small], o.small
		if at, ok := where[o.large]; ok && (at > off || key == "") {
			off, key = at, o.large
		}
		if off == 0 {
			continue // neither is named: another problem was noted
		}
		d.fail(off, "policy."+key, fmt.Sprintf("%s (%v) is not shorter than %s (%v): %s", o.small, o.s, o.large, o.l, o.why), fmt.Sprintf("make %s shorter or %s longer", o.small, o.large))
	}
}
