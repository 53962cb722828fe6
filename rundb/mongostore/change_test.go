package mongostore

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func ext(t testing.TB, v any) string {
	t.Helper()
	b, err := bson.MarshalExtJSON(v, false, false)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func doc(t testing.TB, text string) bson.Raw {
	t.Helper()
	var d bson.D
	if err := bson.UnmarshalExtJSON([]byte(text), false, &d); err != nil {
		t.Fatal(err)
	}
	b, err := bson.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	aRun = rundb.ID{0x56}
	noon = time.Date(2016, 3, 15, 12, 0, 0, 0, time.UTC)
)

// TestPushed: a claim is one update whose filter says that there is no such copy.
func TestPushed(t *testing.T) {
	u := &rundb.Update{Run: aRun, Push: &rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "b"}},
		Require: []rundb.CopyMatch{{Hosts: []string{"a"}, Statuses: []rundb.Status{rundb.Transferred}}},
		Forbid:  []rundb.CopyMatch{{Types: []rundb.Type{rundb.Raw}, Versions: []string{""}, Hosts: []string{"b"}}}}
	c, ok := pushed(u)
	if !ok {
		t.Fatal("no filter says it")
	}
	want := `{"_id":{"$oid":"560000000000000000000000"},"$and":[` +
		`{"data":{"$elemMatch":{"type":{"$exists":true},"host":{"$in":["a"]},"status":{"$in":["transferred"]}}}},` +
		`{"data":{"$not":{"$elemMatch":{"host":{"$in":["b"]},"type":{"$in":["raw"]}}}}}]}`
	if diff := cmp.Diff(want, ext(t, c.filter)); diff != "" {
		t.Errorf("filter (-want +got):\n%s", diff)
	}
	want = `{"$push":{"data":{"type":"raw","host":"b","status":"","location":"","checksum":null,"creation_time":null}}}`
	if diff := cmp.Diff(want, ext(t, c.update)); diff != "" {
		t.Errorf("update (-want +got):\n%s", diff)
	}
	u.Require[0].Created = noon
	if _, ok := pushed(u); ok {
		t.Error("a time that may stand in a list is said by no filter")
	}
}

