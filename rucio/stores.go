package rucio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cax-go/cax/rucio/storage"
)

// A StorageOpener makes the storage behind a protocol of an RSE. [storage.Open] is one.
type StorageOpener func(ctx context.Context, p storage.Protocol, o *storage.Options) (storage.Storage, error)

// stores keeps the storage that one upload or download talks to, and the settings of
// RSEs. It is safe for concurrent use.
type stores struct {
	client *Client
	open   StorageOpener
	base   *storage.Options

	mu      sync.Mutex
	rses    map[string]RSE
	domains map[string]string
	made    map[string]storage.Storage // by RSE, scheme, host, port and prefix
}

func newStores(c *Client, open StorageOpener, base *storage.Options) *stores {
	if open == nil {
		open = storage.Open
	}
	return &stores{client: c, open: open, base: base, rses: map[string]RSE{}, domains: map[string]string{}, made: map[string]storage.Storage{}}
}

// rse gives the settings of an RSE and the domain in which we are to it.
func (s *stores) rse(ctx context.Context, name string) (RSE, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.rses[name]; ok {
		return r, s.domains[name], nil
	}
	r, err := s.client.RSE(ctx, name)
	if err != nil {
		return RSE{}, "", err
	}
	attrs, err := s.client.RSEAttributes(ctx, name)
	if err != nil {
		return RSE{}, "", err
	}
	domain := "wan"
	if fmt.Sprint(attrs["site"]) == s.client.Site() {
		domain = "lan"
	}
	s.rses[name], s.domains[name] = r, domain
	return r, domain, nil
}

// options are how to log in to an RSE's storage: as the program says, else as to the
// catalogue.
func (s *stores) options(r RSE) (*storage.Options, error) {
	var o storage.Options
	if s.base != nil {
		o = *s.base
	}
	if o.TLS == nil {
		conf, err := s.client.cfg.TLSConfig()
		if err != nil {
			return nil, err
		}
		o.TLS = conf
	}
	if o.Token == nil {
		o.Token = func(ctx context.Context) (string, error) {
			t, err := s.client.Token(ctx)
			if err != nil || !t.IsJWT() {
				return "", err
			}
			return t.Value, nil
		}
	}
	if o.Sign == nil && r.SignURL != "" {
		o.Sign = func(ctx context.Context, op storage.Operation, url string) (string, error) {
			return s.client.SignURL(ctx, r.Name, r.SignURL, Operation(op), url, 0)
		}
	}
	if o.Log == nil {
		o.Log = s.client.cfg.Log
	}
	return &o, nil
}

// at gives the storage of a protocol. It is made once and shared.
func (s *stores) at(ctx context.Context, r RSE, p Protocol) (storage.Storage, *storage.Options, error) {
	o, err := s.options(r)
	if err != nil {
		return nil, nil, err
	}
	key := fmt.Sprintf("%s\x00%s\x00%s\x00%d\x00%s", r.Name, p.Scheme, p.Host, p.Port, p.Prefix)
	s.mu.Lock()
	defer s.mu.Unlock()
	if st, ok := s.made[key]; ok {
		return st, o, nil
	}
	st, err := s.open(ctx, p.storage(), o)
	if err != nil {
		return nil, nil, err
	}
	s.made[key] = st
	return st, o, nil
}

func (p Protocol) storage() storage.Protocol {
	return storage.Protocol{Scheme: p.Scheme, Host: p.Host, Port: p.Port, Prefix: p.Prefix, Impl: p.Impl, Extended: p.Extended}
}

// usable are the protocols of an RSE for an operation that package storage speaks.
func (s *stores) usable(ctx context.Context, r RSE, domain string, op Operation) ([]Protocol, error) {
	v, err := s.client.ServerVersion(ctx)
	if err != nil {
		return nil, err
	}
	ps := slices.DeleteFunc(r.Best(op, domain, v), func(p Protocol) bool { return !slices.Contains(storage.Schemes(), p.Scheme) })
	if len(ps) == 0 {
		return nil, &Error{Op: string(op), Thing: "RSE " + r.Name, Kind: ErrUnsupported,
			Err: fmt.Errorf("none of its protocols is one of %v", storage.Schemes()), Hint: "see the RSE's protocols, and which are open to us (" + domain + ")"}
	}
	return ps, nil
}

func (s *stores) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, st := range s.made {
		errs = append(errs, st.Close())
	}
	s.made = map[string]storage.Storage{}
	return errors.Join(errs...)
}

// A Progress is told how an upload or a download goes on. Its methods are called from
// several goroutines, never after the call that they are about has returned. It is as
// that of package transfer.
type Progress interface {
	// Start is called once, when the totals are known.
	Start(files int, bytes int64)
	// Moved adds bytes that were copied; Skipped those that were there already.
	Moved(n int64)
	Skipped(n int64)
	// File is called when a file is finished.
	File(path string)
}

// noProgress is told, and tells nobody.
type noProgress struct{}

func (noProgress) Start(int, int64) {}
func (noProgress) Moved(int64)      {}
func (noProgress) Skipped(int64)    {}
func (noProgress) File(string)      {}
