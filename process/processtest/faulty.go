package processtest

import (
	"context"
	"errors"
	"sync"

	"github.com/cax-go/cax/process"
)

// Faulty is a batch system whose answers can be lost. Its fields may be changed
// with Set while it is used.
type Faulty struct {
	process.Batch
	mu sync.Mutex
	f  Faults
}

// Faults say what goes wrong.
type Faults struct {
	LoseAnswer bool // Submit does its work and says that nobody answered
	LoseWord   bool // Submit does nothing and says that nobody answered
	NoList     bool // Entries is not answered
	// Held gets the submissions that LoseWord kept back; they can be handed in late.
	Held func(process.Submission)
}

// Set changes what goes wrong.
func (b *Faulty) Set(f Faults) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.f = f
}

func (b *Faulty) faults() Faults {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.f
}

func silent(op string) error {
	return &process.Error{Op: op, Kind: process.ErrUnavailable, Err: errors.New("the answer was lost")}
}

// Submit submits, or does as the faults say.
func (b *Faulty) Submit(ctx context.Context, s process.Submission) ([]string, error) {
	f := b.faults()
	if f.LoseWord {
		if f.Held != nil {
			f.Held(s)
		}
		return nil, silent("submit")
	}
	ids, err := b.Batch.Submit(ctx, s)
	if f.LoseAnswer {
		return nil, silent("submit")
	}
	return ids, err
}

// Entries lists, or does as the faults say.
func (b *Faulty) Entries(ctx context.Context, queue string) ([]process.Entry, error) {
	if b.faults().NoList {
		return nil, silent("list")
	}
	return b.Batch.Entries(ctx, queue)
}
