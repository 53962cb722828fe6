package rundb_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.mongodb.org/mongo-driver/v2/bson"
)

var (
	runID = bson.ObjectID{0x56, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	start = time.Date(2016, 3, 15, 14, 32, 0, 0, time.UTC)
)

// fromJSON is a document written as relaxed Extended JSON, with the id put first.
func fromJSON(t testing.TB, text string) bson.Raw {
	t.Helper()
	var d bson.D
	if err := bson.UnmarshalExtJSON([]byte(text), false, &d); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return marshal(t, append(bson.D{{Key: "_id", Value: runID}}, d...))
}

func marshal(t testing.TB, d any) bson.Raw {
	t.Helper()
	b, err := bson.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// legacy are documents as the original and the tools around it left them.
func legacy() map[string]string {
	return map[string]string{
		"full": `{"number":1234,"name":"160315_1432","detector":"tpc","start":{"$date":"2016-03-15T14:32:00Z"},"end":{"$date":"2016-03-15T15:32:00Z"},
			"user":"me","source":{"type":"none"},"tags":[{"name":"good","user":"me","date":{"$date":"2016-03-16T00:00:00Z"}}],"trigger":{"events_built":5},
			"raw_size_byte":77,"data":[{"type":"raw","host":"xe1t-datamanager","status":"transferred","location":"/data/160315_1432","checksum":"cf83e1",
			"creation_time":{"$date":"2016-03-15T14:32:00Z"}},{"type":"processed","host":"midway","status":"error","location":"/p/pax_v6.1.0/160315_1432.root",
			"checksum":null,"creation_time":{"$date":"2016-03-15T14:32:00Z"},"pax_version":"v6.1.0","pax_hash":"abc","creation_place":"login","size":9.0}],
			"deleted_data":[{"host":"eb0"}]}`,
		"bare":         `{}`,
		"nulls":        `{"number":null,"name":null,"detector":null,"start":null,"end":null,"source":null,"tags":null,"data":null,"deleted_data":null}`,
		"wrong types":  `{"number":"12","name":5,"detector":[],"start":"2016","source":"none","tags":["good",7,null],"raw_size_byte":1.5,"data":[],"deleted_data":{}}`,
		"date list":    `{"start":[{"$date":"2016-03-15T14:32:00Z"}],"data":[{"creation_time":[{"$date":"2016-03-15T14:32:00Z"}]},{"creation_time":[]},{"creation_time":[[{"$date":"2016-03-15T14:32:00Z"}]]}]}`,
		"versions":     `{"data":[{"type":"raw","host":"a"},{"type":"raw","host":"b","pax_version":null},{"type":"raw","host":"c","pax_version":""},{"type":"raw","host":"d","pax_version":6.1}]}`,
		"null copies":  `{"data":[null,{"type":"raw","host":"a"},null,{}]}`,
		"odd copies":   `{"data":[{"type":null,"host":7,"status":[],"location":{},"checksum":5,"size":"12","rse":"one","rule_info":[1,null,"x"],"claim":[],"error":"text","in_place":1}]}`,
		"claim":        `{"data":[{"type":"raw","host":"a","claim":{"id":"c","kind":"push","source":"b","owner":{"site":"s","host":"h","boot":"b","pid":5.0,"started":7},"seq":3.0,"heartbeat":{"$date":"2016-03-15T14:32:00Z"}}}]}`,
		"error":        `{"data":[{"type":"raw","host":"a","status":"error","error":{"class":"space","text":"full","since":{"$date":"2016-03-15T14:32:00Z"},"tries":2.0,"next_try":null}}]}`,
		"big numbers":  `{"number":{"$numberDouble":"1e300"},"raw_size_byte":{"$numberDouble":"NaN"},"start":{"$date":{"$numberLong":"9223372036854775807"}},"data":[{"size":{"$numberLong":"-9223372036854775808"}}]}`,
		"named twice":  `{"name":"a","name":"b","data":[{"host":"a","host":"b"}],"data":[]}`,
		"other dates":  `{"start":{"$timestamp":{"t":1458052320,"i":1}}}`,
		"every type":   `{"x":[{"$binary":{"base64":"AAE=","subType":"80"}},{"$undefined":true},{"$regularExpression":{"pattern":"a","options":"i"}},{"$code":"x","$scope":{}},{"$symbol":"s"},{"$numberDecimal":"1.5"},{"$minKey":1},{"$maxKey":1},{"$dbPointer":{"$ref":"b","$id":{"$oid":"57e193d7a9cc81b4027498b1"}}}]}`,
		"copies twice": `{"data":[{"type":"raw","host":"a","status":"error"},{"type":"raw","host":"a","status":"transferred","pax_version":null},{"type":"raw","host":"a"}]}`,
	}
}

func TestDecode(t *testing.T) {
	raw := func(host string) rundb.Key { return rundb.Key{Type: rundb.Raw, Host: host} }
	want := map[string]rundb.Run{
		"full": {Number: 1234, Name: "160315_1432", Detector: "tpc", Start: start, End: start.Add(time.Hour), User: "me", Source: "none", RawSize: 77,
			Tags: []rundb.Tag{{Name: "good", User: "me", Date: time.Date(2016, 3, 16, 0, 0, 0, 0, time.UTC)}},
			Data: []rundb.Copy{
				{Key: raw("xe1t-datamanager"), Status: rundb.Transferred, Location: "/data/160315_1432", Checksum: "cf83e1", Created: start},
				{Key: rundb.Key{Type: rundb.Processed, Version: "v6.1.0", Host: "midway"}, Status: rundb.Failed, Location: "/p/pax_v6.1.0/160315_1432.root",
					Created: start, PaxHash: "abc", CreationPlace: "login", Size: 9},
			}},
		"bare":        {},
		"nulls":       {},
		"wrong types": {Number: 12, Name: "5", Source: "none", RawSize: 1, Tags: []rundb.Tag{{Name: "good"}, {Name: "7"}}},
		"date list":   {Start: start, Data: []rundb.Copy{{Created: start}, {}, {}}},
		"versions":    {Data: []rundb.Copy{{Key: raw("a")}, {Key: raw("b")}, {Key: raw("c")}, {Key: rundb.Key{Type: rundb.Raw, Version: "6.1", Host: "d"}}}},
		"null copies": {Data: []rundb.Copy{{Key: raw("a")}, {}}},
		"odd copies":  {Data: []rundb.Copy{{Key: rundb.Key{Host: "7"}, Checksum: "5", Size: 12, RSE: []string{"one"}, RuleInfo: []string{"1", "", "x"}}}},
		"claim": {Data: []rundb.Copy{{Key: raw("a"), Claim: &rundb.Claim{ID: "c", Kind: rundb.ClaimPush, Source: "b", Seq: 3, Heartbeat: start,
			Owner: rundb.Owner{Site: "s", Host: "h", Boot: "b", PID: 5, Started: 7}}}}},
		"error":        {Data: []rundb.Copy{{Key: raw("a"), Status: rundb.Failed, Error: &rundb.CopyError{Class: "space", Text: "full", Since: start, Tries: 2}}}},
		"big numbers":  {Start: time.UnixMilli(1<<63 - 1).UTC(), Data: []rundb.Copy{{Size: -1 << 63}}},
		"named twice":  {Name: "a", Data: []rundb.Copy{{Key: rundb.Key{Host: "a"}}}},
		"other dates":  {Start: start},
		"every type":   {},
		"copies twice": {Data: []rundb.Copy{{Key: raw("a"), Status: rundb.Failed}, {Key: raw("a"), Status: rundb.Transferred}, {Key: raw("a")}}},
	}
	for name, text := range legacy() {
		t.Run(name, func(t *testing.T) {
			doc := fromJSON(t, text)
			got, err := rundb.Decode(doc)
			if err != nil {
				t.Fatal(err)
			}
			w := want[name]
			w.ID = runID
			if diff := cmp.Diff(&w, got, cmpopts.IgnoreUnexported(rundb.Run{}), cmpopts.IgnoreFields(rundb.Run{}, "Deleted")); diff != "" {
				t.Errorf("run (-want +got):\n%s", diff)
			}
			if !bytes.Equal(doc, got.Raw()) {
				t.Error("the document was changed")
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	good := fromJSON(t, `{"data":[{"host":"a","x":{"y":["z"]}}]}`)
	broken := func(find, put string) bson.Raw {
		b := bytes.Replace(good, []byte(find), []byte(put), 1)
		if bytes.Equal(b, good) {
			t.Fatalf("%q is not in the document", find)
		}
		return b
	}
	deep := bson.D{}
	for range 300 {
		deep = bson.D{{Key: "d", Value: deep}}
	}
	for name, doc := range map[string]bson.Raw{
		"nothing":                    nil,
		"text":                       bson.Raw("text"),
		"no id":                      marshal(t, bson.D{{Key: "name", Value: "x"}}),
		"id is text":                 marshal(t, bson.D{{Key: "_id", Value: "x"}}),
		"data is text":               fromJSON(t, `{"data":"x"}`),
		"data is a document":         fromJSON(t, `{"data":{"0":{"host":"a"}}}`),
		"a copy is text":             fromJSON(t, `{"data":[{"host":"a"},"x"]}`),
		"cut off":                    good[:len(good)-3],
		"bytes follow":               append(slices.Clone(good), 0),
		"a copy has a wrong length":  broken("\x02host\x00\x02\x00\x00\x00a\x00", "\x02host\x00\x09\x00\x00\x00a\x00"),
		"a list is cut short inside": broken("\x04y\x00\x0e", "\x04y\x00\x0d"),
		"a text without its end":     broken("\x00z\x00", "\x00zz"),
		"nested too deeply":          marshal(t, bson.D{{Key: "_id", Value: runID}, {Key: "x", Value: deep}}),
	} {
		if _, err := rundb.Decode(doc); !errors.Is(err, rundb.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

func TestCopyChoice(t *testing.T) {
	r, err := rundb.Decode(fromJSON(t, legacy()["copies twice"]))
	if err != nil {
		t.Fatal(err)
	}
	k := rundb.Key{Type: rundb.Raw, Host: "a"}
	if c, ok := r.Copy(k); !ok || c.Status != rundb.Transferred {
		t.Errorf("of duplicates, %+v is chosen", c)
	}
	if diff := cmp.Diff([]rundb.Key{k}, r.Duplicates()); diff != "" {
		t.Errorf("duplicates (-want +got):\n%s", diff)
	}
	if n := len(slices.Collect(r.Copies(rundb.CopyMatch{}))); n != 1 {
		t.Errorf("duplicates count %d times", n)
	}
	if _, ok := r.Copy(rundb.Key{Type: rundb.Raw, Host: "b"}); ok {
		t.Error("a copy that is not there is found")
	}
}

func TestNewRun(t *testing.T) {
	left := rundb.Leftovers{Continue: []string{"a", "b"}, Adopt: []string{"c"}}
	in := rundb.Run{Number: 5, Name: "n", Detector: "tpc", Start: start, End: start, User: "u", Source: "s", RawSize: 9,
		Tags: []rundb.Tag{{Name: "t", User: "u", Date: start}},
		Data: []rundb.Copy{{Key: rundb.Key{Type: rundb.Processed, Version: "v", Host: "h"}, Status: rundb.Failed, Location: "/l", Checksum: "c", Created: start,
			PaxHash: "p", CreationPlace: "q", Size: 1, Files: 2, RSE: []string{"r"}, RuleInfo: []string{}, Content: "d",
			Replicas:   []rundb.Replica{{RSE: "R", Rule: "f0", State: "OK", Files: 3, CheckedAt: start, ExpiresAt: start}, {RSE: "S", State: "STUCK", CheckedAt: start, Text: "t"}},
			VerifiedAt: start, Evidence: rundb.Disk,
			ChecksumAlgorithm: "md5", InPlace: true, Claim: &rundb.Claim{ID: "c", Owner: rundb.Owner{PID: 1}, Seq: 2, Heartbeat: start, Left: left},
			Error: &rundb.CopyError{Class: "x", Text: "y", Since: start, Tries: 3, NextTry: start, Found: "z", Left: left}}}}
	got, err := rundb.NewRun(in)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID.IsZero() {
		t.Error("no id was chosen")
	}
	in.ID = got.ID
	if diff := cmp.Diff(&in, got, cmpopts.IgnoreUnexported(rundb.Run{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("what is written is not what is read (-written +read):\n%s", diff)
	}
	for name, r := range map[string]rundb.Run{
		"name": {Detector: "tpc", Start: start}, "detector": {Name: "n", Start: start}, "start": {Name: "n", Detector: "tpc"},
	} {
		if _, err := rundb.NewRun(r); !errors.Is(err, rundb.ErrInvalid) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// elements gives the fields of a document apart from those of one name.
func elements(t *testing.T, d bson.Raw, without string) (out [][]byte) {
	t.Helper()
	elems, err := d.Elements()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range elems {
		if e.Key() != without {
			out = append(out, e)
		}
	}
	return out
}

// FuzzDecode: nothing makes Decode or what works on its result panic, and a change
// of one field leaves all others as they are, byte for byte and in their order.
func FuzzDecode(f *testing.F) {
	for _, text := range legacy() {
		f.Add([]byte(fromJSON(f, text)))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		r, err := rundb.Decode(doc)
		if err != nil {
			if !errors.Is(err, rundb.ErrInvalid) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		_ = r.String()
		r.Duplicates()
		for _, c := range r.Data {
			m := c.Exactly()
			if !m.Match(&c) {
				t.Fatalf("%+v does not match itself", c)
			}
		}
		(&rundb.Query{Disagree: &rundb.CopyMatch{}, Missing: &rundb.Missing{At: "x"}}).Match(r)
		const field = "zz_unrelated"
		changed, err := rundb.Apply(doc, &rundb.Update{Run: r.ID, Set: bson.D{{Key: field, Value: "x"}}}, start)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(elements(t, doc, field), elements(t, changed, field)); diff != "" {
			t.Fatalf("setting one field changed others:\n%s", diff)
		}
		again, err := rundb.Decode(changed)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again, cmpopts.IgnoreUnexported(rundb.Run{}), cmpopts.EquateNaNs()); diff != "" {
			t.Fatalf("setting one field changed the run:\n%s", diff)
		}
		pushed, err := rundb.Apply(doc, &rundb.Update{Run: r.ID, Push: &rundb.Copy{Key: rundb.Key{Host: "new"}}}, start)
		if err != nil {
			t.Fatal(err)
		}
		if again, err = rundb.Decode(pushed); err != nil || len(again.Data) != len(r.Data)+1 {
			t.Fatalf("a pushed copy is not there: %v", err)
		}
		if diff := cmp.Diff(r.Data, again.Data[:len(r.Data)], cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("pushing a copy changed others:\n%s", diff)
		}
	})
}
