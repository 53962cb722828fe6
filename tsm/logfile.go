package tsm

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A LogSummary is what the log file of one upload or download says, in the words of
// the original cax. Numbers are -1 where the file does not say; the original wrote
// -1 itself for what it could not read.
type LogSummary struct {
	Dataset string `json:"dataset,omitempty"` // the name of the run's folder or file

	Up   LogPart `json:"up"`   // to tape
	Down LogPart `json:"down"` // back again, to verify, or for good

	// Outcome is "" where the file ends before it.
	Outcome LogOutcome `json:"outcome,omitempty"`

	// First and Last are the times of the lines, on the wall clock.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
}

// A LogOutcome says how it ended.
type LogOutcome string

// Outcomes.
const (
	LogSucceeded LogOutcome = "succeeded"
	LogFailed    LogOutcome = "failed"
)

// A LogPart is one way.
type LogPart struct {
	Files     int64   `json:"files"`
	Inspected int64   `json:"inspected"`
	Failed    int64   `json:"failed"`
	Bytes     int64   `json:"bytes"` // as exactly as dsmc prints it
	Seconds   float64 `json:"seconds"`
	Rate      float64 `json:"rate"` // bytes per second
	Checksum  string  `json:"checksum,omitempty"`
}

func noLogPart() LogPart {
	return LogPart{Files: -1, Inspected: -1, Failed: -1, Bytes: -1, Seconds: -1, Rate: -1}
}

// NewLogPart takes the numbers of a run of dsmc. checksum is of the data, "" for none.
func NewLogPart(s Statistics, checksum string) LogPart {
	p := noLogPart()
	for _, l := range []Label{ObjectsArchived, ObjectsBackedUp, ObjectsRetrieved, ObjectsRestored} {
		p.Files = max(p.Files, s.Count(l))
	}
	p.Inspected, p.Failed = s.Count(ObjectsInspected), s.Count(ObjectsFailed)
	p.Bytes, p.Rate = s.Bytes(BytesTransferred), s.Rate(NetworkRate)
	if d, ok := s.Duration(TransferTime); ok {
		p.Seconds = d.Seconds()
	}
	p.Checksum = checksum
	return p
}

// Lines are the summary as text for a log, in the original's words and units, so that
// whoever reads its log files can read these. [ParseLog] reads them.
func (s LogSummary) Lines() []string {
	lines := []string{"File/Folder for backup: " + s.Dataset}
	if s.Up != noLogPart() {
		lines = append(lines,
			fmt.Sprintf("Number of uploaded files: %d", s.Up.Files),
			fmt.Sprintf("Number of inspected files: %d", s.Up.Inspected),
			fmt.Sprintf("Number of failed files: %d", s.Up.Failed),
			"Transferred amount of data: "+logBytes(s.Up.Bytes),
			"Upload time: "+logNumber(s.Up.Seconds, 1, "sec"),
			"Network transfer rate: "+logNumber(s.Up.Rate, 1024, "KB/sec"))
		if s.Up.Checksum != "" {
			lines = append(lines, "MD5 Hash (raw data): "+s.Up.Checksum)
		}
	}
	if s.Down != noLogPart() {
		lines = append(lines, "Summary of the download for checksum comparison:",
			fmt.Sprintf("Number of downloaded files: %d", s.Down.Files),
			"Transferred amount of data: "+logBytes(s.Down.Bytes),
			"Network transfer rate: "+logNumber(s.Down.Rate, 1024, "KB/sec"),
			"Download time: "+logNumber(s.Down.Seconds, 1, "sec"),
			fmt.Sprintf("Number of failed downloads: %d", s.Down.Failed))
		if s.Down.Checksum != "" {
			lines = append(lines, "MD5 Hash (downloaded data): "+s.Down.Checksum)
		}
	}
	// The original's spelling, which its own watch looks for.
	word := map[LogOutcome][2]string{LogSucceeded: {"[succcessful]", "[SUCCESSFUL]"}, LogFailed: {"[failed]", "[FAILED]"}}[s.Outcome]
	switch {
	case s.Outcome == "":
	case s.Up != noLogPart():
		lines = append(lines, "Upload to tape: "+word[0])
	default:
		lines = append(lines, "The download/restore of the raw data set "+s.Dataset+" was "+word[1])
	}
	return lines
}

