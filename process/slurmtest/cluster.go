// Package slurmtest gives tests a real Slurm cluster of one node on 127.0.0.1,
// with keys, configuration and state of its own in a temporary folder.
//
// It needs root and the Debian packages slurmctld, slurmd, slurm-client and munge.
// Without CAX_INTEGRATION=1 the test is skipped, and without one of these too,
// unless CAX_REQUIRE names slurm: then it fails.
package slurmtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// install is how to get Slurm, on Debian.
const install = "apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge"

// Options say what kind of cluster to start. nil is the same as the zero value.
type Options struct {
	CPUs      int      // of the node, whatever the machine has; 0: 8
	MinJobAge int      // seconds until the controller forgets a job that has ended; 0: 3600
	Lines     []string // further lines of slurm.conf
}

// A Cluster is a controller and a node. Its methods are for one goroutine.
type Cluster struct {
	Dir  string // configuration, logs, state
	Conf string // slurm.conf
	Node string // the node's name

	t testing.TB
}

// Start starts a cluster that ends with the test.
func Start(t testing.TB, o *Options) *Cluster {
	t.Helper()
	if o == nil {
		o = &Options{}
	}
	if os.Getenv("CAX_INTEGRATION") != "1" && !required() {
		t.Skip("a Slurm cluster is only started with CAX_INTEGRATION=1")
	}
	if os.Geteuid() != 0 {
		missing(t, "only root can start one")
	}
	for _, p := range []string{"slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "munged"} {
		if _, err := program(p); err != nil {
			missing(t, err.Error())
		}
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ = strings.Cut(host, ".")
	// Not t.TempDir: the name of a socket has 107 bytes at most.
	dir, err := os.MkdirTemp("", "slurm-")
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Dir: dir, Conf: dir + "/slurm.conf", Node: host, t: t}
	t.Cleanup(c.stop)
	c.must(os.Chmod(dir, 0o755))
	c.must(errors.Join(os.Mkdir(dir+"/state", 0o755), os.Mkdir(dir+"/spool", 0o755)))
	key := make([]byte, 1024)
	rand.Read(key) // does not fail
	c.must(os.WriteFile(dir+"/munge.key", key, 0o600))
	c.daemon("munged", "--key-file="+dir+"/munge.key", "--socket="+dir+"/munge.socket", "--pid-file="+dir+"/munged.pid",
		"--log-file="+dir+"/munged.log", "--seed-file="+dir+"/munged.seed")
	// Between the choice of a port and its use somebody else can take it.
	for try := 0; ; try++ {
		c.must(os.WriteFile(c.Conf, []byte(c.config(o, freePort(t), freePort(t))), 0o644))
		c.start("slurmctld")
		c.start("slurmd")
		if c.idle() {
			return c
		}
		c.end("slurmd")
		c.end("slurmctld")
		if try == 3 {
			t.Fatalf("the cluster does not come up:\n%s\n%s", tail(dir+"/slurmctld.log"), tail(dir+"/slurmd.log"))
		}
	}
}

func (c *Cluster) config(o *Options, controller, node int) string {
	cpus, age := o.CPUs, o.MinJobAge
	if cpus == 0 {
		cpus = 8
	}
	if age == 0 {
		age = 3600
	}
	d := c.Dir
	return strings.Join(append([]string{
		"ClusterName=cax", "SlurmctldHost=" + c.Node + "(127.0.0.1)",
		"SlurmctldPort=" + strconv.Itoa(controller), "SlurmdPort=" + strconv.Itoa(node),
		"CommunicationParameters=NoInAddrAny,NoCtldInAddrAny",
		"SlurmUser=root", "AuthInfo=socket=" + d + "/munge.socket",
		"StateSaveLocation=" + d + "/state", "SlurmdSpoolDir=" + d + "/spool",
		"SlurmctldPidFile=" + d + "/slurmctld.pid", "SlurmdPidFile=" + d + "/slurmd.pid",
		"SlurmctldLogFile=" + d + "/slurmctld.log", "SlurmdLogFile=" + d + "/slurmd.log",
		"ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none",
		"SelectType=select/cons_tres", "SelectTypeParameters=CR_CPU",
		"SchedulerParameters=batch_sched_delay=0,bf_interval=1", "SlurmdParameters=config_overrides",
		"AccountingStorageType=accounting_storage/none", "JobCompType=jobcomp/none", "MailProg=/bin/true",
		"MinJobAge=" + strconv.Itoa(age), "KillWait=2", "ReturnToService=2", "EnforcePartLimits=ALL",
		fmt.Sprintf("NodeName=%s NodeAddr=127.0.0.1 CPUs=%d RealMemory=4000", c.Node, cpus),
		"PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
		"PartitionName=short Nodes=ALL MaxTime=60 State=UP",
	}, o.Lines...), "\n") + "\n"
}

// Env is the environment for Slurm's programs.
func (c *Cluster) Env() []string {
	return append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "SLURM_") }), "SLURM_CONF="+c.Conf)
}

// Run runs one of Slurm's programs and returns what it prints.
func (c *Cluster) Run(name string, args ...string) string {
	c.t.Helper()
	out, err := c.run(name, args...)
	if err != nil {
		c.t.Fatalf("%s %q: %v", name, args, err)
	}
	return out
}

