package cax

import "time"

// methods are all methods, as the key method knows them.
func methods() []Method {
	return []Method{MethodLocal, MethodSFTP, MethodSCP, MethodRsync, MethodGfal, MethodLcg, MethodRucio, MethodTSM}
}

// taskNames are the names that task_list may have: those of the original, in the
// order in which it runs them, and ours. A fleet shares one configuration, so
// that a task of another version or program is no mistake.
func taskNames() []string {
	return []string{
		"AddGains", "AddDriftVelocity", "SetNeuralNetwork", "CopyPush", "CompareChecksums", "RetryStalledTransfer",
		"RetryBadChecksumTransfer", "CopyPull", "AddChecksum", "SetPermission", "AddSize", "ProcessBatchQueue",
		"ProcessBatchQueueHax", "PurgeProcessed", "BufferPurger", "AddTSMChecksum", "SetS2xyMap",
		"SetLightCollectionEfficiency", "SetFieldDistortion", "RucioRule", "Scrub", "Reconcile", "EmptyTrash",
	}
}

// dataTypes are the types of data that a site may keep.
func dataTypes() []string { return []string{"raw", "processed", "minitrees", "untriggered"} }

// siteSection is what a site's object may hold: the original's keys, and ours.
// The original's may be null.
func siteSection() *section[Site] {
	const shell = "it prepared a shell for the Rucio client, and none is used"
	text, name, word, file, names := textKind(), nameKind(), wordKind(), fileKind(), listOf("sites", nameKind())
	names.name = "list of sites"
	return &section[Site]{"a site", []key[Site]{
		field(name, func(s *Site) *string { return &s.Name }, KeyInfo{Name: "name", Default: "–", Example: `"lab"`, required: true,
			Doc: "The site. A process acts for the site whose name is that of --host, $HOSTNAME, or the machine's name up to the first dot."}),
		field(text, func(s *Site) *string { return &s.Hostname }, KeyInfo{Name: "hostname", Type: "address", Default: "not reachable", Example: `"login.lab.example:22"`, null: true,
			Doc: "Address of the server, with or without port; for gfal-copy the URL prefix in front of directories."}),
		field(wholeKind(1, 65535), func(s *Site) *int { return &s.Port }, KeyInfo{Name: "port", Default: "22, or that of ~/.ssh/config", Example: `2222`,
			Doc: "Port of the SSH server."}),
		field(word, func(s *Site) *string { return &s.Username }, KeyInfo{Name: "username", Default: "that of ~/.ssh/config, else ours", Example: `"xenon"`, null: true,
			Doc: "Account on the server."}),
		field(oneOf("method", methods()...), func(s *Site) *Method { return &s.Method }, KeyInfo{Name: "method", Default: "not reachable", Example: `"scp"`, null: true,
			Doc: "How data get to the site and from it: local (same machine), sftp, scp (SFTP where the server has it), rsync, gfal-copy or lcg-cp, rucio, tsm."}),
		field(dirKind(), func(s *Site) *string { return &s.DirRaw }, KeyInfo{Name: "dir_raw", Default: "none here", Example: `"/data/raw"`, null: true,
			Doc: "Where raw data lie."}),
		field(dirKind(), func(s *Site) *string { return &s.DirProcessed }, KeyInfo{Name: "dir_processed", Default: "none here", Example: `"/data/processed"`, null: true,
			Doc: "Where processed data lie, in a folder pax_VERSION for each version."}),
		field(dirKind(), func(s *Site) *string { return &s.DirMinitrees }, KeyInfo{Name: "dir_minitrees", Default: "none here", Example: `"/data/minitrees"`, null: true,
			Doc: "Where minitrees lie, in a folder pax_VERSION for each version."}),
		field(dirKind(), func(s *Site) *string { return &s.DirTSM }, KeyInfo{Name: "dir_tsm", Default: "none here", Example: `"/data/tsm"`, null: true,
			Doc: "Where data are prepared for tape; tape knows them by their paths here."}),
		field(names, func(s *Site) *[]string { return &s.UploadOptions }, KeyInfo{Name: "upload_options", Default: "none", Example: `["lab", "archive"]`, null: true,
			Doc: "Sites that this site pushes to, in order of preference."}),
		field(names, func(s *Site) *[]string { return &s.DownloadOptions }, KeyInfo{Name: "download_options", Default: "none", Example: `["lab", "archive"]`, null: true,
			Doc: "Sites that this site pulls from, in order of preference."}),
		field(listOf("types", oneOf("type of data", dataTypes()...)), func(s *Site) *[]string { return &s.DataType }, KeyInfo{Name: "data_type", Default: `["raw"]`, Example: `["raw", "processed"]`, null: true,
			Doc: "Types of data that this site copies."}),
		field(listOf("tasks", oneOf("task", taskNames()...)), func(s *Site) *[]string { return &s.TaskList }, KeyInfo{Name: "task_list", Default: "all", Example: `["CopyPush", "AddChecksum"]`, null: true,
			Doc: "Tasks that run at this site."}),
		field(listOf("runs", name), func(s *Site) *[]string { return &s.DatasetList }, KeyInfo{Name: "dataset_list", Default: "all", Example: `["160315_1432"]`, null: true,
			Doc: "Names of the only runs that this site handles."}),
		field(orNil(wholeKind(0, 36500)), func(s *Site) **int { return &s.Purge }, KeyInfo{Name: "purge", Unit: "days", Default: "never", Example: `60`, null: true,
			Doc: "Age after which raw data may be deleted here, if enough good copies exist elsewhere; runs that are older are not pulled."}),
		field(listOf("versions", name), func(s *Site) *[]string { return &s.PaxVersions }, KeyInfo{Name: "pax_versions", Default: "any", Example: `["v6.8.0"]`, null: true,
			Doc: "Versions of processed data that are current."}),
		field(listOf("versions", name), func(s *Site) *[]string { return &s.PaxVersions }, KeyInfo{Name: "pax_processing_versions", Default: "any", Example: `["v6.8.0"]`, null: true, alias: "pax_versions",
			Doc: "The same as pax_versions."}),
		field(name, func(s *Site) *string { return &s.PaxVersionPurge }, KeyInfo{Name: "pax_version_purge", Default: "none", Example: `"v6.2.1"`, null: true,
			Doc: "Version of processed data that may be deleted here."}),
		field(file, func(s *Site) *string { return &s.IdentityFile }, KeyInfo{Name: "identity_file", Default: "agent and ~/.ssh/config", Example: `"~/.ssh/id_cax"`,
			Doc: "Private key to log in with at this site."}),
		field(file, func(s *Site) *string { return &s.KnownHosts }, KeyInfo{Name: "known_hosts", Default: "that of ~/.ssh/config", Example: `"/etc/cax/known_hosts"`,
			Doc: "File with the host keys to trust."}),
		field(hostKeyKind(), func(s *Site) *string { return &s.HostKey }, KeyInfo{Name: "host_key", Default: "known_hosts decides", Example: `"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsNMwJVBuj9yFGzOBlrbjPxnZxMsKdOPTjYiHkF7yTB"`,
			Doc: "The only host key to trust, as in the server's ssh_host_ed25519_key.pub."}),
		field(oneOf("value of verify", verifyRemote), func(s *Site) *string { return &s.Verify }, KeyInfo{Name: "verify", Default: `the site's own daemon verifies; "remote" for gfal-copy`, Example: `"remote"`,
			Doc: `"remote": whoever pushes to this site verifies the copy there; for a site without a daemon.`}),
		field(oneOf("value of daemon", "cax", "python", "none"), func(s *Site) *string { return &s.Daemon }, KeyInfo{Name: "daemon", Default: `"cax"`, Example: `"python"`,
			Doc: `Who works at this site: cax, "python" (the old tool), or "none".`}),
		field(wholeKind(1, 1000), func(s *Site) *int { return &s.Parallel }, KeyInfo{Name: "parallel", Unit: "datasets", Default: "2", Example: `4`,
			Doc: "How many datasets are moved at once between us and this site."}),
		field(bandwidthKind(), func(s *Site) *Bandwidth { return &s.Bandwidth }, KeyInfo{Name: "bandwidth", Unit: "bytes/s", Default: "unbounded", Example: `[{"from": "08:00", "to": "18:00", "rate": "10MB/s"}]`,
			Doc: "Bound over all connections to this site: a number, a text with unit, or a table by time of day (UTC; the first window that fits; outside of all unbounded)."}),
		field(name, func(s *Site) *string { return &s.Domain }, KeyInfo{Name: "domain", Default: "the site's name", Example: `"building-2"`,
			Doc: "What fails together. Copies in one domain count as one; sites with equal or nested directories are one domain too, unless they say otherwise."}),
		field(name, func(s *Site) *string { return &s.SameStorageAs }, KeyInfo{Name: "same_storage_as", Type: "site", Default: "none", Example: `"lab"`,
			Doc: "Another site that reaches the same disks."}),
		field(wholeKind(1, 100), func(s *Site) *int { return &s.MinCopies }, KeyInfo{Name: "min_copies", Unit: "copies", Default: "2", Example: `3`,
			Doc: "How many good copies in other domains have to be left when one is deleted here."}),
		field(sectionKind("permissions", permissionsSection()), func(s *Site) *Permissions { return &s.Permissions }, KeyInfo{Name: "permissions", Type: "object", Default: "nothing is set", Example: `{"raw": {"mode": "0750", "group": "xenon"}}`,
			Doc: "What SetPermission gives to the copies here, by type of data: raw and processed."}),
		field(file, func(s *Site) *string { return &s.GridCert }, KeyInfo{Name: "grid_cert", Default: "none", Example: `"/home/xenon/user_cert"`, null: true,
			Doc: "Certificate with which a process of this site logs in to storage of the grid: a proxy, or certificate and key in one file, or a usercert.pem with a userkey.pem beside it. At a storage: for those sites that set none. None: what X509_USER_PROXY or BEARER_TOKEN say, or the tools find."}),
		field(wholeKind(1, 64), func(s *Site) *int { return &s.NStreams }, KeyInfo{Name: "nstreams", Unit: "streams", Default: "the tool's own", Example: `4`, null: true,
			Doc: "Parallel streams of one grid transfer, where this site makes it; at a storage: where the other site sets none."}),
		field(text, func(s *Site) *string { return &s.RucioUploadRSE }, KeyInfo{Name: "rucio_upload_rse", Type: "RSE", Default: "none", Example: `"ENTRANCE_DISK"`, null: true,
			Doc: "Where uploads into the catalogue enter."}),
		field(text, func(s *Site) *string { return &s.RucioDownloadRSE }, KeyInfo{Name: "rucio_download_rse", Type: "RSE", Default: "any", Example: `"ARCHIVE_DISK"`, null: true,
			Doc: "Where downloads from the catalogue come from."}),
		field(text, func(s *Site) *string { return &s.RucioAccount }, KeyInfo{Name: "rucio_account", Default: "none", Example: `"production"`, null: true,
			Doc: "Account in the catalogue."}),
		field(listOf("RSEs", text), func(s *Site) *[]string { return &s.RucioTransfer }, KeyInfo{Name: "rucio_transfer", Default: "none", Example: `["ARCHIVE_DISK"]`, null: true,
			Doc: "Where the catalogue copies uploads to."}),
		ignored[Site]("rucio_config_p2", shell),
		ignored[Site]("rucio_config_p3", shell),
		field(sectionKind("tsm", tapeSection()), func(s *Site) *TapeConfig { return &s.TSM }, KeyInfo{Name: "tsm", Type: "object", Default: "dsmc of the PATH, archive copies, verified in full", Example: `{"mode": "archive", "verify": "sample"}`,
			Doc: "How data get to tape and back from this site; at a tape server: where the other site sets none."}),
		field(sectionKind("batch", batchSection()), func(s *Site) *BatchConfig { return &s.Batch }, KeyInfo{Name: "batch", Type: "object", Default: "none: this site's daemon processes nothing", Example: `{"system": "slurm", "folder": "/data/cax/batch", "partition": "xenon1t"}`,
			Doc: "The batch system to which processing is submitted."}),
		field(sectionKind("processing", processingSection()), func(s *Site) *ProcessingConfig { return &s.Processing }, KeyInfo{Name: "processing", Type: "object", Default: "pax and hax, as XENON1T ran them", Example: `{"tries": 3}`,
			Doc: "What is made from raw data here, and by which programs; for each of pax_versions."}),
		field(sectionKind("rucio", rucioSection()), func(s *Site) *RucioConfig { return &s.Rucio }, KeyInfo{Name: "rucio", Type: "object", Default: "as the Python client is configured", Example: `{"config": "/opt/rucio/etc/rucio.cfg"}`,
			Doc: "How a catalogue is reached; of a site with method rucio that others push to or pull from."}),
	}}
}

