package transfertest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// StartProxy starts a proxy on 127.0.0.1 that passes connections on to an address
// and delays what goes each way by half of a round trip, as a long link would. It
// ends with the test. It returns its port.
func StartProxy(t testing.TB, to string, roundTrip time.Duration) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	all.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				a.Close()
				continue
			}
			mu.Lock()
			open = append(open, a, b)
			mu.Unlock()
			all.Go(func() { delay(a, b, roundTrip/2) })
			all.Go(func() { delay(b, a, roundTrip/2) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}

// delay passes on what comes from a, each piece so long after it came.
func delay(a, b net.Conn, by time.Duration) {
	type piece struct {
		data []byte
		due  time.Time
	}
	// Room for what is under way: the link is long, not narrow.
	way := make(chan piece, 4096)
	go func() {
		defer close(way)
		for {
			buf := make([]byte, 64<<10)
			n, err := a.Read(buf)
			if n > 0 {
				way <- piece{buf[:n], time.Now().Add(by)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range way {
		time.Sleep(time.Until(p.due))
		if _, err := b.Write(p.data); err != nil {
			a.Close()
			for range way {
				continue
			}
			return
		}
	}
	if c, ok := b.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite() // gone already, if it fails
	}
	_, _ = io.Copy(io.Discard, a)
}
