package transfer_test

import (
	"os"
	"testing"

	"github.com/cax-go/cax/transfer/transfertest"
)

func TestMain(m *testing.M) { os.Exit(transfertest.Main(m)) }
