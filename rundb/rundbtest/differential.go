package rundbtest

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// differentialOps is how many operations [Differential] carries out.
const differentialOps = 600

// Differential carries out the same random operations on two empty databases. The
// errors must be of the same kinds, and all documents and query results the same,
// apart from the order of fields and from times that the databases set themselves.
func Differential(t *testing.T, a, b rundb.Driver, seed uint64) {
	g := &gen{rand.New(rand.NewPCG(seed, 0))}
	for i := range differentialOps {
		op := g.operation(t)
		errA, errB := op.do(a), op.do(b)
		if kind(errA) != kind(errB) {
			t.Fatalf("seed %d, operation %d, %s:\nthe first driver: %v\nthe second:       %v", seed, i, op, errA, errB)
		}
		q := g.query()
		sameDocs(t, fmt.Sprintf("seed %d, operation %d, after %s: find %+v", seed, i, op, *q), a.Find(t.Context(), q), b.Find(t.Context(), q))
		if i%20 == 19 {
			sameDocs(t, fmt.Sprintf("seed %d, operation %d: all runs", seed, i), a.Find(t.Context(), &rundb.Query{}), b.Find(t.Context(), &rundb.Query{}))
			dq := g.docQuery()
			sameDocs(t, fmt.Sprintf("seed %d, operation %d: documents %+v", seed, i, *dq), a.Docs(t.Context(), dq), b.Docs(t.Context(), dq))
		}
		if t.Failed() {
			return
		}
	}
}

// kind is the kind of an error, for comparison.
func kind(err error) error {
	for _, k := range []error{rundb.ErrNotExist, rundb.ErrExist, rundb.ErrConflict, rundb.ErrAmbiguous, rundb.ErrInvalid, rundb.ErrTransient, rundb.ErrUnknownOutcome} {
		if errors.Is(err, k) {
			return k
		}
	}
	return err
}

func sameDocs(t *testing.T, what string, a, b iter.Seq2[bson.Raw, error]) {
	t.Helper()
	var texts [2][]string
	for i, seq := range []iter.Seq2[bson.Raw, error]{a, b} {
		for doc, err := range seq {
			if err != nil {
				t.Fatalf("%s: driver %d: %v", what, i+1, err)
			}
			texts[i] = append(texts[i], canonical(t, doc))
		}
	}
	if !slices.Equal(texts[0], texts[1]) {
		t.Errorf("%s:\nthe first driver gives\n  %s\nthe second\n  %s", what, texts[0], texts[1])
	}
}

// canonical is a document as text, fields sorted, without the databases' own times.
func canonical(t testing.TB, doc bson.Raw) string {
	t.Helper()
	elems, err := doc.Elements()
	must(t, err)
	slices.SortStableFunc(elems, func(x, y bson.RawElement) int { return cmp.Compare(x.Key(), y.Key()) })
	s := "{"
	for _, x := range elems {
		v := x.Value()
		s += x.Key() + ":"
		switch sub, ok := v.DocumentOK(); {
		case x.Key() == "heartbeat" && v.Type == bson.TypeDateTime:
			s += "(time)"
		case ok:
			s += canonical(t, sub)
		case v.Type == bson.TypeArray:
			s += "[" + canonical(t, bson.Raw(v.Value)) + "]"
		default:
			s += fmt.Sprintf("%v%x", v.Type, v.Value)
		}
		s += " "
	}
	return s + "}"
}

// operation is one call of a driver.
type operation struct {
	name string
	do   func(rundb.Driver) error
}

func (o operation) String() string { return o.name }

// gen draws random operations from small alphabets, so that they meet each other.
type gen struct{ *rand.Rand }

func pick[T any](g *gen, from ...T) T { return from[g.IntN(len(from))] }

// maybe is true once in n times.
func (g *gen) maybe(n int) bool { return g.IntN(n) == 0 }

