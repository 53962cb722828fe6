package correction

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain lets the test binary stand in for a program that knows slow control.
func TestMain(m *testing.M) {
	switch os.Getenv("CAX_TEST_SLOW_CONTROL") {
	case "":
		os.Exit(m.Run())
	case "values":
		fmt.Printf(`[{"timestampseconds": %s, "value": 12.5}, {"value": 11.5}]`, os.Args[2])
	case "echo":
		fmt.Fprintln(os.Stderr, strings.Join(os.Args[1:], "|"))
		os.Exit(3)
	case "silent":
		os.Exit(3)
	case "hang":
		time.Sleep(time.Hour)
	case "text":
		fmt.Println("12.5 kV")
	}
}

var (
	from = time.Unix(1476000000, 0)
	to   = time.Unix(1476003600, 500e6)
)

// TestCommand: what a program says, and how it can fail.
func TestCommand(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := Command{Argv: []string{self, "{variable}", "{from}", "{to}", "{from_iso}", "{to_iso}", "a {variable} b", "{other}"}}
	for name, tc := range map[string]struct {
		mode string
		c    Command
		want []float64
		err  error
		says string
	}{
		"values": {"values", c, []float64{12.5, 11.5}, nil, ""},
		"arguments, and no shell": {"echo", c, nil, ErrUnavailable,
			"X Y; $(Z)|1476000000|1476003600.5|2016-10-09T08:00:00Z|2016-10-09T09:00:00Z|a X Y; $(Z) b|{other}"},
		"silent":          {"silent", c, nil, ErrUnavailable, "exit status 3"},
		"too slow":        {"hang", Command{Argv: c.Argv, Timeout: 50 * time.Millisecond}, nil, ErrUnavailable, "no answer within 50ms"},
		"no JSON":         {"text", c, nil, ErrInvalid, "has to be JSON"},
		"no such program": {"values", Command{Argv: []string{"/nowhere/slow-control"}}, nil, ErrInvalid, "/nowhere/slow-control"},
		"no program":      {"values", Command{}, nil, ErrInvalid, "no program"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CAX_TEST_SLOW_CONTROL", tc.mode)
			vs, err := tc.c.Values(t.Context(), "X Y; $(Z)", from, to)
			if !errors.Is(err, tc.err) || tc.err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want %v that says %q", err, tc.err, tc.says)
			}
			if diff := cmp.Diff(tc.want, vs); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a part of what it says", func(t *testing.T) {
		t.Setenv("CAX_TEST_SLOW_CONTROL", "values")
		vs, err := Command{Argv: c.Argv, Path: "1.value"}.Values(t.Context(), "X", from, to)
		if diff := cmp.Diff([]float64{11.5}, vs); diff != "" || err != nil {
			t.Errorf("error %v, values (-want +got):\n%s", err, diff)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Setenv("CAX_TEST_SLOW_CONTROL", "hang")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := c.Values(ctx, "X", from, to); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want that of the context", err)
		}
	})
}

// TestHTTP: what a web service answers, and how it can fail. The secret is in no error.
func TestHTTP(t *testing.T) {
	// serve answers one question, and tells what was asked.
	serve := func(t *testing.T, answer func(http.ResponseWriter, *http.Request)) (string, <-chan *http.Request) {
		asked := make(chan *http.Request, 1)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked <- r.Clone(context.Background())
			answer(w, r)
		}))
		t.Cleanup(server.Close)
		return server.URL, asked
	}
	code := func(n int) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) }
	}
	say := func(s string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
	}
	const secret = "s3cret/key"
	const question = "/sc/values?name={variable}&a={from}&b={to}&key={secret}"
	for name, tc := range map[string]struct {
		url    string
		answer func(http.ResponseWriter, *http.Request)
		want   []float64
		err    error
		says   string
	}{
		"values":       {"", say(`[[1, 12.5], [2, null], [3, "11.5"]]`), []float64{12.5, 11.5}, nil, ""},
		"none":         {"", say(`[]`), []float64{}, nil, ""},
		"no JSON":      {"", say(`<html>`), nil, ErrInvalid, "has to be JSON"},
		"not found":    {"", code(404), nil, ErrRefused, "404"},
		"not allowed":  {"", code(403), nil, ErrRefused, "secret_file"},
		"server error": {"", code(502), nil, ErrUnavailable, "502"},
		"too many":     {"", code(429), nil, ErrUnavailable, "429"},
		"cut off": {"", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "[1")
		}, nil, ErrUnavailable, "EOF"},
		"too slow": {"", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil, ErrUnavailable, "no answer within"},
		"redirected away": {"", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/?key="+secret, http.StatusFound)
		}, nil, ErrUnavailable, "refused"},
		"nobody listens": {"http://127.0.0.1:1/?key={secret}", nil, nil, ErrUnavailable, "refused"},
		"no URL":         {"slow-control", nil, nil, ErrInvalid, "URL"},
	} {
		t.Run(name, func(t *testing.T) {
			h := HTTP{URL: tc.url, Secret: secret, Timeout: 5 * time.Second}
			var asked <-chan *http.Request
			if tc.url == "" {
				h.URL, asked = serve(t, tc.answer)
				h.URL += question
			}
			if name == "too slow" {
				h.Timeout = 50 * time.Millisecond
			}
			vs, err := h.Values(t.Context(), "A&B c", from, to)
			if !errors.Is(err, tc.err) || tc.err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want %v that says %q", err, tc.err, tc.says)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the secret is in the error: %v", err)
			}
			if diff := cmp.Diff(tc.want, vs); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
			if asked == nil {
				return
			}
			if r := <-asked; r.FormValue("name") != "A&B c" || r.FormValue("a") != "1476000000" || r.FormValue("b") != "1476003600.5" || r.FormValue("key") != secret {
				t.Errorf("asked %s", r.URL)
			}
		})
	}
	t.Run("a part of the answer", func(t *testing.T) {
		url, _ := serve(t, say(`{"data": {"result": [{"values": [[1, "12.5"]]}]}}`))
		vs, err := (HTTP{URL: url + question, Path: "data.result.0.values"}).Values(t.Context(), "X", from, to)
		if diff := cmp.Diff([]float64{12.5}, vs); diff != "" || err != nil {
			t.Errorf("error %v, values (-want +got):\n%s", err, diff)
		}
		url, _ = serve(t, say(`{"state": "error"}`))
		_, err = (HTTP{URL: url + question, Path: "data"}).Values(t.Context(), "X", from, to)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "correct path") {
			t.Errorf("error %v, want one that says to correct the path", err)
		}
	})
	t.Run("secret without a place", func(t *testing.T) {
		url, asked := serve(t, say("[1]"))
		if _, err := (HTTP{URL: url + "/{variable}", Secret: secret}).Values(t.Context(), "A/B", from, to); err != nil {
			t.Fatal(err)
		}
		if r := <-asked; r.Header.Get("Authorization") != "Bearer "+secret || r.URL.EscapedPath() != "/A%2FB" {
			t.Errorf("asked %s with %q", r.URL.EscapedPath(), r.Header.Get("Authorization"))
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		url, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := (HTTP{URL: url + question}).Values(ctx, "X", from, to); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want that of the context", err)
		}
	})
}

