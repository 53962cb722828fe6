package tsm

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// A LogName is the name of the log file of one upload or download:
// tsm_log_<run number, or name for the muon veto>_<yymmdd>_<HHMMSS>.txt.
type LogName struct {
	Number int       // of the run; 0 where the name stands for it
	Name   string    // "161111_1434", "161111_1434_MV"; "" where the number stands
	Start  time.Time // of the upload or download, to a second, on the wall clock; read as UTC
}

// String is the file name, like tsm_log_5230_161115_161400.txt.
func (n LogName) String() string {
	what := n.Name
	if what == "" {
		what = strconv.Itoa(n.Number)
	}
	return fmt.Sprintf("tsm_log_%s_%s.txt", what, n.Start.Format("060102_150405"))
}

// ParseLogName reads such a name, with or without folders. massive-tsm of the original
// wrote years of four digits. ok is false if it is none.
func ParseLogName(name string) (n LogName, ok bool) {
	m := regexp.MustCompile(`^tsm_log_(?:(\d{6}_\d{4}(?:_MV)?)|(\d{1,9}))_((?:\d\d)?\d{6})_(\d{6})\.txt$`).FindStringSubmatch(filepath.Base(name))
	if m == nil {
		return LogName{}, false
	}
	layout := "060102_150405"
	if len(m[3]) == len("20060102") {
		layout = "20060102_150405"
	}
	t, err := time.Parse(layout, m[3]+"_"+m[4])
	if err != nil {
		return LogName{}, false
	}
	n = LogName{Name: m[1], Start: t}
	if m[2] != "" {
		if n.Number, err = strconv.Atoi(m[2]); err != nil {
			return LogName{}, false
		}
	}
	return n, true
}
