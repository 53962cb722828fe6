package cax

import (
	"context"
	"fmt"
	"time"

	"github.com/cax-go/cax/transfer/gfal"
)

// certSoon is how long before its end a certificate is worth a word: long enough for a
// person to make a new one, and short enough for proxies that live for days.
const certSoon = 2 * day

// grid looks for what is needed to reach storage of the grid: programs and certificate.
// It reports whether there is a point in trying.
func (c *checkup) grid(ctx context.Context, s *Site) bool {
	b, err := c.env.grid(s)
	if err == nil {
		err = b.Check()
	}
	if err != nil {
		c.fail(ctx, s.Name, AboutGrid, CheckFail, err, "see its hostname")
		return false
	}
	c.say(Finding{s.Name, AboutGrid, CheckOK, "the programs of gfal2-util are there", ""})
	file := c.env.gridCert(s)
	if file == "" {
		c.say(Finding{s.Name, AboutCert, CheckSkip, "no grid_cert is set: the programs look for a certificate or a token by themselves", ""})
		return true
	}
	const renew = "make a new one, and let something renew it"
	cert, err := gfal.ReadCertificate(file)
	if err != nil {
		c.fail(ctx, s.Name, AboutCert, CheckFail, err, renew)
		return false
	}
	f := certFinding(cert, c.env.Clock.now())
	f.Site = s.Name
	if f.Grade != CheckOK {
		f.Remedy = renew
	}
	c.say(f)
	return f.Grade != CheckFail
}

// certFinding judges the time that a certificate has left.
func certFinding(cert gfal.Certificate, now time.Time) Finding {
	until := cert.Until.UTC().Format(time.DateTime)
	switch left := cert.Until.Sub(now); {
	case left <= 0:
		return Finding{What: AboutCert, Grade: CheckFail, Text: fmt.Sprintf("%s has ended on %s UTC", cert.Subject, until)}
	case left < certSoon:
		return Finding{What: AboutCert, Grade: CheckWarn, Text: fmt.Sprintf("%s ends in %s, on %s UTC", cert.Subject, inWords(left), until)}
	default:
		return Finding{What: AboutCert, Grade: CheckOK, Text: fmt.Sprintf("%s is good for %s, until %s UTC", cert.Subject, inWords(left), until)}
	}
}
