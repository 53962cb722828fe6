package rucio

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// A RuleState is what the server says of a rule as a whole.
type RuleState string

// The states of rules.
const (
	RuleOK              RuleState = "OK"
	RuleReplicating     RuleState = "REPLICATING"
	RuleStuck           RuleState = "STUCK"
	RuleSuspended       RuleState = "SUSPENDED"
	RuleWaitingApproval RuleState = "WAITING_APPROVAL"
	RuleInject          RuleState = "INJECT" // large ones are made later, by a daemon
)

// letter is how a state is written in requests.
func (s RuleState) letter() string {
	return string(s[:min(1, len(s))])
}

// A Rule asks that a DID be at some RSEs.
type Rule struct {
	ID string
	DID
	DIDType       DIDType
	Account       string
	State         RuleState
	RSEExpression string
	Copies        int
	ExpiresAt     time.Time // zero: never
	Locked        bool
	Grouping      string
	Activity      string
	Comments      string
	Error         string // why it is stuck or suspended; "" if the server does not say
	SourceRSEs    string // expression; "": any

	LocksOK, LocksReplicating, LocksStuck int64

	PurgeReplicas        bool
	Bytes                int64 // -1 if not known
	ChildID              string
	Meta                 string
	StuckAt              time.Time
	CreatedAt, UpdatedAt time.Time
}

type ruleWire struct {
	ID string `json:"id"`
	DID
	DIDType          DIDType         `json:"did_type"`
	Account          string          `json:"account"`
	State            RuleState       `json:"state"`
	RSEExpression    string          `json:"rse_expression"`
	Copies           int             `json:"copies"`
	ExpiresAt        stamp           `json:"expires_at"`
	Locked           bool            `json:"locked"`
	Grouping         string          `json:"grouping"`
	Activity         string          `json:"activity"`
	Comments         string          `json:"comments"`
	Error            string          `json:"error"`
	SourceRSEs       string          `json:"source_replica_expression"`
	LocksOK          number          `json:"locks_ok_cnt"`
	LocksReplicating number          `json:"locks_replicating_cnt"`
	LocksStuck       number          `json:"locks_stuck_cnt"`
	PurgeReplicas    bool            `json:"purge_replicas"`
	Bytes            *number         `json:"bytes"`
	ChildID          string          `json:"child_rule_id"`
	Meta             json.RawMessage `json:"meta"`
	StuckAt          stamp           `json:"stuck_at"`
	CreatedAt        stamp           `json:"created_at"`
	UpdatedAt        stamp           `json:"updated_at"`
}

func (w ruleWire) rule() Rule {
	r := Rule{ID: w.ID, DID: w.DID, DIDType: w.DIDType, Account: w.Account, State: w.State, RSEExpression: w.RSEExpression, Copies: w.Copies,
		ExpiresAt: w.ExpiresAt.Time, Locked: w.Locked, Grouping: w.Grouping, Activity: w.Activity, Comments: w.Comments, Error: w.Error,
		SourceRSEs: w.SourceRSEs, LocksOK: int64(w.LocksOK), LocksReplicating: int64(w.LocksReplicating), LocksStuck: int64(w.LocksStuck),
		PurgeReplicas: w.PurgeReplicas, Bytes: orUnknown(w.Bytes), ChildID: w.ChildID, StuckAt: w.StuckAt.Time,
		CreatedAt: w.CreatedAt.Time, UpdatedAt: w.UpdatedAt.Time}
	if json.Unmarshal(w.Meta, &r.Meta) != nil {
		r.Meta = string(w.Meta) // kept as text, shown as an object by some servers
	}
	return r
}

// Rule looks up a rule. The kind is ErrNotExist if there is none.
func (c *Client) Rule(ctx context.Context, id string) (Rule, error) {
	path, err := rulePath("look up rule", id)
	if err != nil {
		return Rule{}, err
	}
	var w ruleWire
	err = c.read(ctx, request{op: "look up rule", thing: id, path: path}, &w)
	return w.rule(), err
}

// A RuleFilter selects rules. Fields that are zero do not count.
type RuleFilter struct {
	Scope, Name                 string
	Account                     string
	RSEExpression               string // as it is in the rule, letter for letter
	State                       RuleState
	CreatedBefore, CreatedAfter time.Time
	UpdatedBefore, UpdatedAfter time.Time
}

// Rules lists the rules of all accounts that a filter selects.
func (c *Client) Rules(ctx context.Context, f RuleFilter) iter.Seq2[Rule, error] {
	q := url.Values{}
	for k, v := range map[string]string{"scope": f.Scope, "name": f.Name, "account": f.Account, "rse_expression": f.RSEExpression, "state": f.State.letter()} {
		if v != "" {
			q.Set(k, v)
		}
	}
	for k, t := range map[string]time.Time{"created_before": f.CreatedBefore, "created_after": f.CreatedAfter, "updated_before": f.UpdatedBefore, "updated_after": f.UpdatedAfter} {
		if !t.IsZero() {
			q.Set(k, t.UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC"))
		}
	}
	return stream(ctx, c, request{op: "list rules", path: "/rules/", query: q}, ruleWire.rule)
}

// RulesOf lists the rules of a DID itself. The kind is ErrNotExist if there is no such DID.
func (c *Client) RulesOf(ctx context.Context, did DID) iter.Seq2[Rule, error] {
	return stream(ctx, c, request{op: "list rules of", path: "/dids/{did}/rules", did: did}, ruleWire.rule)
}

// RulesAbove lists the rules that keep a file: its own and those of all collections that
// it is in.
func (c *Client) RulesAbove(ctx context.Context, did DID) iter.Seq2[Rule, error] {
	return stream(ctx, c, request{op: "list rules above", path: "/dids/{did}/associated_rules", did: did}, ruleWire.rule)
}

// SetRuleLifetime sets when a rule ends, counted from now; nil means never. A
// time that is not positive ends it at once.
func (c *Client) SetRuleLifetime(ctx context.Context, id string, lifetime *time.Duration) error {
	path, err := rulePath("update rule", id)
	if err != nil {
		return err
	}
	return c.do(ctx, request{op: "update rule", thing: id, method: http.MethodPut, path: path, repeat: true,
		body: map[string]any{"options": map[string]any{"lifetime": lifetimeWire(lifetime)}}})
}

// DeleteRule has a rule end in one hour, which is when the server cleans up: until
// then it is listed, and an equal one is refused as ErrExist. With purge the
// replicas that it kept are deleted next, and not when space is needed.
func (c *Client) DeleteRule(ctx context.Context, id string, purge bool) error {
	path, err := rulePath("delete rule", id)
	if err != nil {
		return err
	}
	body := map[string]any{"purge_replicas": nil} // the rule's own wish; a body there must be
	if purge {
		body["purge_replicas"] = true
	}
	return c.do(ctx, request{op: "delete rule", thing: id, method: http.MethodDelete, path: path, body: body, repeat: true})
}

// rulePath checks an id: the server answers what is none with an unspecific error.
func rulePath(op, id string) (string, error) {
	digits := 0
	for _, r := range id {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'f', r >= 'A' && r <= 'F':
			digits++
		case r != '-':
			digits = -1 << 10
		}
	}
	if digits != 32 {
		return "", &Error{Op: op, Thing: id, Kind: ErrInvalid, Hint: "the id of a rule is 32 hexadecimal digits"}
	}
	return "/rules/" + id, nil
}

func lifetimeWire(d *time.Duration) any {
	if d == nil {
		return nil
	}
	return seconds(*d)
}
