package mongostore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

var setX = rundb.Update{Run: aRun, Set: bson.D{{Key: "x", Value: 1}}}

// TestOutcome: an error of a write says whether it was applied, and only that
// which is known.
func TestOutcome(t *testing.T) {
	concern := func(code int32) bson.D {
		return bson.D{{Key: "n", Value: int32(1)}, {Key: "ok", Value: 1.0}, {Key: "writeConcernError", Value: bson.D{{Key: "code", Value: code}, {Key: "errmsg", Value: "x"}}}}
	}
	refused := func(code int32) bson.D {
		return bson.D{{Key: "n", Value: int32(0)}, {Key: "ok", Value: 1.0}, {Key: "writeErrors", Value: bson.A{bson.D{{Key: "index", Value: int32(0)}, {Key: "code", Value: code}, {Key: "errmsg", Value: "x"}}}}}
	}
	for _, tc := range []struct {
		name  string
		reply bson.D
		err   error
		want  error
	}{
		{"applied", nil, nil, nil},
		{"hangs up after reading", nil, errHangUp, rundb.ErrUnknownOutcome},
		{"majority not reached in time", concern(64), nil, rundb.ErrUnknownOutcome},
		{"majority cannot be reached", concern(100), nil, rundb.ErrUnknownOutcome},
		{"stepped down in the middle", refusal(11602, "InterruptedDueToReplStateChange"), nil, rundb.ErrUnknownOutcome},
		{"shutting down", refusal(91, "ShutdownInProgress"), nil, rundb.ErrUnknownOutcome},
		{"not the primary any more", refusal(10107, "NotWritablePrimary"), nil, rundb.ErrTransient},
		{"no right", refusal(13, "Unauthorized"), nil, rundb.ErrInvalid},
		{"duplicate key", refused(11000), nil, rundb.ErrExist},
		{"fails validation", refused(121), nil, rundb.ErrInvalid},
		{"too large", refused(17419), nil, rundb.ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := startFake(t, func(name string, _ bson.Raw) (bson.D, error) {
				switch name {
				case "insert":
					return tc.reply, tc.err
				case "update":
					return tc.reply, tc.err
				case "find":
					return cursor("run.x", bson.D{{Key: "_id", Value: aRun}}), nil
				}
				return nil, nil
			})
			d := openFake(t, f, nil)
			if err := d.Update(t.Context(), &setX); !errors.Is(err, tc.want) || tc.want == nil && err != nil {
				t.Errorf("Update: %v, want %v", err, tc.want)
			}
			if err := d.Add(t.Context(), rundb.Events, doc(t, `{"_id":1}`)); !errors.Is(err, tc.want) || tc.want == nil && err != nil {
				t.Errorf("Add: %v, want %v", err, tc.want)
			}
			if n := f.count("update"); n != 1 {
				t.Errorf("the update was sent %d times", n)
			}
		})
	}
}

