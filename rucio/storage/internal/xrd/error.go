package xrd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// ErrProtocol: what came is not of the protocol.
var ErrProtocol = errors.New("not the xrootd protocol")

// A Code is what a server says to be wrong.
type Code uint32

// The codes that callers tell apart (XRootD protocol 5.1.0, section 3.3.3).
const (
	ArgInvalid    Code = 3000
	FileLocked    Code = 3003
	NoSpace       Code = 3009
	NotAuthorized Code = 3010
	NotFound      Code = 3011
	ServerError   Code = 3012
	Unsupported   Code = 3013
	NotFile       Code = 3015
	IsDirectory   Code = 3016
	ItExists      Code = 3018
	OverQuota     Code = 3021
	ReadOnly      Code = 3025
	TLSRequired   Code = 3028
	AuthFailed    Code = 3030
	Conflict      Code = 3032
)

// An Error is a refusal by the server.
type Error struct {
	Code    Code
	Message string // for people
}

// Error gives the message and the code.
func (e *Error) Error() string { return fmt.Sprintf("%s [%d]", e.Message, e.Code) }

func refusal(data []byte) error {
	if len(data) < 4 {
		return bad("error response", nil)
	}
	return &Error{Code: Code(binary.BigEndian.Uint32(data)), Message: strings.TrimSpace(strings.TrimRight(string(data[4:]), "\x00"))}
}

// A LoginError tells that the server wants a login that this package has not.
type LoginError struct {
	Offers []string // security protocols: "gsi", "ztn", …
}

// Error names what the server wants.
func (e *LoginError) Error() string {
	return "the server wants a login by " + strings.Join(e.Offers, " or ")
}