// windowSection is a line of a bandwidth table.
func windowSection() *section[BandwidthWindow] {
	return &section[BandwidthWindow]{"a window of a bandwidth table", []key[BandwidthWindow]{
		field(timeOfDayKind(), func(w *BandwidthWindow) *int { return &w.From }, KeyInfo{Name: "from", Unit: "UTC", Default: "–", Example: `"08:00"`, required: true,
			Doc: "Begin of the window."}),
		field(timeOfDayKind(), func(w *BandwidthWindow) *int { return &w.To }, KeyInfo{Name: "to", Unit: "UTC", Default: "–", Example: `"18:00"`, required: true,
			Doc: "End of the window; before from, it is one over midnight."}),
		field(rateKind(), func(w *BandwidthWindow) *int64 { return &w.BytesPerSecond }, KeyInfo{Name: "rate", Unit: "bytes/s", Default: "–", Example: `"10MB/s"`, required: true,
			Doc: "Bound in the window; 0 is none."}),
	}}
}

// rundbSection is the value of the key rundb.
func rundbSection() *section[RunDBConfig] {
	return &section[RunDBConfig]{"rundb", []key[RunDBConfig]{
		field(addressKind(), func(r *RunDBConfig) *string { return &r.URI }, KeyInfo{Name: "uri", Default: `"sqlite:$XDG_DATA_HOME/cax/runs.db"`, Example: `"mongodb://cax@db.example/run?replicaSet=runs"`,
			Doc: "Address of the run database; a relative sqlite path is relative to the configuration."}),
		field(textKind(), func(r *RunDBConfig) *string { return &r.PasswordFile }, KeyInfo{Name: "password_file", Type: "file", Default: "MONGODB_PASSWORD or MONGO_PASSWORD of the environment", Example: `"/etc/cax/rundb.password"`,
			Doc: "File whose first line is the password."}),
		field(argvKind(), func(r *RunDBConfig) *[]string { return &r.PasswordCommand }, KeyInfo{Name: "password_command", Default: "none", Example: `["pass", "show", "cax"]`,
			Doc: "Program, with arguments, whose first line of output is the password; no shell takes it apart."}),
	}}
}

