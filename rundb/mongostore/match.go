package mongostore

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// texts are the values that decode to one of some texts: the text itself, and the
// number that is written so. "" stands for null and missing fields too.
func texts[S ~string](values []S) bson.A {
	a := bson.A{}
	for _, v := range values {
		a = append(a, string(v))
		if v == "" {
			a = append(a, nil)
			continue
		}
		// One of them is enough where both fit: numbers are compared by value.
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil && strconv.FormatInt(n, 10) == string(v) {
			a = append(a, n)
		} else if f, err := strconv.ParseFloat(string(v), 64); err == nil && strconv.FormatFloat(f, 'g', -1, 64) == string(v) {
			a = append(a, f)
		}
	}
	return a
}

func in[S ~string](field string, values []S) bson.E {
	return bson.E{Key: field, Value: bson.D{{Key: "$in", Value: texts(values)}}}
}

// date is a time as the database has it, cut to the millisecond.
func date(t time.Time) bson.DateTime { return bson.DateTime(t.UnixMilli()) }

// wide is a condition on one element of data that every copy fulfils which m
// matches, and perhaps others. It is nil if it would say nothing.
func wide(m *rundb.CopyMatch) bson.D {
	var d bson.D
	if m.Hosts != nil {
		d = append(d, in("host", m.Hosts))
	}
	if m.Statuses != nil {
		d = append(d, in("status", m.Statuses))
	}
	if m.Types != nil {
		d = append(d, in("type", m.Types))
	}
	if len(m.NotHosts) > 0 {
		d = append(d, bson.E{Key: "$nor", Value: bson.A{bson.D{in("host", m.NotHosts)}}})
	}
	// Null, missing, and whatever else is no text: for the server these have no
	// common name.
	if m.Versions != nil && !slices.Contains(m.Versions, "") {
		d = append(d, in("pax_version", m.Versions))
	}
	if m.Location != "" {
		d = append(d, in("location", []string{m.Location}))
	}
	if m.ClaimID != "" {
		d = append(d, in("claim.id", []string{m.ClaimID}))
	}
	if m.NoClaim {
		d = append(d, bson.E{Key: "claim.id", Value: nil})
	}
	if !m.DueBy.IsZero() {
		// Not $lte: a copy without an error is due.
		d = append(d, bson.E{Key: "error.next_try", Value: bson.D{{Key: "$not", Value: bson.D{{Key: "$gt", Value: date(m.DueBy)}}}}})
	}
	if m.Source != "" {
		d = append(d, in("claim.source", []string{m.Source}))
	}
	if m.Checksum != "" {
		d = append(d, in("checksum", []string{m.Checksum}))
	}
	if m.NotPermissions != "" {
		d = append(d, bson.E{Key: "permissions", Value: bson.D{{Key: "$nin", Value: texts([]string{m.NotPermissions})}}})
	}
	if m.NoError {
		d = append(d, bson.E{Key: "error.class", Value: nil})
	}
	if m.NotInPlace {
		d = append(d, bson.E{Key: "in_place", Value: bson.D{{Key: "$nin", Value: bson.A{true}}}})
	}
	if m.NoSize {
		d = append(d, noNumber("size"))
	}
	if m.NoChecksum {
		// Texts that are not empty, but for those in lists, which are no checksum.
		d = append(d, bson.E{Key: "$or", Value: bson.A{
			bson.D{{Key: "checksum", Value: bson.D{{Key: "$not", Value: bson.D{{Key: "$gt", Value: ""}}}}}},
			bson.D{{Key: "checksum.0", Value: bson.D{{Key: "$exists", Value: true}}}},
		}})
	}
	if m.AnyChecksum && m.Checksum == "" { // one condition a field
		d = append(d, bson.E{Key: "checksum", Value: bson.D{{Key: "$nin", Value: bson.A{nil, ""}}}})
	}
	return d // Seq and Created are left to Match: they are never asked alone
}

// noNumber is fulfilled by every field that does not hold a number of bytes: one
// that is missing, and whatever reads as 0.
func noNumber(field string) bson.E {
	return bson.E{Key: field, Value: bson.D{{Key: "$not", Value: bson.D{{Key: "$gte", Value: int64(1)}, {Key: "$lte", Value: int64(1) << 62}}}}}
}

// narrow is a condition on one element of data that only copies fulfil which m
// matches, and perhaps not all. It is nil where there is none.
func narrow(m *rundb.CopyMatch) bson.D {
	if m.Seq != nil || !m.Created.IsZero() || !m.VerifiedAt.IsZero() || !m.DueBy.IsZero() || m.Source != "" || m.Checksum != "" || m.NoChecksum || m.AnyChecksum || m.NotPermissions != "" || m.NoError || m.NoSize || m.NotInPlace {
		return nil // dates stand in lists, numbers in texts
	}
	// The lists may hold nulls, which are no copies. MongoDB's $elemMatch passes
	// them over; other servers see documents without fields in them.
	d := append(bson.D{{Key: "type", Value: bson.D{{Key: "$exists", Value: true}}}}, wide(&rundb.CopyMatch{Hosts: m.Hosts, NotHosts: m.NotHosts, Statuses: m.Statuses, Location: m.Location, ClaimID: m.ClaimID})...)
	if m.Types != nil {
		d[0] = in("type", m.Types)
		if slices.Contains(m.Types, "") {
			return nil
		}
	}
	if m.Versions != nil {
		d = append(d, in("pax_version", m.Versions))
	}
	if m.NoClaim {
		d = append(d, bson.E{Key: "claim", Value: nil})
	}
	return d
}

