package session

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
)

// findConfig gives the path of the configuration, and whether somebody named it.
// "" if there is none anywhere.
func findConfig(flag string, env func(string) string) (path string, named bool) {
	if flag != "" {
		return flag, true
	}
	if p := env("CAX_CONFIG"); p != "" {
		return p, true
	}
	for _, p := range configPlaces(env) {
		if _, err := os.Lstat(p); err == nil {
			return p, false
		}
	}
	return "", false
}

// configPlaces are looked at if nobody names a configuration.
func configPlaces(env func(string) string) []string {
	places := []string{"cax.json"}
	dir := env("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		if home := env("HOME"); home != "" {
			dir = filepath.Join(home, ".config")
		}
	}
	if filepath.IsAbs(dir) {
		places = append(places, filepath.Join(dir, "cax", "cax.json"))
	}
	return places
}

// loadConfig reads the configuration. Every finding is printed, and the error is
// then command.ErrConfig.
func loadConfig(path string, stderr io.Writer, program string) (*cax.Config, error) {
	cfg, err := cax.Load(path)
	var bad *cax.ConfigError
	switch {
	case err == nil:
		return cfg, nil
	case errors.As(err, &bad):
		PrintProblems(stderr, program, bad.Problems)
		return nil, command.ErrConfig
	}
	return nil, command.Usagef("", "configuration %s: %v", path, err)
}

func noConfig(env func(string) string) error {
	return command.Usagef(`name it with --config or $CAX_CONFIG, or write one: a JSON array of sites, [{"name": "…", "method": "local", "dir_raw": "/data/raw"}]; the README has all keys`,
		"there is no configuration (looked at %s)", strings.Join(configPlaces(env), ", "))
}

// PrintProblems prints findings about a configuration, one a line, as compilers
// do.
func PrintProblems(w io.Writer, program string, ps []cax.Problem) {
	for _, p := range ps {
		fmt.Fprintf(w, "%s: %s\n", program, command.OneLine(p.String()))
	}
}