// masterSection is an entry of master_checksums.
func masterSection() *section[Master] {
	return &section[Master]{"an entry of master_checksums", []key[Master]{
		field(oneOf("type of data", dataTypes()...), func(m *Master) *string { return &m.Type }, KeyInfo{Name: "type", Default: "–", Example: `"raw"`, required: true,
			Doc: "Type of data."}),
		field(nameKind(), func(m *Master) *string { return &m.Host }, KeyInfo{Name: "host", Type: "site", Default: "–", Example: `"lab"`, required: true,
			Doc: "Site whose copy is the master."}),
	}}
}

// policySection is the value of the key policy.
func policySection() *section[Policy] {
	d := func(name, def string, to func(*Policy) *time.Duration, doc string) key[Policy] {
		return field(durationKind(), to, KeyInfo{Name: name, Unit: "time", Default: `"` + def + `"`, Example: `"` + def + `"`, Doc: doc})
	}
	return &section[Policy]{"policy", []key[Policy]{
		d("heartbeat", "30s", func(p *Policy) *time.Duration { return &p.Heartbeat }, "How often the holder of a claim says that it works."),
		d("lease_lost", "2m", func(p *Policy) *time.Duration { return &p.LeaseLost }, "A holder stops when its last heartbeat that was taken is so old."),
		d("lease_expired", "5m", func(p *Policy) *time.Duration { return &p.LeaseExpired }, "Others take a claim over after seeing no heartbeat for so long."),
		d("once_expired", "15m", func(p *Policy) *time.Duration { return &p.OnceExpired }, "The same for --once, by the clock of the database."),
		d("others_take_over", "24h", func(p *Policy) *time.Duration { return &p.OthersTakeOver }, "When another site than the holder's may take over too."),
		d("backoff_min", "1m", func(p *Policy) *time.Duration { return &p.BackoffMin }, "Wait after the first failure; it doubles with each."),
		d("backoff_max", "1h", func(p *Policy) *time.Duration { return &p.BackoffMax }, "Longest wait after a failure."),
		d("interval", "60s", func(p *Policy) *time.Duration { return &p.Interval }, "Time between two cycles of the daemon."),
		d("stall", "5m", func(p *Policy) *time.Duration { return &p.Stall }, "A transfer that moves no byte for so long has failed."),
		field(sizeKind(), func(p *Policy) *int64 { return &p.Reserve }, KeyInfo{Name: "reserve", Unit: "bytes", Default: `"1GiB"`, Example: `"100GiB"`,
			Doc: "What a copy leaves free at its destination."}),
		d("verified_within", "30d", func(p *Policy) *time.Duration { return &p.VerifiedWithin }, "How long a copy counts as verified."),
		field(wholeKind(1, 100), func(p *Policy) *int { return &p.MinCopies }, KeyInfo{Name: "min_copies", Unit: "copies", Default: "2", Example: `3`,
			Doc: "How many good copies have to be left elsewhere when one is deleted; a site's min_copies goes before."}),
		field(wholeKind(1, 100), func(p *Policy) *int { return &p.MinProcessed }, KeyInfo{Name: "min_copies_processed", Unit: "copies", Default: "2", Example: `1`,
			Doc: "The same for processed data; those of a version that is current nowhere need none where the raw data are at their minimum."}),
		field(wholeKind(1, 100), func(p *Policy) *int { return &p.MinDomains }, KeyInfo{Name: "min_domains", Unit: "domains", Default: "2", Example: `3`,
			Doc: "In how many failure domains these have to be; never more than min_copies."}),
		field(listOf("tags", nameKind()), func(p *Policy) *[]string { return &p.KeepTags }, KeyInfo{Name: "keep_tags", Default: `["keep"]`, Example: `["keep", "blessed"]`,
			Doc: "Runs with one of these tags are not deleted from."}),
		field(wholeKind(1, 1000000), func(p *Policy) *int { return &p.PurgeCopies }, KeyInfo{Name: "purge_copies", Unit: "copies", Default: "100", Example: `20`,
			Doc: "How many copies one cycle purges at most."}),
		field(sizeKind(), func(p *Policy) *int64 { return &p.PurgeBytes }, KeyInfo{Name: "purge_bytes", Unit: "bytes", Default: `"10TiB"`, Example: `"500GiB"`,
			Doc: "How many bytes one cycle purges at most."}),
		field(bandwidthKind(), func(p *Policy) *Bandwidth { return &p.Scrub }, KeyInfo{Name: "scrub", Unit: "bytes/s", Default: "0", Example: `[{"from": "20:00", "to": "06:00", "rate": "100MB/s"}]`,
			Doc: "How fast the task Scrub reads copies of the site again: a number, a text with unit, or a table by time of day (UTC; the first window that fits; outside of all, and at rate 0, it rests). 0: it is off."}),
		d("scrub_after", "15d", func(p *Policy) *time.Duration { return &p.ScrubAfter }, "A copy is scrubbed when it was last verified so long ago; half of verified_within if that is set."),
		d("trash", "7d", func(p *Policy) *time.Duration { return &p.Trash }, "How long what cax rm deleted stays in the trash folder beside it."),
		d("settled", "24h", func(p *Policy) *time.Duration { return &p.Settled }, "What no record names is left alone until nothing in it has changed for so long."),
		d("stalled_alert", "2h", func(p *Policy) *time.Duration { return &p.StalledAlert }, "When people are told of a copy that other software began and that does not grow."),
		d("stalled_after", "24h", func(p *Policy) *time.Duration { return &p.StalledAfter }, "When such a copy is begun anew."),
		d("shutdown_grace", "4s", func(p *Policy) *time.Duration { return &p.ShutdownGrace }, "How long work may go on after a signal."),
	}}
}

