package rucio

import (
	"context"
	"net/http"
	"time"
)

// A NewRule is a rule to be made.
type NewRule struct {
	DIDs          []DID  // one rule is made for each
	Account       string // "": ours
	RSEExpression string
	Copies        int            // 0: 1
	Lifetime      *time.Duration // nil: for ever
	Grouping      string         // "DATASET", "ALL" or "NONE"; "": DATASET
	Activity      string         // "": the server's default
	Comment       string         // up to 250 characters
	Meta          string         // free text kept with it
	SourceRSEs    string         // expression; "": any
	Weight        string         // attribute of RSEs; "": none
	Notify        string         // "N", "Y", "C" or "P"; "": N
	Priority      int            // of transfers, 1 to 5; 0: 3
	Locked        bool
	PurgeReplicas bool // when it ends the replicas are deleted next
	AnyRSE        bool // RSEs that take no writes now too
	AskApproval   bool
	Asynchronous  bool // the server makes the locks later
}

// ruleBody has no boolean that is null, which newer servers refuse, and always
// an account, which all demand.
type ruleBody struct {
	DIDs          []DID   `json:"dids,omitempty"`
	Account       *string `json:"account"`
	Copies        int     `json:"copies"`
	RSEExpression string  `json:"rse_expression"`
	Lifetime      any     `json:"lifetime"`
	Grouping      string  `json:"grouping,omitempty"`
	Activity      string  `json:"activity,omitempty"`
	Comment       string  `json:"comment,omitempty"`
	Meta          string  `json:"meta,omitempty"`
	SourceRSEs    string  `json:"source_replica_expression,omitempty"`
	Weight        string  `json:"weight,omitempty"`
	Notify        string  `json:"notify,omitempty"`
	Priority      int     `json:"priority,omitempty"`
	Locked        bool    `json:"locked,omitempty"`
	PurgeReplicas bool    `json:"purge_replicas,omitempty"`
	IgnoreAvail   bool    `json:"ignore_availability,omitempty"`
	AskApproval   bool    `json:"ask_approval,omitempty"`
	Asynchronous  bool    `json:"asynchronous,omitempty"`
}

func (c *Client) ruleBody(n NewRule) ruleBody {
	b := ruleBody{DIDs: n.DIDs, Copies: max(n.Copies, 1), RSEExpression: n.RSEExpression, Lifetime: lifetimeWire(n.Lifetime),
		Grouping: n.Grouping, Activity: n.Activity, Comment: n.Comment, Meta: n.Meta, SourceRSEs: n.SourceRSEs, Weight: n.Weight,
		Notify: n.Notify, Priority: n.Priority, Locked: n.Locked, PurgeReplicas: n.PurgeReplicas, IgnoreAvail: n.AnyRSE,
		AskApproval: n.AskApproval, Asynchronous: n.Asynchronous}
	account := n.Account
	if account == "" {
		account = c.Account()
	}
	if account != "" {
		b.Account = &account
	}
	return b
}

// AddRule makes rules and gives their ids. The kind is ErrExist if the account has an
// equal one (DID, RSE expression and number of copies), ErrQuota where there is no quota
// left or none at all, ErrUnavailable where not enough RSEs take the copies, and
// ErrInvalid where the expression is wrong or names an unknown RSE.
func (c *Client) AddRule(ctx context.Context, n NewRule) ([]string, error) {
	if len(n.DIDs) == 0 || n.RSEExpression == "" || n.Copies < 0 {
		return nil, &Error{Op: "add rule", Kind: ErrInvalid, Hint: "it needs DIDs, an RSE expression and a number of copies"}
	}
	for _, d := range n.DIDs {
		if err := c.checkDID(ctx, "add rule for", d); err != nil {
			return nil, err
		}
	}
	var ids []string
	r := request{op: "add rule for", thing: several(len(n.DIDs), n.DIDs[0]) + " at " + n.RSEExpression, method: http.MethodPost, path: "/rules/", body: c.ruleBody(n)}
	err := c.read(ctx, r, &ids)
	return ids, err
}
