package xrd

import (
	"strings"
	"testing"
)

func FuzzStat(f *testing.F) {
	f.Add([]byte("44614750176345600 4 48 1700000000 1700000000 1700000000 0644 xrootd xrootd\x00"))
	f.Add([]byte("1 -1 0 0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if st, err := parseStat(data); err == nil && st.Size < 0 {
			t.Errorf("%q has size %d", data, st.Size)
		}
	})
}

func FuzzRedirection(f *testing.F) {
	f.Add([]byte("\x00\x00\x04\x46pool.example?ticket=7?token\x00"))
	f.Add([]byte("\xff\xff\xff\xffroot://pool.example/"))
	f.Add([]byte("\x00\x00\x04\x46[::1]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		addr, opaque, _, err := redirection(data)
		if err == nil && (!strings.Contains(addr, ":") || strings.Contains(opaque, "?")) {
			t.Errorf("%q leads to %q %q", data, addr, opaque)
		}
	})
}
