package process

import _ "embed" // the text of DefaultTemplate

//go:embed job.sh.tmpl
var defaultTemplate string

// JobData are the fields of a template for jobs.
type JobData struct {
	Use      string            // what the job is for, as "raw"
	Number   int               // of the run
	Name     string            // of the run
	Detector string            // of the run
	Version  string            // of the processor
	Command  []string          // what the job runs
	Dir      string            // the folder in which it runs; it is made if it is not there
	Setup    []string          // command of the job's shell that goes first, as "source", "/opt/conda/bin/activate", "pax_v6.8.0"; may be empty
	Group    string            // of all files in Dir afterwards; "": as they are
	Vars     map[string]string // a site's own
}

// DefaultTemplate is the script of a job that works on one run, after the original's
// for Slurm: prepare the environment, run the command in a folder, give what it
// left to a group, show what the job used. Resources, name and log are not in
// it: they are Job.Resources and the like. Lines "#SBATCH …" that a site puts into a
// template of its own are handed to Slurm.
func DefaultTemplate() string { return defaultTemplate }
