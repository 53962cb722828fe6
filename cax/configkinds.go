package cax

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// A valueKind is a sort of value that keys can have: how it is called, what it
// is in a JSON schema, and how it is read. read notes what is wrong and then
// returns false.
type valueKind[V any] struct {
	name   string
	schema map[string]any
	read   func(d *decoder, n *node, k *slot) (V, bool)
}

// A slot is the place where a value stands.
type slot struct {
	at   string // path of the key
	info *KeyInfo
}

// wrong notes a value that is not of the kind that a key wants.
func (d *decoder) wrong(n *node, k *slot, wanted string) {
	d.fail(n.off, k.at, fmt.Sprintf("%s is not %s", n, wanted), "write for example "+k.info.Example)
}

func (d *decoder) want(n *node, k *slot, kind kind) bool {
	if n.kind != kind {
		d.fail(n.off, k.at, fmt.Sprintf("%s where %s should be", n, kind), "write for example "+k.info.Example)
		return false
	}
	return true
}

// textKind is a text that is not empty and has no control characters.
func textKind() valueKind[string] {
	return valueKind[string]{"text", map[string]any{"type": "string"}, readText}
}

func readText(d *decoder, n *node, k *slot) (string, bool) {
	if !d.want(n, k, isString) {
		return "", false
	}
	if strings.ContainsFunc(n.text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		d.wrong(n, k, "a text without control characters")
		return "", false
	}
	return n.text, true
}

// nameKind is a text that is not empty and stands alone in a list or on a
// command line.
func nameKind() valueKind[string] {
	return valueKind[string]{"text", map[string]any{"type": "string", "minLength": 1}, func(d *decoder, n *node, k *slot) (string, bool) {
		s, ok := readText(d, n, k)
		if ok && (s == "" || strings.TrimSpace(s) != s || s[0] == '-' || strings.Contains(s, "/")) {
			d.wrong(n, k, "a name: not empty, no slash, no - in front, no space around it")
			return "", false
		}
		return s, ok
	}}
}

// wordKind is a text that becomes an argument of a program: it must not pass for
// an option, or fall into several.
func wordKind() valueKind[string] {
	return valueKind[string]{"text", map[string]any{"type": "string"}, func(d *decoder, n *node, k *slot) (string, bool) {
		s, ok := readText(d, n, k)
		if ok && (strings.HasPrefix(s, "-") || strings.ContainsAny(s, " \t")) {
			d.wrong(n, k, "one word that does not begin with -")
			return "", false
		}
		return s, ok
	}}
}

// oneOf is a text of a list of words.
func oneOf[V ~string](name string, words ...V) valueKind[V] {
	valid := make([]string, len(words))
	for i, w := range words {
		valid[i] = string(w)
	}
	return valueKind[V]{name, map[string]any{"enum": valid}, func(d *decoder, n *node, k *slot) (V, bool) {
		s, ok := readText(d, n, k)
		if ok && !slices.Contains(valid, s) {
			d.fail(n.off, k.at, fmt.Sprintf("%s is no %s", n, name), suggest(s, valid))
			return "", false
		}
		return V(s), ok
	}}
}

// dirKind is a directory in which a site keeps data.
func dirKind() valueKind[string] {
	return valueKind[string]{"directory", map[string]any{"type": "string", "pattern": "^/.*[^/]"}, func(d *decoder, n *node, k *slot) (string, bool) {
		s, ok := readText(d, n, k)
		switch {
		case !ok:
			return "", false
		case !path.IsAbs(s):
			d.wrong(n, k, "an absolute directory")
			return "", false
		case slices.ContainsFunc(strings.Split(s, "/"), func(c string) bool { return c == "." || c == ".." }):
			d.wrong(n, k, `a directory without "." and ".."`)
			return "", false
		case path.Clean(s) == "/":
			d.wrong(n, k, "a directory of its own for data")
			return "", false
		}
		return path.Clean(s), true
	}}
}

// fileKind is a file of this machine.
func fileKind() valueKind[string] {
	return valueKind[string]{"file", map[string]any{"type": "string", "pattern": "^(/|~/)"}, func(d *decoder, n *node, k *slot) (string, bool) {
		s, ok := readText(d, n, k)
		if ok && !path.IsAbs(s) && !strings.HasPrefix(s, "~/") {
			d.wrong(n, k, "an absolute path, or one below ~/")
			return "", false
		}
		return s, ok
	}}
}

// wholeKind is a whole number between two bounds.
func wholeKind(low, high int) valueKind[int] {
	return valueKind[int]{"number", map[string]any{"type": "integer", "minimum": low, "maximum": high}, func(d *decoder, n *node, k *slot) (int, bool) {
		if !d.want(n, k, isNumber) {
			return 0, false
		}
		v, err := strconv.Atoi(n.text)
		if err != nil || v < low || v > high {
			d.wrong(n, k, fmt.Sprintf("a whole number from %d to %d", low, high))
			return 0, false
		}
		return v, true
	}}
}

