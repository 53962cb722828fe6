package mongostore

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// errHangUp as an answer closes the connection, errSilence gives none.
var (
	errHangUp  = errors.New("hang up")
	errSilence = errors.New("silence")
)

// A fake answers commands as a test wants it: for the failures that a real server
// does not have at will. Everything else is tested against real ones.
type fake struct {
	uri    string
	answer func(name string, cmd bson.Raw) (bson.D, error) // nil, nil: {ok: 1}

	mu   sync.Mutex
	seen []string
}

func startFake(t *testing.T, answer func(name string, cmd bson.Raw) (bson.D, error)) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{uri: "mongodb://" + l.Addr().String() + "/run", answer: answer}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				go func() { <-done; c.Close() }()
				for f.serve(c, done) == nil {
				}
			})
		}
	})
	t.Cleanup(func() { close(done); l.Close(); wg.Wait() })
	return f
}

// count is how often a command came.
func (f *fake) count(name string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.seen {
		if s == name {
			n++
		}
	}
	return n
}

// serve answers one message: OP_QUERY (2004), with which drivers say hello, by
// OP_REPLY (1), and OP_MSG (2013) by the same.
func (f *fake) serve(c net.Conn, done chan struct{}) error {
	head := make([]byte, 16)
	if _, err := io.ReadFull(c, head); err != nil {
		return err
	}
	body := make([]byte, binary.LittleEndian.Uint32(head)-16)
	if _, err := io.ReadFull(c, body); err != nil {
		return err
	}
	op := binary.LittleEndian.Uint32(head[12:])
	cmd := bson.Raw(body[5:]) // behind the flags and the kind of section
	if op == 2004 {
		i := 4
		for body[i] != 0 {
			i++
		}
		cmd = bson.Raw(body[i+9:])
	}
	cmd = cmd[:binary.LittleEndian.Uint32(cmd)]
	elems, err := cmd.Elements()
	if err != nil {
		return err
	}
	reply, err := f.reply(elems[0].Key(), cmd)
	if errors.Is(err, errSilence) {
		<-done
	}
	if err != nil {
		return err
	}
	b, err := bson.Marshal(reply)
	if err != nil {
		return err
	}
	out := make([]byte, 16)
	if op == 2004 {
		out = append(out, make([]byte, 20)...)
		out[32] = 1 // one document
		binary.LittleEndian.PutUint32(out[12:], 1)
	} else {
		out = append(out, 0, 0, 0, 0, 0)
		binary.LittleEndian.PutUint32(out[12:], 2013)
	}
	out = append(out, b...)
	binary.LittleEndian.PutUint32(out, uint32(len(out)))
	copy(out[8:], head[4:8])
	_, err = c.Write(out)
	return err
}

func (f *fake) reply(name string, cmd bson.Raw) (bson.D, error) {
	f.mu.Lock()
	f.seen = append(f.seen, name)
	f.mu.Unlock()
	d, err := f.answer(name, cmd)
	switch {
	case err != nil:
		return nil, err
	case d != nil:
		if !slices.ContainsFunc(d, func(e bson.E) bool { return e.Key == "ok" }) {
			d = append(d, bson.E{Key: "ok", Value: 1.0})
		}
		return d, nil
	}
	switch name {
	case "hello", "isMaster", "ismaster":
		d = bson.D{{Key: "ismaster", Value: true}, {Key: "isWritablePrimary", Value: true}, {Key: "maxWireVersion", Value: int32(13)}, {Key: "minWireVersion", Value: int32(0)},
			{Key: "maxBsonObjectSize", Value: int32(16 << 20)}, {Key: "maxMessageSizeBytes", Value: int32(48 << 20)}, {Key: "maxWriteBatchSize", Value: int32(1000)},
			{Key: "localTime", Value: bson.DateTime(1458043200000)}}
	case "listCollections":
		d = cursor("run.$cmd.listCollections", bson.D{{Key: "name", Value: DefaultCollection}, {Key: "type", Value: "collection"}})
	case "find", "listIndexes":
		d = cursor("run.x")
	case "insert", "update", "delete":
		d = bson.D{{Key: "n", Value: int32(1)}}
	}
	return append(d, bson.E{Key: "ok", Value: 1.0}), nil
}

func cursor(ns string, docs ...any) bson.D {
	return bson.D{{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: ns}, {Key: "firstBatch", Value: append(bson.A{}, docs...)}}}}
}

func refusal(code int32, name string) bson.D {
	return bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: "refused"}, {Key: "code", Value: code}, {Key: "codeName", Value: name}}
}