// topSection is the object form of the configuration. sites is read by load.
func topSection() *section[Config] {
	rundb, policy, master, site := rundbSection(), policySection(), masterSection(), siteSection()
	return &section[Config]{"the configuration", []key[Config]{
		field(sectionKind("rundb", rundb), func(c *Config) *RunDBConfig { return &c.RunDB }, KeyInfo{Name: "rundb", Type: "object", Default: "the embedded run database", Example: `{"uri": "sqlite:runs.db"}`,
			Doc: "Where the run database is."}),
		field(listOf("masters", sectionKind("master", master)), func(c *Config) *[]Master { return &c.Masters }, KeyInfo{Name: "master_checksums", Type: "list of objects", Default: "the original's, where it has these sites", Example: `[{"type": "raw", "host": "lab"}]`,
			Doc: "Whose copy has the right checksum; the first that has a good one."}),
		field(sectionKind("policy", policy), func(c *Config) *Policy { return &c.Policy }, KeyInfo{Name: "policy", Type: "object", Default: "see below", Example: `{"interval": "5m"}`,
			Doc: "Times and limits."}),
		field(sectionKind("naming", namingSection()), func(c *Config) *Naming { return &c.Naming }, KeyInfo{Name: "naming", Type: "object", Default: "XENON1T's names", Example: `{"scope": "exp_{{.ScienceRun}}"}`,
			Doc: "What datasets are called in a Rucio catalogue."}),
		field(sectionKind("corrections", correctionsSection()), func(c *Config) *CorrectionsConfig { return &c.Corrections }, KeyInfo{Name: "corrections", Type: "object", Default: "the collections of the run database", Example: `{"gains": "/data/corrections/gains.json"}`,
			Doc: "Where AddGains, AddDriftVelocity, SetNeuralNetwork, … have their values from."}),
		field(valueKind[struct{}]{"list of objects, or file", map[string]any{"anyOf": []any{
			map[string]any{"type": "string"}, map[string]any{"type": "array", "items": site.schema(), "minItems": 1}}},
			anyKind().read}, func(*Config) *struct{} { return new(struct{}) }, KeyInfo{Name: "sites", Default: "–", Example: `"cax.json"`, required: true,
			Doc: "The sites, or the path of a file with the array of sites, relative to this one."}),
	}}
}

// sectionKind makes the object of a section a value.
func sectionKind[T any](name string, s *section[T]) valueKind[T] {
	return valueKind[T]{name, s.schema(), func(d *decoder, n *node, k *slot) (T, bool) {
		var t T
		before := len(d.problems)
		s.decode(d, n, k.at, &t)
		return t, len(d.problems) == before
	}}
}