func (g *gen) operation(t *testing.T) operation {
	ctx := t.Context()
	switch k := g.IntN(20); {
	case k < 4:
		d := g.run()
		doc := marshal(t, d)
		return operation{fmt.Sprint("insert ", d), func(d rundb.Driver) error { return d.Insert(ctx, doc) }}
	case k < 17:
		u := g.update()
		return operation{describe(u), func(d rundb.Driver) error { return d.Update(ctx, u) }}
	case k < 19:
		doc := marshal(t, bson.D{e("_id", runID(g.IntN(60))), e("run", runID(g.IntN(4))), e("time", day.Add(time.Duration(g.IntN(5))*time.Second)), e("calculation_time", day.Add(time.Duration(g.IntN(5))*time.Second)), e("key", pick(g, "raw//", "raw//a", "processed/v1/", ""))})
		coll := pick(g, rundb.Events, rundb.Manifests, rundb.Gains)
		return operation{fmt.Sprint("add to ", coll, " ", doc), func(d rundb.Driver) error { return d.Add(ctx, coll, doc) }}
	}
	id := runID(g.IntN(12))
	return operation{"get " + id.Hex(), func(d rundb.Driver) error {
		_, err := d.Get(ctx, id)
		return err
	}}
}

func describe(u *rundb.Update) string {
	s := fmt.Sprintf("update %s require %+v forbid %+v", u.Run.Hex(), u.Require, u.Forbid)
	switch {
	case u.Push != nil:
		s += fmt.Sprintf(" push %+v", *u.Push)
	case u.Change != nil:
		s += fmt.Sprintf(" change %+v", *u.Change)
	case u.Pull != nil:
		s += fmt.Sprintf(" pull %+v", *u.Pull)
	}
	return s + fmt.Sprint(" set ", u.Set)
}

// run is the document of one of a dozen runs, with the oddities of old ones.
func (g *gen) run() bson.D {
	n := g.IntN(12)
	var data any
	switch g.IntN(8) {
	case 0:
	case 1:
		data = pick[any](g, bson.A{}, absent, "text", bson.A{"text"})
	default:
		a := bson.A{}
		for range g.IntN(4) {
			a = append(a, g.oldCopy())
		}
		if g.maybe(8) {
			a = append(a, nil)
		}
		data = a
	}
	d := runDoc(n, data, e("detector", pick(g, "tpc", "tpc", "muon_veto")), e("start", day.Add(time.Duration(g.IntN(6))*time.Hour)))
	if data == absent {
		d = with(d, []bson.E{e("data", nil)})
	}
	if g.maybe(4) {
		d = with(d, []bson.E{e("number", pick[any](g, float64(n), int64(n), absent))})
	}
	if g.maybe(3) {
		d = with(d, []bson.E{e("tags", pick[any](g, nil, bson.A{}, bson.A{bson.D{e("name", "good")}}, bson.A{bson.D{e("name", "good")}, bson.D{e("name", "led"), e("user", "u")}}))})
	}
	if g.maybe(6) {
		d = with(d, []bson.E{e("name", pick(g, "160315_0001", "160315_0002"))})
	}
	if g.maybe(8) {
		d = with(d, []bson.E{e("deleted_data", pick[any](g, nil, bson.A{}, bson.A{copyDoc("a")}))})
	}
	if g.maybe(10) {
		d = with(d, []bson.E{e("start", absent)})
	}
	if g.maybe(3) {
		d = with(d, []bson.E{e("raw_size_byte", pick[any](g, nil, int32(0), 5, 5.0, "5", "x"))})
	}
	if g.maybe(2) {
		d = with(d, []bson.E{e("end", pick[any](g, day, bson.A{day}, nil)), g.corrected()})
	}
	return with(d, []bson.E{e("odd", everyType())})
}

// corrected are the versions of corrections that a run has.
func (g *gen) corrected() bson.E {
	return pick(g, e("processor", bson.D{e("correction_versions", bson.D{e("AddGains", pick[any](g, "v1", "2", int32(2), 2.0, nil))})}),
		e("processor", bson.D{e("correction_versions", nil)}), e("processor", nil), e("processor", "text"), e("processor", bson.D{}))
}

// oldCopy is a record as old software, or this one, may have left it.
func (g *gen) oldCopy() bson.D {
	c := copyDoc(g.host(), e("type", string(g.dataType())), e("status", string(g.status())), e("location", g.location()),
		e("checksum", pick[any](g, "aa", "bb", "cccc", nil, absent)), e("creation_time", pick[any](g, g.when(), g.when(), bson.A{g.when()}, absent)),
		e("pax_version", pick[any](g, nil, absent, "v1", "v2", "")))
	if g.maybe(4) {
		c = with(c, []bson.E{e("claim", bson.D{e("id", pick(g, "c1", "c2")), e("seq", pick[any](g, int64(1), int32(2), 2.0)), e("heartbeat", day)})})
	}
	if g.maybe(4) {
		c = with(c, []bson.E{e("error", bson.D{e("class", "x"), e("next_try", pick[any](g, nil, g.when(), g.when(), absent))})})
		c = with(c, []bson.E{e("error", slices.DeleteFunc(c[len(c)-1].Value.(bson.D), func(x bson.E) bool { return x.Value == absent }))})
	}
	if g.maybe(6) {
		c = with(c, []bson.E{e("checksum_algorithm", "adler32")})
	}
	if g.maybe(4) {
		c = with(c, []bson.E{e("permissions", pick[any](g, "f1", "f2", nil)), e("size", pick[any](g, nil, int32(0), 7.0, "7", -1, math.Inf(1)))})
	}
	return c
}

