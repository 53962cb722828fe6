package session

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/cax-go/cax/cax"
)

// forJobs says how batch jobs of this site call this program. What names the run
// database goes into their environment: its options may be secret, and scripts of jobs
// can be read by others.
func (s *Session) forJobs(e *cax.Env) error {
	program, err := exec.LookPath(os.Args[0]) // not os.Executable: it follows links, and this may be one of several programs
	if err != nil {
		if program, err = os.Executable(); err != nil {
			return err
		}
	}
	if program, err = filepath.Abs(program); err != nil {
		return err
	}
	config, err := filepath.Abs(s.Config.File)
	if err != nil {
		return err
	}
	e.Program = []string{program, "--config", config, "--host", s.Site.Name}
	switch {
	case s.Address.Scheme == cax.SchemeSQLite:
		e.Environ = append(e.Environ, "CAX_RUNDB=sqlite:"+s.Address.Path)
	case s.Address.Source == "--rundb": // else the job finds it as we did
		e.Environ = append(e.Environ, "CAX_RUNDB="+s.Address.URI)
	}
	return nil
}
