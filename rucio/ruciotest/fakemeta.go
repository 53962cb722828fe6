package ruciotest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// columnLimits are the columns of the table of DIDs that may be set, with the length of
// those that are text; 0 is another type.
func columnLimits() map[string]int {
	return map[string]int{"project": 50, "datatype": 50, "prod_step": 50, "version": 50, "campaign": 50, "stream_name": 70, "provenance": 2, "phys_group": 25,
		"guid": 36, "run_number": 0, "task_id": 0, "panda_id": 0, "lumiblocknr": 0, "events": 0, "access_cnt": 0, "transient": 0, "hidden": 0, "is_new": 0,
		"purge_replicas": 0, "is_archive": 0, "constituent": 0, "accessed_at": 0, "closed_at": 0, "eol_at": 0, "lifetime": 0}
}

// reserved are those that only the server sets.
func reserved() []string {
	return []string{"scope", "name", "account", "did_type", "is_open", "monotonic", "obsolete", "complete", "availability", "suppressed", "bytes", "length", "md5",
		"adler32", "rule_evaluation_action", "rule_evaluation_required", "expired_at", "deleted_at", "created_at", "updated_at"}
}

func (c *call) metadata() answer {
	d, ok := c.f.dids[fakeName{c.args[0], c.args[1]}]
	plugin := strings.ToUpper(c.q.Get("plugin"))
	switch plugin {
	case "", "DID_COLUMN", "ALL", "JSON":
	default:
		return refuse(http.StatusBadRequest, "UnsupportedMetadataPlugin", "Metadata plugin %s is not enabled on the server.", plugin)
	}
	all := map[string]any{}
	if plugin != "JSON" {
		if !ok {
			return unknown(fakeName{c.args[0], c.args[1]}, http.StatusNotFound)
		}
		for k := range columnLimits() {
			all[k] = d.columns[k]
		}
		maps.Copy(all, map[string]any{"scope": d.Scope, "name": d.Name, "account": d.account, "did_type": d.kind, "is_open": !d.closed, "monotonic": d.monotonic,
			"adler32": orNull(d.adler32), "md5": orNull(d.md5), "bytes": nil, "length": nil, "expired_at": dateOrNull(d.expires), "availability": "LOST",
			"obsolete": false, "complete": nil, "suppressed": false, "deleted_at": nil, "created_at": c.f.now().UTC().Format(rucioTime), "updated_at": c.f.now().UTC().Format(rucioTime)})
		for _, k := range []string{"hidden", "is_new", "purge_replicas", "transient"} {
			if all[k] == nil {
				all[k] = k == "is_new" || k == "purge_replicas"
			}
		}
		if d.kind == "FILE" {
			all["bytes"], all["is_open"] = d.bytes, nil
		}
		delete(all, "lifetime")
	}
	if plugin == "JSON" || plugin == "ALL" {
		if c.f.noJSON {
			return refuse(http.StatusConflict, "NotImplementedError", "")
		}
		if ok {
			maps.Copy(all, d.json)
		}
	}
	return object(all)
}

func (c *call) setMetadata() answer {
	var w struct {
		Meta      map[string]any `json:"meta"`
		Recursive bool           `json:"recursive"`
	}
	if no := c.into(&w, []string{"meta"}, "recursive"); no != nil {
		return *no
	}
	return c.setAll(w.Meta, w.Recursive)
}

func (c *call) setOneMetadata() answer {
	var w struct {
		Value     any  `json:"value"`
		Recursive bool `json:"recursive"`
	}
	if no := c.into(&w, []string{"value"}, "recursive"); no != nil {
		return *no
	}
	return c.setAll(map[string]any{c.args[2]: w.Value}, w.Recursive)
}

// setAll sets metadata of a DID, and of its direct members too.
func (c *call) setAll(meta map[string]any, recursive bool) answer {
	d, no := c.theDID()
	if no != nil {
		return *no
	}
	if c.f.scopes[d.Scope] != c.account.name && !c.account.admin {
		return refuse(http.StatusInternalServerError, "AccessDenied", "Account %s can not set metadata of %s", c.account.name, d)
	}
	for _, k := range slices.Sorted(maps.Keys(meta)) {
		if a := c.set(d, k, meta[k]); a != nil {
			return *a
		}
		for n := range d.children {
			if recursive {
				if a := c.set(c.f.dids[n], k, meta[k]); a != nil {
					return *a
				}
			}
		}
	}
	return created()
}

// set sets one key. The answer is a refusal, or nil.
func (c *call) set(d *fakeDID, key string, value any) *answer {
	refused := func(status int, class, text string) *answer {
		a := refuse(status, class, "%s", text)
		return &a
	}
	limit, isColumn := columnLimits()[key]
	text, isText := value.(string)
	switch {
	case slices.Contains(reserved(), key):
		return refused(http.StatusInternalServerError, "AccessDenied", "Account "+c.account.name+" can not change this metadata value to data identifier "+d.String())
	case strings.Contains(key, "."):
		return refused(http.StatusBadRequest, "InvalidMetadata", "Metadata key cannot have '.' in it")
	case !isColumn && c.f.noJSON:
		return refused(http.StatusBadRequest, "InvalidMetadata", "No plugin manages metadata key "+key)
	case !isColumn:
		d.json[key] = value
	case limit > 0 && (value != nil && !isText || utf8.RuneCountInString(text) > limit):
		return refused(http.StatusInternalServerError, "DatabaseException", "Database exception. Details: value too long for type character varying")
	case (key == "guid" || key == "events") && d.kind != "FILE":
		return refused(http.StatusInternalServerError, "UnsupportedOperation", key+" for file only")
	default:
		d.columns[key] = value
	}
	return nil
}
