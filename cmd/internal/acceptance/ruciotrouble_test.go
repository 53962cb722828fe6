package acceptance

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cax-go/cax/rucio/ruciotest"
)

// A front passes requests on to the server, unless a fault is set for them.
type front struct {
	*httptest.Server
	mu    sync.Mutex
	fault func(w http.ResponseWriter, r *http.Request, next http.Handler) (handled bool)
}

func newFront(t *testing.T, s *ruciotest.Server) *front {
	f := &front{}
	next := s.Handler()
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		fault := f.fault
		f.mu.Unlock()
		if fault == nil || !fault(w, r, next) {
			next.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *front) set(fault func(w http.ResponseWriter, r *http.Request, next http.Handler) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// troubled is a lab whose failures are due again at once, behind a front.
func troubled(t *testing.T, s *ruciotest.Server, entrance string) (*lab, *front) {
	t.Helper()
	l, f := newLab(t, s, entrance), newFront(t, s)
	l.policy = map[string]any{"backoff_min": "1ms", "backoff_max": "1ms"}
	l.remote["rucio"] = map[string]any{"config": s.Config, "host": f.URL, "auth_host": f.URL}
	l.configure()
	return l, f
}

// recovers runs one cycle, as the daemon would, and expects the run to be published.
func (l *lab) recovers(run, rse string) {
	l.t.Helper()
	l.must("ruciax", "--once")
	l.is(run, "transferred", "")
	j := l.published(run, rse)
	j.onlyRule(l.t, rse)
}

// testQuota: RSEquota where the account may not store as much, or nothing at all.
func testQuota(t *testing.T, s *ruciotest.Server) {
	l, _ := troubled(t, s, ruciotest.RSEB)
	const small, none = "170501_0100", "170501_0200"
	l.add(6501, small, files(6501, 4, 5000))
	s.SetLimit(s.Admin.Account, ruciotest.RSEB, 10)
	l.fails([]string{"quota"}, "ruciax", "--once")
	l.is(small, "RSEquota", "quota")
	if n := len(l.stored(small, ruciotest.RSEB)); n != 0 {
		t.Errorf("%d files were sent all the same", n)
	}
	l.explains(small, "quota", "may store 10 bytes more there")
	l.fails([]string{"quota"}, "ruciax", "--once")
	l.is(small, "RSEquota", "quota")
	s.SetLimit(s.Admin.Account, ruciotest.RSEB, -1)
	l.recovers(small, ruciotest.RSEB)

	// Without any limit the server says so only when the rule is made, and only to an
	// account without further rights.
	poor := s.AddAccount("poor", "USER")
	s.AddScope(poor.Account, "user.poor")
	l.remote["rucio"], l.remote["rucio_account"] = map[string]any{"config": s.ClientConfig(poor)}, poor.Account
	l.naming = map[string]any{"scope": "user.poor", "upload_scope": "user.poor", "dataset": "{{.Name}}_{{.Type}}"}
	l.configure()
	l.add(6502, none, files(6502, 4, 5000))
	l.fails([]string{"quota"}, "ruciax", "--once")
	l.is(none, "RSEquota", "quota")
	l.explains(none, "quota")
	s.SetLimit(poor.Account, ruciotest.RSEB, 1_000_000)
	l.must("ruciax", "--once")
	if r := l.is(none, "transferred", ""); !slices.Equal(r.list("rse"), []string{ruciotest.RSEB}) {
		t.Errorf("rse is %q", r.list("rse"))
	}
}

// testOutage: the server goes away amid an upload, answers 503, cuts its streams, or
// forgets its tokens.
func testOutage(t *testing.T, s *ruciotest.Server) {
	l, f := troubled(t, s, ruciotest.RSEA)
	number := 6510
	sub := func(name string, test func(t *testing.T, s *ruciotest.Server, l *lab)) {
		t.Run(name, func(t *testing.T) {
			as := *l
			as.t, as.s = t, s.With(t)
			test(t, as.s, &as)
			l.db = as.db
		})
	}
	next := func(l *lab) string {
		l.t.Helper()
		number++
		run := fmt.Sprintf("170502_%04d", number-6500)
		l.add(number, run, files(number, 5, 3000))
		return run
	}
	reset := func() { f.set(nil) }

	sub("server stops amid an upload", func(t *testing.T, s *ruciotest.Server, l *lab) {
		defer reset()
		run := next(l)
		var once sync.Once
		f.set(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if r.Method == http.MethodPost && r.URL.Path == "/replicas" {
				once.Do(s.Stop)
			}
			return false
		})
		l.fails(nil, "ruciax", "--once")
		l.is(run, "RSEreupload", "transient")
		l.explains(run, "transient", "not available")
		if n := len(l.stored(run, ruciotest.RSEA)); n != 5 {
			t.Errorf("%d of 5 files are at the RSE", n)
		}
		l.fails(nil, "ruciax", "--once") // still away
		s.Start()
		l.recovers(run, ruciotest.RSEA)
	})
	sub("503", func(t *testing.T, s *ruciotest.Server, l *lab) {
		defer reset()
		run := next(l)
		// Now and then: the client asks again.
		var mu sync.Mutex
		n, all := 0, false
		f.set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			mu.Lock()
			defer mu.Unlock()
			if n++; n%4 != 1 && !all {
				return false
			}
			http.Error(w, "no server is available to handle this request", http.StatusServiceUnavailable)
			return true
		})
		l.must("ruciax", "--once")
		l.is(run, "transferred", "")
		l.published(run, ruciotest.RSEA)
		// All the time: it gives up, and says so.
		other := next(l)
		mu.Lock()
		all = true
		mu.Unlock()
		l.fails(nil, "ruciax", "--once")
		l.is(other, "RSEreupload", "transient")
		l.explains(other, "transient")
		reset()
		l.recovers(other, ruciotest.RSEA)
	})
	sub("streams cut in mid-line", func(t *testing.T, s *ruciotest.Server, l *lab) {
		defer reset()
		run := next(l)
		l.must("ruciax", "--once")
		l.again(run, "RSEreupload")
		cut := 0
		f.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
			if r.URL.Path != "/replicas/list" {
				return false
			}
			cut++
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			line, _ := bufio.NewReader(rec.Body).ReadString('\n')
			w.Header().Set("Content-Type", "application/x-json-stream")
			w.WriteHeader(rec.Code)
			io.WriteString(w, line+`{"scope": "x1t_`) // slowly, and then no more
			w.(http.Flusher).Flush()
			time.Sleep(50 * time.Millisecond)
			panic(http.ErrAbortHandler)
		})
		l.fails(nil, "ruciax", "--once")
		if cut == 0 {
			t.Error("no stream was cut")
		}
		l.is(run, "RSEreupload", "transient")
		reset()
		l.recovers(run, ruciotest.RSEA)
	})
	sub("tokens end amid an upload", func(t *testing.T, s *ruciotest.Server, l *lab) {
		defer reset()
		run := next(l)
		ended := map[string]bool{}
		f.set(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if path := r.URL.Path; slices.Contains([]string{"/replicas", "/dids/attachments", "/rules/"}, path) && !ended[path] {
				ended[path] = true
				s.ExpireTokens()
			}
			return false
		})
		l.must("ruciax", "--once")
		if len(ended) != 3 {
			t.Errorf("tokens were ended before %v", ended)
		}
		l.is(run, "transferred", "")
		l.published(run, ruciotest.RSEA)
	})
	sub("RSE takes no writes", func(t *testing.T, s *ruciotest.Server, l *lab) {
		run := next(l)
		write := func(on bool) {
			if status, text := s.Call("PUT", "/rses/"+ruciotest.RSEA, map[string]any{"availability_write": on}); status > 201 {
				t.Fatalf("%d: %s", status, text)
			}
		}
		write(false)
		l.fails([]string{"no writes"}, "ruciax", "--once")
		l.is(run, "RSEreupload", "unavailable")
		l.explains(run, "unavailable", "no writes")
		write(true)
		l.recovers(run, ruciotest.RSEA)
	})
	sub("source is damaged", func(t *testing.T, s *ruciotest.Server, l *lab) {
		run := next(l)
		flip(t, l.raw(run)+"/trigger_monitor_data.zip")
		l.fails(nil, "ruciax", "--once")
		if r := l.record(run); r.text("status") != "error" {
			t.Errorf("the record is %q, error %v", r["status"], r["error"])
		}
		if n := len(l.stored(run, ruciotest.RSEA)); n != 0 {
			t.Errorf("%d files of a damaged copy are at the RSE", n)
		}
	})
}

