package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestMain makes this test binary be the program, when it is called to process.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "histogram" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestPipeline: the whole way of a run, with a program that really processes it.
func TestPipeline(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	if err := pipeline(t.Context(), dir, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	const want = `registered run 1 (170315_1432, tpc)
processed: 170315_1432.json, 38 bytes
processed at archive: transferred
raw at archive: transferred
processed at lab: transferred
processed at mirror: transferred
raw at mirror: transferred
raw data at lab were purged
`
	if out.String() != want {
		t.Errorf("it prints\n%swant\n%s", &out, want)
	}
	for _, site := range []string{"lab", "archive", "mirror"} {
		b, err := os.ReadFile(dir + "/" + site + "/processed/pax_v1/170315_1432.json")
		if err != nil || !strings.Contains(string(b), `"a":5`) {
			t.Errorf("the product at %s is %q, %v", site, b, err)
		}
	}
}
