package cax

// RucioConfig says how a Rucio catalogue is reached, and what is known of its storage
// elements. It belongs to the site that stands for the catalogue. Key rucio.
type RucioConfig struct {
	Config   string // path of a rucio.cfg; "": where the Python client looks for it
	Host     string // URL of the server; "": that of rucio.cfg
	AuthHost string // URL for logins; "": that of rucio.cfg, or Host if that is set
	RSEs     []RSEConfig
}

// An RSEConfig says what a storage element of a catalogue is, for counting copies.
type RSEConfig struct {
	Name          string
	Domain        string // "": the name of the RSE
	SameStorageAs string // a site that reaches the same disks; "": none
}

// RSE is what the configuration says of a storage element.
func (c RucioConfig) RSE(name string) RSEConfig {
	for _, r := range c.RSEs {
		if r.Name == name {
			return r
		}
	}
	return RSEConfig{Name: name}
}

// rucioSection is the value of a site's key rucio.
func rucioSection() *section[RucioConfig] {
	return &section[RucioConfig]{"rucio", []key[RucioConfig]{
		field(fileKind(), func(c *RucioConfig) *string { return &c.Config }, KeyInfo{Name: "config", Default: "$RUCIO_CONFIG, $RUCIO_HOME/etc/rucio.cfg, …", Example: `"/opt/rucio/etc/rucio.cfg"`,
			Doc: "File with the server and how to log in, as the Python client reads it."}),
		field(wordKind(), func(c *RucioConfig) *string { return &c.Host }, KeyInfo{Name: "host", Type: "URL", Default: "rucio_host of that file", Example: `"https://rucio.example"`,
			Doc: "The server."}),
		field(wordKind(), func(c *RucioConfig) *string { return &c.AuthHost }, KeyInfo{Name: "auth_host", Type: "URL", Default: "auth_host of that file, or host", Example: `"https://rucio-auth.example"`,
			Doc: "The server for logins."}),
		field(listOf("RSEs", sectionKind("RSE", rseSection())), func(c *RucioConfig) *[]RSEConfig { return &c.RSEs }, KeyInfo{Name: "rses", Type: "list of objects", Default: "each RSE is a domain of its own", Example: `[{"name": "LNGS_USERDISK", "same_storage_as": "lab"}]`,
			Doc: "What is known of storage elements, so that copies in the catalogue are counted right."}),
	}}
}

func rseSection() *section[RSEConfig] {
	return &section[RSEConfig]{"an entry of rses", []key[RSEConfig]{
		field(nameKind(), func(r *RSEConfig) *string { return &r.Name }, KeyInfo{Name: "name", Default: "–", Example: `"LNGS_USERDISK"`, required: true,
			Doc: "The RSE."}),
		field(nameKind(), func(r *RSEConfig) *string { return &r.Domain }, KeyInfo{Name: "domain", Default: "the RSE", Example: `"lngs"`,
			Doc: "What it fails together with."}),
		field(nameKind(), func(r *RSEConfig) *string { return &r.SameStorageAs }, KeyInfo{Name: "same_storage_as", Type: "site", Default: "none", Example: `"lab"`,
			Doc: "A site that reaches the same disks: both are one copy."}),
	}}
}
