package mongotest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// install is how to get what the Java server needs, on Debian.
const install = "apt-get install -y default-jdk-headless maven"

// shared is the server of this test process. It is started by the first test that
// needs it and ends with the process.
var shared = sync.OnceValues(startJava)

// Start returns the URI of a fresh, empty database, which is dropped when the test
// ends. It skips the test or fails it if there is no server; see the package
// comment.
func Start(t testing.TB) (uri string) {
	t.Helper()
	base := server(t)
	uri = withDatabase(base, "caxtest_"+random())
	t.Cleanup(func() { drop(t, uri) })
	return uri
}

// server returns the URI of a server, without a database.
func server(t testing.TB) string {
	t.Helper()
	if uri := os.Getenv("CAX_TEST_MONGODB_URI"); uri != "" {
		return uri
	}
	required := slices.Contains(strings.Split(os.Getenv("CAX_REQUIRE"), ","), "mongodb")
	if !required && os.Getenv("CAX_INTEGRATION") == "" {
		t.Skip("no MongoDB-protocol server: set CAX_TEST_MONGODB_URI to one, or CAX_INTEGRATION=1 to build and start one in Java (" + install + ")")
	}
	java, err := shared()
	if err != nil {
		if required {
			t.Fatalf("the Java server does not start: %v (%s)", err, install)
		}
		t.Skipf("the Java server does not start: %v (%s)", err, install)
	}
	return java.uri
}

// withDatabase puts a database into a URI in place of its own.
func withDatabase(uri, name string) string {
	main, opts, hasOpts := strings.Cut(uri, "?")
	scheme, rest, _ := strings.Cut(main, "://")
	hosts, was, _ := strings.Cut(rest, "/")
	s := scheme + "://" + hosts + "/" + name
	// A user is looked up in the database that the URI named.
	if was != "" && strings.Contains(hosts, "@") && !strings.Contains(strings.ToLower(opts), "authsource=") {
		opts = strings.TrimPrefix(opts+"&authSource="+was, "&")
		hasOpts = true
	}
	if hasOpts {
		s += "?" + opts
	}
	return s
}

func drop(t testing.TB, uri string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	c, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Disconnect(ctx)
	_, rest, _ := strings.Cut(uri, "://")
	_, name, _ := strings.Cut(rest, "/")
	name, _, _ = strings.Cut(name, "?")
	if err := c.Database(name).Drop(ctx); err != nil {
		t.Error(err)
	}
}

func random() string {
	var b [6]byte
	rand.Read(b[:]) // does not fail
	return fmt.Sprintf("%d_%s", os.Getpid(), hex.EncodeToString(b[:]))
}
