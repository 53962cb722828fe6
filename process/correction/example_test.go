package correction_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/cax-go/cax/process/correction"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/rundbtest"
)

// A collection of gains, as mongoexport writes it, gives each photomultiplier of a run
// its gain.
func Example() {
	ctx := context.Background()
	store := &rundb.Store{Driver: &rundbtest.Memory{}}
	const gains = `{"calculation_time": {"$date": "2017-02-14T09:30:00Z"}, "version": "v3", "_id": 1,
		"function": "Piecewise((2e6 + 1/2*(t - 1476000000), pmt < 2), (0, True))"}`
	if _, err := store.ImportFrom(ctx, strings.NewReader(gains), rundb.Gains, nil); err != nil {
		log.Fatal(err)
	}

	kind := correction.Kinds()[0]
	doc, err := correction.Newest(ctx, correction.Store{Runs: store}, kind)
	if err != nil {
		log.Fatal(err)
	}
	triggered := true
	run := correction.Run{Number: 5000, Detector: correction.TPC, Start: time.Unix(1476000100, 0), SelfTrigger: &triggered}
	value, err := doc.Value(ctx, run, &correction.Inputs{PMTs: map[string]int{correction.TPC: 3}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(kind.Task, doc.Version)
	fmt.Println(kind.Field, value)

	_, err = correction.ParseFormula("2e6 * pmt^2", "pmt")
	fmt.Println(err)
	// Output:
	// AddGains v3
	// processor.DEFAULT.gains [2.00005e+06 2.00005e+06 0]
	// read formula: is invalid: column 10: "^" cannot stand here; write ** for powers
}
