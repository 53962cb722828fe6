package rundbtest

import (
	"testing"

	"github.com/cax-go/cax/rundb"
)

// Options say what a driver cannot do.
type Options struct {
	// Skip maps the names of cases to the reason why they are not run.
	Skip map[string]string
}

// Run checks a driver against the contract of [rundb.Driver] and checks
// [rundb.Store] on top of it. open gives an empty database, each time another
// one; it registers its own clean-up.
func Run(t *testing.T, open func(t *testing.T) rundb.Driver, o Options) {
	cases := []struct {
		name string
		test func(t *testing.T, d rundb.Driver)
	}{
		{"Insert", testInsert},
		{"Find", testFind},
		{"FindOrderAndLimit", testFindOrderAndLimit},
		{"FindWhileWriting", testFindWhileWriting},
		{"One", testOne},
		{"Update", testUpdate},
		{"UpdateErrors", testUpdateErrors},
		{"UpdateAmbiguous", testUpdateAmbiguous},
		{"UnknownFieldsStay", testUnknownFieldsStay},
		{"NullLists", testNullLists},
		{"SetRun", testSetRun},
		{"Claim", testClaim},
		{"ClaimOneWinner", testClaimOneWinner},
		{"ClaimOldRecords", testClaimOldRecords},
		{"ClaimLocationTaken", testClaimLocationTaken},
		{"ClaimLocationRace", testClaimLocationRace},
		{"ClaimLocationMeanwhile", testClaimLocationMeanwhile},
		{"Reclaim", testReclaim},
		{"ReclaimOneWinner", testReclaimOneWinner},
		{"Fencing", testFencing},
		{"CompareAndSet", testCompareAndSet},
		{"CompareAndSetOldRecords", testCompareAndSetOldRecords},
		{"Remove", testRemove},
		{"DropTwin", testDropTwin},
		{"Withdraw", testWithdraw},
		{"Register", testRegister},
		{"ConcurrentUpdates", testConcurrentUpdates},
		{"Events", testEvents},
		{"Docs", testDocs},
		{"Manifest", testManifest},
		{"ManifestChunks", testManifestChunks},
		{"ManifestCrash", testManifestCrash},
		{"ManifestDamaged", testManifestDamaged},
		{"UnknownOutcome", testUnknownOutcome},
		{"UnknownOutcomeOfOthers", testUnknownOutcomeOfOthers},
		{"UnknownOutcomeManifest", testUnknownOutcomeManifest},
		{"Context", testContext},
		{"Now", testNow},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if why, ok := o.Skip[c.name]; ok {
				t.Skip(why)
			}
			c.test(t, open(t))
		})
	}
}
