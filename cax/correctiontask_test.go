package cax

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cax-go/cax/process/correction"
	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
	zapobserver "go.uber.org/zap/zaptest/observer"
)

// took is a run that the data acquisition has taken, with a raw copy at A. Its number is
// that of the hour in which it began.
func (l *lab) took(n int, set ...bson.E) rundb.ID {
	l.t.Helper()
	start := time.Date(2016, 10, 9, 8, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Hour) // 1476000000 + 3600 n
	id := rundb.ID{0: 1, 10: byte(n >> 8), 11: byte(n)}
	name := start.Format(nameLayout)
	d := bson.D{{Key: "_id", Value: id}, {Key: "number", Value: int32(n)}, {Key: "name", Value: name}, {Key: "detector", Value: "tpc"},
		{Key: "start", Value: start}, {Key: "end", Value: start.Add(time.Hour)}, {Key: "reader", Value: bson.D{{Key: "self_trigger", Value: true}}},
		{Key: "raw_size_byte", Value: int64(5)},
		{Key: "data", Value: bson.A{bson.D{{Key: "type", Value: "raw"}, {Key: "host", Value: "A"}, {Key: "status", Value: "transferred"},
			{Key: "location", Value: l.site("A").DirRaw + "/" + name}, {Key: "checksum", Value: fmt.Sprintf("%0128x", n)}, {Key: "creation_time", Value: start}}}}}
	for _, s := range set {
		if i := slices.IndexFunc(d, func(e bson.E) bool { return e.Key == s.Key }); i >= 0 {
			d[i] = s
		} else {
			d = append(d, s)
		}
	}
	raw, err := bson.Marshal(d)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.store.Driver.Insert(l.t.Context(), raw); err != nil {
		l.t.Fatal(err)
	}
	return id
}

// setting adds a document of a correction to the run database; year orders them.
func (l *lab) setting(c rundb.Collection, year int, fields string) {
	l.t.Helper()
	text := fmt.Sprintf(`{"_id": "%s-%d", "calculation_time": {"$date": "%d-01-01T00:00:00Z"}, %s}`, c, year, year, fields)
	if n, err := l.store.ImportFrom(l.t.Context(), strings.NewReader(text), c, nil); err != nil || n.Added != 1 {
		l.t.Fatalf("%+v, %v", n, err)
	}
}

// quiet leaves a lab with nothing to do but corrections.
func quiet(cfg *Config) {
	cfg.Sites[0].UploadOptions = nil
	cfg.Sites[0].TaskList = []string{"AddGains", "AddDriftVelocity", "SetNeuralNetwork", "SetS2xyMap"}
	cfg.Corrections.PMTs = PMTsConfig{TPC: 3, MuonVeto: 2}
}

// has is a field of a run, as text; "" if it has none.
func (l *lab) has(id rundb.ID, path ...string) string {
	l.t.Helper()
	r, err := l.store.Get(l.t.Context(), id)
	if err != nil {
		l.t.Fatal(err)
	}
	v, err := r.Raw().LookupErr(path...)
	if err != nil {
		return ""
	}
	return v.String()
}

func gainsOf(t *testing.T, l *lab, id rundb.ID) (gains []float64, version string) {
	t.Helper()
	r, err := l.store.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if list, ok := r.Raw().Lookup("processor", "DEFAULT", "gains").ArrayOK(); ok {
		vs, err := list.Values()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range vs {
			gains = append(gains, v.Double())
		}
	}
	return gains, r.Corrected["AddGains"]
}

