package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cax-go/cax/rucio/ruciotest"
)

func TestMain(m *testing.M) {
	if os.Getenv("RUCIO_EXAMPLE") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// example runs the program.
func example(t *testing.T, config string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "RUCIO_EXAMPLE=1", "RUCIO_CONFIG="+config)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestExample(t *testing.T) {
	srv := ruciotest.NewFake(t, nil)
	config := filepath.Join(t.TempDir(), "rucio.cfg")
	text := fmt.Sprintf("[client]\nrucio_host = %s\nauth_host = %s\nauth_type = userpass\naccount = %s\nusername = %s\npassword = %s\n",
		srv.URL, srv.URL, srv.Admin.Account, srv.Admin.Username, srv.Admin.Password)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	try(t, config)
}

func TestExampleReal(t *testing.T) {
	try(t, ruciotest.Start(t, &ruciotest.Options{NoXRootD: true}).Config)
}

func try(t *testing.T, config string) {
	from, to := t.TempDir(), t.TempDir()
	args := []string{ruciotest.Scope + ":example", ruciotest.RSEA, to}
	for i := range 3 {
		p := filepath.Join(from, fmt.Sprintf("file-%d", i))
		if err := os.WriteFile(p, bytes.Repeat([]byte("cax"), i), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, p)
	}
	for range 2 {
		out, err := example(t, config, args...)
		if want := "file-0 0 00000001\nfile-1 3 0266013d\nfile-2 6 08800279\n"; err != nil || out != want {
			t.Fatalf("%v\n%s", err, out)
		}
		for i := range 3 {
			if got, err := os.ReadFile(filepath.Join(to, "example", fmt.Sprintf("file-%d", i))); err != nil || string(got) != strings.Repeat("cax", i) {
				t.Errorf("%q, %v", got, err)
			}
		}
	}
	if err := os.WriteFile(args[4], []byte("CAX"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := example(t, config, args...); err == nil || !strings.Contains(out, "file-1") {
		t.Errorf("other bytes under the same name: %v\n%s", err, out)
	}
}
