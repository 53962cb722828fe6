package rucio

import (
	"context"
	"iter"
	"time"
)

// A LockState is what a rule knows of one replica.
type LockState string

// The states of locks.
const (
	LockOK          LockState = "OK"
	LockReplicating LockState = "REPLICATING"
	LockStuck       LockState = "STUCK"
)

// A Lock is how a rule keeps one replica.
type Lock struct {
	DID
	RSE, RSEID string
	RuleID     string
	State      LockState
}

// Locks lists the locks of a rule, one for each file and RSE. [Client.RuleErrors]
// tells why some are stuck.
func (c *Client) Locks(ctx context.Context, ruleID string) iter.Seq2[Lock, error] {
	type wire struct {
		DID
		RSE    string    `json:"rse"`
		RSEID  string    `json:"rse_id"`
		RuleID string    `json:"rule_id"`
		State  LockState `json:"state"`
	}
	path, err := rulePath("list locks of rule", ruleID)
	if err != nil {
		return func(yield func(Lock, error) bool) { yield(Lock{}, err) }
	}
	r := request{op: "list locks of rule", thing: ruleID, path: path + "/locks"}
	return stream(ctx, c, r, func(w wire) Lock { return Lock(w) })
}

// RuleErrors is why a rule is not fulfilled.
type RuleErrors struct {
	Text      string // of the rule as a whole, in the server's words
	Transfers []TransferError
}

// A TransferError is the last failure to bring a file to an RSE.
type TransferError struct {
	DID
	RSE        string
	Attempts   int
	State      string    // of the last request, as "FAILED" or "NO_SOURCES"; "" if there was none
	LastSource string    // RSE; "" if none
	LastTime   time.Time // zero if none
	Sources    []string  // RSEs with a replica that can be read now
}

// RuleErrors asks why a rule is stuck.
func (c *Client) RuleErrors(ctx context.Context, ruleID string) (RuleErrors, error) {
	path, err := rulePath("analyse rule", ruleID)
	if err != nil {
		return RuleErrors{}, err
	}
	var w struct {
		Text      string `json:"rule_error"`
		Transfers []struct {
			DID
			RSE        string   `json:"rse"`
			Attempts   int      `json:"attempts"`
			LastError  any      `json:"last_error"`
			LastSource string   `json:"last_source"`
			LastTime   stamp    `json:"last_time"`
			Sources    [][2]any `json:"sources"`
		} `json:"transfers"`
	}
	if err := c.read(ctx, request{op: "analyse rule", thing: ruleID, path: path + "/analysis"}, &w); err != nil {
		return RuleErrors{}, err
	}
	out := RuleErrors{Text: w.Text}
	for _, t := range w.Transfers {
		e := TransferError{DID: t.DID, RSE: t.RSE, Attempts: t.Attempts, LastSource: t.LastSource, LastTime: t.LastTime.Time}
		e.State, _ = t.LastError.(string)
		for _, s := range t.Sources {
			if name, ok := s[0].(string); ok && s[1] == true {
				e.Sources = append(e.Sources, name)
			}
		}
		out.Transfers = append(out.Transfers, e)
	}
	return out, nil
}
