package rundbtest

import (
	"context"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// A Fault is what goes wrong with one write.
type Fault int

// The faults.
const (
	None       Fault = iota
	LoseAnswer       // the write is applied, and its answer lost: ErrUnknownOutcome
	LoseWrite        // the write is lost: ErrUnknownOutcome too
	Fail             // the write is refused: ErrTransient
)

// Faulty is a driver whose writes go wrong when it is told so.
type Faulty struct {
	rundb.Driver

	// Next says what happens to a write. op is "insert", "update" or "add". It
	// may act on the database itself, as another process would. nil: nothing
	// goes wrong.
	Next func(op string) Fault

	// After, if not nil, runs after a write and before its caller learns of it.
	After func(op string)
}

// Insert implements [rundb.Driver].
func (f *Faulty) Insert(ctx context.Context, doc bson.Raw) error {
	return f.write("insert", func() error { return f.Driver.Insert(ctx, doc) })
}

// Update implements [rundb.Driver].
func (f *Faulty) Update(ctx context.Context, u *rundb.Update) error {
	return f.write("update", func() error { return f.Driver.Update(ctx, u) })
}

// Add implements [rundb.Driver].
func (f *Faulty) Add(ctx context.Context, coll rundb.Collection, docs ...bson.Raw) error {
	return f.write("add", func() error { return f.Driver.Add(ctx, coll, docs...) })
}

func (f *Faulty) write(op string, do func() error) error {
	fault := None
	if f.Next != nil {
		fault = f.Next(op)
	}
	if f.After != nil {
		defer f.After(op)
	}
	lost := &rundb.Error{Op: op, What: "in a test", Kind: rundb.ErrUnknownOutcome}
	switch fault {
	case LoseAnswer:
		if err := do(); err != nil {
			return err
		}
		return lost
	case LoseWrite:
		return lost
	case Fail:
		return &rundb.Error{Op: op, What: "in a test", Kind: rundb.ErrTransient}
	}
	return do()
}

// Once makes a Next that gives one fault to the first write and none to the rest.
func Once(f Fault) func(string) Fault {
	return func(string) Fault {
		now := f
		f = None
		return now
	}
}
