package cax

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cax-go/cax/rucio"
)

// catalogs keeps one client for each catalogue, made when it is first needed. It is safe
// for concurrent use.
type catalogs struct {
	mu      sync.Mutex
	clients map[string]*rucio.Client
}

// client gives the client of the catalogue that a site stands for.
func (c *catalogs) client(env *Env, s *Site) (*rucio.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.clients[s.Name]; ok {
		return known, nil
	}
	cfg, err := rucioConfig(env.Site, s)
	if err != nil {
		return nil, fmt.Errorf("site %q: %w", s.Name, err)
	}
	cfg.Log = env.Log
	made, err := rucio.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("site %q: %w", s.Name, err)
	}
	if c.clients == nil {
		c.clients = map[string]*rucio.Client{}
	}
	c.clients[s.Name] = made
	return made, nil
}

// rucioConfig is how a catalogue is reached from a site: its key rucio, and what the Python
// client's file and environment say.
func rucioConfig(self, s *Site) (rucio.Config, error) {
	env := os.Getenv
	if self != nil && self.GridCert != "" {
		env = func(name string) string {
			if name == "X509_USER_PROXY" && os.Getenv(name) == "" {
				return expandHome(self.GridCert)
			}
			return os.Getenv(name)
		}
	}
	account := s.RucioAccount
	if self != nil {
		account = cmp.Or(self.RucioAccount, account)
	}
	cfg, err := rucio.Load(&rucio.LoadOptions{Env: env, File: expandHome(s.Rucio.Config), Host: s.Rucio.Host, AuthHost: s.Rucio.AuthHost, Account: account})
	cfg.Script = filepath.Base(os.Args[0])
	return cfg, err
}

func (c *catalogs) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, k := range c.clients {
		errs = append(errs, k.Close())
	}
	c.clients = nil
	return errors.Join(errs...)
}

// A pace tells when something that every cycle could do is due. It is safe for
// concurrent use.
type pace struct {
	mu   sync.Mutex
	next time.Duration // on Clock.elapsed
}

// due reports whether it is time, and counts from then on.
func (p *pace) due(elapsed, every time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if elapsed < p.next {
		return false
	}
	p.next = elapsed + every
	return true
}
