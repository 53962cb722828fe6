package rucio

import (
	"context"
	"encoding/json"
	"iter"
	"net/url"
	"time"
)

// An RSE is a storage element, with the settings that its users need.
type RSE struct {
	ID, Name       string
	Type           string // "DISK" or "TAPE"
	Deterministic  bool   // addresses follow from the DID
	Volatile       bool
	StagingArea    bool
	Readable       bool
	Writable       bool
	Deletable      bool
	LFN2PFN        string // how addresses follow: "hash", "identity", "xenon", or what the site has
	VerifyChecksum bool
	SignURL        string // service that signs addresses: "gcs", "s3" or "swift"; "" none
	Protocols      []Protocol
}

// A Protocol is a way to the files of an RSE.
type Protocol struct {
	Scheme   string
	Host     string
	Port     int
	Prefix   string
	Impl     string         // the Python client's class for it, as "rucio.rse.protocols.webdav.Default"
	Extended map[string]any // settings of the class; nil if there are none that are an object
	LAN, WAN Priorities
}

// Priorities tell how good a protocol is for an operation, less is better. See
// [RSE.Best] for what nil and 0 mean.
type Priorities struct {
	Read, Write, Delete                     *int
	ThirdPartyCopyRead, ThirdPartyCopyWrite *int
}

type protocolWire struct {
	Scheme   string          `json:"scheme"`
	Host     string          `json:"hostname"`
	Port     int             `json:"port"`
	Prefix   string          `json:"prefix"`
	Impl     string          `json:"impl"`
	Extended json.RawMessage `json:"extended_attributes"`
	Domains  struct {
		LAN, WAN struct {
			Read     *int `json:"read"`
			Write    *int `json:"write"`
			Delete   *int `json:"delete"`
			TPCRead  *int `json:"third_party_copy_read"`
			TPCWrite *int `json:"third_party_copy_write"`
		}
	} `json:"domains"`
}

func (w protocolWire) protocol() Protocol {
	p := Protocol{Scheme: w.Scheme, Host: w.Host, Port: w.Port, Prefix: w.Prefix, Impl: w.Impl}
	if json.Unmarshal(w.Extended, &p.Extended) != nil {
		p.Extended = nil
		var text string // an object within a string, from some servers
		if json.Unmarshal(w.Extended, &text) != nil || json.Unmarshal([]byte(text), &p.Extended) != nil {
			p.Extended = nil
		}
	}
	l, d := w.Domains.LAN, w.Domains.WAN
	p.LAN = Priorities{l.Read, l.Write, l.Delete, l.TPCRead, l.TPCWrite}
	p.WAN = Priorities{d.Read, d.Write, d.Delete, d.TPCRead, d.TPCWrite}
	return p
}

// RSEs lists the names of the RSEs that an expression selects; "" selects all. The
// kind is ErrInvalid if the expression is wrong, selects nothing or names an unknown RSE.
func (c *Client) RSEs(ctx context.Context, expression string) ([]string, error) {
	type wire struct {
		RSE string `json:"rse"`
	}
	r := request{op: "list RSEs", path: "/rses/"}
	if expression != "" {
		r.thing, r.query = expression, url.Values{"expression": {expression}}
	}
	return insist(ctx, c, func() iter.Seq2[string, error] {
		return stream(ctx, c, r, func(w wire) string { return w.RSE })
	})
}

// RSE gives the settings of an RSE. The kind is ErrNotExist if there is none.
func (c *Client) RSE(ctx context.Context, name string) (RSE, error) {
	var w struct {
		ID             string         `json:"id"`
		RSE            string         `json:"rse"`
		Type           string         `json:"rse_type"`
		Deterministic  bool           `json:"deterministic"`
		Volatile       bool           `json:"volatile"`
		StagingArea    bool           `json:"staging_area"`
		Readable       bool           `json:"availability_read"`
		Writable       bool           `json:"availability_write"`
		Deletable      bool           `json:"availability_delete"`
		LFN2PFN        string         `json:"lfn2pfn_algorithm"`
		VerifyChecksum *bool          `json:"verify_checksum"`
		SignURL        any            `json:"sign_url"`
		Protocols      []protocolWire `json:"protocols"`
	}
	if err := c.read(ctx, request{op: "look up RSE", thing: name, path: "/rses/" + url.PathEscape(name)}, &w); err != nil {
		return RSE{}, err
	}
	r := RSE{ID: w.ID, Name: w.RSE, Type: w.Type, Deterministic: w.Deterministic, Volatile: w.Volatile, StagingArea: w.StagingArea,
		Readable: w.Readable, Writable: w.Writable, Deletable: w.Deletable, LFN2PFN: w.LFN2PFN,
		VerifyChecksum: w.VerifyChecksum == nil || *w.VerifyChecksum}
	r.SignURL, _ = w.SignURL.(string)
	if r.Name == "" {
		r.Name = name
	}
	for _, p := range w.Protocols {
		r.Protocols = append(r.Protocols, p.protocol())
	}
	return r, nil
}

// RSEAttributes gives the attributes of an RSE, as "site" or "istape".
func (c *Client) RSEAttributes(ctx context.Context, name string) (map[string]any, error) {
	var all map[string]any
	err := c.read(ctx, request{op: "get attributes of RSE", thing: name, path: "/rses/" + url.PathEscape(name) + "/attr/"}, &all)
	return all, err
}

// An RSEUsage is how full an RSE is, as one source has it.
type RSEUsage struct {
	RSE, RSEID        string
	Source            string // "rucio": what the catalogue has there; "storage" and others: what the storage says
	Used, Free, Total int64  // bytes; -1 if not known
	Files             int64  // -1 if not known
	UpdatedAt         time.Time
	Accounts          []AccountShare // where asked for
}

// An AccountShare is the part of an account in the use of an RSE.
type AccountShare struct {
	Account string
	Used    int64
	Percent float64
}

// RSEUsage lists how full an RSE is, as each source has it; perAccount tells whose the
// data is too.
func (c *Client) RSEUsage(ctx context.Context, name string, perAccount bool) iter.Seq2[RSEUsage, error] {
	type wire struct {
		RSE       string  `json:"rse"`
		RSEID     string  `json:"rse_id"`
		Source    string  `json:"source"`
		Used      *number `json:"used"`
		Free      *number `json:"free"`
		Total     *number `json:"total"`
		Files     *number `json:"files"`
		UpdatedAt stamp   `json:"updated_at"`
		Accounts  []struct {
			Account string  `json:"account"`
			Used    number  `json:"used"`
			Percent float64 `json:"percentage"`
		} `json:"account_usages"`
	}
	r := request{op: "list usage of RSE", thing: name, path: "/rses/" + url.PathEscape(name) + "/usage"}
	if perAccount {
		r.query = url.Values{"per_account": {"True"}} // before 39 it had to be this word
	}
	return stream(ctx, c, r, func(w wire) RSEUsage {
		u := RSEUsage{w.RSE, w.RSEID, w.Source, orUnknown(w.Used), orUnknown(w.Free), orUnknown(w.Total), orUnknown(w.Files), w.UpdatedAt.Time, nil}
		for _, a := range w.Accounts {
			u.Accounts = append(u.Accounts, AccountShare{a.Account, int64(a.Used), a.Percent})
		}
		return u
	})
}
