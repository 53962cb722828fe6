package gfal_test

import (
	"os"
	"testing"

	"github.com/cax-go/cax/transfer/gfal/gfaltest"
	"github.com/cax-go/cax/transfer/transfertest"
)

// TestMain makes this test binary be the programs of gfal2-util when it is called so.
func TestMain(m *testing.M) {
	gfaltest.Main()
	os.Exit(transfertest.Main(m))
}
