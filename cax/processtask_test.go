package cax

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// processes makes A a site that processes.
func processes(cfg *Config) {
	a := cfg.Sites[0]
	a.UploadOptions = nil
	a.PaxVersions = []string{"v1", "v2"}
	a.Batch = BatchConfig{System: BatchLocal, Folder: a.DirRaw + "-batch", Pace: time.Millisecond}
}

// taken is a run as the original's programs describe it, with a raw copy at A.
func taken(t *testing.T, l *lab, set map[string]any) *rundb.Run {
	t.Helper()
	doc := bson.M{"_id": rundb.ID{1}, "number": 5, "name": runName, "detector": "tpc", "start": time.Date(2016, 3, 15, 14, 32, 0, 0, time.UTC),
		"reader": bson.M{"self_trigger": true, "ini": bson.M{"write_mode": 2}}, "trigger": bson.M{"events_built": 5000},
		"processor": bson.M{"DEFAULT": bson.M{"gains": bson.A{1}, "drift_velocity_liquid": 1.0, "electron_lifetime_liquid": 2.0}},
		"data":      bson.A{bson.M{"type": "raw", "host": "A", "status": "transferred", "location": l.site("A").DirRaw + "/" + runName, "checksum": "ab"}}}
	maps.Copy(doc, set)
	b, err := bson.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rundb.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestProcessConditions: each of the original's conditions, and whether what is there
// already, or is under way, is left alone.
func TestProcessConditions(t *testing.T) {
	l := newLab(t, processes)
	a := l.site("A")
	raw := bson.M{"type": "raw", "host": "A", "status": "transferred", "location": a.DirRaw + "/" + runName}
	with := func(c bson.M) map[string]any {
		all := bson.M{"type": "processed", "host": "A", "pax_version": "v1", "location": a.DirProcessed + "/pax_v1/" + runName + ".root"}
		maps.Copy(all, c)
		return map[string]any{"data": bson.A{raw, all}}
	}
	constants := func(without string) map[string]any {
		d := bson.M{"gains": bson.A{1}, "drift_velocity_liquid": 1.0, "electron_lifetime_liquid": 2.0}
		delete(d, without)
		return map[string]any{"processor": bson.M{"DEFAULT": d}}
	}
	failed := func(tries int, next time.Time) bson.M {
		e := &rundb.CopyError{Class: ClassProcessor, Text: "no luck", Tries: tries, NextTry: next}
		return bson.M{"status": "error", "error": e.BSON()}
	}
	now := time.Now()
	for _, tc := range []struct {
		name string
		set  map[string]any
		verb Verb
		why  string
	}{
		{"all is there", nil, Do, "no processed of it"},
		{"tagged", map[string]any{"tags": bson.A{bson.M{"name": "donotprocess"}}}, Skip, "tag donotprocess"},
		{"other tag", map[string]any{"tags": bson.A{bson.M{"name": "good"}}}, Do, ""},
		{"no gains", constants("gains"), Skip, "no gains yet"},
		{"no drift velocity", constants("drift_velocity_liquid"), Skip, "no drift velocity liquid yet"},
		{"no electron lifetime", constants("electron_lifetime_liquid"), Skip, "no electron lifetime liquid yet"},
		{"null gains", map[string]any{"processor": bson.M{"DEFAULT": bson.M{"gains": nil}}}, Skip, "no gains yet"},
		{"no constants", map[string]any{"processor": nil}, Skip, "no gains yet"},
		{"muon veto needs gains alone", map[string]any{"detector": "muon_veto", "processor": bson.M{"DEFAULT": bson.M{"gains": bson.A{1}}}}, Do, ""},
		{"muon veto without gains", map[string]any{"detector": "muon_veto", "processor": nil}, Skip, "no gains"},
		{"no processor for it", map[string]any{"detector": "neutrons"}, Skip, `no processor of A is for detector "neutrons"`},
		{"write mode", map[string]any{"reader": bson.M{"ini": bson.M{"write_mode": 1}}}, Skip, "mode 1, not 2"},
		{"no events", map[string]any{"trigger": bson.M{"events_built": 0}}, Skip, "no events"},
		{"no raw copy", map[string]any{"data": bson.A{}}, Skip, "has no raw copy"},
		{"raw copy elsewhere", map[string]any{"data": bson.A{bson.M{"type": "raw", "host": "B", "status": "transferred", "location": "/x"}}}, Skip, "has no raw copy"},
		{"raw copy not verified", map[string]any{"data": bson.A{bson.M{"type": "raw", "host": "A", "status": "verifying", "location": a.DirRaw + "/x"}}}, Skip, "is verifying, not transferred"},
		{"raw copy outside", map[string]any{"data": bson.A{bson.M{"type": "raw", "host": "A", "status": "transferred", "location": "/etc/x"}}}, Skip, "outside the directories"},
		{"processed", with(bson.M{"status": "transferred"}), Skip, "has it already"},
		{"processed elsewhere", with(bson.M{"status": "transferred", "host": "B"}), Skip, "B has a good copy already"},
		{"other version is processed", with(bson.M{"status": "transferred", "pax_version": "v9"}), Do, ""},
		{"to be verified", with(bson.M{"status": "verifying"}), Wait, "waits to be verified"},
		{"left by other software", with(bson.M{"status": "transferring"}), Wait, "nobody holds a claim"},
		{"failed, not due", with(failed(1, now.Add(time.Minute))), Wait, "try 1 failed (processor): no luck"},
		{"failed, due", with(failed(4, now.Add(-time.Minute))), Do, "try 4 failed"},
		{"failed too often", with(failed(5, now.Add(-time.Minute))), Call, "it failed 5 times"},
		{"being pulled", with(bson.M{"status": "transferring", "claim": (&rundb.Claim{ID: "x", Kind: rundb.ClaimPull, Owner: rundb.Owner{Site: "A", Host: "h", PID: 1}}).BSON()}), Wait, "works on the copy (pull)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := processTask{}.decide(l.env("A"), taken(t, l, tc.set), product{typ: rundb.Processed, version: "v1"}, now, jobView{})
			if d.Verb != tc.verb || !strings.Contains(d.Why, tc.why) {
				t.Errorf("%s, want %s because of %q", d, tc.verb, tc.why)
			}
		})
	}
}