// orNil makes a kind whose absence differs from its zero.
func orNil[V any](k valueKind[V]) valueKind[*V] {
	return valueKind[*V]{k.name, k.schema, func(d *decoder, n *node, s *slot) (*V, bool) {
		v, ok := k.read(d, n, s)
		return &v, ok
	}}
}

// listOf is an array of values, each once.
func listOf[V comparable](name string, k valueKind[V]) valueKind[[]V] {
	return valueKind[[]V]{"list of " + name, map[string]any{"type": "array", "items": k.schema, "uniqueItems": true}, func(d *decoder, n *node, s *slot) ([]V, bool) {
		if !d.want(n, s, isArray) {
			return nil, false
		}
		vs, good := make([]V, 0, len(n.items)), true
		for i, item := range n.items {
			at := &slot{index(s.at, i), s.info}
			if item.bad {
				good = false
				continue
			}
			v, ok := k.read(d, item, at)
			switch {
			case !ok:
				good = false
			case slices.Contains(vs, v):
				d.fail(item.off, at.at, fmt.Sprintf("%s stands in the list twice", item), "remove one")
			default:
				vs = append(vs, v)
			}
		}
		return vs, good
	}}
}

// argvKind is a program with its arguments.
func argvKind() valueKind[[]string] {
	return valueKind[[]string]{"list of texts", map[string]any{"type": "array", "items": map[string]any{"type": "string"}, "minItems": 1}, func(d *decoder, n *node, k *slot) ([]string, bool) {
		if n.kind == isString {
			d.fail(n.off, k.at, fmt.Sprintf("%s is one text, and no shell takes it apart", n), "write program and arguments as an array, for example "+k.info.Example)
			return nil, false
		}
		if !d.want(n, k, isArray) {
			return nil, false
		}
		var argv []string
		for i, item := range n.items {
			s, ok := readText(d, item, &slot{index(k.at, i), k.info})
			if !ok {
				return nil, false
			}
			argv = append(argv, s)
		}
		if len(argv) == 0 || argv[0] == "" {
			d.wrong(n, k, "a program with its arguments")
			return nil, false
		}
		return argv, true
	}}
}

