package tsmtest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Main runs the stand-in and ends the process, if the running binary was started
// under the name dsmc; else it returns. Call it first in TestMain.
func Main() {
	if filepath.Base(os.Args[0]) == name {
		os.Exit(Run(os.Args[1:], os.Stdin, os.Stdout))
	}
}

// Run is the program: it returns its exit code. The tape is named by the environment.
func Run(args []string, stdin io.Reader, stdout io.Writer) int {
	p := &program{tape: &Tape{dir: os.Getenv(variable)}, in: stdin, out: bufio.NewWriter(stdout), began: time.Now()}
	defer p.out.Flush()
	if p.tape.dir == "" {
		p.printf("%s: the tape is not named: set %s", name, variable)
		return 127
	}
	if err := p.prepare(args); err != nil {
		p.printf("%s: %v", name, err)
		return 127
	}
	if err := p.run(); err != nil {
		p.printf("%s: %v", name, err)
		return 127
	}
	return p.exit
}

// A program is one run.
type program struct {
	tape  *Tape
	call  call
	known bool
	set   Settings
	fault *Fault
	in    io.Reader
	out   *bufio.Writer
	began time.Time
	exit  int
	done  int // objects

	inspected, moved, failed, expired, retries, seen, sum int64
}

// prepare notes the call and takes the fault that is meant for it.
func (p *program) prepare(args []string) error {
	p.call, p.known = parseCommand(args)
	return p.tape.locked(func() (err error) {
		if err := p.tape.appendLine("calls", args); err != nil {
			return err
		}
		if p.set, err = p.tape.settings(); err != nil {
			return err
		}
		for i, f := range p.set.Faults {
			if f.Op != "" && f.Op != p.call.op || f.Times < 0 {
				continue
			}
			p.fault = &f
			if f.Times > 0 {
				if p.set.Faults[i].Times--; p.set.Faults[i].Times == 0 {
					p.set.Faults[i].Times = -1
				}
				return p.tape.save(p.set)
			}
			break
		}
		return nil
	})
}

// says prints a message, keeps it in the error log, and lifts the exit code to what
// it stands for.
func (p *program) says(code, text string) {
	p.printf("%s %s", code, text)
	rank := map[byte]int{'I': 0, 'W': 8, 'E': 12, 'S': 12}[code[len(code)-1]]
	if strings.HasPrefix(code, "ANS4") || code == "ANS1228E" || code == "ANS1802E" || code == "ANS1946W" {
		rank = 4 // one object was left out
	}
	p.exit = max(p.exit, rank)
	if log := os.Getenv("DSM_LOG"); rank > 0 && log != "" {
		if f, err := os.OpenFile(filepath.Join(log, "dsmerror.log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644); err == nil {
			fmt.Fprintf(f, "%s %s %s\n", time.Now().UTC().Format(time.DateTime), code, text)
			f.Close()
		}
	}
}

// is reports whether this run has that fault.
func (p *program) is(k FaultKind) bool { return p.fault != nil && p.fault.Kind == k }

// strikes reports whether the fault hits the object that is next.
func (p *program) strikes(k FaultKind) bool { return p.is(k) && p.done == p.fault.After }

func (p *program) run() error {
	switch {
	case p.is(NotInstalled):
		p.printf("sh: 1: dsmc: not found")
		p.exit = 127
		return nil
	case p.is(NoOptions):
		p.says("ANS0990W", "Options file '/opt/tivoli/tsm/client/ba/bin/dsm.opt' could not be found. Default option values will be used.")
		p.says("ANS1035S", "Options file '/opt/tivoli/tsm/client/ba/bin/dsm.sys' could not be found, or it cannot be read.")
		return nil
	}
	p.banner()
	if o := p.call.refused(); o != "" {
		p.says("ANS1107E", fmt.Sprintf("Invalid option/value: '-%s'", o))
		return nil
	}
	if !p.known {
		p.says("ANS1138E", "The command is not one that the stand-in has")
		return nil
	}
	switch {
	case p.is(NoServer):
		p.says("ANS1017E", "Session rejected: TCP/IP connection failure")
		return nil
	case p.is(NoPassword):
		p.says("ANS1051I", "Invalid user id or password")
		fmt.Fprint(p.out, "Please enter your user id <CAXTEST>: ")
		p.wait()
		p.exit = 12
		return nil
	}
	p.established()
	switch p.call.op {
	case "":
		fmt.Fprint(p.out, "Protect> ")
		p.wait()
		return nil
	case "query session":
		p.querySession()
		return nil
	case "query filespace":
		return p.queryFilespace()
	case "query archive", "query backup":
		return p.query()
	case "archive", "incremental":
		return p.send()
	case "retrieve", "restore":
		return p.bring()
	}
	return p.pending()
}

// wait reads the input to its end, as a prompt does.
func (p *program) wait() {
	p.out.Flush()
	_, _ = io.Copy(io.Discard, p.in)
}

// ask asks a question.
func (p *program) ask(what string, choices ...string) {
	p.printf("--- User Action is Required ---\n%s\n\nSelect an appropriate action", what)
	for i, c := range choices {
		p.printf("  %d. %s", i+1, c)
	}
	p.printf("  A. Abort this operation")
	fmt.Fprint(p.out, "Action [1,2,A] : ")
	p.wait()
	// Nobody answered.
	p.exit = max(p.exit, 8)
}

// next comes before each object: delays, and faults that end the run. It returns
// false when the run has ended.
func (p *program) next() bool {
	p.out.Flush()
	time.Sleep(p.set.FileDelay)
	switch {
	case p.strikes(Hangs):
		for {
			time.Sleep(time.Hour)
		}
	case p.strikes(Killed):
		p.kill(os.Getpid())
	case p.strikes(KillsCaller):
		p.kill(os.Getppid())
		p.kill(os.Getpid())
	case p.strikes(Full):
		p.says("ANS1311E", "Server out of data storage space")
		return false
	case p.strikes(NoMedia):
		p.says("ANS1312E", "Server media mount not possible")
		return false
	case p.strikes(NoDirectory):
		p.says("ANS1076E", "The specified directory path '/nowhere/*' could not be found.")
		return false
	case p.strikes(Asks):
		p.ask("File: requires an encryption key.", "Prompt for encrypt key password")
		return false
	case p.strikes(Reconnect):
		p.says("ANS1809W", "A session with the server has been disconnected. An attempt will be made to reestablish the connection.")
	}
	return true
}

// finish comes after the last object.
func (p *program) finish() {
	if p.is(LosesWord) {
		p.kill(os.Getpid())
	}
}

func (p *program) kill(pid int) {
	p.out.Flush()
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for {
		time.Sleep(time.Hour) // it comes any moment
	}
}

// mount notes that a volume was mounted, and takes the time that it takes.
func (p *program) mount(volume int) error {
	p.says("ANS1114I", "Waiting for mount of offline media.")
	p.out.Flush()
	time.Sleep(p.set.MountDelay)
	return p.tape.locked(func() error { return p.tape.appendLine("mounts", volumeName(volume)) })
}
