package cax

import (
	"time"

	"github.com/cax-go/cax/process"
)

// A BatchConfig says how jobs of a site are run. Zero values stand for the defaults
// given here. Key batch.
type BatchConfig struct {
	System    string // "slurm" or "local"; "": there is none
	Folder    string // of scripts, logs and results; the same on all machines
	Partition string
	QOS       string
	Account   string

	Reservation string
	Walltime    time.Duration // 48 h
	Memory      int64         // bytes per core; 2000 MB
	CPUs        int           // cores of a job; 1
	Options     []string      // further options of sbatch
	Template    string        // file; "": that of package process
	Setup       []string      // command that goes first in a job's shell, as templates over process.JobData
	Group       string        // of what a job leaves in its folder
	MaxJobs     int           // in the queue at a time; 500
	MaxArray    int           // jobs in one submission; 1000
	AtOnce      int           // jobs of one array that run at a time; 0: any number
	Slots       int           // cores of the local pool; 1
	Pace        time.Duration // between two submissions; 1 s
	Keep        time.Duration // how long jobs that have ended are kept, with their logs; 7 d
}

// WithDefaults fills in what is not set.
func (b BatchConfig) WithDefaults() BatchConfig {
	orDuration := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	orInt := func(n *int, def int) {
		if *n == 0 {
			*n = def
		}
	}
	orDuration(&b.Walltime, 48*time.Hour)
	orDuration(&b.Pace, time.Second)
	orDuration(&b.Keep, 7*day)
	orInt(&b.CPUs, 1)
	orInt(&b.MaxJobs, 500)
	orInt(&b.MaxArray, 1000)
	orInt(&b.Slots, 1)
	if b.Memory == 0 {
		b.Memory = 2000 * 1000 * 1000
	}
	return b
}

// A ProcessingConfig says what is made from the data at a site. Zero values stand for
// the defaults given here. Key processing.
type ProcessingConfig struct {
	Processors []ProcessorConfig // go before those of XENON1T
	Treemakers []string          // minitrees of each processed run; nil: those of XENON1T
	SkipTags   []string          // nil: "donotprocess"
	Tries      int               // after which a product is left to a person; 5
	Work       string            // folder for work; "": that for temporary files
}

// WithDefaults fills in what is not set.
func (p ProcessingConfig) WithDefaults() ProcessingConfig {
	if p.Treemakers == nil {
		p.Treemakers = process.Treemakers()
	}
	if p.SkipTags == nil {
		p.SkipTags = []string{"donotprocess"}
	}
	if p.Tries == 0 {
		p.Tries = 5
	}
	return p
}

// A ProcessorConfig is a processor, and what it needs to know of a run.
type ProcessorConfig struct {
	process.Processor

	// Needs are fields of processor.DEFAULT of the run document without which a run
	// waits.
	Needs []string
}

// Batch systems.
const (
	BatchSlurm = "slurm"
	BatchLocal = "local"
)