func (g *gen) host() string         { return pick(g, "a", "b", "c") }
func (g *gen) location() string     { return pick(g, "/x", "/y", "/z") }
func (g *gen) dataType() rundb.Type { return pick(g, rundb.Raw, rundb.Raw, rundb.Processed) }
func (g *gen) status() rundb.Status {
	return pick(g, rundb.Transferred, rundb.Transferring, rundb.Failed)
}
func (g *gen) version() string { return pick(g, "", "", "v1", "v2") }
func (g *gen) when() time.Time { return day.Add(time.Duration(g.IntN(3)) * time.Minute) }
func (g *gen) some(n int) (is []bool) {
	for range n {
		is = append(is, g.maybe(3))
	}
	return is
}

func (g *gen) match() rundb.CopyMatch {
	var m rundb.CopyMatch
	is := g.some(18)
	if is[14] && is[5] {
		m.NotPermissions = pick(g, "f1", "f2")
	}
	m.NoError, m.NoSize, m.NotInPlace = is[15] && is[5], is[16] && is[5], is[17] && is[5]
	if is[12] && is[5] {
		m.Source = g.host()
	}
	if is[13] && is[5] {
		m.Checksum = "c1"
	}
	m.NoChecksum = is[14] && is[6]
	m.AnyChecksum = is[15] && is[6]
	if is[0] || is[1] {
		m.Hosts = []string{g.host(), g.host()}[:1+g.IntN(2)]
	}
	if is[2] {
		m.Types = []rundb.Type{g.dataType()}
	}
	if is[3] {
		m.Statuses = []rundb.Status{g.status(), g.status()}[:1+g.IntN(2)]
	}
	if is[4] {
		m.Versions = []string{g.version(), g.version()}[:g.IntN(3)]
	}
	if is[5] && is[6] {
		m.NotHosts = []string{g.host()}
	}
	if is[7] {
		m.Location = g.location()
	}
	if is[8] && is[9] {
		m.ClaimID = pick(g, "c1", "c2")
		if g.maybe(2) {
			seq := int64(1 + g.IntN(3))
			m.Seq = &seq
		}
	} else if is[9] {
		m.NoClaim = true
	}
	if is[10] && is[0] {
		m.Created = g.when()
	}
	if is[10] && is[2] {
		m.VerifiedAt = g.when()
	}
	if is[11] && is[1] {
		m.DueBy = g.when()
	}
	return m
}

func (g *gen) matches() (ms []rundb.CopyMatch) {
	for range max(0, g.IntN(5)-2) {
		ms = append(ms, g.match())
	}
	return ms
}

