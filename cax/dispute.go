package cax

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// A finding is the error of a copy whose bytes are not those of the dataset. print
// is the same for two copies in which the same bytes were found; "" if nothing was
// found in the place of what should be there, or if it could not be read.
type finding struct {
	err   error
	print string
}

func (f *finding) Error() string { return f.err.Error() }
func (f *finding) Unwrap() error { return f.err }

// foundIn makes the error of a comparison with a manifest; nil if there is no
// difference. Files that are only missing or empty are damage that can meet two
// copies alike, and are no agreement; what is there instead of them is.
func foundIn(ctx context.Context, dataset string, single bool, diffs []checksum.Difference) error {
	err := checksum.Differ(dataset, diffs)
	if err == nil {
		return nil
	}
	var lines []string
	agrees := false
	for _, d := range diffs {
		got := d.Got
		switch d.Kind {
		case checksum.Unreadable:
			return &finding{err: err}
		case checksum.SizeDiffers, checksum.Extra:
			at := dataset
			if !single {
				at = path.Join(dataset, d.Path)
			}
			sums, serr := checksum.FileSum(ctx, at, checksum.XXH3_128)
			switch {
			case serr == nil:
				got = sums[0].String()
				agrees = agrees || d.Got != "0"
			case d.Kind == checksum.SizeDiffers:
				return &finding{err: err}
			default:
				continue // the folder of what is missing, or nothing that a dataset holds
			}
		case checksum.DigestDiffers, checksum.KindDiffers:
			agrees = true
		}
		lines = append(lines, fmt.Sprintf("%q %s %s\n", d.Path, d.Kind, got))
	}
	if !agrees {
		return &finding{err: err}
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return &finding{err: err, print: "manifest:" + hex.EncodeToString(sum[:16])}
}

// foundSum is the error of a copy whose checksum in the original's form is not the
// right one, where no manifest tells which file it is.
func foundSum(err error, sum checksum.Sum) error {
	return &finding{err: err, print: "sum:" + sum.String()}
}

// errDispute: a copy has the wrong bytes that were found in another one before.
var errDispute = errors.New("two copies agree with each other against the manifest")

// contested turns the error of a copy in which something was found into errDispute,
// if the same was found in a copy of another domain before, even if that one was
// repaired since.
func (e *Env) contested(ctx context.Context, r *rundb.Run, k rundb.Key, err error) error {
	print := printOf(err)
	if print == "" {
		return err
	}
	for ev, everr := range e.Store.Events(ctx, r.ID) {
		if everr != nil {
			return errors.Join(err, everr)
		}
		if ev.Key.Type != k.Type || ev.Key.Version != k.Version || e.Config.Domain(ev.Key.Host) == e.Config.Domain(k.Host) {
			continue
		}
		for _, f := range ev.Evidence {
			if f.Key == "found" && f.Value == print {
				return &finding{print: print, err: fmt.Errorf("%w: what was found at %s on %s was found at %s too: %w",
					errDispute, ev.Key.Host, ev.Time.UTC().Format(time.DateOnly), k.Host, err)}
			}
		}
	}
	return err
}

// printOf is the print of what was found; "" if the error tells of nothing found.
func printOf(err error) string {
	var f *finding
	if errors.As(err, &f) {
		return f.print
	}
	return ""
}

// foundEvidence is what was found, as it stands in an event.
func foundEvidence(err error) bson.D {
	if print := printOf(err); print != "" {
		return bson.D{{Key: "found", Value: print}}
	}
	return nil
}

// disputed reports whether two independent copies of a dataset agree with each
// other against its manifest or its master: in copies of two domains the same wrong
// bytes were found, now or before ([Env.contested]), or transferred copies of two domains share a checksum that is not
// the master's, or that two others do not share. Who is right is then for a person
// to find out, and no copy is repaired. It is decided from the records alone.
func disputed(cfg *Config, r *rundb.Run, k rundb.Key) (why string, ok bool) {
	prints := map[string][]string{}
	for c := range r.Copies(rundb.CopyMatch{Types: []rundb.Type{k.Type}, Versions: []string{k.Version}}) {
		if c.Error == nil || c.Status == rundb.Transferred {
			continue
		}
		if c.Error.Found != "" {
			prints[c.Error.Found] = append(prints[c.Error.Found], c.Host)
		}
		if c.Error.Class == ClassDispute {
			why = c.Error.Text
		}
	}
	for _, hosts := range prints {
		if domains(cfg, hosts) > 1 {
			return fmt.Sprintf("the copies at %s have the same bytes, and these are not those of the manifest", strings.Join(hosts, " and ")), true
		}
	}
	if why != "" {
		return why, true
	}
	v := master(cfg, r, k.Type, k.Version)
	if v.sum.IsZero() {
		// No master: two pairs that contradict each other.
		var pairs []string
		for _, o := range v.votes {
			if domains(cfg, o.hosts) > 1 {
				pairs = append(pairs, fmt.Sprintf("%s say %s", strings.Join(o.hosts, " and "), brief(o.sum)))
			}
		}
		if len(pairs) > 1 {
			return strings.Join(pairs, ", "), true
		}
		return "", false
	}
	return outvoted(cfg, v, v.sum, "the master ("+v.by+")")
}

// outvoted reports whether transferred copies in two domains share a checksum that
// is not the right one, according to somebody.
func outvoted(cfg *Config, v verdict, right checksum.Sum, whose string) (why string, ok bool) {
	for _, o := range v.votes {
		if o.sum != right && o.sum.Algorithm() == right.Algorithm() && domains(cfg, o.hosts) > 1 {
			return fmt.Sprintf("the copies at %s share the checksum %s, but %s says %s",
				strings.Join(o.hosts, " and "), brief(o.sum), whose, brief(right)), true
		}
	}
	return "", false
}

// domains counts the failure domains of hosts.
func domains(cfg *Config, hosts []string) int {
	in := map[string]bool{}
	for _, h := range hosts {
		in[cfg.Domain(h)] = true
	}
	return len(in)
}

// settle tells what a person does about a dispute.
const settle = "no copy of it is repaired until a person has said which bytes are right: compare them with cax manifest, cax verify and cax history, then delete the wrong copies (cax rm) or correct the records"
