package cax

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/rundb"
)

// as gives the environment in which another site decides. It is for decisions
// only: nothing can be applied with it.
func (e *Env) as(s *Site) *Env {
	return &Env{Config: e.Config, Policy: e.Policy, Site: s, Store: e.Store, Owner: e.Owner, Log: e.Log, Clock: e.Clock, Once: true}
}

// couldBring collects the decisions of every site that could bring a copy to a
// site: pushes of others, its own pulls, and its verification.
func (e *Env) couldBring(ctx context.Context, r *rundb.Run, k rundb.Key, to *Site, now time.Time) ([]Decision, error) {
	var ds []Decision
	kept := func(s *Site) bool {
		vs := s.versions(k.Type)
		return slices.Contains(s.Types(), k.Type) && (vs == nil || slices.Contains(vs, k.Version))
	}
	for _, s := range e.Config.Sites {
		if slices.Contains(s.UploadOptions, to.Name) && s.Wants("CopyPush") && kept(s) {
			ds = append(ds, copyTask{push: true}.decide(e.as(s), r, k, to, now))
		}
	}
	if to.Wants("CopyPull") && kept(to) {
		for _, name := range to.DownloadOptions {
			if from, ok := e.Config.Site(name); ok {
				ds = append(ds, copyTask{push: false}.decide(e.as(to), r, k, from, now))
			}
		}
	}
	if p := (product{typ: k.Type, version: k.Version}); to.makes(k) {
		p.part, _ = treemakerOf(k.Type)
		ds = append(ds, processTask{minitrees: p.part != ""}.decide(e.as(to), r, p, now, jobView{err: errNotAsked}))
	}
	if c, ok := r.Copy(k); ok && c.Status == rundb.Verifying && to.Wants("AddChecksum") {
		d, err := verifyTask{}.decide(ctx, e.as(to), r, &c)
		if err != nil {
			return nil, err
		}
		ds = append(ds, d)
	}
	return ds, nil
}

// conclude makes the sentence from the decisions.
func (x *Explanation) conclude() {
	switch {
	case x.Copy != nil && x.Copy.Status == rundb.Transferred:
		x.Answer = fmt.Sprintf("it is there and good: %s, %s", x.Copy.Location, verifiedWords(x.Copy))
		return
	case len(x.Decisions) == 0 && x.Copy == nil:
		x.Answer = fmt.Sprintf("no site pushes %s data to %s, and it pulls from none", x.Type, x.Host)
		x.Next = fmt.Sprintf("add %s to the upload_options of a site that has a copy, or such a site to the download_options of %s", x.Host, x.Host)
		return
	}
	// The most telling decision: something will be done, a person is needed, it
	// waits, it is left.
	for _, v := range []Verb{Do, Call, Wait, Skip} {
		for _, d := range x.Decisions {
			if d.Verb != v {
				continue
			}
			x.Answer, x.Next = d.Why, d.Next
			if v == Do {
				who := x.Host
				if d.From != "" && (d.Task == "CopyPush" || d.Task == "RetryStalledTransfer") {
					who = d.From
				}
				x.Next = fmt.Sprintf("%s of %s does it in its next cycle (%s); see that its daemon runs", d.Task, who, d.What)
			}
			if !d.Until.IsZero() {
				x.Next = strings.TrimSuffix("tried again at "+d.Until.UTC().Format(time.DateTime)+" UTC; "+x.Next, "; ")
			}
			return
		}
	}
	x.Answer = fmt.Sprintf("the record says %s", x.Copy.Status)
	if x.Copy.Error != nil {
		x.Answer += fmt.Sprintf(" (%s): %s", x.Copy.Error.Class, x.Copy.Error.Text)
	}
	x.Next = fmt.Sprintf("no task of any site looks after this copy: see upload_options, download_options and task_list around %s", x.Host)
}

func verifiedWords(c *rundb.Copy) string {
	if c.VerifiedAt.IsZero() {
		return "no record of when it was verified"
	}
	return fmt.Sprintf("verified %s UTC (%s)", c.VerifiedAt.UTC().Format(time.DateTime), c.Evidence)
}
