package cax

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// permissionTask is SetPermission: it gives the copies of this site mode, owner,
// group and access control list of the configuration, once each. That it was done
// stands on the copy as a digest of the setting: a new setting, or a new content of
// the ACL file, is another digest. A site without the key permissions sets nothing.
type permissionTask struct{}

func (permissionTask) Name() string { return "SetPermission" }

func (t permissionTask) Select(env *Env) []Candidates {
	var cs []Candidates
	for _, typ := range []rundb.Type{rundb.Raw, rundb.Processed} {
		p := env.Site.permission(typ)
		if p == nil {
			continue
		}
		digest, _ := p.digest() // Plan tells of an ACL file that cannot be read
		cs = append(cs, Candidates{Query: rundb.Query{Names: env.Site.DatasetList, Copies: []rundb.CopyMatch{{
			Types: []rundb.Type{typ}, Hosts: []string{env.Site.Name}, Statuses: []rundb.Status{rundb.Transferred},
			NoClaim: true, NotInPlace: true, NotPermissions: digest,
		}}}})
	}
	return cs
}

// digest names a setting, with what the ACL file holds.
func (p *Permission) digest() (string, error) {
	acl, err := readACL(p.ACLFile)
	sum := sha256.Sum256(fmt.Appendf(nil, "%o %o %q %q %q %q", p.Mode.Dirs, p.Mode.Files, p.Owner, p.Group, p.ACLFile, acl))
	return hex.EncodeToString(sum[:8]), err
}

func (t permissionTask) Plan(ctx context.Context, env *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		grants := map[rundb.Type]*grant{}
		for _, typ := range []rundb.Type{rundb.Raw, rundb.Processed} {
			p := env.Site.permission(typ)
			if p == nil {
				continue
			}
			g, err := p.grant()
			if err != nil {
				if !yield(Action{}, fmt.Errorf("permissions of %s data at %s: %w", typ, env.Site.Name, err)) {
					return
				}
				continue
			}
			grants[typ] = g
		}
		if len(grants) == 0 && !env.Only.Named() {
			return
		}
		eachCopy(runs, env.here(), func(r *rundb.Run, c rundb.Copy) (Action, error) {
			g := grants[c.Type]
			if g == nil && env.Site.permission(c.Type) != nil {
				return Action{}, nil // it was told why
			}
			d := t.decide(env, r, &c, g)
			return NewAction(d, "", func(ctx context.Context) error { return t.run(ctx, env, r.ID, c.Key, g) }), nil
		})(yield)
	}
}

// decide says whether a copy of this site needs its permissions. Without a grant,
// as for another site, it goes by whether any were given.
func (t permissionTask) decide(env *Env, r *rundb.Run, c *rundb.Copy, g *grant) Decision {
	d := Decision{Task: t.Name(), Verb: Skip, What: "set permissions", Key: c.Key}
	d.about(r)
	p := env.Site.permission(c.Type)
	switch {
	case p == nil:
		d.Why = fmt.Sprintf("%s sets no permissions on %s data", env.Site.Name, c.Type)
	case c.InPlace:
		d.Why = "the copy was registered where it lies, outside the directories of this site: it is only read"
	case !env.Site.Accepts(r.Name):
		d.Why = fmt.Sprintf("%s is not in the dataset_list of %s", r.Name, env.Site.Name)
	case c.Status != rundb.Transferred:
		d.Why = fmt.Sprintf("the copy is %s", c.Status)
	case c.Claim != nil:
		d.Verb, d.Why = Wait, fmt.Sprintf("pid %d on %s works on the copy", c.Claim.Owner.PID, c.Claim.Owner.Host)
	case !env.Site.Contains(c.Location):
		d.Verb, d.Why = Call, fmt.Sprintf("the record says %q, which is outside the directories of this site", c.Location)
		d.Next = "correct the location in the run database, or the site's dir_* keys"
	case c.Permissions != "" && (g == nil || c.Permissions == g.digest):
		d.Why = "it was done: " + p.String()
	case c.Permissions != "":
		d.Verb, d.Why = Do, "the setting has changed: "+p.String()
	default:
		d.Verb, d.Why = Do, "it was not yet done: "+p.String()
	}
	return d
}

// permissions looks whether this machine knows what SetPermission is to set.
func (c *checkup) permissions() {
	for _, typ := range []rundb.Type{rundb.Raw, rundb.Processed} {
		p := c.env.Site.permission(typ)
		if p == nil {
			continue
		}
		f := Finding{Site: c.env.Site.Name, What: AboutPermissions, Grade: CheckOK, Text: fmt.Sprintf("%s copies get %s", typ, p)}
		g, err := p.grant()
		switch {
		case err != nil:
			f.Grade, f.Text, f.Remedy = CheckFail, fmt.Sprintf("of %s copies: %v", typ, err), "correct permissions of the site, or make it known here"
		case g.uid >= 0 && os.Geteuid() != 0 && os.Geteuid() != g.uid:
			f.Grade, f.Text = CheckWarn, fmt.Sprintf("%s copies are to belong to %s, and we are not root", typ, p.Owner)
			f.Remedy = "run the daemon as root or as that account, or leave owner out"
		}
		c.say(f)
	}
}

// run gives one copy its permissions, and notes it on the record.
func (t permissionTask) run(ctx context.Context, env *Env, id rundb.ID, k rundb.Key, g *grant) error {
	r, err := env.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	c, ok := r.Copy(k)
	if !ok {
		return ErrNotNeeded
	}
	d := t.decide(env, r, &c, g)
	if d.Verb != Do {
		return ErrNotNeeded
	}
	began := env.Clock.elapsed()
	n, err := g.apply(ctx, c.Location)
	if err != nil {
		return fmt.Errorf("permissions of %s: %w", d.subject(), err)
	}
	err = env.Store.CompareAndSet(ctx, id, c, bson.D{{Key: "permissions", Value: g.digest}})
	if errors.Is(err, rundb.ErrConflict) {
		return ErrNotNeeded // somebody works on it: again when it is done
	}
	if err != nil {
		return err
	}
	env.Log.Info("permissions set", append(fields(d), zap.String("why", d.Why), zap.Int("changed", n),
		zap.Duration("took", (env.Clock.elapsed()-began).Round(time.Millisecond)))...)
	return nil
}
