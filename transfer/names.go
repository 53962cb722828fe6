package transfer

import (
	"fmt"
	"unicode/utf8"

	"time"

	"github.com/zeebo/xxh3"
)

// maxName is the longest file name, in bytes, of the usual file systems.
const maxName = 255

// StagingName returns the name of the staging folder of a target for a claim:
// ".<base>.cax-part-<claim>". A base that would make it longer than 255 bytes is
// cut at a character, and "~" and the 16 hexadecimal digits of the base's XXH3-64
// are put in place of the rest.
func StagingName(base, claim string) string { return sibling(base, ".cax-part-"+claim) }

// asideName is the name that something else at the target's name gets; base is
// cut as in StagingName.
func asideName(base, claim string, at time.Time) string {
	return sibling(base, ".cax-aside-"+at.UTC().Format("20060102T150405.000000000Z")+"-"+claim)
}

func sibling(base, suffix string) string {
	if over := 1 + len(base) + len(suffix) - maxName; over > 0 {
		hash := fmt.Sprintf("~%016x", xxh3.HashString(base))
		n := len(base) - over - len(hash)
		for n > 0 && !utf8.RuneStart(base[n]) {
			n--
		}
		base = base[:n] + hash
	}
	return "." + base + suffix
}
