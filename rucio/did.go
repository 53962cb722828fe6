package rucio

import (
	"fmt"
	"strings"
)

// A DID names a file, dataset or container of the catalogue.
type DID struct {
	Scope string `json:"scope"`
	Name  string `json:"name"`
}

// ParseDID reads "scope:name". A name may hold further colons only if the server's
// schema allows it; the first one ends the scope.
func ParseDID(s string) (DID, error) {
	scope, name, ok := strings.Cut(s, ":")
	if !ok || scope == "" || name == "" {
		return DID{}, &Error{Op: "parse", Thing: fmt.Sprintf("DID %q", s), Kind: ErrInvalid, Hint: "write it as SCOPE:NAME"}
	}
	return DID{scope, name}, nil
}

// String gives "scope:name".
func (d DID) String() string { return d.Scope + ":" + d.Name }

// IsZero reports whether the DID names nothing.
func (d DID) IsZero() bool { return d == DID{} }

// A DIDType is what a DID names.
type DIDType string

// The types of DIDs.
const (
	File      DIDType = "FILE"
	Dataset   DIDType = "DATASET"
	Container DIDType = "CONTAINER"
)
