package rundb

import (
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// NewRun makes the document of a run that is new to the database, in the
// original's form. Name, Detector and Start must be set; ID is chosen if zero.
// Data is taken over, Deleted is not.
func NewRun(r Run) (*Run, error) {
	if r.Name == "" || r.Detector == "" || r.Start.IsZero() {
		return nil, &Error{Op: "new run", What: r.String(), Kind: ErrInvalid, Err: errNeeded}
	}
	if r.ID.IsZero() {
		r.ID = bson.NewObjectID()
	}
	d := bson.D{{Key: "_id", Value: r.ID}}
	if r.Number != 0 {
		d = append(d, bson.E{Key: "number", Value: r.Number})
	}
	d = append(d, bson.E{Key: "name", Value: r.Name}, bson.E{Key: "detector", Value: r.Detector}, bson.E{Key: "start", Value: date(r.Start)})
	if !r.End.IsZero() {
		d = append(d, bson.E{Key: "end", Value: date(r.End)})
	}
	if r.User != "" {
		d = append(d, bson.E{Key: "user", Value: r.User})
	}
	if r.Source != "" {
		d = append(d, bson.E{Key: "source", Value: bson.D{{Key: "type", Value: r.Source}}})
	}
	if len(r.Tags) > 0 {
		d = append(d, bson.E{Key: "tags", Value: TagsBSON(r.Tags)})
	}
	if r.RawSize != 0 {
		d = append(d, bson.E{Key: "raw_size_byte", Value: r.RawSize})
	}
	data := bson.A{}
	for i := range r.Data {
		data = append(data, r.Data[i].BSON())
	}
	d = append(d, bson.E{Key: "data", Value: data})
	raw, err := bson.Marshal(d)
	if err != nil {
		return nil, &Error{Op: "new run", What: r.String(), Kind: ErrInvalid, Err: err}
	}
	return Decode(raw)
}

// TagsBSON gives tags as they stand in a document.
func TagsBSON(tags []Tag) bson.A {
	a := bson.A{}
	for _, t := range tags {
		e := bson.D{{Key: "name", Value: t.Name}, {Key: "user", Value: t.User}}
		if !t.Date.IsZero() {
			e = append(e, bson.E{Key: "date", Value: date(t.Date)})
		}
		a = append(a, e)
	}
	return a
}

// BSON gives the record as it stands in a document: the original's fields first,
// checksum null where there is none, and further fields only where they are set.
func (c *Copy) BSON() bson.D {
	d := bson.D{
		{Key: "type", Value: string(c.Type)},
		{Key: "host", Value: c.Host},
		{Key: "status", Value: string(c.Status)},
		{Key: "location", Value: c.Location},
		{Key: "checksum", Value: nil},
		{Key: "creation_time", Value: date(c.Created)},
	}
	if c.Checksum != "" {
		d[4].Value = c.Checksum
	}
	text := func(key, v string) {
		if v != "" {
			d = append(d, bson.E{Key: key, Value: v})
		}
	}
	number := func(key string, v int64) {
		if v != 0 {
			d = append(d, bson.E{Key: key, Value: v})
		}
	}
	texts := func(key string, v []string) {
		if v != nil {
			d = append(d, bson.E{Key: key, Value: v})
		}
	}
	text("pax_version", c.Version)
	text("pax_hash", c.PaxHash)
	text("creation_place", c.CreationPlace)
	number("size", c.Size)
	number("files", c.Files)
	texts("rse", c.RSE)
	texts("rule_info", c.RuleInfo)
	if c.Replicas != nil {
		d = append(d, bson.E{Key: "replicas", Value: ReplicasBSON(c.Replicas)})
	}
	text("content", c.Content)
	text("archive", c.Archive)
	if !c.VerifiedAt.IsZero() {
		d = append(d, bson.E{Key: "verified_at", Value: date(c.VerifiedAt)})
	}
	text("evidence", string(c.Evidence))
	text("checksum_algorithm", c.ChecksumAlgorithm)
	text("permissions", c.Permissions)
	if c.InPlace {
		d = append(d, bson.E{Key: "in_place", Value: true})
	}
	if c.Claim != nil {
		d = append(d, bson.E{Key: "claim", Value: c.Claim.BSON()})
	}
	if c.Error != nil {
		d = append(d, bson.E{Key: "error", Value: c.Error.BSON()})
	}
	return d
}

// ReplicasBSON gives replicas as they stand in a copy's record.
func ReplicasBSON(rs []Replica) bson.A {
	a := bson.A{}
	for _, r := range rs {
		d := bson.D{
			{Key: "rse", Value: r.RSE},
			{Key: "rule", Value: r.Rule},
			{Key: "state", Value: r.State},
			{Key: "files", Value: r.Files},
			{Key: "expires_at", Value: nil},
			{Key: "checked_at", Value: date(r.CheckedAt)},
		}
		if !r.ExpiresAt.IsZero() {
			d[4].Value = date(r.ExpiresAt)
		}
		if r.Text != "" {
			d = append(d, bson.E{Key: "text", Value: r.Text})
		}
		a = append(a, d)
	}
	return a
}

// BSON gives the claim as it stands in a copy's record.
func (c *Claim) BSON() bson.D {
	d := bson.D{
		{Key: "id", Value: c.ID},
		{Key: "kind", Value: string(c.Kind)},
		{Key: "source", Value: c.Source},
		{Key: "owner", Value: bson.D{
			{Key: "site", Value: c.Owner.Site},
			{Key: "host", Value: c.Owner.Host},
			{Key: "boot", Value: c.Owner.Boot},
			{Key: "pid", Value: int64(c.Owner.PID)},
			{Key: "started", Value: c.Owner.Started},
		}},
		{Key: "seq", Value: c.Seq},
		{Key: "heartbeat", Value: date(c.Heartbeat)},
	}
	if c.Target != "" {
		d = append(d, bson.E{Key: "target", Value: c.Target})
	}
	if c.Job != "" {
		d = append(d, bson.E{Key: "job", Value: c.Job})
	}
	return append(d, c.Left.fields()...)
}

// fields are the leftovers as they stand in a claim, or an error.
func (l Leftovers) fields() (d bson.D) {
	if len(l.Continue) > 0 {
		d = append(d, bson.E{Key: "continue", Value: l.Continue})
	}
	if len(l.Adopt) > 0 {
		d = append(d, bson.E{Key: "adopt", Value: l.Adopt})
	}
	return d
}

// BSON gives the error as it stands in a copy's record.
func (e *CopyError) BSON() bson.D {
	d := bson.D{
		{Key: "class", Value: e.Class},
		{Key: "text", Value: e.Text},
		{Key: "since", Value: date(e.Since)},
		{Key: "tries", Value: int64(e.Tries)},
		{Key: "next_try", Value: date(e.NextTry)},
	}
	if e.Found != "" {
		d = append(d, bson.E{Key: "found", Value: e.Found})
	}
	return append(d, e.Left.fields()...)
}

// date is a time as BSON has it, to the millisecond; null if it is not set.
func date(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return bson.NewDateTimeFromTime(t)
}