// batchSection is the value of a site's key batch.
func batchSection() *section[BatchConfig] {
	word, name := wordKind(), nameKind()
	return &section[BatchConfig]{"batch", []key[BatchConfig]{
		field(oneOf("batch system", BatchSlurm, BatchLocal), func(b *BatchConfig) *string { return &b.System }, KeyInfo{Name: "system", Default: "–", Example: `"slurm"`, required: true,
			Doc: "slurm, or local: a bounded pool on the daemon's machine."}),
		field(dirKind(), func(b *BatchConfig) *string { return &b.Folder }, KeyInfo{Name: "folder", Default: "–", Example: `"/data/cax/batch"`, required: true,
			Doc: "Where scripts, logs and results of jobs lie; the same folder for all daemons of the site and where jobs run, outside of the dir_* keys."}),
		field(word, func(b *BatchConfig) *string { return &b.Partition }, KeyInfo{Name: "partition", Default: "Slurm's", Example: `"xenon1t"`,
			Doc: "Partition of jobs."}),
		field(word, func(b *BatchConfig) *string { return &b.QOS }, KeyInfo{Name: "qos", Default: "Slurm's", Example: `"xenon1t"`,
			Doc: "Quality of service of jobs."}),
		field(word, func(b *BatchConfig) *string { return &b.Account }, KeyInfo{Name: "account", Default: "Slurm's", Example: `"pi-lgrandi"`,
			Doc: "Account that jobs are charged to."}),
		field(word, func(b *BatchConfig) *string { return &b.Reservation }, KeyInfo{Name: "reservation", Default: "none", Example: `"xenon_reservation"`,
			Doc: "Reservation that jobs use."}),
		field(durationKind(), func(b *BatchConfig) *time.Duration { return &b.Walltime }, KeyInfo{Name: "walltime", Unit: "time", Default: `"48h"`, Example: `"24h"`,
			Doc: "After which a job is ended."}),
		field(sizeKind(), func(b *BatchConfig) *int64 { return &b.Memory }, KeyInfo{Name: "memory_per_cpu", Unit: "bytes", Default: `"2000MB"`, Example: `"4GiB"`,
			Doc: "Memory of a job for each core."}),
		field(wholeKind(1, 10000), func(b *BatchConfig) *int { return &b.CPUs }, KeyInfo{Name: "cpus", Unit: "cores", Default: "1", Example: `4`,
			Doc: "Cores of a job; runs of less than 1000 events get one."}),
		field(argvKind(), func(b *BatchConfig) *[]string { return &b.Options }, KeyInfo{Name: "options", Default: "none", Example: `["--constraint=haswell"]`,
			Doc: "Further options of sbatch."}),
		field(fileKind(), func(b *BatchConfig) *string { return &b.Template }, KeyInfo{Name: "template", Default: "the original's script", Example: `"/etc/cax/job.sh.tmpl"`,
			Doc: "Script of a job: a text/template over the fields of process.JobData, in which every value comes out quoted for the shell."}),
		field(argvKind(), func(b *BatchConfig) *[]string { return &b.Setup }, KeyInfo{Name: "setup", Default: "none", Example: `["source", "/opt/conda/bin/activate", "pax_{{.Version}}"]`,
			Doc: "Command of the job's shell that goes first; each word a text/template over process.JobData."}),
		field(name, func(b *BatchConfig) *string { return &b.Group }, KeyInfo{Name: "group", Default: "as they are", Example: `"xenon1t-admins"`,
			Doc: "Group that the files in a job's folder get."}),
		field(wholeKind(1, 1000000), func(b *BatchConfig) *int { return &b.MaxJobs }, KeyInfo{Name: "max_jobs", Unit: "jobs", Default: "500", Example: `30`,
			Doc: "How many jobs may be in the queue at a time."}),
		field(wholeKind(1, 100000), func(b *BatchConfig) *int { return &b.MaxArray }, KeyInfo{Name: "max_array", Unit: "jobs", Default: "1000", Example: `1`,
			Doc: "How many jobs are submitted at once, as an array; 1: one by one."}),
		field(wholeKind(1, 100000), func(b *BatchConfig) *int { return &b.AtOnce }, KeyInfo{Name: "at_once", Unit: "jobs", Default: "any number", Example: `20`,
			Doc: "How many jobs of one array run at a time."}),
		field(wholeKind(1, 10000), func(b *BatchConfig) *int { return &b.Slots }, KeyInfo{Name: "slots", Unit: "cores", Default: "1", Example: `4`,
			Doc: "Cores of the local pool."}),
		field(durationKind(), func(b *BatchConfig) *time.Duration { return &b.Pace }, KeyInfo{Name: "pace", Unit: "time", Default: `"1s"`, Example: `"5s"`,
			Doc: "Time between two submissions."}),
		field(durationKind(), func(b *BatchConfig) *time.Duration { return &b.Keep }, KeyInfo{Name: "keep", Unit: "time", Default: `"7d"`, Example: `"30d"`,
			Doc: "How long jobs that have ended are kept, with their logs."}),
	}}
}

// processingSection is the value of a site's key processing.
func processingSection() *section[ProcessingConfig] {
	name := nameKind()
	return &section[ProcessingConfig]{"processing", []key[ProcessingConfig]{
		field(objectsOf("processors", processorSection()), func(p *ProcessingConfig) *[]ProcessorConfig { return &p.Processors }, KeyInfo{Name: "processors", Type: "list of objects", Default: "pax and hax, as XENON1T ran them",
			Example: `[{"name": "pax", "type": "processed", "version": "v6.8.0", "command": ["/opt/pax_v6.8.0/bin/paxer", "--input", "{{.Path}}", "--output", "{{.Dir}}/{{.Name}}"], "output": "{{.Name}}.root"}]`,
			Doc:     "Programs, looked at before the default ones; the first that fits is used."}),
		field(listOf("names", name), func(p *ProcessingConfig) *[]string { return &p.Treemakers }, KeyInfo{Name: "treemakers", Default: "the original's 14", Example: `["Basics", "Fundamentals"]`,
			Doc: "Minitrees of each processed run."}),
		field(listOf("tags", name), func(p *ProcessingConfig) *[]string { return &p.SkipTags }, KeyInfo{Name: "skip_tags", Default: `["donotprocess"]`, Example: `["donotprocess", "test"]`,
			Doc: "Runs with one of these tags are not processed."}),
		field(wholeKind(1, 1000), func(p *ProcessingConfig) *int { return &p.Tries }, KeyInfo{Name: "tries", Default: "5", Example: `3`,
			Doc: "Failures in a row after which a product is left to a person."}),
		field(fileKind(), func(p *ProcessingConfig) *string { return &p.Work }, KeyInfo{Name: "work", Type: "directory", Default: "$TMPDIR", Example: `"/scratch"`,
			Doc: "Where programs work; a fresh folder for each product, on the machine that runs them."}),
	}}
}

