package cax

import (
	"fmt"
	"slices"
	"time"

	"github.com/cax-go/cax/rundb"
)

// decideClaimed decides about a claim that perhaps no copy task takes over.
func (t stalledTask) decideClaimed(env *Env, d Decision, r *rundb.Run, c *rundb.Copy, to *Site, now time.Time) Decision {
	say := func(v Verb, why, next string) Decision {
		d.Verb, d.Why, d.Next = v, why, next
		return d
	}
	k := c.Claim
	who := fmt.Sprintf("pid %d on %s for %s", k.Owner.PID, k.Owner.Host, k.Owner.Site)
	heard := fmt.Sprintf("last heard of %s ago", inWords(now.Sub(k.Heartbeat)))
	switch {
	case c.Status != rundb.Transferring && !(c.Status == rundb.Verifying && to != env.Site && to.unattended()):
		return say(Skip, fmt.Sprintf("the copy is %s by %s, %s", c.Status, who, heard), "")
	case k.Owner.Site != env.Site.Name && !env.attends(to):
		return say(Skip, fmt.Sprintf("the copy is under way by %s, and %s looks after it", who, to.Name), "")
	case env.liveness(k, now) == ownerAlive:
		return say(Wait, fmt.Sprintf("the copy is under way by %s, %s", who, heard), "")
	case now.Sub(k.Heartbeat) < env.Policy.OthersTakeOver:
		d.Until = k.Heartbeat.Add(env.Policy.OthersTakeOver)
		return say(Wait, fmt.Sprintf("the copy was under way by %s, %s; a copy task may take it over", who, heard), "")
	}
	if task := t.taker(env, r, c, to, now); task != "" {
		return say(Wait, fmt.Sprintf("the copy was under way by %s, %s; %s takes it over", who, heard, task), "")
	}
	return say(Do, fmt.Sprintf("the copy was under way by %s, %s, and no task here may take it over", who, heard),
		"any site that pushes there, or the site itself, begins it anew")
}

// taker is the copy task of this site that takes a claim over; "" if none does.
func (t stalledTask) taker(env *Env, r *rundb.Run, c *rundb.Copy, to *Site, now time.Time) string {
	if vs := env.Site.versions(c.Type); !slices.Contains(env.Site.Types(), c.Type) || vs != nil && !slices.Contains(vs, c.Version) {
		return ""
	}
	if push := (copyTask{push: true}); slices.Contains(env.Site.UploadOptions, to.Name) && env.Site.Wants(push.Name()) && push.decide(env, r, c.Key, to, now).Verb == Do {
		return push.Name()
	}
	pull := copyTask{}
	if to != env.Site || !env.Site.Wants(pull.Name()) {
		return ""
	}
	for _, name := range env.Site.DownloadOptions {
		if from, ok := env.Config.Site(name); ok && pull.decide(env, r, c.Key, from, now).Verb == Do {
			return pull.Name()
		}
	}
	return ""
}