// TestReadValues: the forms of an answer.
func TestReadValues(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []float64
		ok   bool
	}{
		"number":           {" 12.5\n", []float64{12.5}, true},
		"numbers":          {"[12.5, -3e-2, 0]", []float64{12.5, -0.03, 0}, true},
		"none":             {"[]", []float64{}, true},
		"nulls":            {"[null, 1, null]", []float64{1}, true},
		"pairs":            {"[[1476000000, 12.5], [1476000001, 12]]", []float64{12.5, 12}, true},
		"objects":          {`[{"timestampseconds": 1, "value": 12.5}, {"value": "12.25"}, {"value": null}]`, []float64{12.5, 12.25}, true},
		"wrapped":          {`{"values": [1, [2, 3]], "unit": "kV"}`, []float64{1, 3}, true},
		"one object":       {`{"value": 4}`, []float64{4}, true},
		"nothing":          {"", nil, false},
		"text":             {"12.5 kV", nil, false},
		"two answers":      {"[1] [2]", nil, false},
		"no number":        {`["high"]`, nil, false},
		"not a number":     {`["NaN"]`, nil, false},
		"infinite":         {`[1e999]`, nil, false},
		"true":             {`[true]`, nil, false},
		"no value":         {`[{"val": 1}]`, nil, false},
		"triples":          {`[[1, 2, 3]]`, nil, false},
		"error in JSON":    {`{"error": "no such variable"}`, nil, false},
		"lists in a value": {`[{"value": [1]}]`, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadValues(iotest.OneByteReader(strings.NewReader(tc.text)), "")
			if (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrInvalid) {
				t.Fatalf("error %v, want none: %v", err, tc.ok)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
		})
	}
	broken := errors.New("broken")
	if _, err := ReadValues(iotest.ErrReader(broken), ""); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// TestPath: values that are a part of an answer.
func TestPath(t *testing.T) {
	const answer = `{"data": {"result": [{"values": [[1, "12.5"], [2, "12"]]}], "none": null, "0": 7}, "state": "ok"}`
	for path, tc := range map[string]struct {
		want []float64
		says string // of the error; "": there is none
	}{
		"data.result.0.values": {[]float64{12.5, 12}, ""},
		"data.result.0":        {[]float64{12.5, 12}, ""},
		"data.0":               {[]float64{7}, ""},
		"data.result.1.values": {[]float64{}, ""},
		"data.none.values":     {[]float64{}, ""},
		"":                     {nil, `no field "value"`},
		"data.results":         {nil, `no field "results", of path data.results`},
		"data..result":         {nil, `no field ""`},
		"data.result.values":   {nil, `a list where path data.result.values has "values"`},
		"data.result.-1":       {nil, `"-1"`},
		"state.0":              {nil, `a value where path state.0 goes on`},
		"state":                {nil, "no finite number"},
	} {
		t.Run(path, func(t *testing.T) {
			got, err := ReadValues(strings.NewReader(answer), path)
			if (err != nil) != (tc.says != "") || err != nil && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tc.says)) {
				t.Fatalf("error %v, want %q", err, tc.says)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzReadValues: whatever is answered, it is read or refused.
func FuzzReadValues(f *testing.F) {
	for _, s := range []string{"12.5", "[[1, 2], 3, null]", `{"values": [{"value": "1"}]}`, "[1e999]"} {
		f.Add(s, "")
	}
	f.Add(`{"data": {"result": [{"values": [[1, "2"]]}]}}`, "data.result.0.values")
	for _, p := range []string{".", "0", "values.0.value", "-1", "99999999999999999999"} {
		f.Add(`{"values": [{"value": "1"}]}`, p)
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		if _, err := ReadValues(strings.NewReader(text), path); err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
	})
}
