package tsmtest_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cax-go/cax/tsm/tsmtest"
)

func TestMain(m *testing.M) {
	tsmtest.Main()
	os.Exit(m.Run())
}

// Run is the program itself, without a process.
func ExampleRun() {
	dir, err := os.MkdirTemp("", "library-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	tape, err := tsmtest.Make(dir)
	if err != nil {
		panic(err)
	}
	for _, kv := range tape.Variables() {
		k, v, _ := strings.Cut(kv, "=")
		defer os.Setenv(k, os.Getenv(k))
		os.Setenv(k, v)
	}
	var out bytes.Buffer
	code := tsmtest.Run([]string{"query", "archive", "/data/*"}, strings.NewReader(""), &out)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	fmt.Println(lines[len(lines)-1], code)
	// Output:
	// ANS1092W No files matching search criteria were found 8
}
