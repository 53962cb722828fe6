package house

import (
	"os/exec"
	"strings"
	"testing"
)

// TestLayers holds that packages only import what lies below them.
func TestLayers(t *testing.T) {
	const module = "github.com/cax-go/cax/"
	for _, tc := range []struct {
		pkg   string
		never []string
	}{
		{"checksum", []string{"rundb", "transfer", "rucio", "tsm", "process", "cax", "cmd"}},
		{"rundb", []string{"transfer", "rucio", "tsm", "process", "cax", "cmd", "rundb/mongostore", "rundb/sqlitestore"}},
		{"rundb/mongostore", []string{"transfer", "rucio", "tsm", "process", "cax", "cmd"}},
		{"rundb/sqlitestore", []string{"transfer", "rucio", "tsm", "process", "cax", "cmd"}},
		{"transfer", []string{"rundb", "rucio", "tsm", "process", "cax", "cmd"}},
		{"transfer/rsync", []string{"rundb", "rucio", "tsm", "process", "cax", "cmd"}},
		{"transfer/gfal", []string{"rundb", "rucio", "tsm", "process", "cax", "cmd"}},
		{"rucio/storage", []string{"rundb", "tsm", "process", "cax", "cmd"}},
		{"rucio", []string{"rundb", "tsm", "process", "cax", "cmd"}},
		{"tsm", []string{"rundb", "transfer", "rucio", "process", "cax", "cmd"}},
		{"process", []string{"rundb", "transfer", "rucio", "tsm", "cax", "cmd"}},
		{"process/correction", []string{"transfer", "rucio", "tsm", "cax", "cmd", "rundb/mongostore", "rundb/sqlitestore"}},
		{"cax", []string{"cmd"}},
	} {
		t.Run(tc.pkg, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", module+tc.pkg).Output()
			if err != nil {
				t.Fatalf("go list: %v", err)
			}
			for dep := range strings.Lines(string(out)) {
				dep = strings.TrimPrefix(strings.TrimSpace(dep), module)
				for _, n := range tc.never {
					if dep == n || strings.HasPrefix(dep, n+"/") {
						t.Errorf("%s depends on %s", tc.pkg, dep)
					}
				}
				if tc.pkg == "rundb" && strings.HasPrefix(dep, "go.mongodb.org/mongo-driver/v2/mongo") {
					t.Errorf("rundb depends on the network part of the driver: %s", dep)
				}
			}
		})
	}
}