// A4: what a rule does not keep is not taken for a copy, nor what a rule that is stuck
// should have brought; the record follows when it is mended.
func testA4(t *testing.T, s *ruciotest.Server) {
	l, _ := troubled(t, s, ruciotest.RSEA)
	const run, number = "170503_0100", 6601
	l.add(number, run, files(number, 4, 3000))
	l.must("ruciax", "--once")
	l.site["task_list"] = []string{"RucioRule"}
	l.configure()

	// Stuck.
	rule := func() string {
		return strings.TrimSpace(s.SQL("select id from dev.rules where scope='" + scope(run) + "'"))
	}
	set := func(state, text string) {
		s.SQL("update dev.rules set state='" + state + "', error=" + text + " where scope='" + scope(run) + "'")
	}
	look := func() record {
		l.must("ruciax", "--once")
		return l.record(run)
	}
	if rule() == "" {
		t.Fatal("no rule")
	}
	set("S", "'SOURCE_GLOBAL: no route to host'")
	if r := look(); r.text("status") != "transferred" || len(r.list("rse")) != 0 || len(r.list("rule_info")) != 0 {
		t.Errorf("with a rule that is stuck: status %v, rse %v, rule_info %v", r["status"], r["rse"], r["rule_info"])
	}
	l.explains(run, "STUCK", "no route to host")
	if out := l.must("ruciax", "rules", "--run", fmt.Sprint(number)); !strings.Contains(out, "STUCK") || !strings.Contains(out, "no route to host") {
		t.Errorf("ruciax rules:\n%s", out)
	}
	set("O", "null")
	if r := look(); !slices.Equal(r.list("rse"), []string{ruciotest.RSEA}) || !slices.Equal(r.list("rule_info"), []string{ruciotest.RSEA + ":valid"}) {
		t.Errorf("mended: rse %v, rule_info %v", r["rse"], r["rule_info"])
	}

	// Lost.
	s.SQL("delete from dev.locks where scope='" + scope(run) + "'")
	s.SQL("delete from dev.dataset_locks where scope='" + scope(run) + "'")
	s.SQL("delete from dev.rules where scope='" + scope(run) + "'")
	if r := look(); len(r.list("rse")) != 0 || len(r.list("rule_info")) != 0 {
		t.Errorf("without a rule: rse %v, rule_info %v", r["rse"], r["rule_info"])
	}
	l.explains(run, "no rule")
	if out := l.must("ruciax", "locator", "--method", "CheckRSESingle", "--rse", ruciotest.RSEA, "--run", fmt.Sprint(number), "--json"); out != "" {
		t.Errorf("a run without a rule is called whole: %s", out)
	}

	// Files lost at the only RSE: the upload is asked for again, and comes by itself.
	if status, text := s.Call("POST", "/replicas/bad/dids", map[string]any{"rse": ruciotest.RSEA, "reason": "a disk is gone",
		"dids": []map[string]string{{"scope": scope(run), "name": "trigger_monitor_data.zip"}}}); status != 201 {
		t.Fatalf("%d: %s", status, text)
	}
	if err := os.Remove(s.File(ruciotest.RSEA, scope(run), "trigger_monitor_data.zip")); err != nil {
		t.Fatal(err)
	}
	if r := look(); r.text("status") != "RSEreupload" {
		t.Errorf("with a file that is nowhere the record is %v", r["status"])
	}
	l.explains(run, "available at no RSE")
	l.site["task_list"] = []string{"CopyPull", "CopyPush"}
	l.configure()
	l.recovers(run, ruciotest.RSEA)
}

