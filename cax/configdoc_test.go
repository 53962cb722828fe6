package cax

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestConfigSchemaShipped: config.schema.json is what the table of keys gives.
func TestConfigSchemaShipped(t *testing.T) {
	got, err := ConfigSchema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "config.schema.json", string(got))
}

// Marks in README.md between which the table of keys stands.
const (
	tableBegins = "<!-- config keys: written by go test ./cax -update -->\n"
	tableEnds   = "<!-- end of config keys -->\n"
)

// TestConfigTableInReadme: the README has the table of keys as it is.
func TestConfigTableInReadme(t *testing.T) {
	file := filepath.Join("..", "README.md")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no README.md")
	}
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegins)
	was, after, ended := strings.Cut(rest, tableEnds)
	if !ok || !ended {
		t.Fatalf("%s has no place for the table of keys: put %q and %q into it", file, tableBegins, tableEnds)
	}
	want := "\n" + ConfigMarkdown() + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(before+tableBegins+want+tableEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, was); diff != "" {
		t.Errorf("%s (-want +got, written by go test ./cax -update):\n%s", file, diff)
	}
}

// TestConfigMarkdown: the table has one whole row for each key.
func TestConfigMarkdown(t *testing.T) {
	rows := map[string]int{}
	for line := range strings.Lines(ConfigMarkdown()) {
		if name, ok := strings.CutPrefix(line, "| `"); ok {
			rows[name[:strings.IndexByte(name, '`')]]++
			if n := strings.Count(line, " | "); n != 4 || !strings.HasSuffix(line, " |\n") {
				t.Errorf("row with %d columns: %s", n+1, line)
			}
		}
	}
	for _, g := range AllConfigKeys() {
		for _, k := range g.Keys {
			if rows[k.Name]--; rows[k.Name] < 0 {
				t.Errorf("no row for %s of %s", k.Name, g.Title)
			}
		}
	}
}

// TestConfigExamples: the example of each key is valid, and the schema knows it.
func TestConfigExamples(t *testing.T) {
	sites := func(extra string) string {
		return `[{"name": "self"` + extra + `}, {"name": "lab", "method": "scp", "hostname": "m"}, {"name": "archive", "method": "local"}]`
	}
	for _, g := range AllConfigKeys() {
		for _, k := range g.Keys {
			t.Run(g.Title+"/"+k.Name, func(t *testing.T) {
				if k.Name == "" || k.Type == "" || k.Doc == "" || k.Example == "" {
					t.Errorf("%+v is not documented", k)
				}
				if !json.Valid([]byte(k.Example)) {
					t.Fatalf("example %s is no JSON", k.Example)
				}
				pair := `"` + k.Name + `": ` + k.Example
				text := ""
				switch g.Title {
				case "Keys of a site":
					text = sites(", " + pair)
					if k.Name == "name" {
						text = `[{` + pair + `}]`
					}
				case "Keys of a window of `bandwidth`":
					return // required together: the example of bandwidth has all
				case "Keys of `permissions`":
					text = sites(`, "permissions": {` + pair + `}`)
				case "Keys of an entry of `permissions`":
					text = sites(`, "permissions": {"raw": {` + pair + `}}`)
				case "Keys of the object form":
					text = `{` + pair + `, "sites": ` + sites("") + `}`
					if k.Name == "sites" {
						text = `{` + pair + `}`
					}
				case "Keys of `rundb`":
					text = `{"rundb": {` + pair + `}, "sites": ` + sites("") + `}`
				case "Keys of an entry of `master_checksums`":
					return // the example of master_checksums has both
				case "Keys of `policy`":
					text = `{"policy": {` + pair + `}, "sites": ` + sites("") + `}`
				case "Keys of `tsm`":
					text = sites(`, "tsm": {` + pair + `}`)
				case "Keys of `batch`":
					rest := ""
					for key, value := range map[string]string{"system": `"local"`, "folder": `"/data/batch"`} {
						if key != k.Name {
							rest += `, "` + key + `": ` + value
						}
					}
					text = sites(`, "batch": {` + pair + rest + `}`)
				case "Keys of `processing`":
					text = sites(`, "processing": {` + pair + `}`)
				case "Keys of an entry of `processors`":
					return // required together: the example of processors has them
				case "Keys of `rucio`":
					text = sites(`, "rucio": {` + pair + `}`)
				case "Keys of an entry of `rses`":
					if k.Name != "name" {
						pair = `"name": "R", ` + pair
					}
					text = sites(`, "rucio": {"rses": [{` + pair + `}]}`)
				case "Keys of `naming`":
					text = `{"naming": {` + pair + `}, "sites": ` + sites("") + `}`
				case "Keys of `corrections`":
					text = `{"corrections": {` + pair + `}, "sites": ` + sites("") + `}`
				case "Keys of `pmts`", "Keys of `slow_control`":
					text = `{"corrections": {"` + strings.Trim(strings.TrimPrefix(g.Title, "Keys of "), "`") + `": {` + pair + `}}, "sites": ` + sites("") + `}`
				case "Keys of an entry of `science_runs`":
					return // the example of science_runs has both
				default:
					t.Fatalf("no test for %s", g.Title)
				}
				cfg, err := parseConfig("cax.json", []byte(text), func(string) ([]byte, error) { return []byte(sites("")), nil })
				if err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				if len(cfg.Notes) > 0 != (k.legacy != "") {
					t.Errorf("%s: notes %v", text, cfg.Notes)
				}
			})
		}
	}
}

// TestPolicyDefaults: the table says what WithDefaults does.
func TestPolicyDefaults(t *testing.T) {
	text := `{"sites": [{"name": "A"}], "policy": {`
	for i, k := range policySection().infos() {
		if i > 0 {
			text += ", "
		}
		text += `"` + k.Name + `": ` + k.Default
	}
	cfg, err := parseConfig("cax.json", []byte(text+"}}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cfg.Policy, Policy{}.WithDefaults()); diff != "" {
		t.Errorf("(-table +WithDefaults):\n%s", diff)
	}
	given := Policy{Heartbeat: 1, LeaseLost: 2, LeaseExpired: 3, OnceExpired: 4, OthersTakeOver: 5, BackoffMin: 6, BackoffMax: 7, Interval: 8, Stall: 9, Reserve: 10, VerifiedWithin: 11, ShutdownGrace: 12,
		MinCopies: 13, MinProcessed: 18, MinDomains: 14, KeepTags: []string{"t"}, PurgeCopies: 15, PurgeBytes: 16, Trash: 17, Scrub: Bandwidth{BytesPerSecond: 1}, ScrubAfter: 30, Settled: 18, StalledAlert: 19, StalledAfter: 20}
	if diff := cmp.Diff(given, given.WithDefaults()); diff != "" {
		t.Errorf("WithDefaults changes what is set (-want +got):\n%s", diff)
	}
}

func TestSuggest(t *testing.T) {
	valid := []string{"hostname", "port", "purge", "CopyPush"}
	for word, want := range map[string]string{
		"hostnam": `did you mean "hostname"?`, "Purge": `did you mean "purge"?`, "prot": `did you mean "port"?`,
		"copypush": `did you mean "CopyPush"?`, "elephants": "valid are: hostname, port, purge, CopyPush", "x": "valid are: hostname, port, purge, CopyPush",
	} {
		if got := suggest(word, valid); got != want {
			t.Errorf("%s: %s, want %s", word, got, want)
		}
	}
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"münchen", "munchen", 1}} {
		if got := distance(tc.a, tc.b); got != tc.want {
			t.Errorf("distance of %q and %q: %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
