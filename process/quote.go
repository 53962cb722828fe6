package process

import (
	"fmt"
	"strings"
)

// Quote makes one word of a text for sh, bash, dash and ksh: within single quotes
// every byte but the single quote stands for itself (POSIX.1-2017, shell command
// language, 2.2.2). A NUL byte has no form in any shell.
func Quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// quoteAny makes words of a value that a template prints: one of a text, a number
// or a truth value, and one for each element of a list of texts.
func quoteAny(v any) (string, error) {
	var words []string
	switch v := v.(type) {
	case string:
		words = []string{v}
	case []string:
		words = v
	case bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
		words = []string{fmt.Sprint(v)}
	case fmt.Stringer:
		words = []string{v.String()}
	default:
		return "", fmt.Errorf("a value of type %T has no form as a word of a shell", v)
	}
	var b strings.Builder
	for i, w := range words {
		if strings.IndexByte(w, 0) >= 0 {
			return "", fmt.Errorf("the value %q has a NUL byte, which no shell can hold", w)
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(Quote(w))
	}
	return b.String(), nil
}
