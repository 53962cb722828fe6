package mongostore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cax-go/cax/rundb"
)

const secret = "hunter/2@:%"

func TestAddress(t *testing.T) {
	const escaped = "hunter%2F2%40%3A%25"
	for _, tc := range []struct {
		name, uri, text, database, password string
		wrong                               bool
	}{
		{name: "plain", uri: "mongodb://a:1,b:2/run?replicaSet=runs", text: "mongodb://a:1,b:2/run", database: "run"},
		{name: "no database", uri: "mongodb://a", text: "mongodb://a/run", database: "run"},
		{name: "another database", uri: "mongodb://a/other", text: "mongodb://a/other", database: "other"},
		{name: "user", uri: "mongodb://cax@a/run", text: "mongodb://cax@a/run", database: "run"},
		{name: "C42: password", uri: "mongodb://cax:" + escaped + "@a/run?tls=true", text: "mongodb://cax@a/run", database: "run", password: secret},
		{name: "srv", uri: "mongodb+srv://cax@a.example/?tls=false", text: "mongodb+srv://cax@a.example/run", database: "run"},
		{name: "raw slash", uri: "mongodb://cax:hunter/2@a/run", wrong: true},
		{name: "raw colon", uri: "mongodb://cax:hunter:2@a/run", wrong: true},
		{name: "raw percent", uri: "mongodb://cax:hunter%2@a/run", wrong: true},
		{name: "raw question mark", uri: "mongodb://cax:hunter?2@a/run", wrong: true},
		{name: "no host", uri: "mongodb://cax@/run", wrong: true},
		{name: "no user", uri: "mongodb://:hunter2@a/run", wrong: true},
		{name: "no scheme", uri: "cax:hunter2@a/run", wrong: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, err := parseAddress(tc.uri)
			if tc.wrong {
				if err == nil || strings.Contains(err.Error(), "hunter") {
					t.Fatalf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if a.String() != tc.text || a.database() != tc.database || a.password != tc.password {
				t.Errorf("got %s, database %s, password %q", a, a.database(), a.password)
			}
		})
	}
}

func TestPassword(t *testing.T) {
	given := func(p string) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return p, nil }
	}
	for _, tc := range []struct {
		name, uri string
		password  func(context.Context) (string, error)
		want      string
		says      []string
	}{
		{name: "no user", uri: "mongodb://a/run", password: given(secret)},
		{name: "of the options", uri: "mongodb://cax@a/run", password: given(secret), want: secret},
		{name: "of the URI first", uri: "mongodb://cax:inline@a/run", password: given(secret), want: "inline"},
		{name: "certificates need none", uri: "mongodb://cax@a/run?authMechanism=MONGODB-X509"},
		{name: "missing", uri: "mongodb://cax@a/run", says: []string{"MONGODB_PASSWORD", "MONGO_PASSWORD", "cax"}},
		{name: "empty", uri: "mongodb://cax@a/run", password: given(""), says: []string{"MONGODB_PASSWORD"}},
		{name: "failed", uri: "mongodb://cax@a/run", password: func(context.Context) (string, error) { return "", errors.New("no such file") }, says: []string{"no such file"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, err := parseAddress(tc.uri)
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.secret(t.Context(), &Options{Password: tc.password})
			if len(tc.says) > 0 {
				if !errors.Is(err, rundb.ErrInvalid) {
					t.Errorf("error %v, want ErrInvalid", err)
				}
				for _, s := range tc.says {
					if err == nil || !strings.Contains(err.Error(), s) {
						t.Errorf("error %v does not name %s", err, s)
					}
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("got %q, %v", got, err)
			}
			o, err := a.client(got)
			if err != nil {
				t.Fatal(err)
			}
			if got != "" && (o.Auth.Password != got || o.Auth.Username != "cax" || o.Auth.AuthSource != "run") {
				t.Error("the driver gets other credentials")
			}
		})
	}
}

// TestSecretsStaySecret: whatever is wrong with an address, no secret is shown.
func TestSecretsStaySecret(t *testing.T) {
	for _, uri := range []string{
		"mongodb://cax:hunter2@a/run?w=hunter2=&tlsCertificateKeyFilePassword=hunter2%zz",
		"mongodb://cax:hunter2@a/run?authMechanism=nonsense",
		"mongodb://cax:hunter2@a:port/run",
		"mongodb://cax:hunter2@a/run?connectTimeoutMS=soon",
		"mongodb://cax:hunter2@127.0.0.1:1/run?serverSelectionTimeoutMS=50",
	} {
		d, err := Open(t.Context(), uri, nil)
		if err == nil {
			t.Errorf("%s was opened", d)
			continue
		}
		for _, s := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%v", errors.Unwrap(err))} {
			if strings.Contains(s, "hunter2") {
				t.Errorf("it shows: %s", s)
			}
		}
	}
}
