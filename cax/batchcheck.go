package cax

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cax-go/cax/process"
)

// batch asks the batch system of this site for its jobs, and looks at the template of
// jobs and at the folder.
func (c *checkup) batch(ctx context.Context) {
	e := c.env
	b := e.Site.Batch.WithDefaults()
	if b.System == "" || c.over(ctx) {
		return
	}
	if _, err := e.jobTemplate(); err != nil {
		c.fail(ctx, e.Site.Name, AboutBatch, CheckFail, err, "correct batch.template")
	}
	if len(e.Site.PaxVersions) == 0 {
		c.say(Finding{e.Site.Name, AboutBatch, CheckWarn, "nothing is processed: no version is named", "name some in pax_versions"})
	}
	if e.DryRun {
		c.say(Finding{Site: e.Site.Name, What: AboutBatch, Grade: CheckSkip, Text: fmt.Sprintf("%s is not asked in a dry run", b.System)})
		return
	}
	if _, err := os.Stat(b.Folder); err != nil {
		if _, perr := os.Stat(filepath.Dir(b.Folder)); perr != nil {
			c.fail(ctx, e.Site.Name, AboutBatch, CheckFail, err, "make the folder of batch.folder, on all machines that run jobs")
			return
		}
	}
	q, err := e.jobs()
	if err != nil {
		c.fail(ctx, e.Site.Name, AboutBatch, CheckFail, err, "see that batch.folder can be written")
		return
	}
	all, err := q.Jobs(ctx)
	if err == nil {
		err = e.askBatch(ctx) // a queue without open jobs does not
	}
	if err != nil {
		c.fail(ctx, e.Site.Name, AboutBatch, CheckFail, err, "see that the batch system runs, and that its programs are on the PATH")
		return
	}
	c.say(Finding{Site: e.Site.Name, What: AboutBatch, Grade: CheckOK,
		Text: fmt.Sprintf("%s answers; %d of at most %d jobs wait or run", b.System, process.Active(all), b.MaxJobs)})
}
