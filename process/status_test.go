package process

import (
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	known := traces{spec: &spec{Key: "k"}, id: "17"}
	with := func(f func(*traces)) traces {
		t := known
		f(&t)
		return t
	}
	started := with(func(t *traces) { t.started = &start{node: "n1", at: at} })
	result := func(code int) traces {
		t := started
		t.result = &ended{code, at}
		return t
	}
	entry := func(s State, code int) view {
		return view{listed: true, entry: &Entry{ID: "17", State: s, ExitCode: code}}
	}
	forgotten, silent := view{listed: true}, view{}
	for _, tc := range []struct {
		name    string
		t       traces
		v       view
		settled bool
		want    State
		code    int
		revoke  bool
	}{
		{"waits", known, entry(StatePending, -1), false, StatePending, -1, false},
		{"runs", started, entry(StateRunning, -1), false, StateRunning, -1, false},
		{"runs, and the code means nothing yet", started, entry(StateRunning, 0), false, StateRunning, -1, false},
		{"good", result(0), entry(StateSucceeded, 0), false, StateSucceeded, 0, false},
		{"good, and still listed as running", result(0), entry(StateRunning, -1), false, StateSucceeded, 0, false},
		{"good in the last second", result(0), entry(StateTimeout, -1), false, StateSucceeded, 0, false},
		{"good and forgotten", result(0), forgotten, false, StateSucceeded, 0, false},
		{"good and nobody answers", result(0), silent, false, StateSucceeded, 0, false},
		{"good, and the result is not seen yet", started, entry(StateSucceeded, -1), false, StateSucceeded, 0, false},
		{"failed", result(3), entry(StateFailed, -1), false, StateFailed, 3, false},
		{"failed and forgotten", result(3), forgotten, false, StateFailed, 3, false},
		{"failed, and why is still coming", result(143), entry(StateRunning, -1), false, StateRunning, 143, false},
		{"failed, and nobody answers why", result(143), silent, false, StateUnknown, 143, false},
		{"ended by cancel", result(143), entry(StateCancelled, -1), false, StateCancelled, 143, false},
		{"ended by time", result(143), entry(StateTimeout, -1), false, StateTimeout, 143, false},
		{"ended by memory", result(137), entry(StateMemory, -1), false, StateMemory, 137, false},
		{"cancelled by us and forgotten", with(func(t *traces) { *t = result(143); t.cancelled = true }), forgotten, false, StateCancelled, 143, false},
		{"killed", started, entry(StateFailed, -1), false, StateFailed, -1, false},
		{"killed with a signal", started, entry(StateFailed, 137), false, StateFailed, 137, false},
		{"node lost", started, entry(StateNodeLost, -1), false, StateNodeLost, -1, false},
		{"over time without a result", started, entry(StateTimeout, -1), false, StateTimeout, -1, false},
		{"could not start", known, entry(StateFailed, -1), false, StateNotStarted, -1, false},
		{"cancelled before it started", known, entry(StateCancelled, -1), false, StateCancelled, -1, false},
		{"gone while it ran", started, forgotten, false, StateLost, -1, false},
		{"gone while it ran, cancelled", with(func(t *traces) { *t = started; t.cancelled = true }), forgotten, false, StateCancelled, -1, false},
		{"gone before it started", known, forgotten, false, StateNotStarted, -1, false},
		{"gone before it started, cancelled", with(func(t *traces) { t.cancelled = true }), forgotten, false, StateCancelled, -1, false},
		{"nobody answers", known, silent, true, StateUnknown, -1, false},
		{"nobody answers, started", started, silent, true, StateUnknown, -1, false},
		{"no answer yet", with(func(t *traces) { t.id = "" }), forgotten, false, StateSubmitting, -1, false},
		{"no answer at all", with(func(t *traces) { t.id = "" }), forgotten, true, StateNotStarted, -1, true},
		{"no answer, and it is listed", with(func(t *traces) { t.id = "" }), entry(StatePending, -1), true, StatePending, -1, false},
		{"being made", traces{}, forgotten, false, StateSubmitting, -1, false},
		{"half made", traces{}, forgotten, true, StateNotStarted, -1, true},
		{"forbidden", with(func(t *traces) { t.started = &start{revoked: true} }), entry(StatePending, -1), false, StateNotStarted, -1, false},
		{"forbidden by cancel", with(func(t *traces) { t.started = &start{revoked: true}; t.cancelled = true }), silent, false, StateCancelled, -1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, revoke := decide(tc.t, tc.v, tc.settled)
			if s.State != tc.want || s.ExitCode != tc.code || revoke != tc.revoke {
				t.Errorf("%q, exit code %d, revoke %v; want %q, %d, %v", s.State, s.ExitCode, revoke, tc.want, tc.code, tc.revoke)
			}
			if s.State != StateSucceeded && s.State != StatePending && s.State != StateRunning && s.Reason == "" {
				t.Error("there is no reason")
			}
		})
	}
}

func TestParseResult(t *testing.T) {
	for text, want := range map[string]int{"exit 0\n": 0, "exit 255\n": 255, "exit 3": 3} {
		if got, err := parseResult([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "exit", "exit x", "exit -1", "exit 256", "0", "exit 0 1", "quit 0"} {
		if got, err := parseResult([]byte(text)); err == nil {
			t.Errorf("%q gives %d", text, got)
		}
	}
}

func TestTailText(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		cut        bool
		want       string
	}{
		{"whole", "a\nb\n", false, "a\nb\n"},
		{"cut in a line", "ine\nlast\n", true, "last\n"},
		{"one long line", "very long", true, "very long"},
		{"only the end of a line", "long\n", true, "long\n"},
		{"cut in a character", "\xa9\xc3\xa9x", true, "éx"},
		{"control characters", "a\x1b[31m\x00\tb\r\n", false, "a?[31m?\tb?\n"},
		{"no UTF-8", "a\xffb", false, "a?b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tailText([]byte(tc.text), tc.cut); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}
