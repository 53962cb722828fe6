package main

import (
	"time"

	"github.com/cax-go/cax/rundb"
)

// A runJSON is a run as --json prints it: the fields of the run document under
// their own names, with times as RFC 3339 in UTC and the document's oddities
// straightened out.
type runJSON struct {
	ID       string     `json:"_id"`
	Number   int64      `json:"number"`
	Name     string     `json:"name"`
	Detector string     `json:"detector"`
	Start    *time.Time `json:"start"`
	End      *time.Time `json:"end,omitempty"`
	User     string     `json:"user,omitempty"`
	Tags     []tagJSON  `json:"tags,omitempty"`
	Data     []copyJSON `json:"data"`
}

type tagJSON struct {
	Name string     `json:"name"`
	User string     `json:"user,omitempty"`
	Date *time.Time `json:"date,omitempty"`
}

type copyJSON struct {
	Type              rundb.Type   `json:"type"`
	Host              string       `json:"host"`
	Status            rundb.Status `json:"status"`
	Location          string       `json:"location"`
	Checksum          *string      `json:"checksum"`
	Created           *time.Time   `json:"creation_time"`
	Version           string       `json:"pax_version,omitempty"`
	PaxHash           string       `json:"pax_hash,omitempty"`
	CreationPlace     string       `json:"creation_place,omitempty"`
	Size              int64        `json:"size,omitempty"`
	Files             int64        `json:"files,omitempty"`
	RSE               []string     `json:"rse,omitempty"`
	RuleInfo          []string     `json:"rule_info,omitempty"`
	VerifiedAt        *time.Time   `json:"verified_at,omitempty"`
	Evidence          string       `json:"evidence,omitempty"`
	ChecksumAlgorithm string       `json:"checksum_algorithm,omitempty"`
	InPlace           bool         `json:"in_place,omitempty"`
	Permissions       string       `json:"permissions,omitempty"`
	Claim             *claimJSON   `json:"claim,omitempty"`
	Error             *errorJSON   `json:"error,omitempty"`
}

type claimJSON struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind"`
	Source    string     `json:"source,omitempty"`
	Owner     ownerJSON  `json:"owner"`
	Seq       int64      `json:"seq"`
	Heartbeat *time.Time `json:"heartbeat"`
}

type ownerJSON struct {
	Site    string `json:"site"`
	Host    string `json:"host"`
	Boot    string `json:"boot,omitempty"`
	PID     int    `json:"pid"`
	Started int64  `json:"started,omitempty"`
}

type errorJSON struct {
	Class   string     `json:"class"`
	Text    string     `json:"text"`
	Since   *time.Time `json:"since"`
	Tries   int        `json:"tries"`
	NextTry *time.Time `json:"next_try"`
}

// runLine makes the line of a run with those of its copies that show accepts; nil
// accepts all.
func runLine(r *rundb.Run, show func(*rundb.Copy) bool) runJSON {
	j := runJSON{ID: r.ID.Hex(), Number: r.Number, Name: r.Name, Detector: r.Detector, Start: when(r.Start),
		End: when(r.End), User: r.User, Data: []copyJSON{}}
	for _, t := range r.Tags {
		j.Tags = append(j.Tags, tagJSON{t.Name, t.User, when(t.Date)})
	}
	for i := range r.Data {
		if c := &r.Data[i]; show == nil || show(c) {
			j.Data = append(j.Data, copyLine(c))
		}
	}
	return j
}

func copyLine(c *rundb.Copy) copyJSON {
	j := copyJSON{Type: c.Type, Host: c.Host, Status: c.Status, Location: c.Location, Created: when(c.Created),
		Version: c.Version, PaxHash: c.PaxHash, CreationPlace: c.CreationPlace, Size: c.Size, Files: c.Files, RSE: c.RSE,
		RuleInfo: c.RuleInfo, VerifiedAt: when(c.VerifiedAt), Evidence: string(c.Evidence),
		ChecksumAlgorithm: c.ChecksumAlgorithm, InPlace: c.InPlace, Permissions: c.Permissions}
	if c.Checksum != "" {
		j.Checksum = &c.Checksum
	}
	if k := c.Claim; k != nil {
		o := k.Owner
		j.Claim = &claimJSON{k.ID, string(k.Kind), k.Source, ownerJSON{o.Site, o.Host, o.Boot, o.PID, o.Started}, k.Seq, when(k.Heartbeat)}
	}
	if e := c.Error; e != nil {
		j.Error = &errorJSON{e.Class, e.Text, when(e.Since), e.Tries, when(e.NextTry)}
	}
	return j
}

// when is a time as JSON has it; nil, and so null or absent, if it is not set.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