func (g *gen) update() *rundb.Update {
	u := &rundb.Update{Run: runID(g.IntN(12))}
	if g.maybe(3) {
		u.Require = g.matches()
	}
	if g.maybe(3) {
		u.Forbid = g.matches()
	}
	field := func() bson.E {
		return pick(g, e("status", string(g.status())), e("checksum", pick[any](g, "aa", "bb", nil)), e("location", g.location()),
			e("creation_time", g.when()), e("claim", bson.D{e("id", pick(g, "c1", "c2")), e("seq", int64(1))}), e("claim", nil),
			e("claim.seq", int64(g.IntN(4))), e("error", bson.D{e("next_try", g.when())}), e("error", nil), e("size", int64(3)), e("size", nil), e("in_place", true), e("permissions", pick[any](g, "f1", nil)),
			e("host", "z"), e("note.deep", 1), e("new.deep.er", everyType()), e("rse", bson.A{"x"}))
	}
	fields := func() (d bson.D) {
		for range 1 + g.IntN(3) {
			d = append(d, field())
		}
		return d
	}
	switch g.IntN(8) {
	case 0, 1, 2:
		c := rundb.Copy{Key: rundb.Key{Type: g.dataType(), Version: g.version(), Host: g.host()}, Status: g.status(), Location: g.location(), Created: g.when(), VerifiedAt: g.when(), Checksum: pick(g, "", "aa", "bb")}
		if g.maybe(2) {
			c.Claim = &rundb.Claim{ID: pick(g, "c1", "c2"), Kind: rundb.ClaimPull, Seq: 1, Heartbeat: g.when()}
		}
		if g.maybe(2) {
			u.Forbid = append(u.Forbid, rundb.CopyMatch{Types: []rundb.Type{c.Type}, Versions: []string{c.Version}, Hosts: []string{c.Host}})
		}
		u.Push = &c
	case 3, 4, 5:
		u.Change = &rundb.Change{Where: g.match(), Set: fields()}
		if g.maybe(3) {
			u.Change.ServerTime = "claim.heartbeat"
		}
	case 6:
		u.Pull = &rundb.Pull{Where: g.match(), Withdraw: g.maybe(2), Twins: g.maybe(2), History: bson.D{e("by", "me"), e("at", g.when())}}
	case 7:
		u.Set = pick(g, bson.D{e("end", g.when()), e("processor.correction_versions.AddGains", pick[any](g, "v1", "2", nil))}, bson.D{e("tags", bson.A{bson.D{e("name", pick(g, "good", "led"))}})}, bson.D{e("tags", nil)}, bson.D{e("number", int64(g.IntN(12)))},
			bson.D{e("reader.ini.write_mode", int32(g.IntN(9))), e("raw_size_byte", int64(5))}, bson.D{e("name.x", 1)}, bson.D{e("trigger.status", nil)},
			bson.D{e("data", 1)}, bson.D{e("trigger", nil), e("trigger.x", 1)}, bson.D{e("start", g.when())})
	}
	if g.maybe(40) {
		u.Set = bson.D{e("x", 1)} // one change too many, or the only one
	}
	return u
}

func (g *gen) query() *rundb.Query {
	q := &rundb.Query{OldestFirst: g.maybe(2), NoRawSize: g.maybe(5), Copies: g.matches(), NoCopies: g.matches()}
	is := g.some(12)
	if is[0] && is[1] {
		q.Numbers = []rundb.Range{{From: int64(g.IntN(6)), To: int64(g.IntN(14) - 1)}, {From: 3, To: 3}}[:g.IntN(3)]
	}
	if is[1] && is[2] {
		q.Names = []string{"160315_0001", fmt.Sprintf("160315_%04d", g.IntN(12))}
	}
	if is[2] && is[3] {
		q.Detectors = []string{pick(g, "tpc", "muon_veto")}
	}
	if is[3] && is[4] {
		q.Tags = []string{"good", "led"}[:1+g.IntN(2)]
	}
	if is[4] && is[5] {
		q.NotTags = []string{"led", "good"}[:1+g.IntN(2)]
	}
	if is[5] && is[6] {
		q.From = day.Add(time.Duration(g.IntN(6)) * time.Hour)
	}
	if is[6] && is[7] {
		q.Until = day.Add(time.Duration(g.IntN(7)) * time.Hour)
	}
	if is[7] && is[8] {
		q.IDs = []rundb.ID{runID(g.IntN(12)), runID(g.IntN(12)), runID(g.IntN(12))}[:g.IntN(4)]
	}
	if is[8] && is[9] {
		m := g.match()
		q.Disagree = &m
	}
	if is[9] && is[10] {
		q.Missing = &rundb.Missing{Have: g.match(), At: g.host()}
	}
	if is[8] && is[10] {
		q.Spare = &rundb.Spare{Have: g.match(), Others: g.IntN(3)}
	}
	if is[9] && is[11] {
		q.Uncorrected = &rundb.Uncorrected{Task: pick(g, "AddGains", "AddGains", "SetX"), Version: pick(g, "v1", "2")}
	}
	if is[10] && is[11] {
		q.Limit = 1 + g.IntN(4)
	}
	return q
}

func (g *gen) docQuery() *rundb.DocQuery {
	q := &rundb.DocQuery{Coll: pick(g, rundb.Events, rundb.Manifests, rundb.Gains), Newest: g.maybe(2), Limit: g.IntN(5)}
	if g.maybe(2) {
		q.Run = runID(g.IntN(4))
	}
	if g.maybe(3) {
		q.KeyPrefix = pick(g, "raw//", "raw//a", "p")
	}
	if g.maybe(3) {
		q.From = day.Add(time.Duration(g.IntN(5)) * time.Second)
	}
	return q
}
