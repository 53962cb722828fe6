package storage

import (
	"path"

	"github.com/cax-go/cax/transfer/sftp"
	"github.com/cax-go/cax/transfer/ssh"
)

// openSFTP serves sftp, and scp, which is what the catalogue calls the storage behind an
// SSH server. The user is the protocol's extended attribute "user".
func openSFTP(pl *place, o *Options) (Storage, error) {
	var cfg ssh.Config
	if o.SSH != nil {
		cfg = *o.SSH
	} else {
		cfg = ssh.FromEnvironment()
	}
	cfg.Host, cfg.Port = pl.p.Host, pl.p.Port // 0: the user's SSH configuration may know better
	if user, ok := pl.p.Extended["user"].(string); ok && user != "" {
		cfg.User = user
	}
	pool, err := ssh.New(cfg)
	if err != nil {
		return nil, err
	}
	return &files{place: pl, b: sftp.New(pool, nil), prep: path.Clean, close: pool.Close}, nil
}
