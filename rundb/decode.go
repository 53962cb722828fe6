package rundb

import (
	"fmt"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Decode reads a run document. It is tolerant: it accepts every oddity that is
// found in documents of the original (dates in one-element lists, numbers as
// doubles or text, null and missing fields, unknown fields of any kind). It
// fails only where the document is no BSON, in whatever depth, has no ObjectId as
// _id, or "data" is not a list of documents and nulls; the error wraps ErrInvalid
// and names run and field. Nulls in data are no copies.
func Decode(doc bson.Raw) (*Run, error) {
	if err := validate(doc, maxDepth); err != nil {
		return nil, &Error{Op: "decode", What: "run document", Kind: ErrInvalid, Err: err}
	}
	r := &Run{raw: append(bson.Raw(nil), doc...)}
	id, ok := lookup(r.raw, "_id").ObjectIDOK()
	if !ok {
		return nil, &Error{Op: "decode", What: "run document", Kind: ErrInvalid, Err: fmt.Errorf("_id is not an ObjectId")}
	}
	r.ID = id
	r.Number = asInt(lookup(r.raw, "number"))
	r.Name = asString(lookup(r.raw, "name"))
	r.Detector = asString(lookup(r.raw, "detector"))
	r.Start = asTime(lookup(r.raw, "start"))
	r.End = asTime(lookup(r.raw, "end"))
	r.User = asString(lookup(r.raw, "user"))
	r.RawSize = asInt(lookup(r.raw, "raw_size_byte"))
	r.Corrected = decodeCorrected(r.raw)
	switch src := lookup(r.raw, "source"); src.Type {
	case bson.TypeEmbeddedDocument:
		r.Source = asString(lookup(src.Document(), "type"))
	default:
		r.Source = asString(src)
	}
	for _, v := range list(lookup(r.raw, "tags")) {
		if d, ok := v.DocumentOK(); ok {
			r.Tags = append(r.Tags, Tag{Name: asString(lookup(d, "name")), User: asString(lookup(d, "user")), Date: asTime(lookup(d, "date"))})
		} else if s := asString(v); s != "" {
			r.Tags = append(r.Tags, Tag{Name: s})
		}
	}
	for _, v := range list(lookup(r.raw, "deleted_data")) {
		if d, ok := v.DocumentOK(); ok {
			r.Deleted = append(r.Deleted, d)
		}
	}
	switch data := lookup(r.raw, "data"); {
	case data.Type == bson.TypeArray:
		for i, v := range list(data) {
			if isNull(v) {
				continue
			}
			d, ok := v.DocumentOK()
			if !ok {
				return nil, &Error{Op: "decode", What: r.String(), Kind: ErrInvalid, Err: fmt.Errorf("data[%d] is not a document but %s", i, v.Type)}
			}
			r.Data = append(r.Data, decodeCopy(d))
		}
	case !isNull(data):
		return nil, &Error{Op: "decode", What: r.String(), Kind: ErrInvalid, Err: fmt.Errorf("data is not a list but %s", data.Type)}
	}
	return r, nil
}

// decodeCorrected reads the versions of a run's corrections.
func decodeCorrected(run bson.Raw) map[string]string {
	p, ok := lookup(run, "processor").DocumentOK()
	if !ok {
		return nil
	}
	versions, ok := lookup(p, "correction_versions").DocumentOK()
	if !ok {
		return nil
	}
	elems, err := versions.Elements()
	if err != nil {
		return nil
	}
	var m map[string]string
	for _, e := range elems {
		v := asString(e.Value())
		if _, ok := m[e.Key()]; ok || v == "" {
			continue // of two fields of one name the first counts
		}
		if m == nil {
			m = make(map[string]string, len(elems))
		}
		m[e.Key()] = v
	}
	return m
}

// decodeCopy reads one element of a run's data, as tolerantly as [Decode].
func decodeCopy(d bson.Raw) Copy {
	c := Copy{
		Key: Key{
			Type:    Type(asString(lookup(d, "type"))),
			Version: asString(lookup(d, "pax_version")),
			Host:    asString(lookup(d, "host")),
		},
		Status:            Status(asString(lookup(d, "status"))),
		Location:          asString(lookup(d, "location")),
		Checksum:          asString(lookup(d, "checksum")),
		Created:           asTime(lookup(d, "creation_time")),
		PaxHash:           asString(lookup(d, "pax_hash")),
		CreationPlace:     asString(lookup(d, "creation_place")),
		Size:              asInt(lookup(d, "size")),
		Files:             asInt(lookup(d, "files")),
		RSE:               asStrings(lookup(d, "rse")),
		RuleInfo:          asStrings(lookup(d, "rule_info")),
		Replicas:          decodeReplicas(lookup(d, "replicas")),
		Content:           asString(lookup(d, "content")),
		Archive:           asString(lookup(d, "archive")),
		VerifiedAt:        asTime(lookup(d, "verified_at")),
		Evidence:          Evidence(asString(lookup(d, "evidence"))),
		ChecksumAlgorithm: asString(lookup(d, "checksum_algorithm")),
		Permissions:       asString(lookup(d, "permissions")),
	}
	c.InPlace, _ = lookup(d, "in_place").BooleanOK()
	if k, ok := lookup(d, "claim").DocumentOK(); ok {
		c.Claim = decodeClaim(k)
	}
	if e, ok := lookup(d, "error").DocumentOK(); ok {
		c.Error = &CopyError{
			Class:   asString(lookup(e, "class")),
			Text:    asString(lookup(e, "text")),
			Since:   asTime(lookup(e, "since")),
			Tries:   int(asInt(lookup(e, "tries"))),
			NextTry: asTime(lookup(e, "next_try")),
			Found:   asString(lookup(e, "found")),
			Left:    decodeLeftovers(e),
		}
	}
	return c
}

func decodeReplicas(v bson.RawValue) []Replica {
	a, ok := v.ArrayOK()
	if !ok {
		return nil
	}
	vs, err := a.Values()
	if err != nil {
		return nil
	}
	rs := []Replica{}
	for _, v := range vs {
		d, ok := v.DocumentOK()
		if !ok {
			continue
		}
		rs = append(rs, Replica{
			RSE:       asString(lookup(d, "rse")),
			Rule:      asString(lookup(d, "rule")),
			State:     asString(lookup(d, "state")),
			Files:     asInt(lookup(d, "files")),
			ExpiresAt: asTime(lookup(d, "expires_at")),
			CheckedAt: asTime(lookup(d, "checked_at")),
			Text:      asString(lookup(d, "text")),
		})
	}
	return rs
}

func decodeLeftovers(d bson.Raw) Leftovers {
	return Leftovers{Continue: asStrings(lookup(d, "continue")), Adopt: asStrings(lookup(d, "adopt"))}
}

func decodeClaim(k bson.Raw) *Claim {
	c := &Claim{
		ID:        asString(lookup(k, "id")),
		Kind:      ClaimKind(asString(lookup(k, "kind"))),
		Source:    asString(lookup(k, "source")),
		Target:    asString(lookup(k, "target")),
		Job:       asString(lookup(k, "job")),
		Seq:       asInt(lookup(k, "seq")),
		Heartbeat: asTime(lookup(k, "heartbeat")),
		Left:      decodeLeftovers(k),
	}
	if o, ok := lookup(k, "owner").DocumentOK(); ok {
		c.Owner = Owner{
			Site:    asString(lookup(o, "site")),
			Host:    asString(lookup(o, "host")),
			Boot:    asString(lookup(o, "boot")),
			PID:     int(asInt(lookup(o, "pid"))),
			Started: asInt(lookup(o, "started")),
		}
	}
	return c
}

// isNull reports whether a value is missing, null or undefined: one and the same
// to the programs that write run documents.
func isNull(v bson.RawValue) bool {
	return v.Type == 0 || v.Type == bson.TypeNull || v.Type == bson.TypeUndefined
}

// lookup is the value of a field; the zero value if there is none.
func lookup(d bson.Raw, key string) bson.RawValue {
	v, err := d.LookupErr(key)
	if err != nil {
		return bson.RawValue{}
	}
	return v
}

func list(v bson.RawValue) []bson.RawValue {
	a, ok := v.ArrayOK()
	if !ok {
		return nil
	}
	vs, err := a.Values()
	if err != nil {
		return nil
	}
	return vs
}

// asString is text, or a number written out; "" for everything else.
func asString(v bson.RawValue) string {
	switch v.Type {
	case bson.TypeString:
		return v.StringValue()
	case bson.TypeSymbol:
		return v.Symbol()
	case bson.TypeInt32:
		return strconv.FormatInt(int64(v.Int32()), 10)
	case bson.TypeInt64:
		return strconv.FormatInt(v.Int64(), 10)
	case bson.TypeDouble:
		return strconv.FormatFloat(v.Double(), 'g', -1, 64)
	}
	return ""
}

// asInt is a number of any kind, or text of digits; 0 for everything else.
func asInt(v bson.RawValue) int64 {
	switch v.Type {
	case bson.TypeInt32:
		return int64(v.Int32())
	case bson.TypeInt64:
		return v.Int64()
	case bson.TypeDouble:
		// Out of range, and not a number, are no number of anything.
		if f := v.Double(); f >= -1<<62 && f <= 1<<62 {
			return int64(f)
		}
	case bson.TypeString:
		if n, err := strconv.ParseInt(v.StringValue(), 10, 64); err == nil {
			return n
		}
	}
	return 0
}

// asTime is a date, or the first of a list; zero for everything else.
func asTime(v bson.RawValue) time.Time {
	switch v.Type {
	case bson.TypeDateTime:
		return time.UnixMilli(v.DateTime()).UTC()
	case bson.TypeTimestamp:
		sec, _ := v.Timestamp()
		return time.Unix(int64(sec), 0).UTC()
	case bson.TypeArray:
		if vs := list(v); len(vs) > 0 && vs[0].Type != bson.TypeArray {
			return asTime(vs[0])
		}
	}
	return time.Time{}
}

func asStrings(v bson.RawValue) []string {
	var s []string
	for _, e := range list(v) {
		s = append(s, asString(e))
	}
	if len(s) == 0 && v.Type == bson.TypeString {
		s = []string{v.StringValue()}
	}
	return s
}