// TestAddGains: who gets which gains, once, and again when the version changes.
func TestAddGains(t *testing.T) {
	l := newLab(t, quiet)
	ordinary := l.took(1, bson.E{Key: "processor", Value: bson.D{{Key: "DEFAULT", Value: bson.D{{Key: "electron_lifetime_liquid", Value: 4.5}}}}})
	led := l.took(2, bson.E{Key: "reader", Value: bson.D{{Key: "self_trigger", Value: false}}})
	veto := l.took(3, bson.E{Key: "detector", Value: "muon_veto"})
	nulls := l.took(4, bson.E{Key: "processor", Value: nil})
	running := l.took(5, bson.E{Key: "end", Value: nil})
	dataless := l.took(6, bson.E{Key: "data", Value: bson.A{}})
	l.setting(rundb.Gains, 2015, `"version": "v0", "function": "7"`)
	l.setting(rundb.Gains, 2016, `"version": "v1", "function": "1e6*pmt + (t - 1476000000)/3600 + t0"`)

	dry := l.env("A")
	dry.DryRun = true
	if sum, err := NewDaemon(dry).Once(t.Context()); err != nil || sum.Done != 4 {
		t.Errorf("dry run: %+v, %v", sum, err)
	}
	if g, v := gainsOf(t, l, ordinary); g != nil || v != "" {
		t.Errorf("a dry run wrote gains %v, version %q", g, v)
	}
	if sum := l.must("A"); sum.Done != 4 || sum.Failed != 0 || sum.Calls != 0 {
		t.Errorf("%+v, want 4 runs corrected", sum)
	}
	for name, tc := range map[string]struct {
		id      rundb.ID
		gains   []float64
		version string
	}{
		"ordinary":      {ordinary, []float64{1, 1e6 + 1, 2e6 + 1}, "v1"},
		"LED":           {led, []float64{1, 1, 1}, "v1"},
		"muon veto":     {veto, []float64{1e6, 1e6}, "v1"},
		"null on top":   {nulls, []float64{4, 1e6 + 4, 2e6 + 4}, "v1"},
		"still running": {running, nil, ""},
		"no data":       {dataless, nil, ""},
	} {
		if g, v := gainsOf(t, l, tc.id); !slices.Equal(g, tc.gains) || v != tc.version {
			t.Errorf("%s: gains %v of version %q, want %v of %q", name, g, v, tc.gains, tc.version)
		}
	}
	if s := l.has(ordinary, "processor", "DEFAULT", "electron_lifetime_liquid"); s == "" {
		t.Error("the field beside the gains is lost")
	}
	var what []rundb.Event
	for e, err := range l.store.Events(t.Context(), ordinary) {
		if err != nil {
			t.Fatal(err)
		}
		what = append(what, e)
	}
	if len(what) != 1 || what[0].What != "corrected" || !strings.Contains(what[0].Why, "AddGains") || !strings.Contains(fmt.Sprint(what[0].Evidence), "gains-2016") {
		t.Errorf("events %+v", what)
	}

	l.sql, l.trace = nil, true
	if sum := l.must("A"); sum != (Summary{}) {
		t.Errorf("again: %+v", sum)
	}
	l.trace = false
	for _, s := range l.sql {
		if strings.Contains(s, "doc FROM runs") {
			t.Errorf("a run is read though nothing is to be done: %s", s)
		}
	}

	l.setting(rundb.Gains, 2017, `"version": {"$numberInt": "2"}, "function": "5"`)
	if sum := l.must("A"); sum.Done != 4 {
		t.Errorf("after a new version: %+v", sum)
	}
	if g, v := gainsOf(t, l, ordinary); !slices.Equal(g, []float64{5, 5, 5}) || v != "2" {
		t.Errorf("gains %v of version %q", g, v)
	}
	if s := l.has(ordinary, "processor", "correction_versions", "AddGains"); !strings.Contains(s, "numberInt") {
		t.Errorf("the version is %s, want the type that it has in the document", s)
	}
	if sum := l.must("A"); sum != (Summary{}) {
		t.Errorf("again: %+v", sum)
	}
}

// TestMalformedCorrection: a formula that cannot be read names itself, once, and stops
// neither the other corrections nor other tasks.
func TestMalformedCorrection(t *testing.T) {
	l := newLab(t, quiet, func(c *Config) { c.Sites[0].TaskList = append(c.Sites[0].TaskList, "CompareChecksums") })
	id := l.took(1)
	l.setting(rundb.Gains, 2016, `"version": "v1", "function": "2e6"`)
	l.setting(rundb.Gains, 2017, `"version": "v2", "function": "2e6 + pmt^2"`)
	l.setting(rundb.NeuralNetwork, 2016, `"version": "n1", "correction": [{"min": 0, "max": 10, "value": "net.npz"}]`)
	core, logs := zapobserver.New(zap.InfoLevel)
	env := l.env("A")
	env.Log = zap.New(core)
	for range 3 {
		sum, err := NewDaemon(env).Once(t.Context())
		if err != nil || sum.Calls != 1 || sum.Failed != 0 {
			t.Errorf("%+v, %v; want one finding for a person, and no error", sum, err)
		}
	}
	var told []string
	for _, e := range logs.FilterMessage("correction cannot be used").All() {
		told = append(told, fmt.Sprint(e.ContextMap()["error"]))
	}
	if len(told) != 1 || !strings.Contains(told[0], "document gains-2017 of gains") || !strings.Contains(told[0], "field function") || !strings.Contains(told[0], "write **") {
		t.Errorf("told %q, want one line that names document, field and what to write", told)
	}
	if g, v := gainsOf(t, l, id); g != nil || v != "" {
		t.Errorf("gains %v of version %q, by a document that is not the newest", g, v)
	}
	if s := l.has(id, "processor", "NeuralNet|PosRecNeuralNet", "neural_net_file"); !strings.Contains(s, "net.npz") {
		t.Errorf("the neural network is %q", s)
	}
	for d, err := range env.Plan(t.Context(), false) {
		if err != nil || d.Task == "AddGains" {
			t.Errorf("plan: %v, %v", d, err)
		}
	}
}

