package rucio

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// bulk is how many entries the server takes in one request.
const bulk = 1000

// A NewDID is a collection to be made. Files come to be by [Client.AddReplicas].
type NewDID struct {
	DID
	Type      DIDType        // Dataset or Container
	Monotonic bool           // nothing may be detached later
	Metadata  map[string]any // set at once
	Lifetime  time.Duration  // after which the DID expires; 0: never
	Rules     []NewRule      // made at once for it; their DIDs are not looked at
	Children  []DID          // attached at once
	RSE       string         // Children are registered there, as they are; "": they exist
}

type newDIDWire struct {
	Scope    string          `json:"scope,omitempty"`
	Name     string          `json:"name,omitempty"`
	Type     DIDType         `json:"type"`
	Statuses map[string]bool `json:"statuses,omitempty"`
	Meta     map[string]any  `json:"meta,omitempty"`
	Rules    []ruleBody      `json:"rules,omitempty"`
	Lifetime int64           `json:"lifetime,omitempty"`
	DIDs     []DID           `json:"dids,omitempty"`
	RSE      string          `json:"rse,omitempty"`
}

func (c *Client) newDID(n NewDID) (newDIDWire, error) {
	if n.Type != Dataset && n.Type != Container {
		return newDIDWire{}, &Error{Op: "add", Thing: n.DID.String(), Kind: ErrInvalid, Hint: "its type must be Dataset or Container"}
	}
	w := newDIDWire{Type: n.Type, Meta: n.Metadata, Lifetime: seconds(n.Lifetime), DIDs: n.Children, RSE: n.RSE}
	if n.Monotonic {
		w.Statuses = map[string]bool{"monotonic": true}
	}
	for _, r := range n.Rules {
		w.Rules = append(w.Rules, c.ruleBody(r))
	}
	return w, nil
}

// AddDID makes a dataset or container. The kind is ErrExist if the DID is there
// already, ErrNotExist if the scope is not.
func (c *Client) AddDID(ctx context.Context, n NewDID) error {
	w, err := c.newDID(n)
	if err != nil {
		return err
	}
	return c.do(ctx, request{op: "add", method: http.MethodPost, path: "/dids/{did}", did: n.DID, body: w})
}

// AddDIDs makes many at once, up to a thousand in one transaction: of these all are
// made or none.
func (c *Client) AddDIDs(ctx context.Context, all []NewDID) error {
	for part := range slices.Chunk(all, bulk) {
		body := make([]newDIDWire, len(part))
		for i, n := range part {
			if err := c.checkDID(ctx, "add", n.DID); err != nil {
				return err
			}
			w, err := c.newDID(n)
			if err != nil {
				return err
			}
			w.Scope, w.Name = n.Scope, n.Name
			body[i] = w
		}
		if err := c.do(ctx, request{op: "add", thing: several(len(part), part[0].DID), method: http.MethodPost, path: "/dids", body: body}); err != nil {
			return err
		}
	}
	return nil
}

// Attach makes files members of a dataset, or collections members of a container.
// What is a member already stays one.
func (c *Client) Attach(ctx context.Context, parent DID, children []DID) error {
	for part := range slices.Chunk(children, bulk) {
		err := c.attach(ctx, parent, part)
		// Older servers ignore duplicates among files, not among collections.
		for tries := 0; tries < 3 && (isClass(err, "DuplicateContent") || isClass(err, "FileAlreadyExists")); tries++ {
			there := map[DID]bool{}
			for m, err := range c.Contents(ctx, parent) {
				if err != nil {
					return err
				}
				there[m.DID] = true
			}
			part = slices.DeleteFunc(slices.Clone(part), func(d DID) bool { return there[d] })
			err = c.attach(ctx, parent, part)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) attach(ctx context.Context, parent DID, children []DID) error {
	if len(children) == 0 {
		return nil
	}
	body := map[string]any{"ignore_duplicate": true, "attachments": []any{
		map[string]any{"scope": parent.Scope, "name": parent.Name, "dids": children}}}
	return c.do(ctx, request{op: "attach to", thing: parent.String(), method: http.MethodPost, path: "/dids/attachments", body: body, repeat: true})
}

// Detach ends memberships. The members stay in the catalogue.
func (c *Client) Detach(ctx context.Context, parent DID, children []DID) error {
	for part := range slices.Chunk(children, bulk) {
		body := map[string]any{"dids": part}
		if err := c.do(ctx, request{op: "detach from", method: http.MethodDelete, path: "/dids/{did}/dids", did: parent, body: body}); err != nil {
			return err
		}
	}
	return nil
}

// several names a group of things for errors.
func several(n int, first DID) string {
	if n == 1 {
		return first.String()
	}
	return first.String() + " and others"
}

// seconds is a duration for the server, rounded up.
func seconds(d time.Duration) int64 {
	if d > 0 {
		d += time.Second - 1
	}
	return int64(d / time.Second)
}