func some(elem bson.D) bson.D {
	if len(elem) == 0 {
		return bson.D{{Key: "data.0", Value: bson.D{{Key: "$exists", Value: true}}}}
	}
	return bson.D{{Key: "data", Value: bson.D{{Key: "$elemMatch", Value: elem}}}}
}

func none(elem bson.D) bson.D {
	if len(elem) == 0 {
		return bson.D{{Key: "data.0", Value: bson.D{{Key: "$exists", Value: false}}}}
	}
	return bson.D{{Key: "data", Value: bson.D{{Key: "$not", Value: bson.D{{Key: "$elemMatch", Value: elem}}}}}}
}

// filter is the condition on runs that every run fulfils which q selects, and
// perhaps others: Match has the last word.
func filter(q *rundb.Query) bson.D {
	all := bson.A{}
	add := func(d bson.D) { all = append(all, d) }
	if q.IDs != nil {
		add(bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: q.IDs}}}})
	}
	if q.Numbers != nil {
		add(numbers(q.Numbers))
	}
	if q.Names != nil {
		add(bson.D{in("name", q.Names)})
	}
	if q.Detectors != nil {
		add(bson.D{in("detector", q.Detectors)})
	}
	if !q.From.IsZero() {
		add(bson.D{{Key: "start", Value: bson.D{{Key: "$gte", Value: date(q.From)}}}})
	}
	if !q.Until.IsZero() {
		// Both are cut to the millisecond: Match decides on the last one.
		add(bson.D{{Key: "start", Value: bson.D{{Key: "$lte", Value: date(q.Until)}}}})
	}
	for _, t := range q.Tags {
		add(bson.D{{Key: "$or", Value: tagged(t)}})
	}
	for _, t := range q.NotTags {
		add(bson.D{{Key: "$nor", Value: tagged(t)}})
	}
	if q.NoRawSize {
		add(bson.D{noNumber("raw_size_byte")})
	}
	if u := q.Uncorrected; u != nil {
		add(bson.D{{Key: "end", Value: bson.D{{Key: "$exists", Value: true}}},
			{Key: rundb.CorrectionVersions + "." + u.Task, Value: bson.D{{Key: "$nin", Value: texts([]string{u.Version})}}}})
	}
	for i := range q.Copies {
		add(some(wide(&q.Copies[i])))
	}
	for i := range q.NoCopies {
		if n := narrow(&q.NoCopies[i]); n != nil {
			add(none(n))
		}
	}
	if q.Disagree != nil {
		add(some(append(wide(q.Disagree), bson.E{Key: "$and", Value: bson.A{bson.D{
			{Key: "status", Value: string(rundb.Transferred)},
			{Key: "checksum", Value: bson.D{{Key: "$nin", Value: bson.A{nil, ""}}}},
		}}})))
	}
	if m := q.Spare; m != nil {
		add(some(wide(&m.Have)))
	}
	if m := q.Missing; m != nil {
		add(some(wide(&m.Have)))
		if len(m.Have.Types) == 1 && len(m.Have.Versions) == 1 {
			add(none(narrow(&rundb.CopyMatch{Types: m.Have.Types, Versions: m.Have.Versions, Hosts: []string{m.At}})))
		}
	}
	if len(all) == 0 {
		return bson.D{}
	}
	return bson.D{{Key: "$and", Value: all}}
}

// numbers is the condition on the number of a run. Fractions are cut off when
// they are read; numbers written as text are all let through; so are, where 0 is
// asked for, fields that hold no number.
func numbers(rs []rundb.Range) bson.D {
	either := bson.A{}
	text, zero := false, false
	for _, r := range rs {
		open := r.To < 0
		if !open && r.From > r.To {
			continue
		}
		text, zero = true, zero || r.From <= 0
		lo, hi := bson.E{Key: "$gte", Value: r.From}, bson.E{Key: "$lt", Value: r.To}
		if r.From <= 0 && r.From > math.MinInt64 {
			lo = bson.E{Key: "$gt", Value: r.From - 1}
		}
		if r.To < math.MaxInt64 {
			hi.Value = r.To + 1
		} else {
			open = true
		}
		between := bson.D{lo, hi}
		if open {
			between = bson.D{lo}
		}
		either = append(either, bson.D{{Key: "number", Value: between}})
	}
	if text {
		either = append(either, bson.D{{Key: "number", Value: bson.D{{Key: "$gte", Value: ""}}}})
	}
	if zero {
		either = append(either, bson.D{{Key: "number", Value: nil}})
	}
	if len(either) == 0 {
		return bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: bson.A{}}}}} // no number is in no range
	}
	return bson.D{{Key: "$or", Value: either}}
}

// tagged is fulfilled by runs with a tag, which may stand as a mere text.
func tagged(name string) bson.A {
	return bson.A{
		bson.D{in("tags.name", []string{name})},
		bson.D{in("tags", []string{name})},
	}
}
