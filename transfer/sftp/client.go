package sftp

import (
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/ssh"
	"github.com/pkg/sftp"
)

// A client is one SFTP channel. All that waits on it ends when it breaks.
type client struct {
	*sftp.Client
	ch *ssh.Channel

	mu      sync.Mutex
	users   int  // operations under way, and open files
	retired bool // it ends with the last of them
}

func (c *client) use() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users++
}

func (c *client) unuse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users--; c.users == 0 && c.retired {
		c.end()
	}
}

func (c *client) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retired = true; c.users == 0 {
		c.end()
	}
}

// end closes the channel. It does not wait: a server that hangs gives no answer.
func (c *client) end() { go c.ch.Close() }

// A slot holds a client, which is renewed when it breaks.
type slot struct {
	opening chan struct{} // holds a token while somebody opens it

	mu sync.Mutex
	c  *client
}

func newSlot() *slot { return &slot{opening: make(chan struct{}, 1)} }

func (s *slot) get() *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c
}

// take empties the slot.
func (s *slot) take() *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.c
	s.c = nil
	return c
}

// drop empties the slot if it has this client.
func (s *slot) drop(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == c {
		s.c = nil
	}
}

func (b *Backend) drop(c *client) {
	for _, s := range b.slots {
		s.drop(c)
	}
}

// client gives the next slot's client, in turn.
func (b *Backend) client(ctx context.Context) (*client, error) {
	b.mu.Lock()
	s := b.slots[b.next%len(b.slots)]
	b.next++
	b.mu.Unlock()
	return b.clientOf(ctx, s)
}

// clientOf gives the client of a slot, or of another one where the server has
// room for no more. One session is left to the shell.
func (b *Backend) clientOf(ctx context.Context, s *slot) (*client, error) {
	if c := s.get(); c != nil {
		return c, nil
	}
	if c := b.any(); c != nil && b.pool.Room() <= 1 {
		return c, nil
	}
	select {
	case s.opening <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.opening }()
	if c := s.get(); c != nil {
		return c, nil
	}
	select {
	case <-b.ended:
		return nil, &transfer.Error{Op: "start sftp", Place: b.String(), Kind: transfer.ErrTransient, Err: net.ErrClosed}
	default:
	}
	c, err := b.start(ctx, s)
	if err != nil && ctx.Err() == nil {
		if c := b.any(); c != nil {
			return c, nil
		}
	}
	return c, err
}

// any gives a client that is there; nil if there is none.
func (b *Backend) any() *client {
	for _, s := range b.slots {
		if c := s.get(); c != nil {
			return c
		}
	}
	return nil
}

// commands gives the shell, with room for a session of it. Where the server
// allows so few that our channels have them all, one of these is given up; where it
// allows a single one there is no shell.
func (b *Backend) commands() (*ssh.Shell, error) {
	if b.pool.Room() > 0 {
		return b.shell, nil
	}
	var last *slot
	live := 0
	for _, s := range b.slots {
		if s.get() != nil {
			live++
			last = s
		}
	}
	if live == 1 {
		return nil, &transfer.Error{Op: "start command", Place: b.String(), Kind: transfer.ErrUnsupported, Err: errors.New("the server allows one session only")}
	}
	if live > 1 {
		if c := last.take(); c != nil {
			c.retire()
		}
	}
	return b.shell, nil
}