func openFake(t *testing.T, f *fake, o *Options) *Driver {
	t.Helper()
	if o == nil {
		o = &Options{ReadOnly: true}
	}
	d, err := Open(t.Context(), f.uri, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// TestBeforeSending: what fails before the write is sent has changed nothing.
func TestBeforeSending(t *testing.T) {
	f := startFake(t, func(name string, _ bson.Raw) (bson.D, error) {
		if name == "find" {
			return nil, errHangUp
		}
		return nil, nil
	})
	d := openFake(t, f, nil)
	if err := d.Update(t.Context(), &setX); !errors.Is(err, rundb.ErrTransient) || errors.Is(err, rundb.ErrUnknownOutcome) {
		t.Errorf("Update without a reading: %v", err)
	}
	if _, err := d.Get(t.Context(), aRun); !errors.Is(err, rundb.ErrTransient) {
		t.Errorf("Get: %v", err)
	}
	if n := f.count("update"); n != 0 {
		t.Errorf("the update was sent %d times", n)
	}
}

// TestGivesUp: an update that never finds the run as it was read ends.
func TestGivesUp(t *testing.T) {
	f := startFake(t, func(name string, _ bson.Raw) (bson.D, error) {
		switch name {
		case "find":
			return cursor("run.x", bson.D{{Key: "_id", Value: aRun}, {Key: "data", Value: bson.A{bson.D{{Key: "host", Value: "a"}}}}}), nil
		case "update":
			return bson.D{{Key: "n", Value: int32(0)}, {Key: "ok", Value: 1.0}}, nil
		}
		return nil, nil
	})
	d := openFake(t, f, nil)
	u := rundb.Update{Run: aRun, Pull: &rundb.Pull{}}
	if err := d.Update(t.Context(), &u); !errors.Is(err, rundb.ErrTransient) || errors.Is(err, rundb.ErrUnknownOutcome) {
		t.Errorf("Update: %v", err)
	}
	if n := f.count("update"); n != tries {
		t.Errorf("the update was sent %d times, want %d", n, tries)
	}
}

// TestCancelled: a write that nobody answers ends with its context, as unknown.
func TestCancelled(t *testing.T) {
	f := startFake(t, func(name string, _ bson.Raw) (bson.D, error) {
		switch name {
		case "find":
			return cursor("run.x", bson.D{{Key: "_id", Value: aRun}}), nil
		case "update":
			return nil, errSilence
		}
		return nil, nil
	})
	d := openFake(t, f, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := d.Update(ctx, &setX)
	if !errors.Is(err, rundb.ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		for f.count("update") < 2 && t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	err = d.Update(ctx, &setX)
	if !errors.Is(err, rundb.ErrUnknownOutcome) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := d.Update(ctx, &setX); !errors.Is(err, context.Canceled) || errors.Is(err, rundb.ErrUnknownOutcome) {
		t.Errorf("cancelled before: %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	_, err = Open(t.Context(), "mongodb://"+at+"/run?serverSelectionTimeoutMS=200", nil)
	if !errors.Is(err, rundb.ErrTransient) || !strings.Contains(err.Error(), at) {
		t.Errorf("error %v, want ErrTransient that names %s", err, at)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err = Open(ctx, "mongodb://"+at+"/run", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestWrongPassword(t *testing.T) {
	f := startFake(t, func(name string, _ bson.Raw) (bson.D, error) {
		if name == "saslStart" {
			return refusal(codeAuthenticationFailed, "AuthenticationFailed"), nil
		}
		return nil, nil
	})
	uri := strings.Replace(f.uri, "//", "//cax@", 1)
	_, err := Open(t.Context(), uri, &Options{Password: func(context.Context) (string, error) { return secret, nil }})
	if !errors.Is(err, rundb.ErrInvalid) || !strings.Contains(err.Error(), "authSource") {
		t.Errorf("error %v, want ErrInvalid with a hint", err)
	}
	if strings.Contains(fmt.Sprintf("%+v", err), secret) {
		t.Errorf("it shows the password: %v", err)
	}
}

// TestWithoutRights: who may not make indexes works without.
func TestWithoutRights(t *testing.T) {
	f := startFake(t, func(name string, _ bson.Raw) (bson.D, error) {
		switch name {
		case "createIndexes", "listCollections":
			return refusal(codeUnauthorized, "Unauthorized"), nil
		}
		return nil, nil
	})
	var warned []error
	openFake(t, f, &Options{Warn: func(err error) { warned = append(warned, err) }})
	if len(warned) != 1 || !errors.Is(warned[0], rundb.ErrInvalid) {
		t.Errorf("warnings: %v", warned)
	}
	if n := f.count("create"); n != 0 {
		t.Errorf("%d collections were made", n)
	}
}

func TestNotThere(t *testing.T) {
	f := startFake(t, func(name string, _ bson.Raw) (bson.D, error) {
		if name == "listCollections" {
			return cursor("run.x"), nil
		}
		return nil, nil
	})
	if _, err := Open(t.Context(), f.uri, nil); !errors.Is(err, rundb.ErrNotExist) {
		t.Errorf("error %v, want ErrNotExist", err)
	}
	for _, name := range []string{"create", "createIndexes"} {
		if f.count(name) != 0 {
			t.Errorf("%s was sent", name)
		}
	}
	openFake(t, f, &Options{Create: true})
	if f.count("create") != 1 || f.count("createIndexes") == 0 {
		t.Error("it was not made")
	}
}
