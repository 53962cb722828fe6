package session

import (
	"fmt"
	"strings"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
)

// findSite gives the site that we are: that of the flag, else of $HOSTNAME, else
// of the machine's name. The first of them that is set decides.
func findSite(cfg *cax.Config, flag string, env func(string) string, hostname func() (string, error)) (*cax.Site, error) {
	names, from := []string{flag}, "--host"
	if flag == "" {
		host := env("HOSTNAME")
		from = "$HOSTNAME"
		if host == "" {
			var err error
			if host, err = hostname(); err != nil {
				return nil, command.Usagef("name the site with --host", "the name of this machine cannot be found out: %v", err)
			}
			from = "the name of this machine"
		}
		short, _, _ := strings.Cut(host, ".")
		names = []string{host, short}
	}
	for _, n := range names {
		if s, ok := cfg.Site(n); ok {
			return s, nil
		}
	}
	known := siteNames(cfg)
	next := command.DidYouMean(names[0], known)
	if next != "" {
		next += " "
	}
	if flag == "" {
		next += "say with --host which site this is; "
	}
	return nil, command.Usagef(next+fmt.Sprintf("the sites of %s are %s", cfg.File, strings.Join(known, ", ")),
		"there is no site %q (from %s)", names[0], from)
}

func siteNames(cfg *cax.Config) []string {
	var names []string
	for _, s := range cfg.Sites {
		names = append(names, s.Name)
	}
	return names
}

// KnownHost refuses a host that is no site of the configuration.
func KnownHost(cfg *cax.Config, host string) error {
	if _, ok := cfg.Site(host); ok || host == "" {
		return nil
	}
	known := siteNames(cfg)
	next := command.DidYouMean(host, known)
	if next != "" {
		next += " "
	}
	return command.Usagef(next+"the sites are "+strings.Join(known, ", "), "there is no site %q", host)
}
