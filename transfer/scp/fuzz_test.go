package scp

import (
	"bufio"
	"fmt"
	"strings"
	"testing"
)

// FuzzLine: a line of the protocol is read up to its end and no further, and its
// size is one that a file can have.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"C0644 5 name\nalpha\x00", "C0644 0 a b c\n", "C0644 -1 f\n", "C0644 9223372036854775808 f\n",
		"\x01scp: no such file\n", "D0755 0 dir\n", "T1458052320 0 1458052320 0\n", "C644", "\n", "C0644 +5 f\n", "C0999 5 f\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		in := bufio.NewReaderSize(strings.NewReader(s), longest)
		line, err := readLine(in)
		if err != nil {
			return
		}
		if !strings.HasPrefix(s, line) || strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%q gave the line %q", s, line)
		}
		size, err := parseC(line)
		if err == nil && (size < 0 || line[0] != 'C' || !strings.Contains(line, fmt.Sprint(size))) {
			t.Errorf("%q has size %d", line, size)
		}
	})
}

func TestParseC(t *testing.T) {
	for line, want := range map[string]int64{"C0644 5 name\n": 5, "C0644 0 a b\n": 0, "C0644 9223372036854775807 f\n": 1<<63 - 1} {
		if got, err := parseC(line); err != nil || got != want {
			t.Errorf("%q: %d, %v", line, got, err)
		}
	}
	for _, line := range []string{"\n", "C0644 5\n", "C0644  5 f\n", "C0644 -5 f\n", "C0644 5 \n", "D0755 0 d\n", "C 5 f\n", "C0x44 5 f\n", "C0644 +5 f\n", "Welcome to the server\n"} {
		if got, err := parseC(line); err == nil {
			t.Errorf("%q was read as %d", line, got)
		}
	}
}
