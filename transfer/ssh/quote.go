package ssh

import "strings"

// Quote makes one word of a path for a POSIX shell: within single quotes every
// byte but the single quote stands for itself (POSIX.1-2017, shell command
// language, 2.2.2).
func Quote(path string) string {
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
