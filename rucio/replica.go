package rucio

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// A ReplicaState is what the catalogue says of a replica.
type ReplicaState string

// The states of replicas. Temporarily unavailable ones exist since server 38.
const (
	Available              ReplicaState = "AVAILABLE"
	Unavailable            ReplicaState = "UNAVAILABLE"
	Copying                ReplicaState = "COPYING"
	BeingDeleted           ReplicaState = "BEING_DELETED"
	Bad                    ReplicaState = "BAD"
	TemporarilyUnavailable ReplicaState = "TEMPORARY_UNAVAILABLE"
)

// letter is how a state is written in requests.
func (s ReplicaState) letter() string {
	switch s {
	case Available, Unavailable, Copying, Bad, TemporarilyUnavailable:
		return string(s[:1])
	case BeingDeleted:
		return "D"
	}
	return string(s)
}

// A NewReplica is a file to be registered at an RSE.
type NewReplica struct {
	DID
	Bytes   int64
	Adler32 string       // written with eight digits; "" if not known
	MD5     string       // "" if not known
	State   ReplicaState // "": Available
	PFN     string       // needed where the RSE is not deterministic; "": by the RSE's rule
	GUID    string       // "": none
}

// AddReplicas registers files at an RSE, and makes their DIDs if they do not exist.
//
// The server compares nothing: of a DID that exists it keeps size, checksums and
// metadata, and of a replica that exists the state too, and says nothing. The caller
// looks first ([Client.DID], [Client.Replicas]).
func (c *Client) AddReplicas(ctx context.Context, rse string, replicas []NewReplica) error {
	type file struct {
		DID
		Bytes   int64             `json:"bytes"`
		Adler32 string            `json:"adler32,omitempty"`
		MD5     string            `json:"md5,omitempty"`
		State   string            `json:"state"`
		PFN     string            `json:"pfn,omitempty"`
		Meta    map[string]string `json:"meta,omitempty"`
	}
	for part := range slices.Chunk(replicas, bulk) {
		files := make([]file, len(part))
		for i, r := range part {
			if err := c.checkDID(ctx, "add replica", r.DID); err != nil {
				return err
			}
			if r.Bytes < 0 || len(r.Adler32) > 8 {
				return &Error{Op: "add replica", Thing: r.DID.String(), Kind: ErrInvalid, Hint: "its size must be known, and its adler32 has eight digits"}
			}
			state := r.State
			if state == "" {
				state = Available
			}
			f := file{DID: r.DID, Bytes: r.Bytes, Adler32: padAdler(r.Adler32), MD5: strings.ToLower(r.MD5), State: state.letter(), PFN: r.PFN}
			if r.GUID != "" {
				f.Meta = map[string]string{"guid": r.GUID}
			}
			files[i] = f
		}
		body := map[string]any{"rse": rse, "files": files, "ignore_availability": true}
		if err := c.do(ctx, request{op: "add replica", thing: several(len(part), part[0].DID) + " at " + rse, method: http.MethodPost, path: "/replicas", body: body, repeat: true}); err != nil {
			return err
		}
	}
	return nil
}

// padAdler writes an adler32 with the eight digits that the server demands.
func padAdler(s string) string {
	if s == "" {
		return ""
	}
	return strings.Repeat("0", max(0, 8-len(s))) + strings.ToLower(s)
}

// SameAdler32 reports whether two adler32 are equal, written with or without
// leading zeros. Unknown ones ("") equal nothing.
func SameAdler32(a, b string) bool {
	return a != "" && b != "" && strings.TrimLeft(strings.ToLower(a), "0") == strings.TrimLeft(strings.ToLower(b), "0")
}

// SetReplicaState sets the state of replicas at an RSE; Available makes their
// locks and rules OK too. The kind is ErrNotExist if one is not registered there.
// Servers let only administrators do it unless their policy says otherwise.
func (c *Client) SetReplicaState(ctx context.Context, rse string, state ReplicaState, dids []DID) error {
	type file struct {
		DID
		State string `json:"state"`
	}
	for part := range slices.Chunk(dids, bulk) {
		files := make([]file, len(part))
		for i, d := range part {
			files[i] = file{d, state.letter()}
		}
		body := map[string]any{"rse": rse, "files": files}
		if err := c.do(ctx, request{op: "set replica state", thing: several(len(part), part[0]) + " at " + rse, method: http.MethodPut, path: "/replicas", body: body, repeat: true}); err != nil {
			return err
		}
	}
	return nil
}

// ReleaseReplicas lets the server's cleaner remove replicas, bytes and all, when it
// comes to it, as those that no rule keeps. The kind is ErrUnavailable if a rule keeps
// one. (A replica cannot be taken out of the catalogue at once: servers allow that to
// nobody.)
func (c *Client) ReleaseReplicas(ctx context.Context, rse string, dids []DID) error {
	type file struct {
		DID
		RSE string `json:"rse"`
	}
	for part := range slices.Chunk(dids, bulk) {
		files := make([]file, len(part))
		for i, d := range part {
			files[i] = file{d, rse}
		}
		body := map[string]any{"replicas": files}
		if err := c.do(ctx, request{op: "release replica", thing: several(len(part), part[0]) + " at " + rse, method: http.MethodPost, path: "/replicas/tombstone", body: body, repeat: true}); err != nil {
			return err
		}
	}
	return nil
}

// DeclareBad says that replicas at an RSE are damaged or lost, so that the server
// replaces them from others. What it would not declare, as a replica that it
// does not know or that is declared already, is given back with its reasons.
func (c *Client) DeclareBad(ctx context.Context, rse string, dids []DID, reason string) (refused []string, err error) {
	type file struct {
		DID
		RSE string `json:"rse"`
	}
	for part := range slices.Chunk(dids, bulk) {
		files := make([]file, len(part))
		for i, d := range part {
			files[i] = file{d, rse}
		}
		var w map[string][]string
		body := map[string]any{"replicas": files, "reason": reason, "force": false}
		r := request{op: "declare bad", thing: several(len(part), part[0]) + " at " + rse, method: http.MethodPost, path: "/replicas/bad", body: body, repeat: true}
		if err := c.read(ctx, r, &w); err != nil {
			return refused, err
		}
		for _, reasons := range w {
			refused = append(refused, reasons...)
		}
	}
	return refused, nil
}
