package tsm

import (
	"fmt"
	"strconv"
)

// A Message is one of dsmc's numbered messages, like
// "ANS1092W No files matching search criteria were found".
type Message struct {
	Source   string `json:"source"` // "ANS" of the client; "ANE" and "ANR" in a server's log
	Number   int    `json:"number"` // 1092
	Severity string `json:"severity"`

	// Text goes on after newlines where the message has more lines.
	Text string `json:"text"`
}

// Severities of messages. Severity alone does not tell what a message means: a
// refused login (ANS1051I) is an I, a file that was left out (ANS4037E) an E.
const (
	Info    = "I"
	Warning = "W"
	Failure = "E"
	Severe  = "S"
)

// Code is like "ANS1092W".
func (m Message) Code() string { return fmt.Sprintf("%s%04d%s", m.Source, m.Number, m.Severity) }

// String is the code and the text.
func (m Message) String() string {
	if m.Text == "" {
		return m.Code()
	}
	return m.Code() + " " + m.Text
}

func (g *grammar) parseMessage(s string) (Message, bool) {
	m := g.message.FindStringSubmatch(s)
	if m == nil {
		return Message{}, false
	}
	n, _ := strconv.Atoi(m[2])
	return Message{Source: m[1], Number: n, Severity: m[3], Text: m[4]}, true
}