// TestCorrectionByNumber: maps go to the runs of their numbers; others are not read in
// each cycle, and on-request tasks run where a task_list names them.
func TestCorrectionByNumber(t *testing.T) {
	l := newLab(t, quiet)
	var ids []rundb.ID
	for n := range 6 {
		ids = append(ids, l.took(n))
	}
	l.setting(rundb.S2XYMap, 2016, `"version": "m1", "correction": [{"min": 1, "max": 3, "value": "a.json"}, {"min": 2, "max": 5, "value": "b.json"}]`)
	if sum := l.must("A"); sum.Done != 4 {
		t.Errorf("%+v, want 4 runs corrected", sum)
	}
	for n, want := range []string{"", "a.json", "a.json", "b.json", "b.json", ""} {
		if s := strings.Trim(l.has(ids[n], "processor", "WaveformSimulator", "s2_light_yield_map"), `"`); s != want {
			t.Errorf("run %d has the map %q, want %q", n, s, want)
		}
	}
	l.sql, l.trace = nil, true
	if sum := l.must("A"); sum != (Summary{}) {
		t.Errorf("again: %+v", sum)
	}
	for _, s := range l.sql {
		if strings.Contains(s, "doc FROM runs") {
			t.Errorf("a run without a map is read: %s", s)
		}
	}
	if l.site("B").Wants("SetS2xyMap") || !l.site("A").Wants("SetS2xyMap") || !l.site("B").Wants("SetNeuralNetwork") {
		t.Error("tasks on request run where nobody asks for them, or not where they are")
	}
}

// TestIdleCorrections: what a cycle costs in which all runs have the newest versions
// does not depend on their number.
func TestIdleCorrections(t *testing.T) {
	count := func(runs int) []string {
		l := newLab(t, quiet)
		versions := bson.D{}
		for _, k := range correction.Kinds() {
			versions = append(versions, bson.E{Key: k.Task, Value: "v1"})
			fields := `"version": "v1", "correction": [{"min": 0, "max": 5000, "value": "x"}]`
			if k.Symbols != nil {
				fields = `"version": "v1", "function": "1"`
			}
			l.setting(k.Collection, 2016, fields)
		}
		for n := range runs {
			l.took(n, bson.E{Key: "processor", Value: bson.D{{Key: "correction_versions", Value: versions}}})
		}
		l.trace = true
		if sum := l.must("A"); sum != (Summary{}) {
			t.Errorf("%+v", sum)
		}
		l.trace = false
		return l.sql
	}
	few, many := count(5), count(200)
	if len(few) != len(many) || len(few) == 0 {
		t.Errorf("%d statements for 5 runs, %d for 200", len(few), len(many))
	}
	for _, s := range many {
		if strings.Contains(s, "doc FROM runs") {
			t.Errorf("a run is read: %s", s)
		}
	}
}

