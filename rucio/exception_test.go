package rucio

import (
	"errors"
	"io"
	"net/http"
	"testing"
)

// Kinds go by the class of the exception: the status of one class differs from view to view.
func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		name, class string
		status      int
		want        error
	}{
		{"expired token", "CannotAuthenticate", 401, ErrAuth},
		{"permission as 401", "AccessDenied", 401, ErrPermission},
		{"permission as 500", "AccessDenied", 500, ErrPermission},
		{"permission as 403", "AccessDenied", 403, ErrPermission},
		{"DID as 404", "DataIdentifierNotFound", 404, ErrNotExist},
		{"DID as 400, from 35", "DataIdentifierNotFound", 400, ErrNotExist},
		{"replica as 500", "ReplicaNotFound", 500, ErrNotExist},
		{"RSE as 500", "RSENotFound", 500, ErrNotExist},
		{"attached file", "FileAlreadyExists", 409, ErrExist},
		{"attached collection", "DuplicateContent", 409, ErrExist},
		{"rule", "DuplicateRule", 409, ErrExist},
		{"quota", "InsufficientAccountLimit", 409, ErrQuota},
		{"full RSE", "RSEOverQuota", 500, ErrQuota},
		{"closed RSE", "RSEWriteBlocked", 500, ErrUnavailable},
		{"closed RSE as 503", "ResourceTemporaryUnavailable", 503, ErrUnavailable},
		{"pool exhausted", "DatabaseException", 503, ErrTransient},
		{"database", "DatabaseException", 500, ErrTransient},
		{"unknown RSE in an expression", "InvalidRSEExpression", 400, ErrInvalid},
		{"schema as 500", "InvalidObject", 500, ErrInvalid},
		{"missing token as 400, from 38", "ValueError", 400, ErrInvalid},
		{"another checksum", "FileConsistencyMismatch", 412, ErrConflict},
		{"closed dataset", "UnsupportedOperation", 409, ErrUnsupported},
		{"a new class", "SomethingElse", 500, nil},
		{"no such view", "", 404, ErrUnsupported},
		{"no such method", "", 405, ErrUnsupported},
		{"no gateway", "", 502, ErrTransient},
		{"crashed view", "", 500, ErrTransient},
		{"proxy's refusal", "", 403, ErrPermission},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := kindOf(tt.class, tt.status); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// The class is in the body, else in the headers, and an answer of a router has none.
func TestRefusal(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answer  func(http.ResponseWriter)
		class   string
		message string
		kind    error
	}{
		{"body", func(w http.ResponseWriter) { refuse(w, 404, "RSENotFound", "no RSE") }, "RSENotFound", "no RSE", ErrNotExist},
		{"headers", func(w http.ResponseWriter) {
			w.Header().Set("ExceptionClass", "AccessDenied")
			w.Header().Set("ExceptionMessage", "not you")
			w.WriteHeader(500)
		}, "AccessDenied", "not you", ErrPermission},
		{"HTML", func(w http.ResponseWriter) { w.WriteHeader(404); io.WriteString(w, "<!doctype html>") }, "", "", ErrUnsupported},
		{"plain text", func(w http.ResponseWriter) { w.WriteHeader(400); io.WriteString(w, "bad") }, "", "", ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := answering(t, func(w http.ResponseWriter, _ *http.Request) { tt.answer(w) })
			_, err := s.client(t).RSE(t.Context(), "DISK")
			var e *Error
			if !errors.As(err, &e) || e.Class != tt.class || e.Message != tt.message || !errors.Is(err, tt.kind) {
				t.Errorf("got %#v", err)
			}
			if e != nil && e.Thing != "DISK" {
				t.Errorf("the error is about %q", e.Thing)
			}
		})
	}
}

func TestFromPython(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", `{"a": 1}`, `{"a": 1}`},
		{"infinity", `{"A": Infinity, "B": -Infinity}`, `{"A": "Infinity", "B": "-Infinity"}`},
		{"not a number", `[NaN, "NaN"]`, `["NaN", "NaN"]`},
		{"in a text", `{"Infinity": "an Infinity \" of NaN"}`, `{"Infinity": "an Infinity \" of NaN"}`},
		{"behind a backslash", `["\\", Infinity]`, `["\\", "Infinity"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(fromPython([]byte(tt.in))); got != tt.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestNumber(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want number
		ok   bool
	}{
		{"30", 30, true}, {"30.0", 30, true}, {"1e3", 1000, true}, {`"Infinity"`, -1, true}, {"null", 0, true},
		{"9223372036854775807", 1<<63 - 1, true}, {"0.5", 0, false}, {"1e30", 0, false}, {`"x"`, 0, false},
	} {
		t.Run(tt.in, func(t *testing.T) {
			var n number
			if err := n.UnmarshalJSON([]byte(tt.in)); (err == nil) != tt.ok || n != tt.want {
				t.Errorf("got %d, %v", n, err)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	err := error(&Error{Op: "add rule", Thing: "a:b", Kind: ErrExist, Class: "DuplicateRule", Message: "there\nis one", Err: io.EOF, Hint: "look"})
	if got, want := err.Error(), "rucio: add rule a:b: exists already: DuplicateRule: there is one: EOF; look"; got != want {
		t.Errorf("got %q", got)
	}
	if !errors.Is(err, ErrExist) || !errors.Is(err, io.EOF) {
		t.Error("kind or cause is lost")
	}
}
