package cax

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rundb"
)

// A ruleStep is one change of the rules of a dataset.
type ruleStep struct {
	do       string // "add", "prolong", "shorten", "delete"
	rse      string
	id       string        // of the rule; "" to add one
	lifetime time.Duration // from now on, or Forever
}

func (s ruleStep) String() string {
	switch {
	case s.do == "delete":
		return fmt.Sprintf("delete the rule at %s", s.rse)
	case s.lifetime == Forever:
		return fmt.Sprintf("%s the rule at %s, for ever", s.do, s.rse)
	}
	return fmt.Sprintf("%s the rule at %s, for %s from now on", s.do, s.rse, s.lifetime)
}

// A ruleAsk is what a request wants of one run: at which RSEs, for how long, and where
// not any more.
type ruleAsk struct {
	at     []string
	life   []time.Duration
	remove []string
}

// ask resolves a request for a run, choosing where it leaves a choice.
func (q *RuleRequest) ask(r *rundb.Run, f *cataloged) ruleAsk {
	var a ruleAsk
	for _, d := range q.Destinations {
		rse, life := d.Choose(r, func(rse string) bool { return len(f.keeps[rse]) > 0 })
		a.at, a.life = append(a.at, rse), append(a.life, life)
	}
	if !q.VerificationOnly {
		a.remove = q.Remove
	}
	return a
}

// slack is how much the end of a rule may differ from what was asked for: asking again a
// moment later changes nothing.
func slack(life time.Duration) time.Duration { return max(time.Minute, life/10) }

// steps says what has to be changed so that the dataset is where it is asked for, and
// why rules that are to be deleted are not yet. account is ours. enough tells whether
// the minimum of good copies would be left without an RSE.
func (a ruleAsk) steps(f *cataloged, account string, now time.Time, enough func(rse string) (string, bool)) (steps []ruleStep, waits []string) {
	for i, rse := range a.at {
		life := a.life[i]
		if life == LookOnly {
			continue
		}
		r, ok := f.rule(rse, account)
		switch {
		case !ok:
			steps = append(steps, ruleStep{"add", rse, "", life})
		case life == Forever && !r.ExpiresAt.IsZero():
			steps = append(steps, ruleStep{"prolong", rse, r.ID, life})
		case life == Forever:
		case r.ExpiresAt.IsZero() || r.ExpiresAt.After(now.Add(life+slack(life))):
			steps = append(steps, ruleStep{"shorten", rse, r.ID, life})
		case r.ExpiresAt.Before(now.Add(life - slack(life))):
			steps = append(steps, ruleStep{"prolong", rse, r.ID, life})
		}
	}
	var missing []string
	for _, rse := range a.at {
		if !f.ok(rse, now.Add(2*time.Hour)) { // longer than what is deleted lives on
			missing = append(missing, rse)
		}
	}
	for _, rse := range a.remove {
		r, ok := f.rule(rse, account)
		if !ok || !r.ExpiresAt.IsZero() && r.ExpiresAt.Before(now.Add(time.Hour+time.Minute)) {
			continue // there is none, or it is ending
		}
		why, may := enough(rse)
		switch {
		case len(missing) > 0:
			waits = append(waits, fmt.Sprintf("the rule at %s stays until the dataset is OK at %s", rse, strings.Join(missing, ", ")))
		case slices.ContainsFunc(steps, func(s ruleStep) bool { return s.do == "shorten" }):
			waits = append(waits, fmt.Sprintf("the rule at %s stays until the others were shortened and looked at again", rse))
		case r.Locked:
			waits = append(waits, fmt.Sprintf("the rule at %s is locked in the catalogue", rse))
		case !may:
			waits = append(waits, fmt.Sprintf("the rule at %s stays: %s", rse, why))
		default:
			steps = append(steps, ruleStep{"delete", rse, r.ID, 0})
		}
	}
	return steps, waits
}

// verdict says what the status of the record becomes after a look, and why if it is
// not good.
func (f *cataloged) verdict(c *rundb.Copy) (rundb.Status, error) {
	thing := f.did.String()
	switch {
	case f.missing:
		return rundb.RSEReupload, &rucio.Error{Op: "look for", Thing: thing, Kind: rucio.ErrNotExist, Hint: "it is uploaded again from a site that has it"}
	case f.files == 0:
		return rundb.RSEReupload, &rucio.Error{Op: "look into", Thing: thing, Kind: rucio.ErrCorrupt, Err: fmt.Errorf("no file is in it")}
	case c.Checksum != "" && !sameSums(c.Checksum, f.checksum()):
		return rundb.Failed, &rucio.Error{Op: "look into", Thing: thing, Kind: rucio.ErrCorrupt,
			Err: fmt.Errorf("its files have other checksums than those that were uploaded"), Hint: "somebody changed the dataset in the catalogue: find out who"}
	case f.lost > 0:
		return rundb.RSEReupload, &rucio.Error{Op: "look into", Thing: thing, Kind: rucio.ErrCorrupt,
			Err: fmt.Errorf("%d of %d files are available at no RSE", f.lost, f.files), Hint: "they are uploaded again from a site that has them"}
	}
	return rundb.Transferred, nil
}
