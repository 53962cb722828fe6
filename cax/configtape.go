package cax

import (
	"cmp"
	"time"
)

// TapeConfig says how data get to tape and back, by dsmc. It belongs to the site at which
// dsmc runs; what that leaves open is taken from the site that stands for the tape. Key tsm.
type TapeConfig struct {
	Mode        string // "archive" or "incr"; "": archive
	Verify      string // "full", "sample" or "query": how an upload is proved; "": full
	Rename      string // "yes" or "no": prepare files under RUN_FILE in dir_tsm; "": yes where there is a dir_tsm
	Subfolders  string // "yes" or "no": take datasets with sub-folders; "": no
	Program     string // "": dsmc
	Server      string // stanza of dsm.sys; "": the default
	OptionsFile string // "": DSM_CONFIG
	AsNode      string // proxy node; "": none
	Locale      string // "": en_US.UTF-8
	Environment string // script that sets up the environment; "": none
	LogFolder   string // for dsmc's own logs; "": a temporary one
	Stall       time.Duration
	TapeWait    time.Duration
}

// The values of mode and verify.
const (
	tapeArchive = "archive"
	tapeIncr    = "incr"
	tapeFull    = "full"
	tapeSample  = "sample"
	tapeQuery   = "query"
	wordYes     = "yes"
	wordNo      = "no"
)

// over takes from another what this leaves open.
func (c TapeConfig) over(o TapeConfig) TapeConfig {
	return TapeConfig{
		Mode:        cmp.Or(c.Mode, o.Mode),
		Verify:      cmp.Or(c.Verify, o.Verify),
		Rename:      cmp.Or(c.Rename, o.Rename),
		Subfolders:  cmp.Or(c.Subfolders, o.Subfolders),
		Program:     cmp.Or(c.Program, o.Program),
		Server:      cmp.Or(c.Server, o.Server),
		OptionsFile: cmp.Or(c.OptionsFile, o.OptionsFile),
		AsNode:      cmp.Or(c.AsNode, o.AsNode),
		Locale:      cmp.Or(c.Locale, o.Locale),
		Environment: cmp.Or(c.Environment, o.Environment),
		LogFolder:   cmp.Or(c.LogFolder, o.LogFolder),
		Stall:       cmp.Or(c.Stall, o.Stall),
		TapeWait:    cmp.Or(c.TapeWait, o.TapeWait),
	}
}

// tapeSection is the value of a site's key tsm.
func tapeSection() *section[TapeConfig] {
	return &section[TapeConfig]{"tsm", []key[TapeConfig]{
		field(oneOf("value of mode", tapeArchive, tapeIncr), func(c *TapeConfig) *string { return &c.Mode }, KeyInfo{Name: "mode", Default: `"archive"`, Example: `"incr"`,
			Doc: `How data are sent: "archive" keeps them until their retention ends; "incr" (backup, as the original) only for servers that allow no archive copies, since a backup expires when its file is gone.`}),
		field(oneOf("value of verify", tapeFull, tapeSample, tapeQuery), func(c *TapeConfig) *string { return &c.Verify }, KeyInfo{Name: "verify", Default: `"full"`, Example: `"sample"`,
			Doc: `How an upload is proved: "query" asks for names and sizes of all files; "sample" and "full" bring some or all of them back too, and compare them with the manifest.`}),
		field(oneOf("value of rename", wordYes, wordNo), func(c *TapeConfig) *string { return &c.Rename }, KeyInfo{Name: "rename", Default: `"yes" where there is a dir_tsm`, Example: `"no"`,
			Doc: `"yes": tape gets each file as DIR_TSM/RUN/RUN_FILE, by links if possible, as the original; "no": as it lies.`}),
		field(oneOf("value of subfolders", wordYes, wordNo), func(c *TapeConfig) *string { return &c.Subfolders }, KeyInfo{Name: "subfolders", Default: `"no"`, Example: `"yes"`,
			Doc: "Whether datasets with sub-folders go to tape; empty ones among these do not."}),
		field(wordKind(), func(c *TapeConfig) *string { return &c.Program }, KeyInfo{Name: "program", Default: `"dsmc"`, Example: `"/opt/tivoli/tsm/client/ba/bin/dsmc"`,
			Doc: "The program, a path or a name in the PATH."}),
		field(wordKind(), func(c *TapeConfig) *string { return &c.Server }, KeyInfo{Name: "server", Default: "that of dsm.opt", Example: `"TSM_SERVER_1"`,
			Doc: "Stanza of dsm.sys (-servername)."}),
		field(fileKind(), func(c *TapeConfig) *string { return &c.OptionsFile }, KeyInfo{Name: "options_file", Default: "$DSM_CONFIG, or dsmc's own", Example: `"/etc/cax/dsm.opt"`,
			Doc: "Options file (-optfile)."}),
		field(wordKind(), func(c *TapeConfig) *string { return &c.AsNode }, KeyInfo{Name: "as_node", Default: "none", Example: `"XENON"`,
			Doc: "Proxy node (-asnodename)."}),
		field(wordKind(), func(c *TapeConfig) *string { return &c.Locale }, KeyInfo{Name: "locale", Default: `"en_US.UTF-8"`, Example: `"en_US"`,
			Doc: "Locale in which dsmc runs; a single-byte one for file names that are not UTF-8."}),
		field(fileKind(), func(c *TapeConfig) *string { return &c.Environment }, KeyInfo{Name: "environment", Default: "none", Example: `"/opt/tsm/env.sh"`,
			Doc: "Script that is sourced to set up the environment of dsmc."}),
		field(fileKind(), func(c *TapeConfig) *string { return &c.LogFolder }, KeyInfo{Name: "log_folder", Type: "directory", Default: "a temporary one", Example: `"/var/log/cax-tsm"`,
			Doc: "Where dsmc writes its own logs (DSM_LOG)."}),
		field(durationKind(), func(c *TapeConfig) *time.Duration { return &c.Stall }, KeyInfo{Name: "stall", Unit: "time", Default: `"1h"`, Example: `"30m"`,
			Doc: "How long dsmc may do nothing before it is ended."}),
		field(durationKind(), func(c *TapeConfig) *time.Duration { return &c.TapeWait }, KeyInfo{Name: "tape_wait", Unit: "time", Default: `"24h"`, Example: `"12h"`,
			Doc: "The same while files are brought back: they wait for drives and tapes."}),
	}}
}
