package mongotest

import (
	"os"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func TestWithDatabase(t *testing.T) {
	for _, tc := range []struct{ uri, want string }{
		{"mongodb://a", "mongodb://a/x"},
		{"mongodb://a:1,b:2/run?replicaSet=runs", "mongodb://a:1,b:2/x?replicaSet=runs"},
		{"mongodb://u:p@a/run", "mongodb://u:p@a/x?authSource=run"},
		{"mongodb://u:p@a/run?w=1", "mongodb://u:p@a/x?w=1&authSource=run"},
		{"mongodb://u:p@a/run?authSource=admin", "mongodb://u:p@a/x?authSource=admin"},
		{"mongodb://u:p@a", "mongodb://u:p@a/x"},
	} {
		if got := withDatabase(tc.uri, "x"); got != tc.want {
			t.Errorf("%s gives %s, want %s", tc.uri, got, tc.want)
		}
	}
}

// TestStart: each test has its own empty database, on one server.
func TestStart(t *testing.T) {
	names := func(uri string) []string {
		c, err := mongo.Connect(options.Client().ApplyURI(uri))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Disconnect(t.Context())
		all, err := c.ListDatabaseNames(t.Context(), bson.D{})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	var first string
	t.Run("one", func(t *testing.T) {
		first = Start(t)
		c, err := mongo.Connect(options.Client().ApplyURI(first))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Disconnect(t.Context())
		if _, err := c.Database(first[strings.LastIndex(first, "/")+1:]).Collection("x").InsertOne(t.Context(), bson.D{}); err != nil {
			t.Fatal(err)
		}
	})
	second := Start(t)
	if first == second {
		t.Error("the database is not fresh")
	}
	if os.Getenv("CAX_TEST_MONGODB_URI") == "" && first[:strings.LastIndex(first, "/")] != second[:strings.LastIndex(second, "/")] {
		t.Error("there is more than one server")
	}
	for _, n := range names(second) {
		if strings.HasSuffix(first, "/"+n) {
			t.Error("the first database was not dropped")
		}
	}
}
