package cax

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
)

func TestDecisionPrints(t *testing.T) {
	for _, tc := range []struct {
		name       string
		d          Decision
		text, json string
	}{
		{"copy", Decision{Task: "CopyPush", Verb: Do, What: "copy", Number: 7, Name: "160315_1432",
			Key: rundb.Key{Type: rundb.Raw, Host: "B"}, From: "A", Why: "because"},
			"CopyPush: do copy of raw from A to B: because",
			`{"task":"CopyPush","verb":"do","what":"copy","number":7,"name":"160315_1432","type":"raw","host":"B","from":"A","why":"because"}`},
		{"wait", Decision{Task: "AddChecksum", Verb: Wait, What: "verify", Name: "x",
			Key: rundb.Key{Type: rundb.Processed, Version: "v6", Host: "B"}, Why: "try 1 failed", Next: "wait",
			Until: time.Date(2016, 3, 15, 15, 0, 0, 0, time.FixedZone("", 3600))},
			"AddChecksum: wait verify of processed v6 at B: try 1 failed, not before 2016-03-15 14:00:00 UTC; wait",
			`{"task":"AddChecksum","verb":"wait","what":"verify","number":0,"name":"x","type":"processed","pax_version":"v6","host":"B","why":"try 1 failed","next":"wait","until":"2016-03-15T14:00:00Z"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.d.String(); got != tc.text {
				t.Errorf("text\n%s\nwant\n%s", got, tc.text)
			}
			got, err := json.Marshal(tc.d)
			if err != nil || string(got) != tc.json {
				t.Errorf("JSON %v\n%s\nwant\n%s", err, got, tc.json)
			}
		})
	}
}
