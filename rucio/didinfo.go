package rucio

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// DIDInfo is what the catalogue says of a DID.
type DIDInfo struct {
	DID
	Type    DIDType
	Account string
	// Bytes and Length are the size and the number of files; -1 if not known. Of a
	// collection they are known only after it was closed, or from
	// [Client.MeasureDID]; Length of a file is 1.
	Bytes, Length int64
	Adler32, MD5  string // of files; "" if not known
	Open          bool   // collections: more may be attached
	Monotonic     bool   // collections: nothing may be detached
	ExpiredAt     time.Time
}

type didWire struct {
	DID
	Type      DIDType `json:"type"`
	DIDType   DIDType `json:"did_type"` // in searches
	Account   string  `json:"account"`
	Bytes     *number `json:"bytes"`
	Length    *number `json:"length"`
	Adler32   string  `json:"adler32"`
	MD5       string  `json:"md5"`
	Open      bool    `json:"open"`
	Monotonic bool    `json:"monotonic"`
	ExpiredAt stamp   `json:"expired_at"`
}

func (w didWire) info() DIDInfo {
	if w.Type == "" {
		w.Type = w.DIDType
	}
	return DIDInfo{DID: w.DID, Type: w.Type, Account: w.Account, Bytes: orUnknown(w.Bytes), Length: orUnknown(w.Length),
		Adler32: w.Adler32, MD5: w.MD5, Open: w.Open, Monotonic: w.Monotonic, ExpiredAt: w.ExpiredAt.Time}
}

// DID gives what the catalogue says of a DID. The kind is ErrNotExist if it is not there.
func (c *Client) DID(ctx context.Context, did DID) (DIDInfo, error) {
	var w didWire
	err := c.read(ctx, request{op: "look up", path: "/dids/{did}", did: did}, &w)
	return w.info(), err
}

// MeasureDID is DID with the size of a collection added up from its files by the server.
func (c *Client) MeasureDID(ctx context.Context, did DID) (DIDInfo, error) {
	var w didWire
	err := c.read(ctx, request{op: "measure", path: "/dids/{did}", did: did, query: url.Values{"dynamic_depth": {"FILE"}}}, &w)
	return w.info(), err
}

// A DIDEntry is a direct member of a collection.
type DIDEntry struct {
	DID
	Type         DIDType
	Bytes        int64 // of files; -1 if not known
	Adler32, MD5 string
}

// Contents lists the direct members of a collection.
func (c *Client) Contents(ctx context.Context, did DID) iter.Seq2[DIDEntry, error] {
	return stream(ctx, c, request{op: "list contents of", path: "/dids/{did}/dids", did: did}, didWire.entry)
}

// Parents lists the collections that a DID is a direct member of. Only DID and Type are set.
func (c *Client) Parents(ctx context.Context, did DID) iter.Seq2[DIDEntry, error] {
	return stream(ctx, c, request{op: "list parents of", path: "/dids/{did}/parents", did: did}, didWire.entry)
}

func (w didWire) entry() DIDEntry {
	return DIDEntry{w.DID, w.Type, orUnknown(w.Bytes), w.Adler32, w.MD5}
}

// A FileEntry is a file somewhere below a collection.
type FileEntry struct {
	DID
	Bytes   int64 // -1 if not known
	Adler32 string
	GUID    string // 32 hexadecimal digits in capitals; "" if it has none
	Events  int64  // -1 if not known
}

// Files lists the files of a collection and of all collections in it; a file lists itself.
func (c *Client) Files(ctx context.Context, did DID) iter.Seq2[FileEntry, error] {
	type wire struct {
		DID
		Bytes   *number `json:"bytes"`
		Adler32 string  `json:"adler32"`
		GUID    string  `json:"guid"`
		Events  *number `json:"events"`
	}
	return stream(ctx, c, request{op: "list files of", path: "/dids/{did}/files", did: did}, func(w wire) FileEntry {
		return FileEntry{w.DID, orUnknown(w.Bytes), w.Adler32, w.GUID, orUnknown(w.Events)}
	})
}

// A Search selects DIDs of a scope. Its zero value selects all.
type Search struct {
	Type      DIDType           // "": all
	Name      string            // pattern with * and ?; "": any
	Metadata  map[string]string // columns of the catalogue with the value each must have, or a pattern
	Recursive bool              // also what is in the collections found
	Limit     int               // 0: none
}

// SearchDIDs lists the DIDs of a scope that a search selects. Of each the DID, type,
// bytes and length are set.
func (c *Client) SearchDIDs(ctx context.Context, scope string, s Search) iter.Seq2[DIDInfo, error] {
	q := url.Values{"long": {"True"}, "type": {"all"}} // before 38 there was no default type
	for k, v := range s.Metadata {
		q.Set(k, v)
	}
	switch s.Type {
	case File:
		q.Set("type", "file")
	case Dataset:
		q.Set("type", "dataset")
	case Container:
		q.Set("type", "container")
	}
	if s.Name != "" {
		q.Set("name", s.Name)
	}
	if s.Recursive {
		q.Set("recursive", "True")
	}
	if s.Limit > 0 {
		q.Set("limit", strconv.Itoa(s.Limit))
	}
	r := request{op: "search", thing: scope, path: "/dids/" + escape(scope) + "/dids/search", query: q}
	return stream(ctx, c, r, didWire.info)
}

// CloseDataset makes a collection take no more members. One that is closed already is no
// error.
func (c *Client) CloseDataset(ctx context.Context, did DID) error {
	err := c.do(ctx, request{op: "close", method: http.MethodPut, path: "/dids/{did}/status", did: did,
		body: map[string]bool{"open": false}, repeat: true})
	if isClass(err, "UnsupportedOperation") || isClass(err, "UnsupportedStatus") {
		if info, err := c.DID(ctx, did); err == nil && info.Type != File && !info.Open {
			return nil
		}
	}
	return err
}
