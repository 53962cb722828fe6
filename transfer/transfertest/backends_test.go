package transfertest_test

import (
	"testing"

	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/local"
	"github.com/cax-go/cax/transfer/rsync"
	"github.com/cax-go/cax/transfer/scp"
	"github.com/cax-go/cax/transfer/sftp"
	"github.com/cax-go/cax/transfer/ssh"
	"github.com/cax-go/cax/transfer/transfertest"
)

func pool(t *testing.T, o transfertest.SSHDOptions) *ssh.Pool {
	t.Helper()
	d := transfertest.StartSSHD(t, o)
	p, err := ssh.New(ssh.Config{Host: d.Host, Port: d.Port, User: d.User, IdentityFiles: []string{d.IdentityFile}, KnownHosts: []string{d.KnownHosts}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestLocal(t *testing.T) {
	t.Parallel()
	transfertest.Run(t, transfertest.Harness{Open: func(*testing.T) transfer.Backend { return local.New(nil) }})
}

func TestSFTP(t *testing.T) {
	t.Parallel()
	p := pool(t, transfertest.SSHDOptions{})
	transfertest.Run(t, transfertest.Harness{Open: func(*testing.T) transfer.Backend { return sftp.New(p, nil) }})
}

func TestSCP(t *testing.T) {
	t.Parallel()
	p := pool(t, transfertest.SSHDOptions{NoSFTP: true})
	transfertest.Run(t, transfertest.Harness{Open: func(*testing.T) transfer.Backend { return scp.New(p) }, WholeFiles: true})
}

func TestRsync(t *testing.T) {
	t.Parallel()
	transfertest.RequireTool(t, "rsync", "rsync")
	p := pool(t, transfertest.SSHDOptions{})
	transfertest.Run(t, transfertest.Harness{Open: func(*testing.T) transfer.Backend { return rsync.New(p, nil) }, NoCreate: true})
}
