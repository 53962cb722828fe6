package rucio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// refusal makes the error of an answer that is no success. The class of the
// exception counts and not the status: views that do not expect an exception
// answer 500, and 401 is both "expired token" and "not allowed".
func refusal(r request, resp *http.Response, body []byte) *Error {
	e := &Error{Op: r.op, Thing: r.thing, Status: resp.StatusCode}
	var w struct{ ExceptionClass, ExceptionMessage string }
	if json.Unmarshal(body, &w) != nil || w.ExceptionClass == "" {
		w.ExceptionClass = resp.Header.Get("ExceptionClass")
		w.ExceptionMessage = resp.Header.Get("ExceptionMessage")
	}
	e.Class, e.Message = w.ExceptionClass, w.ExceptionMessage
	e.Kind = kindOf(e.Class, e.Status)
	if e.Class == "" {
		e.Err = fmt.Errorf("the answer was %s", resp.Status)
	}
	switch {
	case e.Class == "CannotAuthenticate":
		e.Hint = "check account and credentials"
	case e.Class == "InvalidRSEExpression":
		e.Hint = "an expression is invalid too if it names an RSE that the server does not know"
	case e.Class == "" && e.Kind == ErrUnsupported:
		e.Hint = "the server does not know this request: is the address right, and is it as old as 34 or newer?"
	}
	return e
}

// kindOf sorts an exception by its class, else by the status.
func kindOf(class string, status int) error {
	switch class {
	case "":
		return kindOfStatus(status)
	case "DatabaseException", "ServiceUnavailable", "ReplicationRuleCreationTemporaryFailed", "ResourceTemporaryUnavailableError", "DatabaseError":
		return ErrTransient
	case "CannotAuthenticate", "CannotAuthorize", "IdentityError", "IdentityNotFound":
		return ErrAuth
	case "AccessDenied", "ManualRuleApprovalBlocked", "RuleReplaceFailed":
		return ErrPermission
	case "AccountNotFound", "DataIdentifierNotFound", "ReplicaNotFound", "RuleNotFound", "RSENotFound", "ScopeNotFound",
		"KeyNotFound", "RSEProtocolNotSupported", "RSEAttributeNotFound", "RSESettingsNotFound", "CounterNotFound", "SourceNotFound":
		return ErrNotExist
	case "DataIdentifierAlreadyExists", "Duplicate", "DuplicateContent", "FileAlreadyExists", "DuplicateRule", "FileReplicaAlreadyExists":
		return ErrExist
	case "FileConsistencyMismatch":
		return ErrConflict
	case "InsufficientAccountLimit", "RSEOverQuota":
		return ErrQuota
	case "RSEWriteBlocked", "InsufficientTargetRSEs", "ResourceTemporaryUnavailable", "ReplicaIsLocked", "ReplicaUnAvailable":
		return ErrUnavailable
	case "UnsupportedOperation", "UnsupportedMetadataPlugin", "SortingAlgorithmNotSupported", "UnsupportedRequestedContentType",
		"UnsupportedStatus", "UnsupportedAccountName", "RSEOperationNotSupported", "NotImplementedError", "MethodNotAllowed":
		return ErrUnsupported
	case "ValueError", "KeyError", "TypeError", "InvalidObject", "InvalidPath", "InvalidRSEExpression", "InvalidMetadata", "InvalidValueForKey",
		"InvalidReplicationRule", "InvalidRuleWeight", "InvalidSourceReplicaExpression", "StagingAreaRuleRequiresLifetime",
		"ScratchDiskLifetimeConflict", "InputValidationError", "InvalidType", "InvalidAccountType", "DIDFilterSyntaxError", "MissingClientParameter":
		return ErrInvalid
	}
	return nil
}

func kindOfStatus(status int) error {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusRequestURITooLong:
		return ErrInvalid
	case http.StatusUnauthorized, http.StatusProxyAuthRequired:
		return ErrAuth
	case http.StatusForbidden:
		return ErrPermission
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusNotImplemented:
		return ErrUnsupported
	case http.StatusConflict:
		return ErrConflict
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return ErrTransient
	}
	if status >= 500 {
		return ErrTransient
	}
	return ErrUnsupported
}

// fromPython makes JSON of what Python's encoder writes for numbers that JSON does
// not have: Infinity, -Infinity and NaN become strings.
func fromPython(text []byte) []byte {
	if !bytes.Contains(text, []byte("Infinity")) && !bytes.Contains(text, []byte("NaN")) {
		return text
	}
	out := make([]byte, 0, len(text)+16)
	for i, quoted := 0, false; i < len(text); i++ {
		b := text[i]
		switch {
		case quoted && b == '\\' && i+1 < len(text):
			out = append(out, b, text[i+1])
			i++
			continue
		case b == '"':
			quoted = !quoted
		case !quoted:
			if word := notJSON(text[i:]); word != "" {
				out = append(append(append(out, '"'), word...), '"')
				i += len(word) - 1
				continue
			}
		}
		out = append(out, b)
	}
	return out
}

func notJSON(text []byte) string {
	for _, word := range []string{"Infinity", "-Infinity", "NaN"} {
		if bytes.HasPrefix(text, []byte(word)) {
			return word
		}
	}
	return ""
}

// isClass reports whether an error is a certain exception of the server.
func isClass(err error, class string) bool {
	var e *Error
	return errors.As(err, &e) && e.Class == class
}
