package ruciotest

import (
	"os/exec"
	"syscall"
)

// prepare has the command run as another user, or as this one if that is nil, in a
// process group of its own, and get the signal when the thread that started it ends.
func prepare(cmd *exec.Cmd, as *user, death syscall.Signal) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death}
	if as != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: as.uid, Gid: as.gid}
	}
}