func TestDecided(t *testing.T) {
	const data = `[null,{"type":"raw","host":"a","claim":{"id":"c","seq":1.0}},{"type":"raw","host":"b","odd":[1]}]`
	is := func(host string) rundb.CopyMatch { return rundb.CopyMatch{Hosts: []string{host}} }
	const id = `{"_id":{"$oid":"560000000000000000000000"}`
	for _, tc := range []struct {
		name, doc      string
		u              rundb.Update
		filter, update string
		err            error
	}{
		{name: "change by index", doc: `{"data":` + data + `}`,
			u:      rundb.Update{Change: &rundb.Change{Where: is("b"), Set: bson.D{{Key: "status", Value: "error"}}}},
			filter: id + `,"data":{"$eq":` + data + `}}`,
			update: `{"$set":{"data.2":{"type":"raw","host":"b","odd":[1],"status":"error"}}}`},
		{name: "server time", doc: `{"data":` + data + `}`,
			u:      rundb.Update{Change: &rundb.Change{Where: is("a"), Set: bson.D{{Key: "claim.seq", Value: int64(2)}}, ServerTime: "claim.heartbeat"}},
			filter: id + `,"data":{"$eq":` + data + `}}`,
			update: `{"$set":{"data.1":{"type":"raw","host":"a","claim":{"id":"c","seq":2,"heartbeat":{"$date":"2016-03-15T12:00:00Z"}}}}}`},
		{name: "pull with history", doc: `{"data":` + data + `,"deleted_data":[{"host":"z"}]}`,
			u:      rundb.Update{Pull: &rundb.Pull{Where: is("b"), History: bson.D{{Key: "by", Value: "me"}}}},
			filter: id + `,"data":{"$eq":` + data + `}}`,
			update: `{"$set":{"data":[null,{"type":"raw","host":"a","claim":{"id":"c","seq":1.0}}]},"$push":{"deleted_data":{"type":"raw","host":"b","odd":[1],"by":"me"}}}`},
		{name: "pull, history is null", doc: `{"data":[{"host":"b"}],"deleted_data":null}`,
			u:      rundb.Update{Pull: &rundb.Pull{Where: is("b")}},
			filter: id + `,"deleted_data":{"$type":10},"deleted_data.0":{"$exists":false},"data":{"$eq":[{"host":"b"}]}}`,
			update: `{"$set":{"data":[],"deleted_data":[{"host":"b"}]}}`},
		{name: "withdraw", doc: `{"data":[{"host":"b"}]}`,
			u:      rundb.Update{Pull: &rundb.Pull{Where: is("b"), Withdraw: true}},
			filter: id + `,"data":{"$eq":[{"host":"b"}]}}`, update: `{"$set":{"data":[]}}`},
		{name: "push to nothing", doc: `{}`, u: rundb.Update{Push: &rundb.Copy{}, Forbid: []rundb.CopyMatch{is("b")}},
			filter: id + `,"data":{"$exists":false}}`,
			update: `{"$push":{"data":{"type":"","host":"","status":"","location":"","checksum":null,"creation_time":null}}}`},
		{name: "push to null", doc: `{"data":null}`, u: rundb.Update{Push: &rundb.Copy{}},
			filter: id + `,"data":{"$type":10},"data.0":{"$exists":false}}`,
			update: `{"$set":{"data":[{"type":"","host":"","status":"","location":"","checksum":null,"creation_time":null}]}}`},
		{name: "set without guards", doc: `{"x":{"y":1},"tags":[1]}`,
			u:      rundb.Update{Set: bson.D{{Key: "x.z", Value: 2}, {Key: "x.y", Value: nil}, {Key: "tags.0", Value: nil}}},
			filter: id + `}`, update: `{"$set":{"x.z":2},"$unset":{"x.y":""}}`},
		{name: "nothing to remove", doc: `{}`, u: rundb.Update{Set: bson.D{{Key: "x.y", Value: nil}}}, filter: id + `}`, update: `null`},
		{name: "set with a guard", doc: `{"data":[]}`, u: rundb.Update{Set: bson.D{{Key: "x", Value: 1}}, Forbid: []rundb.CopyMatch{is("b")}},
			filter: id + `,"data":{"$eq":[]}}`, update: `{"$set":{"x":1}}`},
		{name: "two match", doc: `{"data":[{"host":"b"},{"host":"b"}]}`, u: rundb.Update{Pull: &rundb.Pull{Where: is("b")}}, err: rundb.ErrAmbiguous},
		{name: "none matches", doc: `{"data":[]}`, u: rundb.Update{Pull: &rundb.Pull{Where: is("b")}}, err: rundb.ErrConflict},
		{name: "guard", doc: `{"data":[{"host":"b"}]}`, u: rundb.Update{Set: bson.D{{Key: "x", Value: 1}}, Forbid: []rundb.CopyMatch{is("b")}}, err: rundb.ErrConflict},
		{name: "through a text", doc: `{"x":"text"}`, u: rundb.Update{Set: bson.D{{Key: "x.y", Value: 1}}}, err: rundb.ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.u.Run = aRun
			c, err := decided(doc(t, strings.Replace(id+","+tc.doc[1:], ",}", "}", 1)), &tc.u, noon)
			if !errors.Is(err, tc.err) || err != nil && tc.err == nil {
				t.Fatalf("error %v, want %v", err, tc.err)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(tc.filter, ext(t, c.filter)); diff != "" {
				t.Errorf("filter (-want +got):\n%s", diff)
			}
			got := "null"
			if len(c.update) > 0 {
				got = ext(t, c.update)
			}
			if diff := cmp.Diff(tc.update, got); diff != "" {
				t.Errorf("update (-want +got):\n%s", diff)
			}
		})
	}
}