// TestDriftVelocity: by the voltage of the cathode during the run; a slow control that is
// down is left alone, with the runs that need it, and nothing else.
func TestDriftVelocity(t *testing.T) {
	var down atomic.Bool
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch {
		case down.Load():
			w.WriteHeader(http.StatusBadGateway)
		case r.FormValue("key") != "s3cret" || r.FormValue("name") != defaultCathode:
			w.WriteHeader(http.StatusForbidden)
		case r.FormValue("from") == "1476007200" && r.FormValue("to") == "1476010800": // run 2
			fmt.Fprint(w, `{"data": []}`)
		default:
			fmt.Fprint(w, `{"data": [{"value": 11}, {"value": 13}]}`)
		}
	}))
	defer server.Close()
	secret := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLab(t, quiet, func(c *Config) {
		c.Corrections.SlowControl = SlowControlConfig{URL: server.URL + "/?name={variable}&from={from}&to={to}&key={secret}", Path: "data", SecretFile: secret}
	})
	one, two, three := l.took(1), l.took(2), l.took(3)
	l.setting(rundb.DriftVelocity, 2016, `"version": "d1", "function": "v"`)
	l.setting(rundb.Gains, 2016, `"version": "v1", "function": "2e6"`)
	velocity := func(id rundb.ID) string { return l.has(id, "processor", "DEFAULT", "drift_velocity_liquid") }

	down.Store(true)
	env := l.env("A")
	d := NewDaemon(env)
	env.Parallel = 1
	sum, err := d.Once(t.Context())
	if err == nil || sum.Failed != 1 || sum.Done != 3 || asked.Load() != 1 {
		t.Errorf("%+v, %v, asked %d times; want one failure, and three runs with gains", sum, err, asked.Load())
	}
	if d := (correctionTask{correction.Kinds()[1]}); true {
		doc, err := env.corrected.newest(t.Context(), env, d.kind)
		if err != nil {
			t.Fatal(err)
		}
		r, err := l.store.Get(t.Context(), one)
		if err != nil {
			t.Fatal(err)
		}
		if d := d.decide(env, r, doc, nil); d.Verb != Wait || !strings.Contains(d.Why, "502") {
			t.Errorf("while slow control is down: %s", d)
		}
	}

	down.Store(false)
	asked.Store(0)
	env = l.env("A")
	d = NewDaemon(env)
	if sum, err := d.Once(t.Context()); sum.Done != 2 || sum.Failed != 1 || err == nil || !strings.Contains(err.Error(), "no value between 2016-10-09 10:00:00") {
		t.Errorf("%+v, %v; want two runs corrected, and one of whose time nothing is recorded", sum, err)
	}
	if velocity(one) != `{"$numberDouble":"0.0012"}` || velocity(three) != velocity(one) || velocity(two) != "" {
		t.Errorf("drift velocities %q, %q, %q; want 12 km/s, but for run 2", velocity(one), velocity(two), velocity(three))
	}
	asked.Store(0)
	if sum, err := d.Once(t.Context()); err != nil || sum != (Summary{}) || asked.Load() != 0 {
		t.Errorf("again: %+v, %v, asked %d times", sum, err, asked.Load())
	}
}

// TestNobodyToAsk: a formula in the cathode's voltage without slow control is one finding.
func TestNobodyToAsk(t *testing.T) {
	l := newLab(t, quiet)
	for n := range 5 {
		l.took(n)
	}
	l.setting(rundb.DriftVelocity, 2016, `"version": "d1", "function": "v"`)
	if sum := l.must("A"); sum != (Summary{Calls: 1}) {
		t.Errorf("%+v, want one finding", sum)
	}
}

// TestCorrectionWithoutValue: a formula without a finite value for some runs is told for
// these, once a day, and given to the others.
func TestCorrectionWithoutValue(t *testing.T) {
	l := newLab(t, quiet)
	bad, good := l.took(0), l.took(1)
	l.setting(rundb.Gains, 2016, `"version": "v1", "function": "1/(t - 1476000000)"`)
	var elapsed atomic.Int64
	env := l.env("A")
	env.Clock.Elapsed = func() time.Duration { return time.Duration(elapsed.Load()) }
	d := NewDaemon(env)
	sum, err := d.Once(t.Context())
	if sum.Done != 1 || sum.Failed != 1 || err == nil || !strings.Contains(err.Error(), "document gains-2016 of gains") || !strings.Contains(err.Error(), "pmt = 0") && !strings.Contains(err.Error(), "t = 1.476e+09") {
		t.Errorf("%+v, %v", sum, err)
	}
	if g, _ := gainsOf(t, l, good); len(g) != 3 {
		t.Errorf("the other run has gains %v", g)
	}
	if sum, err := d.Once(t.Context()); err != nil || sum != (Summary{Calls: 1}) {
		t.Errorf("again: %+v, %v", sum, err)
	}
	elapsed.Store(int64(25 * time.Hour))
	if sum, err := d.Once(t.Context()); err == nil || sum.Failed != 1 {
		t.Errorf("the next day: %+v, %v", sum, err)
	}
	l.setting(rundb.Gains, 2017, `"version": "v2", "function": "1"`)
	if sum, err := d.Once(t.Context()); err != nil || sum.Done != 2 {
		t.Errorf("with another formula: %+v, %v", sum, err)
	}
	if g, _ := gainsOf(t, l, bad); !slices.Equal(g, []float64{1, 1, 1}) {
		t.Errorf("gains %v", g)
	}
}

