package cax

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/mongostore"
	"github.com/cax-go/cax/rundb/mongostore/mongotest"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestCorrectionsInMongoDB: corrections go from collections to runs there too, and a
// cycle in which all is done finds no run.
func TestCorrectionsInMongoDB(t *testing.T) {
	uri := mongotest.Start(t)
	l := newLab(t, quiet)
	var mu sync.Mutex
	var read []string // queries by id
	d, err := mongostore.Open(t.Context(), uri, &mongostore.Options{Create: true, Trace: func(cmd bson.Raw) {
		coll, _ := cmd.Lookup("find").StringValueOK()
		if _, err := cmd.LookupErr("filter", "_id"); coll != mongostore.DefaultCollection || err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		read = append(read, cmd.String())
	}})
	if err != nil {
		t.Fatal(err)
	}
	embedded := l.store
	t.Cleanup(func() { _ = embedded.Close() })
	l.store = &rundb.Store{Driver: d, By: "test"}
	id := l.took(1, bson.E{Key: "processor", Value: nil})
	l.took(2, bson.E{Key: "end", Value: nil})
	l.setting(rundb.Gains, 2017, `"version": "v2", "function": "pmt"`)
	l.setting(rundb.Gains, 2016, `"version": "v1", "function": "7"`)
	l.setting(rundb.NeuralNetwork, 2016, `"version": "n1", "correction": [{"min": 0, "max": 10, "value": "net.npz"}]`)
	if sum := l.must("A"); sum.Done != 2 {
		t.Errorf("%+v, want gains and a neural network", sum)
	}
	if g, v := gainsOf(t, l, id); !slices.Equal(g, []float64{0, 1, 2}) || v != "v2" {
		t.Errorf("gains %v of version %q", g, v)
	}
	if s := l.has(id, "processor", "NeuralNet|PosRecNeuralNet", "neural_net_file"); !strings.Contains(s, "net.npz") {
		t.Errorf("the neural network is %q", s)
	}
	read = nil
	// A run whose end is null is looked at: it may be a list with a date.
	if sum := l.must("A"); sum != (Summary{}) {
		t.Errorf("again: %+v", sum)
	}
	for _, r := range read {
		if strings.Contains(r, id.Hex()) {
			t.Errorf("a run that has all is read: %s", r)
		}
	}
}