// processorSection is an entry of processors.
func processorSection() *section[ProcessorConfig] {
	text, name := textKind(), nameKind()
	return &section[ProcessorConfig]{"an entry of processors", []key[ProcessorConfig]{
		field(name, func(p *ProcessorConfig) *string { return &p.Name }, KeyInfo{Name: "name", Default: "–", Example: `"pax"`, required: true,
			Doc: "What people call it."}),
		field(oneOf("type of product", "processed", "minitree"), func(p *ProcessorConfig) *string { return &p.Type }, KeyInfo{Name: "type", Default: `"processed"`, Example: `"minitree"`,
			Doc: "What it makes: processed data of raw data, or a minitree of processed data."}),
		field(name, func(p *ProcessorConfig) *string { return &p.Version }, KeyInfo{Name: "version", Default: "any", Example: `"v6.8.0"`,
			Doc: "The version of pax_versions that it is for."}),
		field(name, func(p *ProcessorConfig) *string { return &p.Detector }, KeyInfo{Name: "detector", Default: "any", Example: `"muon_veto"`,
			Doc: "The detector that it is for."}),
		field(oneOf("mode", process.ModeSelfTrigger, process.ModeLED), func(p *ProcessorConfig) *string { return &p.Mode }, KeyInfo{Name: "mode", Default: "any", Example: `"led"`,
			Doc: "The mode of the TPC that it is for."}),
		field(argvKind(), func(p *ProcessorConfig) *[]string { return &p.Command }, KeyInfo{Name: "command", Default: "script", Example: `["paxer", "--input", "{{.Path}}", "--output", "{{.Dir}}/{{.Name}}"]`,
			Doc: "Program and arguments; each word a text/template over process.Input, and no shell."}),
		field(valueKind[string]{"text", map[string]any{"type": "string"}, readScript}, func(p *ProcessorConfig) *string { return &p.Script }, KeyInfo{Name: "script", Default: "command", Example: `"#!/bin/sh\nwc -c {{.Path}} > product\n"`,
			Doc: "Shell script in place of a command: a text/template over process.Input, in which every value comes out quoted."}),
		field(text, func(p *ProcessorConfig) *string { return &p.Output }, KeyInfo{Name: "output", Default: "–", Example: `"{{.Name}}.root"`, required: true,
			Doc: "The product: a file or folder below the work folder; its name is that of the copy."}),
		field(argvKind(), func(p *ProcessorConfig) *[]string { return &p.Check }, KeyInfo{Name: "check", Default: "it exists and is not empty", Example: `["check_root", "{{.Name}}.root"]`,
			Doc: "Command that ends with 0 if the product is good."}),
		field(argvKind(), func(p *ProcessorConfig) *[]string { return &p.Env }, KeyInfo{Name: "env", Default: "none", Example: `["OMP_NUM_THREADS={{.CPUs}}"]`,
			Doc: "Variables added to the environment, NAME=value."}),
		field(listOf("names", name), func(p *ProcessorConfig) *[]string { return &p.Needs }, KeyInfo{Name: "needs", Default: "none; pax for the TPC: gains, drift velocity, electron lifetime; else gains", Example: `["gains", "drift_velocity_liquid"]`,
			Doc: "Fields of processor.DEFAULT without which a run waits."}),
	}}
}

// readScript reads a text that may have several lines.
func readScript(d *decoder, n *node, k *slot) (string, bool) {
	if !d.want(n, k, isString) {
		return "", false
	}
	if _, err := process.ParseTemplate(k.at, n.text); err != nil {
		d.fail(n.off, k.at, err.Error(), "write for example "+k.info.Example)
		return "", false
	}
	return n.text, true
}

// objectsOf is an array of objects that may be alike.
func objectsOf[T any](name string, s *section[T]) valueKind[[]T] {
	one := sectionKind(name, s)
	return valueKind[[]T]{"list of " + name, map[string]any{"type": "array", "items": one.schema}, func(d *decoder, n *node, k *slot) ([]T, bool) {
		if !d.want(n, k, isArray) {
			return nil, false
		}
		all, good := make([]T, 0, len(n.items)), true
		for i, item := range n.items {
			v, ok := one.read(d, item, &slot{index(k.at, i), k.info})
			good = good && ok
			all = append(all, v)
		}
		return all, good
	}}
}
