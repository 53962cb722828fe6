package rundb

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// Apply carries out a guarded update on a document and returns the new one. It
// is for drivers that keep whole documents. now is the database server's time.
// Everything that the update does not name stays byte for byte. Errors are those
// of [Driver.Update].
func Apply(doc bson.Raw, u *Update, now time.Time) (bson.Raw, error) {
	if err := u.Check(); err != nil {
		return nil, err
	}
	r, err := Decode(doc)
	if err != nil {
		return nil, err
	}
	if err := u.guard(r); err != nil {
		return nil, err
	}
	items := list(lookup(doc, "data"))
	at := make([]int, 0, len(items)) // where each copy of the run stands: there may be nulls between
	for i, v := range items {
		if !isNull(v) {
			at = append(at, i)
		}
	}
	switch {
	case u.Push != nil:
		items = append(items, raw(u.Push.BSON()))
		return setField(doc, "data", array(items))
	case u.Change != nil:
		n, err := theOne(r, &u.Change.Where)
		if err != nil {
			return nil, err
		}
		i := at[n]
		c := items[i].Document()
		for _, e := range u.Change.Set {
			if c, err = setPath(c, e.Key, e.Value); err != nil {
				return nil, err
			}
		}
		if u.Change.ServerTime != "" {
			if c, err = setPath(c, u.Change.ServerTime, now); err != nil {
				return nil, err
			}
		}
		items[i] = bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: c}
		return setField(doc, "data", array(items))
	case u.Pull != nil:
		find := theOne
		if u.Pull.Twins {
			find = aTwin
		}
		n, err := find(r, &u.Pull.Where)
		if err != nil {
			return nil, err
		}
		i := at[n]
		gone := items[i].Document()
		for _, e := range u.Pull.History {
			if gone, err = setPath(gone, e.Key, e.Value); err != nil {
				return nil, err
			}
		}
		if doc, err = setField(doc, "data", array(slices.Delete(slices.Clone(items), i, i+1))); err != nil {
			return nil, err
		}
		if u.Pull.Withdraw {
			return doc, nil
		}
		was := lookup(doc, "deleted_data")
		if was.Type != bson.TypeArray && !isNull(was) {
			return nil, &Error{Op: "update", What: r.String(), Kind: ErrInvalid, Err: fmt.Errorf("deleted_data is not a list but %s", was.Type)}
		}
		history := append(list(was), bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: gone})
		return setField(doc, "deleted_data", array(history))
	}
	for _, e := range u.Set {
		if doc, err = setPath(doc, e.Key, e.Value); err != nil {
			return nil, err
		}
	}
	return doc, nil
}

// guard reports whether the conditions of an update hold for a run: nil, or an
// error that is ErrConflict and says which does not.
func (u *Update) guard(r *Run) error {
	some := func(m *CopyMatch) bool {
		for i := range r.Data {
			if m.Match(&r.Data[i]) {
				return true
			}
		}
		return false
	}
	for i := range u.Require {
		if !some(&u.Require[i]) {
			return &Error{Op: "update", What: r.String(), Kind: ErrConflict, Err: fmt.Errorf("a copy that is required is not there")}
		}
	}
	for i := range u.Forbid {
		if some(&u.Forbid[i]) {
			return &Error{Op: "update", What: r.String(), Kind: ErrConflict, Err: fmt.Errorf("there is a copy already that must not be there")}
		}
	}
	return nil
}

// theOne is the index of the only copy that matches.
func theOne(r *Run, m *CopyMatch) (int, error) {
	found := -1
	for i := range r.Data {
		if !m.Match(&r.Data[i]) {
			continue
		}
		if found >= 0 {
			return 0, &Error{Op: "update", What: r.String(), Kind: ErrAmbiguous}
		}
		found = i
	}
	if found < 0 {
		return 0, &Error{Op: "update", What: r.String(), Kind: ErrConflict, Err: fmt.Errorf("the copy is not as it was read")}
	}
	return found, nil
}

