package cax

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Config is the configuration of all sites, as every site reads it. It is
// made by [Load] and not changed afterwards.
type Config struct {
	// File is the path the configuration was read from; "" for a built one.
	File string

	RunDB RunDBConfig

	// Masters says which copies are masters, first match wins: a copy's
	// checksum is right if it equals the master's. Key master_checksums.
	Masters []Master

	Policy Policy

	Naming Naming

	Corrections CorrectionsConfig

	// Sites in the order of the file. Names are unique.
	Sites []*Site

	// Notes are findings that are no errors: keys without effect, repeated keys
	// of equal value, settings that are seldom meant.
	Notes []Problem
}

// A RunDBConfig says where the run database is. Key rundb.
type RunDBConfig struct {
	URI             string // "sqlite:PATH" or "mongodb://…"; "" = default
	PasswordFile    string
	PasswordCommand []string // argv; its first output line is the password
}

// A Master names copies that decide what the right checksum is.
type Master struct {
	Type string
	Host string
}

// Policy holds what the original had hard-coded. Zero values stand for the
// defaults given here. Key policy.
type Policy struct {
	Heartbeat      time.Duration // between heartbeats of a claim; 30 s
	LeaseLost      time.Duration // holder stops when the last acknowledged heartbeat is so old; 2 min
	LeaseExpired   time.Duration // observer takes over after seeing no heartbeat for so long, on its own clock; 5 min
	OnceExpired    time.Duration // the same for --once, by the database server's clock; 15 min
	OthersTakeOver time.Duration // when the destination's site too may take over; 24 h
	BackoffMin     time.Duration // first wait after a failure; 1 min
	BackoffMax     time.Duration // longest wait; 1 h
	Interval       time.Duration // between cycles of the daemon; 60 s
	Stall          time.Duration // a transfer without progress fails after; 5 min
	Reserve        int64         // bytes to leave free at a destination; 1 GiB
	VerifiedWithin time.Duration // a copy counts as verified for so long; 30 d
	MinCopies      int           // good copies that have to be left when one is deleted; 2
	MinProcessed   int           // the same for processed data; 2
	MinDomains     int           // domains in which they have to be; 2, and never more than MinCopies
	KeepTags       []string      // runs with one of these tags are not deleted from; "keep"
	PurgeCopies    int           // copies that one cycle deletes at most; 100
	PurgeBytes     int64         // bytes that one cycle deletes at most; 10 TiB
	StalledAlert   time.Duration // a copy without a claim that does not grow for so long is told of; 2 h
	StalledAfter   time.Duration // and after so long it is begun anew; 24 h
	Scrub          Bandwidth     // how fast Scrub reads, by time of day; zero: it is off
	ScrubAfter     time.Duration // a copy is read again when it was verified so long ago; half of VerifiedWithin
	Trash          time.Duration // how long what cax rm deleted can be brought back; 7 d
	Settled        time.Duration // what no record names is left alone until it has not changed for so long; 24 h
	ShutdownGrace  time.Duration // how long work may go on after a signal; 4 s
}

// A Method is the way data reach a site.
type Method string

// The methods.
const (
	MethodLocal Method = "local"
	MethodSFTP  Method = "sftp"
	MethodSCP   Method = "scp" // SFTP where the server has it, else the scp protocol
	MethodRsync Method = "rsync"
	MethodGfal  Method = "gfal-copy"
	MethodLcg   Method = "lcg-cp" // the same as gfal-copy
	MethodRucio Method = "rucio"
	MethodTSM   Method = "tsm"
)

// A Site is one place that holds copies. The JSON keys are those of the
// original; docs in the table of the README.
type Site struct {
	Name             string      `json:"name"`
	Hostname         string      `json:"hostname"` // address; may carry ":port"
	Port             int         `json:"port"`     // 0: 22 or ssh_config
	Username         string      `json:"username"`
	Method           Method      `json:"method"`
	DirRaw           string      `json:"dir_raw"` // "": none here
	DirProcessed     string      `json:"dir_processed"`
	DirMinitrees     string      `json:"dir_minitrees"`
	DirTSM           string      `json:"dir_tsm"`
	UploadOptions    []string    `json:"upload_options"`
	DownloadOptions  []string    `json:"download_options"`
	DataType         []string    `json:"data_type"` // nil: raw
	TaskList         []string    `json:"task_list"` // nil: all
	DatasetList      []string    `json:"dataset_list"`
	Purge            *int        `json:"purge"`        // days; nil: never
	PaxVersions      []string    `json:"pax_versions"` // of processed data that are current; also pax_processing_versions
	PaxVersionPurge  string      `json:"pax_version_purge"`
	IdentityFile     string      `json:"identity_file"`
	KnownHosts       string      `json:"known_hosts"`
	HostKey          string      `json:"host_key"` // pinned: "ssh-ed25519 AAAA…"
	Verify           string      `json:"verify"`   // "" or "remote"
	Daemon           string      `json:"daemon"`   // "" (cax), "python", "none"
	Parallel         int         `json:"parallel"` // datasets at once per remote; 0: 2
	Bandwidth        Bandwidth   `json:"bandwidth"`
	Domain           string      `json:"domain"` // failure domain; "": the name
	SameStorageAs    string      `json:"same_storage_as"`
	MinCopies        int         `json:"min_copies"`
	Permissions      Permissions `json:"permissions"`
	GridCert         string      `json:"grid_cert"`
	NStreams         int         `json:"nstreams"`
	RucioUploadRSE   string      `json:"rucio_upload_rse"`
	RucioDownloadRSE string      `json:"rucio_download_rse"`
	RucioAccount     string      `json:"rucio_account"`
	RucioTransfer    []string    `json:"rucio_transfer"`
	Rucio            RucioConfig `json:"rucio"`
	TSM              TapeConfig  `json:"tsm"`

	Batch      BatchConfig      `json:"batch"`
	Processing ProcessingConfig `json:"processing"`
}

// Bandwidth bounds the bytes per second over all connections of a site: always,
// or by time of day. The zero value does not bound.
type Bandwidth struct {
	BytesPerSecond int64
	Table          []BandwidthWindow // the first that holds the time of day wins
}

// A BandwidthWindow holds between two times of day, UTC, in minutes since
// midnight; a window with To < From goes over midnight.
type BandwidthWindow struct {
	From, To       int
	BytesPerSecond int64
}

// A Problem is one finding about a configuration.
type Problem struct {
	File      string
	Line, Col int    // counted from 1, columns in characters; 0: of the file as a whole
	Key       string // path of the key, as `sites[2].hostname`; "" if it is about none
	Text      string // what is wrong
	Remedy    string // what to do
}

// String gives file:line:col: key: text; remedy.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Col)
	}
	if p.Key != "" {
		b.WriteString(": " + p.Key)
	}
	b.WriteString(": " + p.Text)
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	return b.String()
}

// A ConfigError tells everything that is wrong with a configuration.
type ConfigError struct {
	Problems []Problem // at least one, in the order of the text

	cause error // why a file could not be read
}

// Error gives one line per problem.
func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the error of a file that could not be read, so that errors.Is
// finds fs.ErrNotExist; else nil.
func (e *ConfigError) Unwrap() error { return e.cause }

// Site returns the site of a name.
func (c *Config) Site(name string) (*Site, bool) {
	i := slices.IndexFunc(c.Sites, func(s *Site) bool { return s.Name == name })
	if i < 0 {
		return nil, false
	}
	return c.Sites[i], true
}
