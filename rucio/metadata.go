package rucio

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A ColumnType is what a metadata column of the catalogue holds.
type ColumnType int

// The types of columns.
const (
	NoColumn      ColumnType = iota // any JSON value, kept beside the columns
	TextColumn                      // a string up to a length
	IntegerColumn                   // a whole number
	BooleanColumn
	TimeColumn
	NumberColumn   // seconds, or null
	ReservedColumn // set by the server alone
)

// Column tells how the catalogue keeps a metadata key: in a typed column, and if that is
// of text how many characters it takes at most, or (NoColumn) as JSON if the server has
// that.
func Column(key string) (t ColumnType, limit int) {
	switch key {
	case "project", "datatype", "prod_step", "version", "campaign":
		return TextColumn, 50
	case "stream_name":
		return TextColumn, 70
	case "provenance":
		return TextColumn, 2
	case "phys_group":
		return TextColumn, 25
	case "guid":
		return TextColumn, 36
	case "run_number", "task_id", "panda_id", "lumiblocknr", "events", "access_cnt":
		return IntegerColumn, 0
	case "transient", "hidden", "is_new", "purge_replicas", "is_archive", "constituent":
		return BooleanColumn, 0
	case "accessed_at", "closed_at", "eol_at":
		return TimeColumn, 0
	case "lifetime":
		return NumberColumn, 0
	case "scope", "name", "account", "did_type", "is_open", "monotonic", "obsolete", "complete", "availability", "suppressed",
		"bytes", "length", "md5", "adler32", "rule_evaluation_action", "rule_evaluation_required", "expired_at", "deleted_at",
		"created_at", "updated_at":
		return ReservedColumn, 0
	}
	return NoColumn, 0
}

// CheckMetadata reports why the server would not take a value for a key, which it says
// only as a database error or a refusal: reserved keys, keys with a dot, values too long
// or of the wrong type for a column. The kind is ErrInvalid.
func CheckMetadata(key string, value any) error {
	bad := func(hint string) error {
		return &Error{Op: "set metadata", Thing: strconv.Quote(key), Kind: ErrInvalid, Hint: hint}
	}
	if key == "" || strings.Contains(key, ".") {
		return bad("a key is not empty and has no dot")
	}
	t, limit := Column(key)
	ok, want := true, ""
	switch t {
	case ReservedColumn:
		return bad("only the server sets it")
	case TextColumn:
		s, isText := value.(string)
		ok = value == nil || isText && utf8.RuneCountInString(s) <= limit
		want = "text of at most " + strconv.Itoa(limit) + " characters"
	case IntegerColumn:
		ok, want = value == nil || isInteger(value), "a whole number"
	case NumberColumn:
		ok, want = value == nil || isNumber(value), "a number of seconds, or nil"
	}
	if !ok {
		return bad("its column takes " + want)
	}
	return nil
}

// isInteger accepts what the server's column does, numbers in strings too.
func isInteger(v any) bool {
	switch v := v.(type) {
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return true
	case float64:
		return v == float64(int64(v))
	case string:
		_, err := strconv.ParseInt(v, 10, 64)
		return err == nil
	}
	return false
}

func isNumber(v any) bool {
	switch v := v.(type) {
	case float32, float64:
		return true
	case string:
		_, err := strconv.ParseFloat(v, 64)
		return err == nil
	}
	return isInteger(v)
}

// Metadata gives all metadata of a DID: the columns, and the JSON keys if the server
// keeps such. Numbers are float64.
func (c *Client) Metadata(ctx context.Context, did DID) (map[string]any, error) {
	get := func(plugin string) (m map[string]any, err error) {
		err = c.read(ctx, request{op: "get metadata of", path: "/dids/{did}/meta", did: did, query: url.Values{"plugin": {plugin}}}, &m)
		return m, err
	}
	all, err := get("ALL")
	if err == nil || !refusedPlugin(err) {
		return all, err
	}
	// Some plugin cannot answer: a database without JSON, or an old server.
	all, err = get("DID_COLUMN")
	if err != nil {
		return nil, err
	}
	more, err := get("JSON")
	switch {
	case err == nil:
		maps.Copy(all, more)
	case !refusedPlugin(err):
		return nil, err
	}
	return all, nil
}

// refusedPlugin reports whether an error can mean that a metadata plugin is not there.
func refusedPlugin(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Status == 0 {
		return false
	}
	return e.Status/100 == 5 && e.Status != http.StatusServiceUnavailable && e.Status != http.StatusBadGateway && e.Status != http.StatusGatewayTimeout ||
		e.Status == http.StatusBadRequest || e.Class == "UnsupportedMetadataPlugin" || e.Class == "NotImplementedError"
}

// SetMetadata sets metadata of one DID. Values are checked first as by
// [CheckMetadata]. Keys of columns and of JSON may be mixed; a server that keeps no
// JSON refuses all of them then (InvalidMetadata, ErrInvalid).
func (c *Client) SetMetadata(ctx context.Context, did DID, meta map[string]any) error {
	return c.setMetadata(ctx, did, meta, false)
}

// setMetadata sets metadata of a DID and, with below, those of columns of its direct
// members too.
func (c *Client) setMetadata(ctx context.Context, did DID, meta map[string]any, below bool) error {
	if len(meta) == 0 {
		return nil
	}
	for _, k := range slices.Sorted(maps.Keys(meta)) {
		if err := CheckMetadata(k, meta[k]); err != nil {
			return err
		}
	}
	return c.do(ctx, request{op: "set metadata of", method: http.MethodPost, path: "/dids/{did}/meta", did: did,
		body: map[string]any{"meta": meta, "recursive": below}, repeat: true})
}
