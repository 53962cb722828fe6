package mongostore

import (
	"fmt"
	"strings"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// A change is one update of one document as it is sent: applied if the filter
// still holds.
type change struct {
	filter, update bson.D
}

// pushed makes the change that adds a record, from the update alone. ok is false
// if no filter says exactly what the update requires.
func pushed(u *rundb.Update) (c change, ok bool) {
	guards := bson.A{}
	for i := range u.Require {
		n := narrow(&u.Require[i])
		if n == nil {
			return change{}, false
		}
		guards = append(guards, some(n))
	}
	for i := range u.Forbid {
		guards = append(guards, none(wide(&u.Forbid[i])))
	}
	c.filter = bson.D{{Key: "_id", Value: u.Run}}
	if len(guards) > 0 {
		c.filter = append(c.filter, bson.E{Key: "$and", Value: guards})
	}
	c.update = bson.D{{Key: "$push", Value: bson.D{{Key: "data", Value: u.Push.BSON()}}}}
	return c, true
}

// fields are the parts of a run document that an update is decided on, beside
// what names the run in errors.
func fields(u *rundb.Update) bson.D {
	p := bson.D{{Key: "number", Value: 1}, {Key: "name", Value: 1}, {Key: "detector", Value: 1}, {Key: "data", Value: 1}}
	if u.Pull != nil {
		p = append(p, bson.E{Key: "deleted_data", Value: 1})
	}
	seen := map[string]bool{"number": true, "name": true, "detector": true, "data": true}
	for _, e := range u.Set {
		if top, _, _ := strings.Cut(e.Key, "."); !seen[top] {
			seen[top] = true
			p = append(p, bson.E{Key: top, Value: 1})
		}
	}
	return p
}

// decided makes the change that carries out u on a document as it was read; now
// is the server's time. Its errors are those of [rundb.Apply]. An empty update
// means that nothing is to do.
func decided(doc bson.Raw, u *rundb.Update, now time.Time) (change, error) {
	after, err := rundb.Apply(doc, u, now)
	if err != nil {
		return change{}, err
	}
	c := change{filter: bson.D{{Key: "_id", Value: u.Run}}}
	was := doc.Lookup("data")
	switch {
	case len(u.Set) > 0:
		if len(u.Require)+len(u.Forbid) > 0 {
			c.filter = append(c.filter, pinned("data", was)...)
		}
		c.update = leaves(doc, u.Set)
		return c, nil
	case u.Change != nil:
		i, err := place(doc, &u.Change.Where)
		if err != nil {
			return change{}, err
		}
		// The element as a whole: all its other fields are as they were, because
		// the filter names the list.
		element := after.Lookup("data", fmt.Sprint(i))
		c.update = bson.D{{Key: "$set", Value: bson.D{{Key: fmt.Sprintf("data.%d", i), Value: element}}}}
	case u.Pull != nil:
		// Not $pull: what it does not find it leaves, and says nothing.
		set := bson.D{{Key: "data", Value: after.Lookup("data")}}
		c.update = bson.D{{Key: "$set", Value: set}}
		if u.Pull.Withdraw {
			break
		}
		history, err := after.Lookup("deleted_data").Array().Values()
		if err != nil {
			return change{}, &rundb.Error{Op: "update", What: "run " + u.Run.Hex(), Kind: rundb.ErrInvalid, Err: err}
		}
		old := doc.Lookup("deleted_data")
		if old.Type == bson.TypeArray || old.Type == 0 {
			push := bson.D{{Key: "deleted_data", Value: history[len(history)-1]}}
			c.update = append(c.update, bson.E{Key: "$push", Value: push})
			break
		}
		// A null is no list to push to.
		c.filter = append(c.filter, pinned("deleted_data", old)...)
		c.update = bson.D{{Key: "$set", Value: append(set, bson.E{Key: "deleted_data", Value: after.Lookup("deleted_data")})}}
	case was.Type == bson.TypeArray || was.Type == 0:
		c.update = bson.D{{Key: "$push", Value: bson.D{{Key: "data", Value: u.Push.BSON()}}}}
	default:
		c.update = bson.D{{Key: "$set", Value: bson.D{{Key: "data", Value: after.Lookup("data")}}}}
	}
	c.filter = append(c.filter, pinned("data", was)...)
	return c, nil
}

// place is the index in the list data of the copy that matches. There is exactly
// one: Apply has found it.
func place(doc bson.Raw, m *rundb.CopyMatch) (int, error) {
	r, err := rundb.Decode(doc)
	if err != nil {
		return 0, err
	}
	items, err := doc.Lookup("data").Array().Values()
	if err != nil {
		return 0, &rundb.Error{Op: "update", What: r.String(), Kind: rundb.ErrInvalid, Err: err}
	}
	n := 0
	for i, v := range items {
		if v.Type != bson.TypeEmbeddedDocument {
			continue // a null is no copy
		}
		if m.Match(&r.Data[n]) {
			return i, nil
		}
		n++
	}
	return 0, &rundb.Error{Op: "update", What: r.String(), Kind: rundb.ErrConflict}
}

// pinned is the condition that a field is as it was read. Numbers of different
// kinds and equal value are equal to the server, and to [rundb.Decode].
func pinned(field string, was bson.RawValue) bson.D {
	switch was.Type {
	case 0:
		return bson.D{{Key: field, Value: bson.D{{Key: "$exists", Value: false}}}}
	case bson.TypeNull, bson.TypeUndefined:
		// A list that holds such a value would match as well, so it is kept out.
		return bson.D{
			{Key: field, Value: bson.D{{Key: "$type", Value: int32(was.Type)}}},
			{Key: field + ".0", Value: bson.D{{Key: "$exists", Value: false}}},
		}
	}
	return bson.D{{Key: field, Value: bson.D{{Key: "$eq", Value: was}}}}
}

// leaves is the update of single fields of a run, by dotted path.
func leaves(doc bson.Raw, fields bson.D) bson.D {
	var set, unset, update bson.D
	for _, f := range fields {
		switch {
		case f.Value != nil:
			set = append(set, f)
		case hasParent(doc, f.Key):
			unset = append(unset, bson.E{Key: f.Key, Value: ""})
		}
	}
	if set != nil {
		update = append(update, bson.E{Key: "$set", Value: set})
	}
	if unset != nil {
		update = append(update, bson.E{Key: "$unset", Value: unset})
	}
	return update
}

// hasParent reports whether all but the last part of a path are documents.
// $unset would follow it into lists.
func hasParent(doc bson.Raw, path string) bool {
	parts := strings.Split(path, ".")
	for _, p := range parts[:len(parts)-1] {
		v, err := doc.LookupErr(p)
		if err != nil {
			return false
		}
		var ok bool
		if doc, ok = v.DocumentOK(); !ok {
			return false
		}
	}
	return true
}
