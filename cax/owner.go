package cax

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/cax-go/cax/rundb"
)

// ThisProcess describes this process as the owner of claims that it makes for a
// site.
func ThisProcess(site string) (rundb.Owner, error) {
	host, err := os.Hostname()
	if err != nil {
		return rundb.Owner{}, fmt.Errorf("host name: %w", err)
	}
	pid := os.Getpid()
	o := rundb.Owner{Site: site, Host: host, Boot: bootID(), PID: pid}
	o.Started, _ = processStart(pid)
	return o, nil
}

// gone reports whether the owner is known to have ended: a process of this
// machine, since its last boot, that is no more. Where nothing can be said it is
// false.
func gone(o, me rundb.Owner) bool {
	if o.Host != me.Host || o.Boot == "" || o.Boot != me.Boot || o.PID <= 0 {
		return false
	}
	started, err := processStart(o.PID)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	return err == nil && started != o.Started
}

// bootID is the kernel's random id of this boot, "" where there is none.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// processStart gives the start time of a process in clock ticks since boot:
// field 22 of /proc/PID/stat (proc(5)). A zombie counts as ended.
func processStart(pid int) (int64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses and may hold
	// anything: count from the last one.
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return 0, fmt.Errorf("/proc/%d/stat: no program name", pid)
	}
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat: %d fields", pid, len(f))
	}
	if f[0] == "Z" || f[0] == "X" {
		return 0, fs.ErrNotExist
	}
	return strconv.ParseInt(f[19], 10, 64)
}
