package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cax-go/cax/transfer"
	"golang.org/x/crypto/ssh"
)

// A Channel is one open session of a connection: a subsystem, or a command that
// runs. Reads are what it prints.
type Channel struct {
	ssh.Channel
	ServerVersion string // as "SSH-2.0-OpenSSH_9.2p1"

	status chan error
}

// Close ends the session. Reads that wait end when the server has seen it.
func (c *Channel) Close() error {
	err := c.Channel.Close()
	if err == io.EOF {
		return nil // the far side was faster
	}
	return err
}

// An ExitError is the end of a remote command that was not success. Status is
// what it returned; -1 if a signal ended it, or the connection broke first.
type ExitError struct {
	Status int
	Stderr string // its beginning
}

// Error gives the status and what the command had to say.
func (e *ExitError) Error() string {
	if e.Stderr != "" {
		return fmt.Sprintf("remote command ended with status %d: %s", e.Status, e.Stderr)
	}
	return fmt.Sprintf("remote command ended with status %d", e.Status)
}

// Subsystem opens a subsystem. transfer.ErrUnsupported if the server has none of
// that name.
func (p *Pool) Subsystem(ctx context.Context, name string) (*Channel, error) {
	return p.open(ctx, true, "subsystem", struct{ Name string }{name})
}

// SpareSubsystem is Subsystem, but it does not wait for other sessions to end: it
// is an error if the server allows no more.
func (p *Pool) SpareSubsystem(ctx context.Context, name string) (*Channel, error) {
	return p.open(ctx, false, "subsystem", struct{ Name string }{name})
}

// Start starts a command. It is text for the far side's login shell: fixed words,
// and paths quoted by [Quote].
func (p *Pool) Start(ctx context.Context, command string) (*Channel, error) {
	return p.open(ctx, true, "exec", struct{ Command string }{command})
}

// refusals is how many times in a row a server may refuse a session.
const refusals = 10

func (p *Pool) open(ctx context.Context, wait bool, kind string, payload any) (*Channel, error) {
	for try := 0; ; try++ {
		c, err := p.acquire(ctx, wait)
		if err != nil {
			return nil, err
		}
		type opened struct {
			ch    *Channel
			again bool
			err   error
		}
		got := make(chan opened, 1)
		go func() {
			ch, again, err := p.openOn(c, kind, payload)
			got <- opened{ch, again, err}
		}()
		select {
		case o := <-got:
			if o.again && try < refusals {
				// The server may not have noticed yet that another one has ended.
				select {
				case <-time.After(time.Duration(try) * 10 * time.Millisecond):
				case <-ctx.Done():
				}
				continue
			}
			return o.ch, o.err
		case <-ctx.Done():
			go func() {
				if o := <-got; o.ch != nil {
					o.ch.Close()
				}
			}()
			return nil, ctx.Err()
		}
	}
}

// openOn opens a session on a connection where one is counted already. again
// tells that the server does not allow it now.
func (p *Pool) openOn(c *conn, kind string, payload any) (_ *Channel, again bool, err error) {
	ch, reqs, err := c.client.OpenChannel("session", nil)
	var no *ssh.OpenChannelError
	if errors.As(err, &no) {
		p.refused(c)
		return nil, true, p.broken("open session", err)
	}
	if err != nil {
		// The connection broke while nobody looked: nothing was asked for yet, so that
		// it can be asked for on another one.
		p.release(c)
		p.drop(c)
		return nil, true, p.broken("open session", err)
	}
	out := &Channel{Channel: ch, ServerVersion: string(c.client.ServerVersion()), status: make(chan error, 1)}
	session := out
	go func() {
		session.watch(reqs)
		p.release(c) // the server counts it until it has closed it, too
	}()
	ok, err := ch.SendRequest(kind, true, ssh.Marshal(payload))
	if err != nil {
		out.Close()
		return nil, false, p.broken("open session", err)
	}
	if !ok {
		out.Close()
		return nil, false, &transfer.Error{Op: "open session", Place: p.String(), Kind: transfer.ErrUnsupported, Err: fmt.Errorf("the server refuses this %s", kind)}
	}
	return out, false, nil
}

// watch takes the exit status of the session.
func (c *Channel) watch(reqs <-chan *ssh.Request) {
	status := -1
	for r := range reqs {
		if r.Type == "exit-status" {
			var s struct{ Status uint32 }
			if ssh.Unmarshal(r.Payload, &s) == nil {
				status = int(s.Status)
			}
		}
		if r.WantReply {
			_ = r.Reply(false, nil) // the connection tells if it is gone
		}
	}
	if status == 0 {
		c.status <- nil
	} else {
		c.status <- &ExitError{Status: status}
	}
	close(c.status)
}

// Wait waits for the end of a command, after its output was read. The error is an
// *ExitError unless it is success.
func (c *Channel) Wait() error { return <-c.status }

// broken is a failure of the connection.
func (p *Pool) broken(op string, err error) error {
	return &transfer.Error{Op: op, Place: p.String(), Kind: transfer.ErrTransient, Err: err, Hint: "it is tried again"}
}

// stderrKept is how much of what a command says is kept for the error.
const stderrKept = 4 << 10

// Run runs a command to its end, feeds it stdin (nil: nothing) and returns what
// it printed. The error is an *ExitError if the command ended with another status
// than 0; its text is for people only. When ctx ends first, Run returns at once;
// stdin may then still be read for a moment.
func (p *Pool) Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error) {
	ch, err := p.Start(ctx, command)
	if err != nil {
		return nil, err
	}
	type end struct {
		out []byte
		err error
	}
	got := make(chan end, 1)
	go func() {
		out, err := p.finish(ch, stdin)
		got <- end{out, err}
	}()
	select {
	case e := <-got:
		return e.out, e.err
	case <-ctx.Done():
		go ch.Close() // a server that hangs does not answer; what waits ends with the connection
		return nil, ctx.Err()
	}
}

// finish talks with a command to its end.
func (p *Pool) finish(ch *Channel, stdin io.Reader) ([]byte, error) {
	defer ch.Close()
	var wg sync.WaitGroup
	var out bytes.Buffer
	stderr := &head{left: stderrKept}
	wg.Go(func() { _, _ = io.Copy(stderr, ch.Stderr()) })
	wg.Go(func() {
		if stdin != nil {
			_, _ = io.Copy(ch, stdin) // a command that does not read it says so itself
		}
		_ = ch.CloseWrite()
	})
	_, rerr := io.Copy(&out, ch)
	err := ch.Wait()
	ch.Close()
	wg.Wait()
	var exit *ExitError
	if errors.As(err, &exit) {
		exit.Stderr = stderr.String()
		if exit.Status < 0 {
			return out.Bytes(), p.broken("run command", exit)
		}
		return out.Bytes(), exit
	}
	if rerr != nil {
		return nil, p.broken("run command", rerr)
	}
	return out.Bytes(), nil
}

// A head keeps the beginning of what is written to it.
type head struct {
	bytes.Buffer
	left int
}

func (h *head) Write(p []byte) (int, error) {
	n := min(len(p), h.left)
	h.left -= n
	h.Buffer.Write(p[:n])
	return len(p), nil
}
