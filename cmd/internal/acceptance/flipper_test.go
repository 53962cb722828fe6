package acceptance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/pkg/sftp"
)

// A flipper is where, behind the cipher's MAC, one byte of what passes is flipped:
// this test binary, run by sshd in the place of the real program.
type flipper string

const (
	flipWrites  flipper = "writes" // an SFTP server, in a request to write
	flipReads   flipper = "reads"  // an SFTP server, in an answer to a read
	flipInput   flipper = "input"  // any remote command, in what it reads
	flipOutput  flipper = "output" // any remote command, in what it prints
	flipperArgs         = "flip-one-byte"
)

// bulk is the size from which a request carries a dataset's bytes and not those of
// a journal, and the place in a stream that only the bytes of a large file reach.
const (
	bulkRequest = 16 << 10
	bulkStream  = 600 << 10
)

// subsystem is what sshd has to run as SFTP server. One byte is flipped, once, as long
// as the file trigger exists.
func (f flipper) subsystem(t *testing.T, trigger string) string {
	t.Helper()
	me, err := os.Executable()
	if err == nil {
		err = os.WriteFile(trigger, nil, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join([]string{me, flipperArgs, string(f), trigger}, " ")
}

// command is the same for sshd's ForceCommand: in the place of scp and rsync.
func (f flipper) command(t *testing.T, trigger string) string {
	t.Helper()
	script := fmt.Sprintf(`#!/bin/sh
case $SSH_ORIGINAL_COMMAND in
*"scp "*-[tf]*|*"rsync --server"*) exec %s ;;
esac
exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"
`, f.subsystem(t, trigger))
	path := t.TempDir() + "/command"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// serveFlipped is this binary as a flipper; it reports false if it is the test.
func serveFlipped(args []string) (code int, served bool) {
	if len(args) != 4 || args[1] != flipperArgs {
		return 0, false
	}
	armed := func() bool { return os.Remove(args[3]) == nil }
	err := fmt.Errorf("no such flipper: %q", args[2])
	switch f := flipper(args[2]); f {
	case flipWrites, flipReads:
		err = serveSFTP(f, armed)
	case flipInput, flipOutput:
		err = serveCommand(f, armed)
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode(), true
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

// serveSFTP is an SFTP server that flips a byte of the second large request that it
// sees.
func serveSFTP(f flipper, armed func() bool) error {
	seen := 0
	change := func(p []byte) {
		data, ok := payload(f, p)
		if !ok || len(data) < bulkRequest {
			return
		}
		if seen++; seen == 2 && armed() {
			data[len(data)/2] ^= 1
		}
	}
	in, out := io.ReadCloser(os.Stdin), io.WriteCloser(os.Stdout)
	r, w := io.Pipe()
	passed := make(chan error, 1)
	if f == flipWrites {
		go func() { passed <- w.CloseWithError(packets(w, os.Stdin, change)) }()
		in = r
	} else {
		go func() { passed <- packets(os.Stdout, r, change) }()
		out = w
	}
	server, err := sftp.NewServer(struct {
		io.Reader
		io.WriteCloser
	}{in, out}, sftp.WithMaxTxPacket(256<<10)) // a short answer would be asked for again
	if err != nil {
		return err
	}
	err = server.Serve()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, server.Close(), <-passed)
}

// packets passes the packets of the SFTP protocol on, changed.
func packets(w io.Writer, r io.Reader, change func([]byte)) error {
	for {
		head := make([]byte, 4)
		if _, err := io.ReadFull(r, head); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		p := make([]byte, binary.BigEndian.Uint32(head))
		if _, err := io.ReadFull(r, p); err != nil {
			return err
		}
		change(p)
		if _, err := w.Write(append(head, p...)); err != nil {
			return err
		}
	}
}

// payload is the part of a packet that is the bytes of a file: of SSH_FXP_WRITE
// (id, handle, offset, data) or of SSH_FXP_DATA (id, data).
func payload(f flipper, p []byte) ([]byte, bool) {
	const write, data = 6, 103
	at := 5
	switch {
	case f == flipWrites && len(p) > 9 && p[0] == write:
		at += 4 + int(binary.BigEndian.Uint32(p[5:])) + 8
	case f == flipReads && len(p) > 9 && p[0] == data:
	default:
		return nil, false
	}
	if len(p) < at+4 {
		return nil, false
	}
	return p[at+4:], true
}

// serveCommand runs the command that the client asked sshd for.
func serveCommand(f flipper, armed func() bool) error {
	cmd := exec.Command("/bin/sh", "-c", os.Getenv("SSH_ORIGINAL_COMMAND"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var toCommand io.Reader = os.Stdin
	var fromCommand io.Reader = out
	if f == flipInput {
		toCommand = &flipping{r: os.Stdin, armed: armed}
	} else {
		fromCommand = &flipping{r: out, armed: armed}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(in, toCommand) // a command that ends first says so itself
		_ = in.Close()
	}()
	_, cerr := io.Copy(os.Stdout, fromCommand)
	return errors.Join(cmd.Wait(), cerr)
}

// flipping is a reader that flips the byte at bulkStream.
type flipping struct {
	r     io.Reader
	at    int
	armed func() bool
}

func (f *flipping) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if i := bulkStream - f.at; i >= 0 && i < n && f.armed() {
		p[i] ^= 1
	}
	f.at += n
	return n, err
}