// start opens the channel of a slot. Only for the first it waits until the server
// allows one more.
func (b *Backend) start(ctx context.Context, s *slot) (*client, error) {
	open := b.pool.Subsystem
	if b.any() != nil {
		open = b.pool.SpareSubsystem
	}
	ch, err := open(ctx, "sftp")
	if err != nil {
		return nil, err
	}
	type started struct {
		c   *sftp.Client
		err error
	}
	got := make(chan started, 1)
	go func() {
		c, err := sftp.NewClientPipe(ch, ch, sftp.UseConcurrentReads(true), sftp.UseConcurrentWrites(true),
			sftp.MaxConcurrentRequestsPerFile(64), sftp.MaxPacketUnchecked(packet(ch.ServerVersion)))
		got <- started{c, err}
	}()
	var st started
	select {
	case st = <-got:
	case <-ctx.Done():
		go ch.Close()
		return nil, ctx.Err()
	}
	if st.err != nil {
		go ch.Close()
		kind := transfer.ErrTransient
		if errors.Is(st.err, io.EOF) || errors.Is(st.err, io.ErrUnexpectedEOF) {
			// It ended at once: its program is not there, or the connection broke.
			var exit *ssh.ExitError
			if errors.As(ch.Wait(), &exit) && exit.Status > 0 {
				kind = transfer.ErrUnsupported
			}
		}
		return nil, &transfer.Error{Op: "start sftp", Place: b.String(), Kind: kind, Err: st.err}
	}
	c := &client{Client: st.c, ch: ch}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.c = c
	select {
	case <-b.ended: // Close may have looked before
		s.c = nil
		c.end()
	default:
	}
	go func() {
		c.Client.Wait()
		ch.Close()
		s.drop(c)
	}()
	return c, nil
}

var openSSH = regexp.MustCompile(`OpenSSH_(\d+)\.(\d+)`)

// packet is how much data one request carries: 32 KiB as the draft demands of
// every server, 255 KiB with OpenSSH from 8.5 on (its PROTOCOL file,
// limits@openssh.com: 256 KiB less 1 KiB).
func packet(version string) int {
	if m := openSSH.FindStringSubmatch(version); m != nil {
		major, _ := strconv.Atoi(m[1])
		minor, _ := strconv.Atoi(m[2])
		if major > 8 || major == 8 && minor >= 5 {
			return 255 << 10
		}
	}
	return 32 << 10
}

// patience is how long a request that was given up may go without an answer
// before its channel is taken for dead. Without it a server whose SFTP program
// hangs, while its connection lives, would be asked again for ever.
const patience = 15 * time.Second

// do runs one operation on the next client.
func do[T any](ctx context.Context, b *Backend, op, p string, f func(c *client) (T, error)) (T, error) {
	var zero T
	if ctx.Err() != nil {
		return zero, ctx.Err()
	}
	c, err := b.client(ctx)
	if err != nil {
		return zero, err
	}
	return on(ctx, b, c, op, p, func() (T, error) { return f(c) }, nil)
}

// ask is do for what changes nothing: it is asked again on another channel where
// one turns out to be broken, as those do that nobody used for long.
func ask[T any](ctx context.Context, b *Backend, op, p string, f func(c *client) (T, error)) (T, error) {
	for try := 0; ; try++ {
		var zero T
		if ctx.Err() != nil {
			return zero, ctx.Err()
		}
		used, err := b.client(ctx)
		if err != nil {
			return zero, err
		}
		v, err := on(ctx, b, used, op, p, func() (T, error) { return f(used) }, nil)
		if err == nil || ctx.Err() != nil || !errors.Is(err, transfer.ErrTransient) || errors.Is(err, errFailure) || try > len(b.slots) {
			return v, err
		}
		b.drop(used)
		used.end()
	}
}

// tell is do for what has no result.
func (b *Backend) tell(ctx context.Context, op, p string, f func(c *client) error) error {
	_, err := do(ctx, b, op, p, func(c *client) (struct{}, error) { return struct{}{}, f(c) })
	return err
}

// on runs f, whose requests go to c and cannot be called back, gives its error a
// kind, and returns within moments of the end of ctx. late is given what came
// after that.
func on[T any](ctx context.Context, b *Backend, c *client, op, p string, f func() (T, error), late func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	got := make(chan result, 1)
	c.use()
	go func() {
		defer c.unuse()
		v, err := f()
		got <- result{v, err}
	}()
	select {
	case r := <-got:
		return r.v, b.wrap(op, p, r.err)
	case <-ctx.Done():
	}
	go func() {
		tired := time.NewTimer(patience)
		defer tired.Stop()
		select {
		case r := <-got:
			if r.err == nil && late != nil {
				late(r.v)
			}
			return
		case <-tired.C:
		case <-b.ended:
		}
		b.drop(c)
		c.end()
	}()
	var zero T
	return zero, ctx.Err()
}