// TestC5JobsByClaim: whether there is a job is told by the claim on the record and its key,
// whatever jobs are called; each state of the job leads where it has to.
func TestC5JobsByClaim(t *testing.T) {
	l := newLab(t, processes)
	now := time.Now()
	me := l.env("A").Owner
	ended := me
	ended.Started++ // another process had this pid
	other := rundb.Owner{Site: "A", Host: "elsewhere", Boot: "b", PID: 7}
	job := func(s process.State) jobView {
		return jobView{byKey: map[string]process.Status{"key-1": {Key: "key-1", Name: "anything", ID: "17", State: s, Reason: "so"}}}
	}
	for _, tc := range []struct {
		name  string
		owner rundb.Owner
		jobs  jobView
		verb  Verb
		what  string
		why   string
	}{
		{"waits", ended, job(process.StatePending), Wait, doSubmit, "its job 17 is pending"},
		{"runs", ended, job(process.StateRunning), Wait, doSubmit, "running"},
		{"may have been taken", ended, job(process.StateSubmitting), Wait, doSubmit, "submitting"},
		{"batch system is down", ended, jobView{err: process.ErrUnavailable}, Wait, doSubmit, "cannot be asked"},
		{"failed", other, job(process.StateFailed), Do, doSettle, "job 17: failed, so"},
		{"ended well", other, job(process.StateSucceeded), Do, doSettle, "ended well, and left nothing"},
		{"node lost", ended, job(process.StateNodeLost), Do, doSettle, "node lost"},
		{"about to be submitted", me, jobView{}, Wait, doSubmit, "is submitting a job"},
		{"about to be submitted elsewhere", other, jobView{}, Wait, doSubmit, "is submitting a job"},
		{"submitter died before", ended, jobView{}, Do, doSettle, "there is no such job"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			claim := rundb.Claim{ID: "c", Kind: rundb.ClaimProcess, Source: "A", Job: "key-1", Owner: tc.owner, Heartbeat: now, Seq: 1}
			r := taken(t, l, map[string]any{"data": bson.A{
				bson.M{"type": "raw", "host": "A", "status": "transferred", "location": l.site("A").DirRaw + "/x"},
				bson.M{"type": "processed", "host": "A", "pax_version": "v1", "status": "transferring", "location": l.site("A").DirProcessed + "/pax_v1/x", "claim": claim.BSON()}}})
			env := l.env("A")
			p := product{typ: rundb.Processed, version: "v1"}
			d := processTask{}.decide(env, r, p, now, tc.jobs)
			if d.Verb != tc.verb || d.What != tc.what || !strings.Contains(d.Why, tc.why) {
				t.Errorf("%s, want %s %s because of %q", d, tc.verb, tc.what, tc.why)
			}
			// The job itself works on it, and no other job does.
			env.Job = "key-1"
			if d := (processTask{}).decide(env, r, p, now, jobView{}); d.Verb != Do || d.What != doProcess {
				t.Errorf("in the job: %s", d)
			}
			env.Job = "key-2"
			if d := (processTask{}).decide(env, r, p, now, jobView{}); d.Verb != Wait {
				t.Errorf("in another job: %s", d)
			}
			// No other task takes it for abandoned, and nobody deletes what is read.
			c, _ := r.Copy(p.key(env.Site))
			if got := env.liveness(c.Claim, now.Add(100*day)); got != ownerAlive {
				t.Errorf("liveness %d", got)
			}
			if host, ok := readFrom(r, p.source(env.Site)); !ok || host != "A" {
				t.Errorf("the raw copy is not known to be read: %q, %v", host, ok)
			}
		})
	}
}

