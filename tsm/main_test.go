package tsm_test

import (
	"os"
	"testing"

	"github.com/cax-go/cax/tsm/tsmtest"
)

func TestMain(m *testing.M) {
	tsmtest.Main()
	os.Exit(m.Run())
}
