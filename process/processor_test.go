package process_test

import (
	"errors"
	"testing"

	"github.com/cax-go/cax/process"
	"github.com/google/go-cmp/cmp"
)

// TestXENON1T: the lines for each detector and mode are those of the original.
func TestXENON1T(t *testing.T) {
	settings := func(decoder string) string {
		return `[pax]decoder_plugin = "` + decoder + `";[DEFAULT]lock_breaking_timeout = 600;` +
			`[Queues]event_block_size = 1;max_blocks_on_heap = 1000;timeout_after_sec = 600`
	}
	pax := func(config, output, decoder string) []string {
		return []string{"paxer", "--config", config, "--input", "/data/raw/160315_1432", "--output", "/work/" + output, "--cpus", "3", "--config_string", settings(decoder)}
	}
	for _, tc := range []struct {
		name, typ string
		in        process.Input
		command   []string
		output    string
	}{
		{"self-triggered", "processed", process.Input{Detector: "tpc", Mode: process.Mode("tpc", true)}, pax("XENON1T", "160315_1432", "Pickle.DecodeZPickle"), "/work/160315_1432.root"},
		{"LED", "processed", process.Input{Detector: "tpc", Mode: process.Mode("tpc", false)}, pax("XENON1T_LED", "160315_1432", "Pickle.DecodeZPickle"), "/work/160315_1432.root"},
		{"muon veto", "processed", process.Input{Detector: "muon_veto", Mode: process.Mode("muon_veto", false)}, pax("XENON1T_MV", "160315_1432_MV", "BSON.DecodeZBSON"), "/work/160315_1432_MV.root"},
		{"minitree", "minitree", process.Input{Detector: "tpc", Path: "/data/processed/pax_v6.8.0/160315_1432.root", Part: "Basics"},
			[]string{"haxer", "--main_data_paths", "/data/processed/pax_v6.8.0", "--input", "160315_1432", "--treemakers", "Basics", "--pax_version_policy", "6.8.0"}, "/work/160315_1432_Basics.root"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.in.Name, tc.in.Dir, tc.in.CPUs, tc.in.Version = "160315_1432", "/work", 3, "v6.8.0"
			if tc.in.Path == "" {
				tc.in.Path = "/data/raw/160315_1432"
			}
			p, err := process.Find(process.XENON1T(), tc.typ, tc.in)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Plan(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(process.Plan{Command: tc.command, Output: tc.output}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if n := len(process.Treemakers()); n != 14 {
		t.Errorf("%d treemakers", n)
	}
}

// TestFind: several versions stand side by side; the first that fits is taken.
func TestFind(t *testing.T) {
	all := []process.Processor{
		{Name: "old", Type: "processed", Version: "v1", Detector: "tpc"},
		{Name: "new", Type: "processed", Version: "v2"},
		{Name: "led", Type: "processed", Mode: process.ModeLED},
		{Name: "any tpc", Type: "processed", Detector: "tpc"},
	}
	for _, tc := range []struct {
		want, typ string
		in        process.Input
	}{
		{"old", "processed", process.Input{Version: "v1", Detector: "tpc"}},
		{"", "processed", process.Input{Version: "v1", Detector: "muon_veto"}},
		{"new", "processed", process.Input{Version: "v2", Detector: "muon_veto"}},
		{"led", "processed", process.Input{Version: "v3", Detector: "tpc", Mode: process.ModeLED}},
		{"any tpc", "processed", process.Input{Version: "v3", Detector: "tpc"}},
		{"", "minitree", process.Input{Version: "v1", Detector: "tpc"}},
	} {
		p, err := process.Find(all, tc.typ, tc.in)
		if p.Name != tc.want || (tc.want == "") != errors.Is(err, process.ErrNotExist) {
			t.Errorf("%s of %+v: %q, %v; want %q", tc.typ, tc.in, p.Name, err, tc.want)
		}
	}
}

func TestPlan(t *testing.T) {
	in := process.Input{Name: "a b'$(x)", Dir: "/w", Vars: map[string]string{"v": "1"}}
	for _, tc := range []struct {
		name string
		p    process.Processor
		want process.Plan // zero: refused
	}{
		{"words", process.Processor{Command: []string{"x", "--n={{.Name}}", "{{if .Part}}--part{{end}}", "{{.Vars.v}}"}, Output: "o", Env: []string{"N={{.Name}}"}, Check: []string{"c", "{{.Dir}}/o"}},
			process.Plan{Command: []string{"x", "--n=a b'$(x)", "1"}, Output: "/w/o", Env: []string{"N=a b'$(x)"}, Check: []string{"c", "/w/o"}}},
		{"script", process.Processor{Script: "#!/bin/bash -e\nx {{.Name}}\n", Output: "d/o"},
			process.Plan{Command: []string{"/bin/bash", "-e", "/w/.process.sh"}, Script: "#!/bin/bash -e\nx 'a b'\\''$(x)'\n", Output: "/w/d/o"}},
		{"neither", process.Processor{Output: "o"}, process.Plan{}},
		{"both", process.Processor{Command: []string{"x"}, Script: "#!/bin/sh\n", Output: "o"}, process.Plan{}},
		{"outside", process.Processor{Command: []string{"x"}, Output: "../o"}, process.Plan{}},
		{"absolute", process.Processor{Command: []string{"x"}, Output: "/o"}, process.Plan{}},
		{"the folder itself", process.Processor{Command: []string{"x"}, Output: "{{.Part}}."}, process.Plan{}},
		{"no output", process.Processor{Command: []string{"x"}}, process.Plan{}},
		{"no field", process.Processor{Command: []string{"{{.Nope}}"}, Output: "o"}, process.Plan{}},
		{"no variable", process.Processor{Command: []string{"{{.Vars.nope}}"}, Output: "o"}, process.Plan{}},
		{"no template", process.Processor{Command: []string{"{{"}, Output: "o"}, process.Plan{}},
		{"empty", process.Processor{Command: []string{"{{.Part}}"}, Output: "o"}, process.Plan{}},
		{"unquoted script", process.Processor{Script: "#!/bin/sh\n\"{{.Name}}\"\n", Output: "o"}, process.Plan{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.p.Plan(in)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if refused := tc.want.Output == ""; refused != errors.Is(err, process.ErrInvalid) {
				t.Errorf("error %v", err)
			}
		})
	}
	in.Name = "a\x00"
	if _, err := (process.Processor{Command: []string{"x", "{{.Name}}"}, Output: "o"}).Plan(in); !errors.Is(err, process.ErrInvalid) {
		t.Errorf("a NUL byte: %v", err)
	}
	in.Dir = "relative"
	if _, err := (process.Processor{Command: []string{"x"}, Output: "o"}).Plan(in); !errors.Is(err, process.ErrInvalid) {
		t.Errorf("a relative folder: %v", err)
	}
}

func TestCores(t *testing.T) {
	for _, tc := range []struct {
		events int64
		ncpu   int
		want   int
	}{{0, 8, 1}, {999, 8, 1}, {1000, 8, 7}, {1000, 1, 1}, {1000, 0, 1}} {
		if got := process.Cores(tc.events, tc.ncpu); got != tc.want {
			t.Errorf("%+v gives %d", tc, got)
		}
	}
}