func logNumber(x float64, unit float64, name string) string {
	if x < 0 {
		return "-1"
	}
	return strconv.FormatFloat(x/unit, 'f', 2, 64) + name
}

func logBytes(n int64) string {
	if n < 0 {
		return "-1"
	}
	units := []string{"KB", "MB", "GB", "TB"}
	x, i := float64(n)/1024, 0
	for ; x >= 1024 && i < len(units)-1; i++ {
		x /= 1024
	}
	return strconv.FormatFloat(x, 'f', 2, 64) + units[i]
}

// ParseLog reads the log file of one upload or download, of the original cax or of
// this one. Lines of whatever else happened are passed over; of what is said more
// than once, the last counts. The error is r's.
func ParseLog(r io.Reader) (LogSummary, error) {
	p := logParser{
		s:       LogSummary{Up: noLogPart(), Down: noLogPart()},
		grammar: theGrammar(),
		time:    regexp.MustCompile(`\b(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)\b`),
		outcome: regexp.MustCompile(`(?:Upload to tape: |The download/restore of the raw data set .*)\[(suc+es+ful|SUCCESSFUL|failed|FAILED)\]\s*$`),
	}
	p.part = &p.s.Up
	if err := eachLine(r, p.line); err != nil {
		return LogSummary{}, err
	}
	return p.s, nil
}

type logParser struct {
	s             LogSummary
	part          *LogPart // of which the lines speak that do not say so
	grammar       *grammar
	time, outcome *regexp.Regexp
}

func (p *logParser) line(s string) {
	if m := p.time.FindStringSubmatch(s); m != nil {
		if t, err := time.Parse(time.DateTime, m[1]+" "+m[2]); err == nil {
			if p.s.First.IsZero() {
				p.s.First = t
			}
			p.s.Last = t
		}
	}
	if m := p.outcome.FindStringSubmatch(s); m != nil {
		p.s.Outcome = LogSucceeded
		if strings.EqualFold(m[1], "failed") {
			p.s.Outcome = LogFailed
		}
		return
	}
	for _, l := range []struct {
		label string
		take  func(value string)
	}{
		{"File/Folder for backup:", func(v string) { p.s.Dataset = v }},
		{"Start tape download", func(string) { p.part = &p.s.Down }},
		{"Start the re-download to", func(string) { p.part = &p.s.Down }},
		{"Summary of the download for checksum comparison:", func(string) { p.part = &p.s.Down }},
		{"Start tape upload", func(string) { p.part = &p.s.Up }},
		{"Number of uploaded files:", p.count(&p.s.Up.Files)},
		{"Number of inspected files:", p.count(&p.s.Up.Inspected)},
		{"Number of failed files:", p.count(&p.s.Up.Failed)},
		{"Number of downloaded files:", p.count(&p.s.Down.Files)},
		{"Number of failed downloads:", p.count(&p.s.Down.Failed)},
		{"Upload time:", p.number(&p.s.Up.Seconds, Seconds)},
		{"Download time:", p.number(&p.s.Down.Seconds, Seconds)},
		{"Network transfer rate:", p.number(&p.part.Rate, BytesPerSecond)},
		{"Transferred amount of data:", func(v string) {
			x := float64(-1)
			p.number(&x, Bytes)(v)
			p.part.Bytes = int64(x)
		}},
		{"MD5 Hash (raw data):", func(v string) { p.part.Checksum = v }},
		{"MD5 Hash (downloaded data):", func(v string) { p.s.Down.Checksum = v }},
	} {
		if i := strings.Index(s, l.label); i >= 0 {
			l.take(strings.TrimSpace(s[i+len(l.label):]))
			return
		}
	}
}

func (p *logParser) count(to *int64) func(string) {
	return func(v string) {
		if n, ok := ParseCount(v); ok {
			*to = n
		}
	}
}

func (p *logParser) number(to *float64, u Unit) func(string) {
	return func(v string) {
		if st := p.grammar.quantify("", v); st.Unit == u {
			*to = st.Number
		}
	}
}