// C35, C36: a rule file changes the runs that it means, and no others.
func testC35(t *testing.T, s *ruciotest.Server) {
	l := newLab(t, s, ruciotest.RSEA)
	runs := []string{"170504_0100", "170504_0200", "170504_0300"}
	for i, r := range runs {
		l.add(6701+i, r, files(6701+i, 3, 1000))
	}
	l.must("ruciax", "--once")
	for _, r := range runs {
		if status, text := s.Call("POST", "/rules/", map[string]any{"dids": []map[string]string{{"scope": scope(r), "name": "raw"}}, "account": s.Admin.Account, "copies": 1, "rse_expression": ruciotest.RSEB}); status != 201 {
			t.Fatalf("%d: %s", status, text)
		}
		l.arrive(r, ruciotest.RSEA, ruciotest.RSEB)
	}
	l.site["task_list"] = []string{"RucioRule"}
	l.policy = map[string]any{"min_copies": 1, "min_domains": 1}
	l.configure()
	l.must("ruciax", "--once")

	file := filepath.Join(t.TempDir(), "rule.json")
	apply := func(selection string) outcome {
		text := fmt.Sprintf(`[{"version": "1.0", "verification_only": false, %s, "destination_rse": [%q], "destination_livetime": {%[2]q: "-1"}, "remove_rse": [%q]}]`, selection, ruciotest.RSEA, ruciotest.RSEB)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return l.run("ruciax", "--once", "--rucio-rule", file)
	}
	ended := func() (out []string) {
		js := l.judgeAll(runs...)
		for _, r := range runs {
			for _, rule := range js[r].Rules {
				if rule.RSE == ruciotest.RSEB && rule.Expires != nil {
					out = append(out, r)
				}
				if rule.RSE == ruciotest.RSEA && rule.Expires != nil {
					t.Errorf("the rule of %s at the RSE that stays was ended", r)
				}
			}
		}
		return out
	}
	// An empty selection, which for the original is every run, is refused.
	for _, none := range []string{`"run_nb": null, "run_name": null`, `"run_nb": "", "run_name": null`} {
		if o := apply(none); o.code != 2 {
			t.Errorf("%s ended with %d, want 2\n%s", none, o.code, o.stderr)
		}
	}
	if got := ended(); got != nil {
		t.Fatalf("rules of %q were ended by rule files that name no run", got)
	}
	// One run, by name alone.
	if o := apply(fmt.Sprintf(`"run_nb": null, "run_name": %q`, runs[1])); o.code != 0 {
		t.Fatalf("%d: %s", o.code, o.stderr)
	}
	if got := ended(); !slices.Equal(got, runs[1:2]) {
		t.Errorf("rules of %q were ended, want %q", got, runs[1:2])
	}
	// C36: the end of a range is in it, what is excluded is not.
	if o := apply(`"run_nb": "6701-6703", "run_nb_exclude": "6701"`); o.code != 0 {
		t.Fatalf("%d: %s", o.code, o.stderr)
	}
	if got := ended(); !slices.Equal(got, runs[1:]) {
		t.Errorf("rules of %q were ended, want %q", got, runs[1:])
	}
}
