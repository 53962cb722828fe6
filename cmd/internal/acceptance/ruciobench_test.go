package acceptance

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/cax-go/cax/rucio/ruciotest"
)

// TestRucioBeside measures massive-ruciax over 20 small runs beside the commands of the
// Python client that publish as many in the same way: scopes, upload into the dataset,
// metadata, containers, and a look at files and rules, as the original called them (and
// without the metadata of containers, which ours sets too). It runs only with CAX_BENCH=1, and asserts nothing on time.
func TestRucioBeside(t *testing.T) {
	if os.Getenv("CAX_BENCH") != "1" {
		t.Skip("measures, for minutes: set CAX_BENCH=1 and CAX_INTEGRATION=1")
	}
	s := ruciotest.Start(t, &ruciotest.Options{NoXRootD: true})
	const n = 20
	at := func(i int) string { return time.Date(2017, 6, 1, 0, i, 0, 0, time.UTC).Format("060102_1504") }

	l := newLab(t, s, ruciotest.RSEA)
	for i := range n {
		fs := files(6900+i, 6, 50_000)
		delete(fs, "empty.txt") // over which the Python client waits for a minute
		l.add(6900+i, at(i), fs)
	}
	l.must("massive-ruciax", "--version") // it is built
	start := time.Now()
	l.must("massive-ruciax", "--once")
	ours := time.Since(start)
	t.Logf("massive-ruciax: %d runs in %s", n, ours.Round(10*time.Millisecond))
	for i := range n {
		l.is(at(i), "transferred", "")
	}

	start = time.Now()
	s.CLI("scope", "add", "--account", s.Admin.Account, "x1t_SR009")
	s.CLI("did", "add", "--type", "container", "x1t_SR009:x1t_SR009_data")
	for i := range n {
		run := at(i)
		scope, container := "x1t_SR009_"+run+"_tpc", "x1t_SR009:x1t_SR009_"+run+"_tpc"
		dataset := scope + ":raw"
		s.CLI("ping")
		s.CLI("whoami")
		s.CLI("scope", "add", "--account", s.Admin.Account, scope)
		s.CLI("did", "add", "--type", "container", container)
		s.CLI("upload", "--rse", ruciotest.RSEA, "--scope", scope, dataset, l.raw(run))
		for _, kv := range [][2]string{{"phys_group", "daq"}, {"datatype", "Rn220"}, {"campaign", "SR009"}, {"run_number", fmt.Sprint(6900 + i)}, {"prod_step", "raw"}, {"x1t_provenance", "tpc"}} {
			s.CLI("did", "metadata", "set", dataset, "--key", kv[0], "--value", kv[1])
		}
		s.CLI("did", "content", "add", "--to-did", container, dataset)
		s.CLI("did", "content", "add", "--to-did", "x1t_SR009:x1t_SR009_data", container)
		s.CLI("replica", "list", "file", dataset)
		s.CLI("rule", "list", "--did", dataset)
		t.Logf("the Python client: %d runs in %s", i+1, time.Since(start).Round(10*time.Millisecond))
	}
	theirs := time.Since(start)
	t.Logf("%d runs of 5 files of 50 kB: massive-ruciax %s, the Python client's commands %s, %.1f times as long", n, ours.Round(10*time.Millisecond), theirs.Round(10*time.Millisecond), theirs.Seconds()/ours.Seconds())
}
