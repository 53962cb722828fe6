package tsm

import (
	"strconv"
	"strings"
	"time"
)

// A Label names a number in the statistics at the end of a run. Others than these
// occur and are kept.
type Label string

// Labels of statistics.
const (
	ObjectsInspected       Label = "Total number of objects inspected"
	ObjectsBackedUp        Label = "Total number of objects backed up"
	ObjectsArchived        Label = "Total number of objects archived"
	ObjectsRestored        Label = "Total number of objects restored"
	ObjectsRetrieved       Label = "Total number of objects retrieved"
	ObjectsUpdated         Label = "Total number of objects updated"
	ObjectsRebound         Label = "Total number of objects rebound"
	ObjectsDeleted         Label = "Total number of objects deleted"
	ObjectsExpired         Label = "Total number of objects expired"
	ObjectsFailed          Label = "Total number of objects failed"
	ObjectsEncrypted       Label = "Total number of objects encrypted"
	ObjectsDeduplicated    Label = "Total objects deduplicated"
	ObjectsGrew            Label = "Total number of objects grew"
	Retries                Label = "Total number of retries"
	BytesInspected         Label = "Total number of bytes inspected"
	BytesProcessed         Label = "Total number of bytes processed"
	BytesTransferred       Label = "Total number of bytes transferred"
	TransferTime           Label = "Data transfer time"
	NetworkRate            Label = "Network data transfer rate"
	AggregateRate          Label = "Aggregate data transfer rate"
	CompressedBy           Label = "Objects compressed by"
	DeduplicationReduction Label = "Deduplication reduction"
	DataReduction          Label = "Total data reduction ratio"
	ElapsedTime            Label = "Elapsed processing time"
	EncryptionType         Label = "Data encryption type"
)

// A Unit tells what the number of a Statistic counts.
type Unit string

// Units.
const (
	Objects        Unit = "objects" // also retries
	Bytes          Unit = "bytes"
	Seconds        Unit = "s"
	BytesPerSecond Unit = "bytes/s"
	Percent        Unit = "%"
	Words          Unit = "" // no number
)

// A Statistic is one line of the statistics. Numbers above 1024 bytes are printed
// with two decimals of a larger unit: for exact totals, sum over objects.
type Statistic struct {
	Label  Label   `json:"label"`
	Text   string  `json:"text"` // as printed
	Number float64 `json:"number"`
	Unit   Unit    `json:"unit"`
}

// Statistics are the lines in the order in which they were printed.
type Statistics []Statistic

// Get gives the last line with that label.
func (s Statistics) Get(l Label) (Statistic, bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i].Label == l {
			return s[i], true
		}
	}
	return Statistic{}, false
}

func (s Statistics) number(l Label, u Unit) float64 {
	if st, ok := s.Get(l); ok && st.Unit == u {
		return st.Number
	}
	return -1
}

// Count gives a number of objects; -1 if it was not printed.
func (s Statistics) Count(l Label) int64 { return int64(s.number(l, Objects)) }

// Bytes gives a number of bytes, as exactly as it was printed; -1 if it was not.
func (s Statistics) Bytes(l Label) int64 { return int64(s.number(l, Bytes)) }

// Rate gives bytes per second; -1 if it was not printed.
func (s Statistics) Rate(l Label) float64 { return s.number(l, BytesPerSecond) }

// Percent gives a percentage; -1 if it was not printed.
func (s Statistics) Percent(l Label) float64 { return s.number(l, Percent) }

// Duration gives a time. ok is false if it was not printed.
func (s Statistics) Duration(l Label) (d time.Duration, ok bool) {
	n := s.number(l, Seconds)
	return time.Duration(n * float64(time.Second)), n >= 0
}

// known tells the labels whose lines are statistics wherever they stand.
func known(l Label) bool {
	switch l {
	case TransferTime, NetworkRate, AggregateRate, CompressedBy, DeduplicationReduction, ElapsedTime, EncryptionType:
		return true
	}
	return strings.HasPrefix(string(l), "Total ")
}

// parseStatistic reads "label:   value". begun: such lines came before, so that
// labels which nobody knows are taken as well.
func (g *grammar) parseStatistic(s string, begun bool) (Statistic, bool) {
	m := g.statistic.FindStringSubmatch(s)
	if m == nil || !begun && !known(Label(m[1])) {
		return Statistic{}, false
	}
	return g.quantify(Label(m[1]), m[2]), true
}

// quantify gives a printed value number and unit.
func (g *grammar) quantify(l Label, text string) Statistic {
	st := Statistic{Label: l, Text: text}
	if m := g.clock.FindStringSubmatch(text); m != nil {
		h, err := strconv.ParseInt(m[1], 10, 32)
		if err != nil {
			return st
		}
		min, _ := strconv.Atoi(m[2])
		sec, _ := strconv.Atoi(m[3])
		st.Number, st.Unit = float64(h*3600+int64(min*60+sec)), Seconds
		return st
	}
	m := g.quantity.FindStringSubmatch(text)
	if m == nil {
		return st
	}
	x, ok := ParseNumber(m[1])
	unit := Objects
	switch m[2] {
	case "":
		// A count has no decimals.
		var n int64
		n, ok = ParseCount(m[1])
		x = float64(n)
	case "sec":
		unit = Seconds
	case "%":
		unit = Percent
	default:
		name, rate := strings.CutSuffix(m[2], "/sec")
		f, _ := factor(name)
		x *= float64(f)
		if unit = Bytes; rate {
			unit = BytesPerSecond
		}
	}
	const most = 1 << 62 // what fits an int64
	if !ok || x > most {
		return st
	}
	st.Number, st.Unit = x, unit
	return st
}