// durationKind is a length of time.
func durationKind() valueKind[time.Duration] {
	return valueKind[time.Duration]{"duration", map[string]any{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h|d))+$`}, func(d *decoder, n *node, k *slot) (time.Duration, bool) {
		if n.kind == isNumber {
			d.wrong(n, k, "a duration, which has a unit")
			return 0, false
		}
		if !d.want(n, k, isString) {
			return 0, false
		}
		v, err := parseDuration(n.text)
		switch {
		case err != nil:
			d.wrong(n, k, "a duration (units: ms, s, m, h, d)")
			return 0, false
		case v <= 0:
			d.wrong(n, k, "a duration longer than zero")
			return 0, false
		}
		return v, true
	}}
}

// sizeSchema is a number of bytes in either form.
func sizeSchema(suffix string) map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "integer", "minimum": 0},
		map[string]any{"type": "string", "pattern": `^[0-9.]+ *([kKmMgGtTpP]?i?[bB])?` + suffix + `$`},
	}}
}

// sizeKind is a number of bytes that is not zero.
func sizeKind() valueKind[int64] {
	return valueKind[int64]{"size", sizeSchema(""), func(d *decoder, n *node, k *slot) (int64, bool) {
		v, ok := readAmount(d, n, k, parseSize, "a size in bytes (units: kB, MB, GB, TB, KiB, MiB, GiB, TiB)")
		if ok && v == 0 {
			d.wrong(n, k, "a size of at least one byte")
			return 0, false
		}
		return v, ok
	}}
}

func readAmount(d *decoder, n *node, k *slot, parse func(string) (int64, error), wanted string) (int64, bool) {
	if n.kind == isString && strings.HasSuffix(strings.TrimSpace(n.text), "%") {
		d.fail(n.off, k.at, n.String()+" is a percentage, of what is not known here", "write for example "+k.info.Example)
		return 0, false
	}
	if n.kind != isNumber && n.kind != isString {
		d.wrong(n, k, wanted)
		return 0, false
	}
	v, err := parse(n.text)
	if err != nil || n.text == "" || n.kind == isNumber && strings.ContainsAny(n.text, ".eE") {
		d.wrong(n, k, wanted)
		return 0, false
	}
	return v, true
}

// rateKind is a number of bytes per second; 0 does not bound.
func rateKind() valueKind[int64] {
	return valueKind[int64]{"rate", sizeSchema("(/s)?"), func(d *decoder, n *node, k *slot) (int64, bool) {
		if n.kind == isString && strings.Contains(strings.ToLower(n.text), "bit") {
			d.fail(n.off, k.at, n.String()+" counts bits", "divide by eight, and write for example "+k.info.Example)
			return 0, false
		}
		return readAmount(d, n, k, parseRate, `bytes per second, as 50000000 or "50MB/s"`)
	}}
}

// bandwidthKind is one rate, or a table of rates by time of day.
func bandwidthKind() valueKind[Bandwidth] {
	rate, window := rateKind(), windowSection()
	schema := map[string]any{"anyOf": []any{rate.schema, map[string]any{"type": "array", "items": window.schema(), "minItems": 1}}}
	return valueKind[Bandwidth]{"rate, or table of rates", schema, func(d *decoder, n *node, k *slot) (Bandwidth, bool) {
		if n.kind != isArray {
			v, ok := rate.read(d, n, k)
			return Bandwidth{BytesPerSecond: v}, ok
		}
		if len(n.items) == 0 {
			d.wrong(n, k, "a table with at least one window")
			return Bandwidth{}, false
		}
		var b Bandwidth
		good := true
		for i, item := range n.items {
			at := index(k.at, i)
			var w BandwidthWindow
			before := len(d.problems)
			vals := window.decode(d, item, at, &w)
			if vals != nil && len(d.problems) == before {
				if from, to := vals["from"], vals["to"]; from != nil && to != nil && w.From == w.To {
					d.fail(to.off, at+".to", fmt.Sprintf("a window from %q to %q is empty", from.text, to.text), `write "00:00" to "24:00" for the whole day`)
				}
			}
			good = good && len(d.problems) == before
			b.Table = append(b.Table, w)
		}
		return b, good
	}}
}

// timeOfDayKind is a time of day, UTC.
func timeOfDayKind() valueKind[int] {
	return valueKind[int]{"time of day", map[string]any{"type": "string", "pattern": "^([01]?[0-9]|2[0-3]):[0-5][0-9]$|^24:00$"}, func(d *decoder, n *node, k *slot) (int, bool) {
		if !d.want(n, k, isString) {
			return 0, false
		}
		m, err := parseTimeOfDay(n.text)
		if err != nil {
			d.wrong(n, k, `a time of day from "00:00" to "24:00"`)
			return 0, false
		}
		return m, true
	}}
}

// hostKeyKind is an SSH host key without the host.
func hostKeyKind() valueKind[string] {
	return valueKind[string]{"host key", map[string]any{"type": "string", "pattern": "^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*"}, func(d *decoder, n *node, k *slot) (string, bool) {
		s, ok := readText(d, n, k)
		if !ok {
			return "", false
		}
		if _, _, options, _, err := ssh.ParseAuthorizedKey([]byte(s)); err != nil || len(options) > 0 {
			remedy := "copy it from the server's /etc/ssh/ssh_host_*_key.pub, or from ssh-keyscan without the host name in front"
			if strings.HasPrefix(s, "SHA256:") {
				remedy = "a fingerprint is not enough: " + remedy
			}
			d.fail(n.off, k.at, "this is no SSH host key", remedy)
			return "", false
		}
		return s, true
	}}
}

// addressKind is the address of a run database. Problems do not show it: it may
// hold a password.
func addressKind() valueKind[string] {
	return valueKind[string]{"address", map[string]any{"type": "string", "pattern": "^(sqlite:|mongodb(\\+srv)?://)"}, func(d *decoder, n *node, k *slot) (string, bool) {
		if !d.want(n, k, isString) {
			return "", false
		}
		if n.text == "" {
			d.wrong(n, k, "the address of a run database")
			return "", false
		}
		a, err := ResolveRunDB("", func(string) string { return "" }, &Config{RunDB: RunDBConfig{URI: n.text}})
		var bad *addressError
		switch {
		case errors.As(err, &bad):
			d.fail(n.off, k.at, bad.text, bad.remedy)
			return "", false
		case err != nil:
			d.fail(n.off, k.at, err.Error(), "write for example "+k.info.Example)
			return "", false
		case a.inline:
			d.note(n.off, k.at, "the password stands in the configuration, which others read", "take it out, and set password_file, password_command or MONGODB_PASSWORD")
		}
		return n.text, true
	}}
}

// anyKind is a value that is not looked at.
func anyKind() valueKind[struct{}] {
	return valueKind[struct{}]{"any", map[string]any{}, func(*decoder, *node, *slot) (struct{}, bool) { return struct{}{}, true }}
}
