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
		{"checksum", []string{"rundb", "transfer", "cax", "cmd"}},
		{"rundb", []string{"transfer", "cax", "cmd", "rundb/mongostore", "rundb/sqlitestore"}},
		{"rundb/mongostore", []string{"transfer", "cax", "cmd"}},
		{"rundb/sqlitestore", []string{"transfer", "cax", "cmd"}},
		{"transfer", []string{"rundb", "cax", "cmd"}},
		{"transfer/rsync", []string{"rundb", "cax", "cmd"}},
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
