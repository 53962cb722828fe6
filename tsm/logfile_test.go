package tsm_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/tsm"
	"github.com/google/go-cmp/cmp"
)

func TestLogNames(t *testing.T) {
	at := time.Date(2016, 11, 15, 16, 14, 0, 0, time.UTC)
	for _, tc := range []struct {
		name string
		want tsm.LogName
		same bool // it is what we would write
	}{
		{"tsm_log_5230_161115_161400.txt", tsm.LogName{Number: 5230, Start: at}, true},
		{"tsm_log_161111_1434_161115_161400.txt", tsm.LogName{Name: "161111_1434", Start: at}, true},
		{"tsm_log_161111_1434_MV_161115_161400.txt", tsm.LogName{Name: "161111_1434_MV", Start: at}, true},
		{"tsm_log_5230_20161115_161400.txt", tsm.LogName{Number: 5230, Start: at}, false},
		{"tsm_log_161111_1434_20161115_161400.txt", tsm.LogName{Name: "161111_1434", Start: at}, false},
		{"/a/b/tsm_log_0_161115_161400.txt", tsm.LogName{Start: at}, false},
	} {
		got, ok := tsm.ParseLogName(tc.name)
		if d := cmp.Diff(tc.want, got); d != "" || !ok {
			t.Errorf("%s: %v %s", tc.name, ok, d)
		}
		if tc.same && got.String() != tc.name {
			t.Errorf("%s is written as %s", tc.name, got)
		}
	}
	for _, s := range []string{"", "tsm_log_5230.txt", "tsm_log_5230_161315_161400.txt", "tsm_log_5230_161115_246000.txt", "massive_tsm.log", "tsm_log_x_161115_161400.txt", "tsm_log_5230_161115_161400.txt.gz"} {
		if n, ok := tsm.ParseLogName(s); ok {
			t.Errorf("%q: %+v", s, n)
		}
	}
}

// original is what the original writes for one upload, in its format.
const original = `cax_v5.1.0 - 2016-11-15 16:14:01,123 [INFO] Daemon is starting
cax_v5.1.0 - 2016-11-15 16:14:02,001 [INFO] Tape Backup to PDC STOCKHOLM
cax_v5.1.0 - 2016-11-15 16:14:02,002 [INFO] File/Folder for backup: 161111_1434
cax_v5.1.0 - 2016-11-15 16:14:09,000 [INFO] Start tape upload
cax_v5.1.0 - 2016-11-15 16:24:09,000 [INFO] Number of uploaded files: 245
cax_v5.1.0 - 2016-11-15 16:24:09,000 [INFO] Number of inspected files: 246
cax_v5.1.0 - 2016-11-15 16:24:09,000 [INFO] Number of failed files: 0
cax_v5.1.0 - 2016-11-15 16:24:09,000 [INFO] Transferred amount of data: 24.50GB
cax_v5.1.0 - 2016-11-15 16:24:09,000 [INFO] Inspected amount of data: 24.50GB
cax_v5.1.0 - 2016-11-15 16:24:09,000 [INFO] Upload time: 1,282.41sec
cax_v5.1.0 - 2016-11-15 16:24:09,000 [INFO] Network transfer rate: 20,032.56KB/sec
cax_v5.1.0 - 2016-11-15 16:24:09,000 [INFO] MD5 Hash (raw data): cf83e1
cax_v5.1.0 - 2016-11-15 16:24:10,000 [INFO] Start the re-download to /data/tsm/tsm_verify_download
cax_v5.1.0 - 2016-11-15 16:34:09,000 [INFO] Summary of the download for checksum comparison:
cax_v5.1.0 - 2016-11-15 16:34:09,000 [INFO] Number of downloaded files: 245
cax_v5.1.0 - 2016-11-15 16:34:09,000 [INFO] Transferred amount of data: 24.49GB
cax_v5.1.0 - 2016-11-15 16:34:09,000 [INFO] Network transfer rate: 50,000.00KB/sec
cax_v5.1.0 - 2016-11-15 16:34:09,000 [INFO] Download time: 512.00sec
cax_v5.1.0 - 2016-11-15 16:34:09,000 [INFO] Number of failed downloads: -1
cax_v5.1.0 - 2016-11-15 16:34:09,000 [INFO] MD5 Hash (raw data): cf83e2
cax_v5.1.0 - 2016-11-15 16:34:10,000 [INFO] Upload to tape: [succcessful]
`

