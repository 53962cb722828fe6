package storage

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/cax-go/cax/checksum"
)

// digestName is what an algorithm is called in the registries of HTTP digests.
func digestName(a checksum.Algorithm) (old, modern string) {
	switch a {
	case checksum.Adler32:
		return "adler32", "adler"
	case checksum.MD5:
		return "md5", "md5"
	case checksum.SHA256:
		return "sha-256", "sha-256"
	case checksum.SHA512:
		return "sha-512", "sha-512"
	}
	return "", ""
}

// wanted asks for one digest: given several, servers answer with what they like best.
func wanted(a checksum.Algorithm) (http.Header, bool) {
	old, modern := digestName(a)
	return http.Header{"Want-Digest": {old}, "Want-Repr-Digest": {modern + "=10"}}, old != ""
}

// digest reads the digest of one algorithm from a response, in any of the forms that
// servers use; zero if there is none.
func digest(h http.Header, a checksum.Algorithm) checksum.Sum {
	old, modern := digestName(a)
	for _, field := range h.Values("Digest") {
		for v := range strings.SplitSeq(field, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(v), "=")
			if strings.EqualFold(name, old) || strings.EqualFold(name, modern) {
				if s := digestValue(a, value); !s.IsZero() {
					return s
				}
			}
		}
	}
	for _, field := range h.Values("Repr-Digest") {
		for v := range strings.SplitSeq(field, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(v), "=")
			if strings.EqualFold(name, modern) {
				if s := digestValue(a, strings.Trim(value, ":")); !s.IsZero() {
					return s
				}
			}
		}
	}
	if a == checksum.MD5 {
		for _, field := range h.Values("X-Goog-Hash") {
			for v := range strings.SplitSeq(field, ",") {
				if value, ok := strings.CutPrefix(strings.TrimSpace(v), "md5="); ok {
					return digestValue(a, value)
				}
			}
		}
		return digestValue(a, h.Get("Content-MD5"))
	}
	return checksum.Sum{}
}

// digestValue reads hexadecimal digits, as Adler-32 is written and some servers write
// all, or base64. Which one it is its length tells.
func digestValue(a checksum.Algorithm, s string) checksum.Sum {
	s = strings.Trim(strings.TrimSpace(s), `"`)
	if len(s) == 2*a.Size() || a == checksum.Adler32 && s != "" && len(s) < 8 {
		if sum, err := checksum.ParseBare(a, s); err == nil {
			return sum
		}
	}
	if b, err := base64.StdEncoding.DecodeString(s); err == nil && len(b) == a.Size() {
		if sum, err := checksum.NewSum(a, b); err == nil {
			return sum
		}
	}
	return checksum.Sum{}
}
