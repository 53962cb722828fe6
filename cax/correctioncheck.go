package cax

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cax-go/cax/process/correction"
)

// corrections looks whether the newest document of each correction can be used.
func (c *checkup) corrections(ctx context.Context) {
	e := c.env
	for _, k := range correction.Kinds() {
		t := correctionTask{k}
		if !e.Site.Wants(t.Name()) || e.Store == nil && e.Config.Corrections.file(k.Collection) == "" || c.over(ctx) {
			continue
		}
		doc, err := e.corrected.newest(ctx, e, k)
		if errors.Is(err, errNoCorrection) {
			continue
		}
		if err == nil {
			err = t.lacks(e, doc)
		}
		if err != nil {
			why, next := whyAndNext(err)
			if ctx.Err() == nil {
				c.say(Finding{e.Site.Name, AboutCorrections, CheckFail, t.Name() + ": " + why, next})
			}
			continue
		}
		c.say(Finding{Site: e.Site.Name, What: AboutCorrections, Grade: CheckOK,
			Text: fmt.Sprintf("%s uses %s, of %s UTC", t.Name(), doc, doc.Calculated.Format(time.DateTime))})
	}
}