func TestParseLog(t *testing.T) {
	got, err := tsm.ParseLog(strings.NewReader(original))
	if err != nil {
		t.Fatal(err)
	}
	gib := float64(1 << 30)
	want := tsm.LogSummary{
		Dataset: "161111_1434",
		Up:      tsm.LogPart{Files: 245, Inspected: 246, Failed: 0, Bytes: int64(24.5 * gib), Seconds: 1282.41, Rate: 20032.56 * 1024, Checksum: "cf83e1"},
		Down:    tsm.LogPart{Files: 245, Inspected: -1, Failed: -1, Bytes: int64(24.49 * gib), Seconds: 512, Rate: 50000 * 1024, Checksum: "cf83e2"},
		Outcome: tsm.LogSucceeded,
		First:   time.Date(2016, 11, 15, 16, 14, 1, 0, time.UTC),
		Last:    time.Date(2016, 11, 15, 16, 34, 10, 0, time.UTC),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for line, want := range map[string]tsm.LogOutcome{
		"Upload to tape: [failed]": tsm.LogFailed, "Upload to tape: [successful]": tsm.LogSucceeded,
		"The download/restore of the raw data set 161111_1434 was [SUCCESSFUL]": tsm.LogSucceeded, "The download/restore of the raw data set 161111_1434 [FAILED]": tsm.LogFailed,
		"Pre checksum test: [failed]": "",
	} {
		got, err := tsm.ParseLog(strings.NewReader("x - 2016-11-15 16:34:10,000 [INFO] " + line))
		if err != nil || got.Outcome != want {
			t.Errorf("%q: %q, %v", line, got.Outcome, err)
		}
	}
}

// TestLogLines: what is written is read as itself.
func TestLogLines(t *testing.T) {
	none := tsm.LogPart{Files: -1, Inspected: -1, Failed: -1, Bytes: -1, Seconds: -1, Rate: -1}
	for name, s := range map[string]tsm.LogSummary{
		"upload": {Dataset: "161111_1434", Outcome: tsm.LogSucceeded,
			Up: tsm.LogPart{Files: 3, Inspected: 3, Failed: 0, Bytes: 5 << 30, Seconds: 12.5, Rate: 1 << 20, Checksum: "ab"}, Down: tsm.LogPart{Files: 3, Inspected: -1, Failed: 1, Bytes: 512 << 10, Seconds: 1, Rate: 2048}},
		"download":        {Dataset: "161111_1434_MV", Outcome: tsm.LogFailed, Up: none, Down: tsm.LogPart{Files: 3, Inspected: -1, Failed: 0, Bytes: 0, Seconds: 0, Rate: 0, Checksum: "cd"}},
		"died in between": {Dataset: "x", Up: tsm.LogPart{Files: 3, Inspected: -1, Failed: -1, Bytes: 2 << 40, Seconds: -1, Rate: -1}, Down: none},
	} {
		got, err := tsm.ParseLog(strings.NewReader(strings.Join(s.Lines(), "\n")))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(s, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	st := tsm.Statistics{{Label: tsm.ObjectsArchived, Number: 4, Unit: tsm.Objects}, {Label: tsm.BytesTransferred, Number: 1024, Unit: tsm.Bytes}, {Label: tsm.TransferTime, Number: 2, Unit: tsm.Seconds}}
	want := none
	want.Files, want.Bytes, want.Seconds, want.Checksum = 4, 1024, 2, "ef"
	if d := cmp.Diff(want, tsm.NewLogPart(st, "ef")); d != "" {
		t.Error(d)
	}
}
