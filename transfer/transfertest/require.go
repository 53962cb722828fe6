package transfertest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Missing skips the test because a part is not there, or fails it where
// CAX_REQUIRE, a comma-separated list, names the part.
func Missing(t testing.TB, part, why, install string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("CAX_REQUIRE"), ","), part) {
		t.Fatalf("%s is required and cannot be used: %s; install it with: %s", part, why, install)
	}
	t.Skipf("%s: %s; install it with: %s", part, why, install)
}

// RequireTool skips the test, or fails it, where a program is not installed.
func RequireTool(t testing.TB, part, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		Missing(t, part, program+" is not on the PATH", "apt-get install "+program)
	}
}

// Long reports whether tests should run at full length (CAX_INTEGRATION=1).
func Long() bool { return os.Getenv("CAX_INTEGRATION") == "1" }

// Main runs the tests of a package, for its TestMain. Unless they are to run at
// full length, temporary files are in memory where the machine has /dev/shm: to
// sync a disk that others write to can take minutes.
func Main(m *testing.M) int {
	const memory = "/dev/shm"
	if st, err := os.Stat(memory); err == nil && st.IsDir() && !Long() && os.Getenv("TMPDIR") == "" {
		if dir, err := os.MkdirTemp(memory, "cax-test-"); err == nil {
			defer os.RemoveAll(dir)
			os.Setenv("TMPDIR", dir)
		}
	}
	return m.Run()
}
