package tsm

import (
	"fmt"
	"strconv"
	"strings"
)

// A Version of client or server.
type Version struct {
	Version  int `json:"version"`
	Release  int `json:"release"`
	Level    int `json:"level"`
	Sublevel int `json:"sublevel"`
}

// String is like "8.1.27.0".
func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d.%d", v.Version, v.Release, v.Level, v.Sublevel)
}

// A Session is what the head of the output says. Its lines do not have a fixed
// order, and the product changed its name twice.
type Session struct {
	Product    string  `json:"product,omitempty"`
	Client     Version `json:"client,omitzero"`
	ClientTime Stamp   `json:"client_time,omitzero"`
	Node       string  `json:"node,omitempty"`

	// Server is "" if no session was established: the client prints all before this
	// without one.
	Server     string  `json:"server,omitempty"`
	Platform   string  `json:"platform,omitempty"` // of the server
	ServerIs   Version `json:"server_is,omitzero"`
	ServerTime Stamp   `json:"server_time,omitzero"`
	LastAccess Stamp   `json:"last_access,omitzero"`

	// AsNode is the proxy node, "" without one.
	AsNode string `json:"as_node,omitempty"`
}

// A Field is one line of query session.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// session takes a line of the head.
func (g *grammar) session(s string, to *Session) bool {
	version := func(m []string) Version {
		var v [4]int
		for i := range v {
			v[i], _ = strconv.Atoi(m[i+1])
		}
		return Version{v[0], v[1], v[2], v[3]}
	}
	if g.product.MatchString(s) {
		to.Product = strings.TrimSpace(s)
		return true
	}
	if m := g.client.FindStringSubmatch(s); m != nil {
		to.Client = version(m)
		return true
	}
	if m := g.version51.FindStringSubmatch(s); m != nil {
		to.Client = version(m)
		return true
	}
	if m := g.server.FindStringSubmatch(s); m != nil {
		to.ServerIs = version(m)
		return true
	}
	if m := g.clientTime.FindStringSubmatch(s); m != nil {
		to.ClientTime = g.stamp(m[1])
		return true
	}
	if m := g.serverTime.FindStringSubmatch(s); m != nil {
		to.ServerTime, to.LastAccess = g.stamp(m[1]), g.stamp(m[2])
		return true
	}
	if m := g.node.FindStringSubmatch(s); m != nil {
		to.Node = m[1]
		return true
	}
	if m := g.asNode.FindStringSubmatch(s); m != nil {
		to.AsNode = m[1]
		return true
	}
	if m := g.established.FindStringSubmatch(s); m != nil {
		to.Server, to.Platform = m[1], m[2]
		return true
	}
	return false
}
