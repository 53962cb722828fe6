package rucio

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"slices"
	"time"
)

// A ReplicaQuery selects replicas. Only DIDs are required.
type ReplicaQuery struct {
	DIDs []DID // files and collections

	// Schemes are the protocols whose addresses are wanted. None: of each RSE the
	// best one for reading alone, so say them where a choice is wanted.
	Schemes       []string
	RSEExpression string // "": anywhere
	Sort          string // "geoip", "custom_table" or "random"; "": the server's choice
	Domain        string // "lan", "wan" or "all"; "": lan addresses at our site, wan ones elsewhere
	Location      *Location
	AllStates     bool          // also what is not Available
	OnlyReadable  bool          // not at RSEs that are closed for reading now
	NoArchives    bool          // not as parts of archives
	Parents       bool          // tell the collections above too
	Signature     time.Duration // how long signed addresses are to live; 0: the server's choice
}

// FileReplicas are the replicas of one file.
type FileReplicas struct {
	DID
	Bytes        int64 // -1 if not known
	Adler32, MD5 string
	PFNs         []PFN                   // the nearest first
	States       map[string]ReplicaState // by RSE
	Parents      []DID                   // all collections above it, where asked for
}

// A PFN is the address of a replica.
type PFN struct {
	URL           string
	RSE           string
	RSEID         string
	Type          string // "DISK" or "TAPE"
	Volatile      bool
	Domain        string // "lan", "wan" or "zip"
	Priority      int    // 1 is the nearest
	ClientExtract bool   // the address is that of an archive that has the file in it
}

// Replicas lists the replicas of all files that the DIDs name, one element a file.
// A file without a matching replica has an element without PFNs; a DID that
// does not exist has none, and is no error: [Client.DID] tells.
func (c *Client) Replicas(ctx context.Context, q ReplicaQuery) iter.Seq2[FileReplicas, error] {
	return func(yield func(FileReplicas, error) bool) {
		for part := range slices.Chunk(q.DIDs, bulk) {
			for _, d := range part {
				if err := c.checkDID(ctx, "list replicas of", d); err != nil {
					yield(FileReplicas{}, err)
					return
				}
			}
			r := request{op: "list replicas of", thing: several(len(part), part[0]), method: http.MethodPost, path: "/replicas/list",
				body: c.replicaBody(q, part), repeat: true}
			for f, err := range stream(ctx, c, r, fileReplicasWire.replicas) {
				if !yield(f, err) || err != nil {
					return
				}
			}
		}
	}
}

func (c *Client) replicaBody(q ReplicaQuery, dids []DID) map[string]any {
	loc := c.cfg.Location
	if q.Location != nil {
		loc = *q.Location
	}
	body := map[string]any{
		"dids": dids, "client_location": loc, "domain": nil,
		"ignore_availability": !q.OnlyReadable, "all_states": q.AllStates,
		"resolve_archives": !q.NoArchives, "resolve_parents": q.Parents,
	}
	if len(q.Schemes) > 0 {
		body["schemes"] = q.Schemes
	}
	if q.Signature > 0 {
		body["signature_lifetime"] = seconds(q.Signature)
	}
	for k, v := range map[string]string{"rse_expression": q.RSEExpression, "sort": q.Sort, "domain": q.Domain} {
		if v != "" {
			body[k] = v
		}
	}
	return body
}

type fileReplicasWire struct {
	DID
	Bytes   *number `json:"bytes"`
	Adler32 string  `json:"adler32"`
	MD5     string  `json:"md5"`
	PFNs    map[string]struct {
		RSE           string `json:"rse"`
		RSEID         string `json:"rse_id"`
		Type          string `json:"type"`
		Volatile      bool   `json:"volatile"`
		Domain        string `json:"domain"`
		Priority      int    `json:"priority"`
		ClientExtract bool   `json:"client_extract"`
	} `json:"pfns"`
	States  map[string]ReplicaState `json:"states"`
	Parents []string                `json:"parents"`
}

func (w fileReplicasWire) replicas() FileReplicas {
	f := FileReplicas{DID: w.DID, Bytes: orUnknown(w.Bytes), Adler32: w.Adler32, MD5: w.MD5, States: w.States}
	for url, p := range w.PFNs {
		f.PFNs = append(f.PFNs, PFN{url, p.RSE, p.RSEID, p.Type, p.Volatile, p.Domain, p.Priority, p.ClientExtract})
	}
	slices.SortFunc(f.PFNs, func(a, b PFN) int { return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.URL, b.URL)) })
	for _, p := range w.Parents {
		if d, err := ParseDID(p); err == nil {
			f.Parents = append(f.Parents, d)
		}
	}
	return f
}

// A DatasetReplica is how much of a dataset an RSE has.
type DatasetReplica struct {
	DID
	RSE, RSEID                      string
	Bytes, Length                   int64 // of the dataset; -1 if not known
	AvailableBytes, AvailableLength int64 // of it at the RSE; -1 if not known
	State                           ReplicaState
	CreatedAt, UpdatedAt            time.Time
	AccessedAt                      time.Time
}

// DatasetReplicas lists the RSEs with files of a dataset. With deep the server
// counts the files now; else it tells what a daemon has counted some time ago, if that runs.
func (c *Client) DatasetReplicas(ctx context.Context, did DID, deep bool) iter.Seq2[DatasetReplica, error] {
	type wire struct {
		DID
		RSE             string       `json:"rse"`
		RSEID           string       `json:"rse_id"`
		Bytes           *number      `json:"bytes"`
		Length          *number      `json:"length"`
		AvailableBytes  *number      `json:"available_bytes"`
		AvailableLength *number      `json:"available_length"`
		State           ReplicaState `json:"state"`
		CreatedAt       stamp        `json:"created_at"`
		UpdatedAt       stamp        `json:"updated_at"`
		AccessedAt      stamp        `json:"accessed_at"`
	}
	r := request{op: "list dataset replicas of", path: "/replicas/{did}/datasets", did: did}
	if deep {
		r.query = map[string][]string{"deep": {"True"}} // before 39 any text means yes
	}
	return stream(ctx, c, r, func(w wire) DatasetReplica {
		return DatasetReplica{w.DID, w.RSE, w.RSEID, orUnknown(w.Bytes), orUnknown(w.Length), orUnknown(w.AvailableBytes), orUnknown(w.AvailableLength),
			w.State, w.CreatedAt.Time, w.UpdatedAt.Time, w.AccessedAt.Time}
	})
}