// aTwin is the index of the last copy that matches and has another record beside
// it, of the same key and location.
func aTwin(r *Run, m *CopyMatch) (int, error) {
	why := "the copy is not as it was read"
	for i := len(r.Data) - 1; i >= 0; i-- {
		c := &r.Data[i]
		if !m.Match(c) {
			continue
		}
		for j := range r.Data {
			if j != i && r.Data[j].Key == c.Key && r.Data[j].Location == c.Location {
				return i, nil
			}
		}
		why = "the copy has no second record any more"
	}
	return 0, &Error{Op: "update", What: r.String(), Kind: ErrConflict, Err: errors.New(why)}
}

// setPath sets a field by dotted path; nil removes it. Documents on the way are
// made where they are missing; ErrInvalid if there is something else on the way.
func setPath(doc bson.Raw, path string, v any) (bson.Raw, error) {
	key, rest, nested := strings.Cut(path, ".")
	if !nested {
		if v == nil {
			return removeField(doc, key)
		}
		rv, err := rawValue(v)
		if err != nil {
			return nil, err
		}
		return setField(doc, key, rv)
	}
	was := lookup(doc, key)
	inner, ok := was.DocumentOK()
	switch {
	case ok:
	case v == nil:
		return doc, nil
	case was.Type != 0:
		return nil, &Error{Op: "update", What: path, Kind: ErrInvalid, Err: fmt.Errorf("%s is not a document but %s", key, was.Type)}
	default:
		inner = raw(bson.D{}).Document()
	}
	inner, err := setPath(inner, rest, v)
	if err != nil {
		return nil, err
	}
	return setField(doc, key, bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: inner})
}

// setField replaces the value of a field in its place, or appends the field. All
// other elements are copied as they are.
func setField(doc bson.Raw, key string, v bson.RawValue) (bson.Raw, error) {
	return edit(doc, key, &v)
}

func removeField(doc bson.Raw, key string) (bson.Raw, error) { return edit(doc, key, nil) }

func edit(doc bson.Raw, key string, v *bson.RawValue) (bson.Raw, error) {
	elems, err := doc.Elements()
	if err != nil {
		return nil, &Error{Op: "update", What: "run document", Kind: ErrInvalid, Err: err}
	}
	start, out := bsoncore.AppendDocumentStart(make([]byte, 0, len(doc)+256))
	done := false
	for _, e := range elems {
		switch {
		case e.Key() != key:
			out = append(out, e...)
		case v != nil && !done:
			out = appendValue(out, key, *v)
			done = true
		case done:
			out = append(out, e...) // a second field of that name: not ours to drop
		default:
			done = true // removed
		}
	}
	if v != nil && !done {
		out = appendValue(out, key, *v)
	}
	return bsoncore.AppendDocumentEnd(out, start)
}

func appendValue(out []byte, key string, v bson.RawValue) []byte {
	out = bsoncore.AppendHeader(out, bsoncore.Type(v.Type), key)
	return append(out, v.Value...)
}

// array makes an array of values. Elements are renumbered.
func array(vs []bson.RawValue) bson.RawValue {
	start, out := bsoncore.AppendArrayStart(nil)
	for i, v := range vs {
		out = appendValue(out, fmt.Sprint(i), v)
	}
	out, err := bsoncore.AppendArrayEnd(out, start)
	if err != nil {
		panic(err) // only a wrong start offset
	}
	return bson.RawValue{Type: bson.TypeArray, Value: out}
}

func rawValue(v any) (bson.RawValue, error) {
	if rv, ok := v.(bson.RawValue); ok {
		return rv, nil
	}
	t, b, err := bson.MarshalValue(v)
	if err != nil {
		return bson.RawValue{}, &Error{Op: "update", Kind: ErrInvalid, Err: err}
	}
	return bson.RawValue{Type: t, Value: b}, nil
}

// raw marshals a document of our own making.
func raw(d bson.D) bson.RawValue {
	b, err := bson.Marshal(d)
	if err != nil {
		panic(err) // our own types always marshal
	}
	return bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: b}
}
