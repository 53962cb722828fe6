package mongostore

import (
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
)

func TestFilter(t *testing.T) {
	raw := []rundb.Type{rundb.Raw}
	for _, tc := range []struct {
		name string
		q    rundb.Query
		want string
	}{
		{"everything", rundb.Query{}, `{}`},
		{"ids", rundb.Query{IDs: []rundb.ID{aRun}}, `{"$and":[{"_id":{"$in":[{"$oid":"560000000000000000000000"}]}}]}`},
		{"numbers", rundb.Query{Numbers: []rundb.Range{{From: 5, To: 6}, {From: 9, To: -1}}},
			`{"$and":[{"$or":[{"number":{"$gte":5,"$lt":7}},{"number":{"$gte":9}},{"number":{"$gte":""}}]}]}`},
		{"number 0", rundb.Query{Numbers: []rundb.Range{{From: 0, To: 0}}},
			`{"$and":[{"$or":[{"number":{"$gt":-1,"$lt":1}},{"number":{"$gte":""}},{"number":null}]}]}`},
		{"no number", rundb.Query{Numbers: []rundb.Range{}}, `{"$and":[{"_id":{"$in":[]}}]}`},
		{"names that may be numbers", rundb.Query{Names: []string{"a", "12", "1.5", "1e3", ""}},
			`{"$and":[{"name":{"$in":["a","12",12,"1.5",1.5,"1e3","",null]}}]}`},
		{"window", rundb.Query{From: noon.Add(time.Microsecond), Until: noon},
			`{"$and":[{"start":{"$gte":{"$date":"2016-03-15T12:00:00Z"}}},{"start":{"$lte":{"$date":"2016-03-15T12:00:00Z"}}}]}`},
		{"tags", rundb.Query{Tags: []string{"x"}, NotTags: []string{"y"}},
			`{"$and":[{"$or":[{"tags.name":{"$in":["x"]}},{"tags":{"$in":["x"]}}]},{"$nor":[{"tags.name":{"$in":["y"]}},{"tags":{"$in":["y"]}}]}]}`},
		{"one element", rundb.Query{Copies: []rundb.CopyMatch{{Types: raw, Hosts: []string{"a"}, NotHosts: []string{"b"}, Statuses: []rundb.Status{rundb.Failed}, Versions: []string{"v1"}, Location: "/x", NoClaim: true, DueBy: noon}}},
			`{"$and":[{"data":{"$elemMatch":{"host":{"$in":["a"]},"status":{"$in":["error"]},"type":{"$in":["raw"]},"$nor":[{"host":{"$in":["b"]}}],` +
				`"pax_version":{"$in":["v1"]},"location":{"$in":["/x"]},"claim.id":null,"error.next_try":{"$not":{"$gt":{"$date":"2016-03-15T12:00:00Z"}}}}}}]}`},
		{"the absence of a version has many forms", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"a"}, Versions: []string{""}}}},
			`{"$and":[{"data":{"$elemMatch":{"host":{"$in":["a"]}}}}]}`},
		{"what is said of seq and creation time is left to Match", rundb.Query{Copies: []rundb.CopyMatch{{ClaimID: "c", Seq: new(int64), Created: noon}}},
			`{"$and":[{"data":{"$elemMatch":{"claim.id":{"$in":["c"]}}}}]}`},
		{"any copy", rundb.Query{Copies: []rundb.CopyMatch{{}}}, `{"$and":[{"data.0":{"$exists":true}}]}`},
		{"no copy", rundb.Query{NoCopies: []rundb.CopyMatch{{Hosts: []string{"a"}, Versions: []string{""}}}},
			`{"$and":[{"data":{"$not":{"$elemMatch":{"type":{"$exists":true},"host":{"$in":["a"]},"pax_version":{"$in":["",null]}}}}}]}`},
		{"no copy that is due: left to Match", rundb.Query{NoCopies: []rundb.CopyMatch{{DueBy: noon}}}, `{}`},
		{"what is not known, or otherwise", rundb.Query{NoRawSize: true, Copies: []rundb.CopyMatch{{Hosts: []string{"a"}, NotPermissions: "f1", NoError: true, NoSize: true, NotInPlace: true}}},
			`{"$and":[{"raw_size_byte":{"$not":{"$gte":1,"$lte":4611686018427387904}}},{"data":{"$elemMatch":{"host":{"$in":["a"]},` +
				`"permissions":{"$nin":["f1"]},"error.class":null,"in_place":{"$nin":[true]},"size":{"$not":{"$gte":1,"$lte":4611686018427387904}}}}}]}`},
		{"no copy without error: left to Match", rundb.Query{NoCopies: []rundb.CopyMatch{{NoError: true}}}, `{}`},
		{"disagree", rundb.Query{Disagree: &rundb.CopyMatch{Hosts: []string{"a"}}},
			`{"$and":[{"data":{"$elemMatch":{"host":{"$in":["a"]},"$and":[{"status":"transferred","checksum":{"$nin":[null,""]}}]}}}]}`},
		{"missing", rundb.Query{Missing: &rundb.Missing{Have: rundb.CopyMatch{Types: raw, Versions: []string{""}, Hosts: []string{"a"}}, At: "b"}},
			`{"$and":[{"data":{"$elemMatch":{"host":{"$in":["a"]},"type":{"$in":["raw"]}}}},` +
				`{"data":{"$not":{"$elemMatch":{"type":{"$in":["raw"]},"host":{"$in":["b"]},"pax_version":{"$in":["",null]}}}}}]}`},
		{"missing, of several versions", rundb.Query{Missing: &rundb.Missing{Have: rundb.CopyMatch{Hosts: []string{"a"}}, At: "b"}},
			`{"$and":[{"data":{"$elemMatch":{"host":{"$in":["a"]}}}}]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, ext(t, filter(&tc.q))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