// TestC6SubmitUnanswered: claims of jobs that were certainly not taken are given back,
// and those of jobs of which that is not known stay.
func TestC6SubmitUnanswered(t *testing.T) {
	for _, tc := range []struct {
		name   string
		err    error
		status rundb.Status // "": there is no record
		class  string
	}{
		{"taken", nil, rundb.Transferring, ""},
		{"perhaps taken", process.ErrUncertain, rundb.Transferring, ""},
		{"not taken", process.ErrUnavailable, "", ""},
		{"refused", process.ErrRefused, rundb.Failed, ClassRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, processes)
			r := l.register()
			env := l.env("A")
			env.Site.Processing.Processors = []ProcessorConfig{{Processor: process.Processor{Name: "p", Type: "processed", Command: []string{"true"}, Output: "x"}}}
			env.Program = []string{"/bin/cax"}
			if err := os.MkdirAll(env.notePath("x")+"/..", 0o755); err != nil {
				t.Fatal(err)
			}
			s := &submission{env: env, task: processTask{}}
			p := product{typ: rundb.Processed, version: "v1"}
			now, err := l.store.Now(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			d := s.task.decide(env, r, p, now, jobView{})
			s.add(r, p, d)
			i := s.items[0]
			if err := s.claim(t.Context(), i, now, jobView{}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(i.job.Script.Directives(), nil) || !strings.Contains(string(i.job.Script), "'CAX_JOB="+string(i.job.Key)+"' '/bin/cax' '--once'") || !strings.Contains(string(i.job.Script), "'--run' '1'") {
				t.Errorf("script\n%s", i.job.Script)
			}
			err = s.settled(t.Context(), i, process.Receipt{Key: i.job.Key, Err: tc.err}, now)
			if (err != nil) != (tc.err != nil && tc.err != process.ErrUncertain) {
				t.Errorf("error %v", err)
			}
			c, ok := l.run().Copy(p.key(env.Site))
			if ok != (tc.status != "") || c.Status != tc.status || ok && (c.Claim == nil) != (tc.status == rundb.Failed) {
				t.Errorf("record %+v", c)
			}
			if tc.class != "" && (c.Error == nil || c.Error.Class != tc.class || c.Error.Tries != 1) {
				t.Errorf("error %+v", c.Error)
			}
		})
	}
}

