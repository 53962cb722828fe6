package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/rundb"
)

// Query gives the runs that --run or --name select; all if neither was given.
func (s *Session) Query() rundb.Query {
	var q rundb.Query
	s.Only.Narrow(&q)
	return q
}

// Exists reports an error if runs are selected and none of them exists: working
// on nothing would look like success.
func (s *Session) Exists(ctx context.Context) error {
	if !s.Only.Named() {
		return nil
	}
	q := s.Query()
	q.Limit = 1
	for _, err := range s.Store.Find(ctx, &q) {
		return err
	}
	return s.notThere(&q)
}

func (s *Session) notThere(q *rundb.Query) error {
	return fmt.Errorf("there is no %s in %s", q.String(), s.Address)
}

// Run returns the one run that is selected, of a detector if that is not "".
func (s *Session) Run(ctx context.Context, detector string) (*rundb.Run, error) {
	q := s.Query()
	if detector != "" {
		q.Detectors = []string{detector}
	}
	r, err := s.Store.One(ctx, &q)
	switch {
	case errors.Is(err, rundb.ErrNotExist):
		return nil, s.notThere(&q)
	case errors.Is(err, rundb.ErrAmbiguous):
		return nil, command.Usagef("say which one with --name or --detector", "%v", err)
	}
	return r, err
}

// Print writes one object as a line of JSON to standard output.
func (s *Session) Print(v any) error {
	enc := json.NewEncoder(s.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// Note writes one line for people to standard error.
func (s *Session) Note(format string, args ...any) {
	fmt.Fprintln(s.Stderr, command.OneLine(fmt.Sprintf(format, args...)))
}