// TestCorrectionFile: a file in place of the collection; two sites with different files do
// not go on overwriting each other.
func TestCorrectionFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, version string) string {
		t.Helper()
		p := filepath.Join(dir, name)
		text := `[{"calculation_time": {"$date": "2016-01-01T00:00:00Z"}, "version": "` + version + `", "function": "1"}]`
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	l := newLab(t, quiet, func(c *Config) { c.Corrections.Gains = write("a.json", "v1") })
	id := l.took(1)
	l.setting(rundb.Gains, 2020, `"version": "not this", "function": "9"`)
	ours := l.env("A")
	if sum, err := NewDaemon(ours).Once(t.Context()); err != nil || sum.Done != 1 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if g, v := gainsOf(t, l, id); v != "v1" || !slices.Equal(g, []float64{1, 1, 1}) {
		t.Errorf("gains %v of version %q", g, v)
	}
	l.cfg.Corrections.Gains = write("b.json", "v2")
	theirs := l.env("A")
	if sum, err := NewDaemon(theirs).Once(t.Context()); err != nil || sum.Done != 1 {
		t.Fatalf("%+v, %v", sum, err)
	}
	l.cfg.Corrections.Gains = filepath.Join(dir, "a.json")
	if sum, err := NewDaemon(ours).Once(t.Context()); err != nil || sum != (Summary{Calls: 1}) {
		t.Errorf("%+v, %v; want one finding", sum, err)
	}
	if _, v := gainsOf(t, l, id); v != "v2" {
		t.Errorf("version %q: the sites overwrite each other", v)
	}
	write("a.json", "v3")
	if sum, err := NewDaemon(ours).Once(t.Context()); err != nil || sum.Done != 1 {
		t.Errorf("a new version in the file: %+v, %v", sum, err)
	}
	if err := os.Remove(filepath.Join(dir, "a.json")); err != nil {
		t.Fatal(err)
	}
	if sum, err := NewDaemon(ours).Once(t.Context()); err != nil || sum != (Summary{Calls: 1}) {
		t.Errorf("the file is gone: %+v, %v", sum, err)
	}
}