// TestMinitreeTries: each minitree has its own record and is tried up to five times; the
// others do not wait for it.
func TestMinitreeTries(t *testing.T) {
	l := newLab(t, processes)
	a := l.site("A")
	a.DirMinitrees = a.DirRaw + "-minitrees"
	a.PaxVersions = []string{"v1"}
	a.Processing = ProcessingConfig{Treemakers: []string{"Bad", "Good"}, Processors: []ProcessorConfig{
		{Processor: process.Processor{Name: "pax", Type: "processed", Script: "#!/bin/sh\necho x > out\n", Output: "out"}},
		{Processor: process.Processor{Name: "hax", Type: "minitree", Output: "{{.Name}}_{{.Part}}",
			Script: "#!/bin/sh\npart={{.Part}}\necho $part >> {{.Dir}}/" + "../tries\n[ \"$part\" = Good ] && echo tree > {{.Name}}_{{.Part}}\n"}}}}
	a.Processing.Work = t.TempDir()
	l.cfg.Policy.BackoffMin, l.cfg.Policy.BackoffMax = time.Nanosecond, time.Nanosecond
	if err := os.MkdirAll(a.DirMinitrees, 0o755); err != nil {
		t.Fatal(err)
	}
	r := l.register()
	env := l.env("A")
	env.Job = "a job"
	made, err := env.Process(t.Context(), r, ProcessOptions{})
	if err != nil || len(made) != 1 || made[0].Err != nil {
		t.Fatalf("%+v, %v", made, err)
	}
	env.Tasks = []Task{processTask{minitrees: true}}
	failures := 0
	for range 8 {
		if s, err := NewDaemon(env).Once(t.Context()); err != nil {
			if failures++; s.Failed != 1 || !errors.Is(err, process.ErrFailed) {
				t.Errorf("%+v, %v", s, err)
			}
		}
	}
	b, err := os.ReadFile(a.Processing.Work + "/tries")
	if err != nil || failures != 5 || strings.Count(string(b), "Bad\n") != 5 || strings.Count(string(b), "Good\n") != 1 {
		t.Errorf("%d failures, tries %q, %v", failures, b, err)
	}
	if c := l.copy(rundb.Key{Type: "minitrees_Good", Version: "v1", Host: "A"}); c.Status != rundb.Transferred || c.Location != a.DirMinitrees+"/pax_v1/"+runName+"_Good" {
		t.Errorf("%+v", c)
	}
	if c := l.copy(rundb.Key{Type: "minitrees_Bad", Version: "v1", Host: "A"}); c.Status != rundb.Failed || c.Error.Tries != 5 || c.Error.Class != ClassProcessor {
		t.Errorf("%+v", c)
	}
}

// TestC2OneRecord: of two that process one run at once one does, and the other finds
// that somebody was faster; one whose claim was taken over does not touch the record.
func TestC2OneRecord(t *testing.T) {
	l := newLab(t, processes)
	l.site("A").Processing.Processors = []ProcessorConfig{{Processor: process.Processor{Name: "pax", Type: "processed", Script: "#!/bin/sh\nsleep 1; echo x > out\n", Output: "out"}}}
	r := l.register()
	one, two := l.env("A"), l.env("A")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began, ended := make(chan struct{}), make(chan []Processed)
	go func() {
		close(began)
		made, _ := one.Process(ctx, r, ProcessOptions{Version: "v1"})
		ended <- made
	}()
	<-began
	made, err := two.Process(t.Context(), r, ProcessOptions{Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	all := append(made, <-ended...)
	skipped := 0
	for _, p := range all {
		if p.Err != nil {
			t.Errorf("%+v", p)
		}
		if p.Skipped != "" {
			skipped++
		}
	}
	if skipped != 1 || len(l.run().Duplicates()) > 0 || len(l.run().Data) != 2 {
		t.Errorf("%+v, records %+v", all, l.run().Data)
	}
}