func (c *Cluster) run(name string, args ...string) (string, error) {
	// Also after the test's own context has ended.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	path, err := program(name)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = c.Env()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return string(out), err
}

// StopController ends the controller; jobs go on.
func (c *Cluster) StopController() { c.end("slurmctld") }

// StartController starts it again, and waits until it answers.
func (c *Cluster) StartController() {
	c.t.Helper()
	c.start("slurmctld")
	if !c.answers() {
		c.t.Fatalf("the controller does not answer:\n%s", tail(c.Dir+"/slurmctld.log"))
	}
}

// LoseNode kills the node's daemon and tells the controller that the node is down,
// as it would find out by itself after SlurmdTimeout.
func (c *Cluster) LoseNode() {
	c.t.Helper()
	c.end("slurmd")
	c.Run("scontrol", "update", "NodeName="+c.Node, "State=DOWN", "Reason=test")
}

// Drain lets the node take no new jobs.
func (c *Cluster) Drain() {
	c.t.Helper()
	c.Run("scontrol", "update", "NodeName="+c.Node, "State=DRAIN", "Reason=test")
}

// RestoreNode ends LoseNode and Drain, and waits until the node takes jobs.
func (c *Cluster) RestoreNode() {
	c.t.Helper()
	if pid := c.pid("slurmd"); pid == 0 {
		c.start("slurmd")
	}
	var refused error
	for range 100 {
		// Refused while the node is not down any more: it may have come back by itself.
		_, err := c.run("scontrol", "update", "NodeName="+c.Node, "State=RESUME")
		if c.idle() {
			return
		}
		refused = err
		time.Sleep(200 * time.Millisecond)
	}
	c.t.Fatalf("the node does not come back (%v):\n%s", refused, tail(c.Dir+"/slurmd.log"))
}

func (c *Cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// daemon starts a program that goes to the background by itself.
func (c *Cluster) daemon(name string, args ...string) {
	c.t.Helper()
	path, err := program(name)
	c.must(err)
	out, err := os.OpenFile(c.Dir+"/"+name+".out", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	c.must(err)
	defer out.Close()
	cmd := exec.Command(path, args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.Env(), "/", out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Run(); err != nil {
		c.t.Logf("%s does not start: %v: %s", name, err, tail(out.Name()))
	}
}

func (c *Cluster) start(name string) {
	c.t.Helper()
	c.daemon(name, "-f", c.Conf)
}

// pid is that of a running daemon of ours, else 0.
func (c *Cluster) pid(name string) int {
	b, err := os.ReadFile(c.Dir + "/" + name + ".pid")
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	comm, err2 := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || err2 != nil || strings.TrimSpace(string(comm)) != name {
		return 0
	}
	return pid
}

func (c *Cluster) end(name string) {
	for i := range 200 {
		pid := c.pid(name)
		if pid == 0 {
			return
		}
		switch i {
		case 0:
			_ = syscall.Kill(pid, syscall.SIGTERM)
		case 150:
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.t.Errorf("%s does not end", name)
}

func (c *Cluster) answers() bool {
	for range 100 {
		if _, err := c.run("scontrol", "ping"); err == nil {
			return true
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false
}

// idle waits until the node takes jobs.
func (c *Cluster) idle() bool {
	for i := range 150 {
		// Their pid files come a moment after they have gone to the background.
		if i > 30 && (c.pid("slurmctld") == 0 || c.pid("slurmd") == 0) {
			return false
		}
		out, err := c.run("sinfo", "--noheader", "--partition=main", "--format=%T")
		if err == nil && slices.Contains([]string{"idle", "mixed", "allocated"}, strings.TrimSpace(out)) {
			return true
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false
}

// stop ends jobs first: their keepers outlive the node's daemon.
func (c *Cluster) stop() {
	if c.pid("slurmctld") != 0 {
		_, _ = c.run("scancel", "--me")
		for range 100 {
			if out, err := c.run("squeue", "--noheader"); err != nil || strings.TrimSpace(out) == "" {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	c.end("slurmd")
	c.end("slurmctld")
	c.end("munged")
	c.endOrphans()
	if c.t.Failed() {
		c.t.Logf("controller:\n%s\nnode:\n%s", tail(c.Dir+"/slurmctld.log"), tail(c.Dir+"/slurmd.log"))
	}
	if err := os.RemoveAll(c.Dir); err != nil {
		c.t.Error(err)
	}
}

// endOrphans kills what jobs have left behind: their environment has the name of
// our configuration.
func (c *Cluster) endOrphans() {
	envs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range envs {
		b, err := os.ReadFile(path)
		pid, err2 := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || err2 != nil || pid == os.Getpid() {
			continue // it has ended, or is another user's
		}
		if slices.Contains(strings.Split(string(b), "\x00"), "SLURM_CONF="+c.Conf) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func required() bool { return slices.Contains(strings.Split(os.Getenv("CAX_REQUIRE"), ","), "slurm") }

func missing(t testing.TB, why string) {
	t.Helper()
	if required() {
		t.Fatalf("slurm is required and cannot be used: %s; install it with: %s", why, install)
	}
	t.Skipf("slurm: %s; install it with: %s", why, install)
}

// program finds a program, also where only root has it on the PATH.
func program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/" + name)
}

// freePort is a port on which nobody listens, and none of those that outgoing
// connections are given.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 10000 + mathrand.IntN(20000)
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func tail(path string) string {
	b, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-3000):])
}
