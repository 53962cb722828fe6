package cax

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cax-go/cax/rucio"
)

// catalogue asks a Rucio server whether it is there, who we are to it, and whether we may
// upload to the entrance RSE. It only reads.
func (c *checkup) catalogue(ctx context.Context, s *Site, push bool) {
	fail := func(what string, err error) {
		remedy := "see the key rucio of the site, and rucio.cfg"
		var e *rucio.Error
		if errors.As(err, &e) && e.Hint != "" {
			remedy = e.Hint
		}
		c.fail(ctx, s.Name, what, CheckFail, err, remedy)
	}
	client, err := c.env.catalogs.client(c.env, s)
	if err != nil {
		fail(AboutCatalogue, err)
		return
	}
	v, err := client.Ping(ctx)
	if err != nil {
		fail(AboutCatalogue, err)
		return
	}
	c.say(Finding{s.Name, AboutCatalogue, CheckOK, fmt.Sprintf("a Rucio server %s answers", v.Text), ""})
	me, err := client.Whoami(ctx)
	if err != nil {
		fail(AboutLogin, err)
		return
	}
	c.say(Finding{s.Name, AboutLogin, CheckOK, fmt.Sprintf("we are the account %s", me.Name), ""})
	if !push || c.over(ctx) {
		return
	}
	entrance := cmp.Or(s.RucioUploadRSE, c.env.Site.RucioUploadRSE)
	if entrance == "" {
		c.say(Finding{s.Name, AboutRSE, CheckFail, "no RSE is named that uploads go to", `set "rucio_upload_rse"`})
		return
	}
	for _, name := range append([]string{entrance}, s.RucioTransfer...) {
		c.rse(ctx, client, s, name, name == entrance, me.Name)
	}
}

// rse looks at one RSE that data go to.
func (c *checkup) rse(ctx context.Context, client *rucio.Client, s *Site, name string, entrance bool, account string) {
	r, err := client.RSE(ctx, name)
	if err != nil {
		c.fail(ctx, s.Name, AboutRSE, CheckFail, err, "correct rucio_upload_rse or rucio_transfer; ruciax usage shows the RSEs with a quota")
		return
	}
	limits, err := client.Limits(ctx, account)
	switch limit, ok := limits[name]; {
	case entrance && !r.Writable:
		c.say(Finding{s.Name, AboutRSE, CheckFail, name + " takes no writes now", "ask whoever runs it, or name another one in rucio_upload_rse"})
	case err != nil && !errors.Is(err, rucio.ErrPermission):
		c.fail(ctx, s.Name, AboutRSE, CheckWarn, err, "")
	case err == nil && !ok:
		c.say(Finding{s.Name, AboutRSE, CheckWarn, fmt.Sprintf("%s is there, and the account has no quota on record there", name), "ask for one, unless the account is an administrator's"})
	case ok && limit == 0:
		c.say(Finding{s.Name, AboutRSE, CheckFail, fmt.Sprintf("the account may store nothing at %s", name), "ask for a quota"})
	default:
		c.say(Finding{s.Name, AboutRSE, CheckOK, fmt.Sprintf("%s is there (%s)", name, describeRSE(r)), ""})
	}
}

func describeRSE(r rucio.RSE) string {
	var schemes []string
	for _, p := range r.Protocols {
		if !slices.Contains(schemes, p.Scheme) {
			schemes = append(schemes, p.Scheme)
		}
	}
	return fmt.Sprintf("%s, protocols %v", r.Type, schemes)
}
