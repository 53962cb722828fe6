package rundbtest_test

import (
	"testing"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/rundbtest"
)

func TestMemory(t *testing.T) {
	rundbtest.Run(t, func(*testing.T) rundb.Driver { return new(rundbtest.Memory) }, rundbtest.Options{})
}