// TestCorrectionPlan: plan and explain say why.
func TestCorrectionPlan(t *testing.T) {
	l := newLab(t, quiet)
	l.took(1)
	l.took(2, bson.E{Key: "processor", Value: bson.D{{Key: "correction_versions", Value: bson.D{{Key: "AddGains", Value: "v1"}, {Key: "SetNeuralNetwork", Value: "n0"}}}}})
	l.took(3, bson.E{Key: "end", Value: nil})
	l.took(20, bson.E{Key: "reader", Value: bson.D{}})
	l.setting(rundb.Gains, 2016, `"version": "v1", "function": "1"`)
	l.setting(rundb.NeuralNetwork, 2016, `"version": "n1", "correction": [{"min": 0, "max": 10, "value": "net.npz"}]`)
	for name, tc := range map[string]struct {
		number int64
		all    bool
		want   []string
	}{
		"everything": {0, false, []string{
			"AddGains: do set processor.DEFAULT.gains at A: it has none, and the newest is version v1",
			"AddGains: do set processor.DEFAULT.gains at A: it has none, and the newest is version v1",
			"SetNeuralNetwork: do set processor.NeuralNet|PosRecNeuralNet.neural_net_file at A: it is that of version n0, and the newest is n1",
			"SetNeuralNetwork: do set processor.NeuralNet|PosRecNeuralNet.neural_net_file at A: it has none, and the newest is version n1"}},
		"a run that has one": {2, true, []string{
			"AddGains: skip set processor.DEFAULT.gains at A: it is that of version v1, the newest",
			"AddDriftVelocity: skip set processor.DEFAULT.drift_velocity_liquid at A: the run database has no document in drift_velocity",
			"SetNeuralNetwork: do",
			"SetS2xyMap: skip set processor.WaveformSimulator.s2_light_yield_map at A: the run database has no document in s2_xy_map"}},
		"a run that is taken": {3, true, []string{
			"AddGains: wait set processor.DEFAULT.gains at A: the run has not ended", "AddDriftVelocity: skip",
			"SetNeuralNetwork: wait", "SetS2xyMap: skip"}},
		"a run without a value": {20, true, []string{
			"AddGains: call set processor.DEFAULT.gains at A: compute processor.DEFAULT.gains from document gains-2016 of gains, version v1: is invalid: the run has no reader.self_trigger",
			"AddDriftVelocity: skip", "SetNeuralNetwork: skip set processor.NeuralNet|PosRecNeuralNet.neural_net_file at A: compute", "SetS2xyMap: skip"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := l.env("A")
			if tc.number != 0 {
				env.Only.Number = &tc.number
			}
			var got []string
			for d, err := range env.Plan(t.Context(), tc.all) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, d.String())
			}
			if len(got) != len(tc.want) {
				t.Fatalf("plan says\n%s", strings.Join(got, "\n"))
			}
			for i, want := range tc.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("plan says %q, want %q", got[i], want)
				}
			}
		})
	}
	r, err := l.store.One(t.Context(), &rundb.Query{Numbers: []rundb.Range{{From: 1, To: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	xs, err := l.env("A").Explain(t.Context(), r, "A")
	if err != nil || len(xs) != 1 {
		t.Fatalf("%v, %v", xs, err)
	}
	var tasks []string
	for _, d := range xs[0].Decisions {
		if d.Verb == Do {
			tasks = append(tasks, d.Task)
		}
	}
	if diff := cmp.Diff([]string{"AddGains", "SetNeuralNetwork"}, tasks); diff != "" {
		t.Errorf("explain says what will be done (-want +got):\n%s", diff)
	}
}

// TestSlowControlConfig: what the configuration says reaches who is asked.
func TestSlowControlConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want correction.SlowControl
	}{
		"nobody":  {`"cathode": "C"`, nil},
		"program": {`"command": ["sc", "{variable}"], "path": "data.0", "timeout": "5s"`, correction.Command{Argv: []string{"sc", "{variable}"}, Path: "data.0", Timeout: 5 * time.Second}},
		"service": {`"url": "https://sc.example/{variable}", "path": "data.0", "timeout": "5s"`, correction.HTTP{URL: "https://sc.example/{variable}", Path: "data.0", Timeout: 5 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parseConfig("cax.json", []byte(`{"corrections": {"slow_control": {`+tc.text+`}}, "sites": [{"name": "A"}]}`), nil)
			if err != nil {
				t.Fatal(err)
			}
			in, err := c.Corrections.inputs()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, in.SlowControl); diff != "" {
				t.Errorf("slow control (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCorrectionsConfig: what is wrong in the configuration is told with its key.
func TestCorrectionsConfig(t *testing.T) {
	for name, tc := range map[string]struct{ text, says string }{
		"pattern without a place": {`"slow_control": {"pmt_voltage": "bias"}`, "%03d"},
		"two places":              {`"slow_control": {"pmt_voltage": "bias_%d_%d"}`, "%03d"},
		"a text":                  {`"slow_control": {"pmt_voltage": "bias_%s"}`, "%03d"},
		"no URL":                  {`"slow_control": {"url": "sc.example/values"}`, "web service"},
		"path with a gap":         {`"slow_control": {"path": "data..values"}`, "dots between"},
		"relative file":           {`"gains": "gains.json"`, "absolute path"},
		"other collection":        {`"gain": "/gains.json"`, "gains"},
		"shell":                   {`"slow_control": {"command": "sc-query {variable}"}`, "no shell"},
		"no photomultipliers":     {`"pmts": {"tpc": 0}`, "from 1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseConfig("cax.json", []byte(`{"corrections": {`+tc.text+`}, "sites": [{"name": "A"}]}`), nil)
			if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), "corrections.") {
				t.Errorf("error %v, want one that says %q", err, tc.says)
			}
		})
	}
}
