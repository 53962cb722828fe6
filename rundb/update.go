package rundb

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Check reports whether an update is one that can be carried out: exactly one
// change, which names at least one field, and none that it must not name.
// Otherwise the error is ErrInvalid. Drivers call it before they do anything.
func (u *Update) Check() error {
	given := 0
	for _, yes := range []bool{u.Push != nil, u.Change != nil, u.Pull != nil, len(u.Set) > 0} {
		if yes {
			given++
		}
	}
	if given != 1 {
		return invalidUpdate(fmt.Errorf("it has %d changes instead of one", given))
	}
	switch {
	case u.Change != nil:
		if len(u.Change.Set) == 0 && u.Change.ServerTime == "" {
			return invalidUpdate(errors.New("it changes no field"))
		}
		fields := u.Change.Set
		if u.Change.ServerTime != "" {
			fields = append(slices.Clone(fields), bson.E{Key: u.Change.ServerTime, Value: ""})
		}
		return checkFields(fields, "type", "host", "pax_version")
	case u.Pull != nil:
		return checkFields(u.Pull.History)
	case u.Set != nil:
		return checkFields(u.Set, "_id", "data", "deleted_data")
	}
	return nil
}

// checkFields refuses paths that are empty somewhere, that begin with one of the
// protected names, and pairs of which one lies within the other.
func checkFields(fields bson.D, protected ...string) error {
	for i, f := range fields {
		parts := strings.Split(f.Key, ".")
		if slices.Contains(parts, "") || strings.HasPrefix(f.Key, "$") || strings.ContainsRune(f.Key, 0) {
			return invalidUpdate(fmt.Errorf("%q is no path of a field", f.Key))
		}
		if slices.Contains(protected, parts[0]) {
			return invalidUpdate(fmt.Errorf("%q cannot be changed so", f.Key))
		}
		for _, g := range fields[:i] {
			if strings.HasPrefix(f.Key+".", g.Key+".") || strings.HasPrefix(g.Key+".", f.Key+".") {
				return invalidUpdate(fmt.Errorf("%q and %q contradict each other", f.Key, g.Key))
			}
		}
	}
	return nil
}

func invalidUpdate(err error) error {
	return &Error{Op: "update", What: "run", Kind: ErrInvalid, Err: err}
}
