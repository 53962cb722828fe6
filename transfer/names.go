package transfer

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zeebo/xxh3"
)

// maxName is the longest file name, in bytes, of the usual file systems.
const maxName = 255

// asideTime is how a time stands in the name of what was moved aside.
const asideTime = "20060102T150405.000000000Z"

// StagingName returns the name of the staging folder of a target for a claim:
// ".<base>.cax-part-<claim>". A base that would make it longer than 255 bytes is
// cut at a character, and "~" and the 16 hexadecimal digits of the base's XXH3-64
// are put in place of the rest.
func StagingName(base, claim string) string { return sibling(base, ".cax-part-"+claim) }

// asideName is the name that something else at the target's name gets; base is
// cut as in StagingName.
func asideName(base, claim string, at time.Time) string {
	return sibling(base, ".cax-aside-"+at.UTC().Format(asideTime)+"-"+claim)
}

// TrashName returns the name of the folder into which a dataset is moved before it
// is deleted: ".<base>.cax-trash-<claim>"; base is cut as in StagingName.
func TrashName(base, claim string) string { return sibling(base, ".cax-trash-"+claim) }

// manifestSuffix ends the name of a manifest beside a dataset.
const manifestSuffix = ".cax-manifest.json"

// ManifestName returns the name of the file that keeps a dataset's manifest beside
// it: ".<base>.cax-manifest.json"; base is cut as in StagingName.
func ManifestName(base string) string { return sibling(base, manifestSuffix) }

// IsManifestName reports whether ManifestName made a name.
func IsManifestName(name string) bool {
	return strings.HasPrefix(name, ".") && len(name) > 1+len(manifestSuffix) && strings.HasSuffix(name, manifestSuffix)
}

// A Leftover is what the name of something that stands beside datasets says.
type Leftover struct {
	Kind  LeftoverKind
	Base  string    // of the dataset; not the whole of it if it was cut
	Claim string    // under which it was made
	At    time.Time // when it was moved aside; zero for the others
}

// A LeftoverKind tells what a Leftover is.
type LeftoverKind string

// The kinds of leftovers.
const (
	Part  LeftoverKind = "part"  // a staging folder
	Aside LeftoverKind = "aside" // something else that stood at a target's name
	Trash LeftoverKind = "trash" // a dataset that is being deleted
)

// ParseLeftover reads a name that [StagingName], [TrashName] or the Copier made.
func ParseLeftover(name string) (Leftover, bool) {
	if !strings.HasPrefix(name, ".") || IsManifestName(name) {
		return Leftover{}, false
	}
	for _, k := range []LeftoverKind{Part, Aside, Trash} {
		i := strings.LastIndex(name, ".cax-"+string(k)+"-")
		if i < 1 {
			continue
		}
		l := Leftover{Kind: k, Base: name[1:i], Claim: name[i+len(".cax-")+len(k)+1:]}
		if k == Aside {
			at, claim, ok := strings.Cut(l.Claim, "Z-")
			when, err := time.Parse(asideTime, at+"Z")
			if !ok || err != nil {
				continue
			}
			l.At, l.Claim = when, claim
		}
		if l.Base != "" && l.Claim != "" {
			return l, true
		}
	}
	return Leftover{}, false
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
