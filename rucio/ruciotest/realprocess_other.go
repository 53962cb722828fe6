//go:build !linux

package ruciotest

import (
	"os/exec"
	"syscall"
)

// prepare has the command run as another user, or as this one if that is nil, in a
// process group of its own. Only Linux can end it with the test process.
func prepare(cmd *exec.Cmd, as *user, _ syscall.Signal) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if as != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: as.uid, Gid: as.gid}
	}
}
