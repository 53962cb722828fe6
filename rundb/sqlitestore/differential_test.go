package sqlitestore_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/cax-go/cax/rundb/rundbtest"
)

// rounds is how often a long case is repeated: few times in make test, many in
// make integration.
func rounds(few, many int) int {
	if os.Getenv("CAX_INTEGRATION") != "" {
		return many
	}
	return few
}

func TestDifferential(t *testing.T) {
	for seed := range rounds(1, 20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rundbtest.Differential(t, new(rundbtest.Memory), open(t, nil), uint64(seed))
		})
	}
}
