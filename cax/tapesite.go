package cax

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/tsm"
)

// noPlace is the location that the original gives to a copy that it could not bring from
// tape.
const noPlace = "n/a"

// muonVeto is the detector whose numbers of runs repeat.
const muonVeto = "muon_veto"

// tape reports whether a site stands for a tape server. In the original's configurations
// the sites at which dsmc runs have the method tsm too; they have a place to prepare data,
// or sites to copy to or from.
func (s *Site) tape() bool {
	return s.Method == MethodTSM && s.DirTSM == "" && len(s.UploadOptions) == 0 && len(s.DownloadOptions) == 0
}

// faraway reports whether copies at a site are no files that somebody could look at: they
// are on tape, or in a catalogue.
func (s *Site) faraway() bool { return s.tape() || s.Method == MethodRucio }

// tapes are the tape servers that a site copies to or from.
func (c *Config) tapes(s *Site) []string {
	names := []string{} // which matches nothing, where nil would match everything
	for _, n := range slices.Concat(s.UploadOptions, s.DownloadOptions) {
		if t, ok := c.Site(n); ok && t.tape() && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// tapeConfig is how this site reaches a tape server.
func (e *Env) tapeConfig(s *Site) TapeConfig {
	if e.Site == nil {
		return s.TSM
	}
	return e.Site.TSM.over(s.TSM)
}

// tapeDrives are the clients of tape servers that this process has used. It is safe for
// concurrent use.
type tapeDrives struct {
	mu    sync.Mutex
	known map[string]*tapeDrive
}

// A tapeDrive is one tape server as this site reaches it.
type tapeDrive struct {
	client  *tsm.Client
	mu      sync.Mutex
	met     bool          // a session was made
	checked time.Duration // and when, on Clock.Elapsed
}

// sessionHolds is how long a server that answered is taken to be there.
const sessionHolds = 10 * time.Minute

// drive gives the client of a tape server. The environment's script runs once.
func (e *Env) drive(ctx context.Context, s *Site) (*tapeDrive, error) {
	e.drives.mu.Lock()
	defer e.drives.mu.Unlock()
	if d, ok := e.drives.known[s.Name]; ok {
		return d, nil
	}
	c := e.tapeConfig(s)
	d := &tapeDrive{client: &tsm.Client{Program: expandHome(c.Program), Server: c.Server, OptFile: expandHome(c.OptionsFile), AsNode: c.AsNode, Locale: c.Locale,
		Stall: c.Stall, TapeWait: c.TapeWait, LogDir: expandHome(c.LogFolder), Logger: e.Log}}
	if c.Environment != "" {
		env, err := tsm.ReadEnvironment(ctx, expandHome(c.Environment), nil)
		if err != nil {
			return nil, err
		}
		d.client.Env = env
	}
	if e.drives.known == nil {
		e.drives.known = map[string]*tapeDrive{}
	}
	e.drives.known[s.Name] = d
	return d, nil
}

// meet makes sure that the server answers, unless it did a short while ago.
func (d *tapeDrive) meet(ctx context.Context, clock Clock) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.met && clock.elapsed()-d.checked < sessionHolds {
		return nil
	}
	if _, err := d.client.Check(ctx); err != nil {
		return err
	}
	d.met, d.checked = true, clock.elapsed()
	return nil
}

// Tape gives the driver of a tape server as this site reaches it, with the server's site.
// host names it; "": the only one that this site copies to or from.
func (e *Env) Tape(ctx context.Context, host string) (*tsm.Client, *Site, error) {
	if host == "" {
		names := e.Config.tapes(e.Site)
		switch len(names) {
		case 0:
			return nil, nil, fmt.Errorf("%s copies to no tape and from none: upload_options and download_options name no site of method %q", e.Site.Name, MethodTSM)
		case 1:
			host = names[0]
		default:
			return nil, nil, fmt.Errorf("%s has several tapes: %v; name one", e.Site.Name, names)
		}
	}
	s, ok := e.Config.Site(host)
	if !ok || !s.tape() {
		return nil, nil, fmt.Errorf("%s is no tape server of %s", host, e.Config.File)
	}
	d, err := e.drive(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	return d.client, s, nil
}

// TapeTasks are the tasks of massive-tsm, in the order in which a cycle runs them: copies
// from tape and to it, and the look at what tape has.
func TapeTasks() []Task {
	tape := []Method{MethodTSM}
	return []Task{copyTask{methods: tape}, copyTask{push: true, methods: tape}, tapeTask{}}
}

// tapeCheck probes a tape server that this site copies to or from.
func (c *checkup) tapeCheck(ctx context.Context, s *Site) {
	d, err := c.env.drive(ctx, s)
	if err != nil {
		c.fail(ctx, s.Name, AboutTape, CheckFail, err, "see its key tsm")
		return
	}
	r, err := d.client.Check(ctx)
	if err != nil {
		c.fail(ctx, s.Name, AboutTape, CheckFail, err, "see its key tsm, and dsmc query session")
		return
	}
	text := fmt.Sprintf("dsmc %s reaches the server %s as node %s", r.Session.Client, r.Session.Server, r.Session.Node)
	c.say(Finding{s.Name, AboutTape, CheckOK, text, ""})
	pending, err := d.client.PendingRestores(ctx)
	switch {
	case err != nil:
		c.fail(ctx, s.Name, AboutTape, CheckWarn, err, "see dsmc query restore")
	case len(pending) > 0:
		c.say(Finding{s.Name, AboutTape, CheckWarn, "an interrupted restore is kept by the server, and no other one is possible until it is gone", "a download cancels it; or see dsmc query restore"})
	}
	if self := c.env.Site; self.DirTSM == "" && slices.Contains(self.UploadOptions, s.Name) && c.env.tapeConfig(s).Rename == wordYes {
		c.say(Finding{self.Name, AboutTape, CheckFail, "files are to be renamed for tape, and there is no place to prepare them", "set dir_tsm"})
	}
}

// tapeRoom is a folder of this site in which a dataset is brought back to be compared.
func (e *Env) tapeRoom(src *rundb.Copy, claim string) string {
	dir := e.Site.DirTSM
	if dir == "" {
		dir = path.Dir(src.Location)
	}
	return path.Join(dir, transfer.StagingName(path.Base(src.Location), claim))
}

// roomFor is how many bytes may be brought to a folder of this machine now.
func (e *Env) roomFor(ctx context.Context, dir string) (int64, error) {
	s, ok := e.remotes.disk.(transfer.Spacer)
	if !ok {
		return 1 << 62, nil
	}
	free, err := s.Free(ctx, dir)
	if errors.Is(err, transfer.ErrUnsupported) {
		return 1 << 62, nil
	}
	return free - e.Policy.Reserve, err
}

// removeAll removes a folder of ours with what is in it.
func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return &transfer.Error{Op: "remove", Path: dir, Kind: transfer.ErrPermission, Err: err}
	}
	return nil
}
