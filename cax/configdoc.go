package cax

import (
	"encoding/json"
	"strings"
)

// ConfigSchema is the JSON schema of the configuration in both forms, as it is
// shipped in config.schema.json.
func ConfigSchema() ([]byte, error) {
	object := topSection().schema()
	b, err := json.MarshalIndent(map[string]any{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "Configuration of cax",
		"description": "An array of sites, or an object with the key sites.",
		"anyOf": []any{
			map[string]any{"type": "array", "items": siteSection().schema(), "minItems": 1},
			object,
		},
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

// ConfigKeys are the keys of one kind of object of the configuration.
type ConfigKeys struct {
	Title string // for a heading, as "Keys of a site"
	Keys  []KeyInfo
}

// AllConfigKeys documents every key that the configuration may have.
func AllConfigKeys() []ConfigKeys {
	return []ConfigKeys{
		{"Keys of a site", siteSection().infos()},
		{"Keys of a window of `bandwidth`", windowSection().infos()},
		{"Keys of `permissions`", permissionsSection().infos()},
		{"Keys of an entry of `permissions`", permissionSection().infos()},
		{"Keys of `tsm`", tapeSection().infos()},
		{"Keys of `batch`", batchSection().infos()},
		{"Keys of `processing`", processingSection().infos()},
		{"Keys of an entry of `processors`", processorSection().infos()},
		{"Keys of `rucio`", rucioSection().infos()},
		{"Keys of an entry of `rses`", rseSection().infos()},
		{"Keys of the object form", topSection().infos()},
		{"Keys of `rundb`", rundbSection().infos()},
		{"Keys of an entry of `master_checksums`", masterSection().infos()},
		{"Keys of `policy`", policySection().infos()},
		{"Keys of `naming`", namingSection().infos()},
		{"Keys of an entry of `science_runs`", scienceRunSection().infos()},
		{"Keys of `corrections`", correctionsSection().infos()},
		{"Keys of `pmts`", pmtsSection().infos()},
		{"Keys of `slow_control`", slowControlSection().infos()},
	}
}

// ConfigMarkdown is the table of all keys for people, in Markdown.
func ConfigMarkdown() string {
	var b strings.Builder
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	for i, g := range AllConfigKeys() {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("**" + g.Title + "**\n\n| key | type | default | example | meaning |\n|---|---|---|---|---|\n")
		for _, k := range g.Keys {
			typ, example := k.Type, "`"+k.Example+"`"
			if k.Unit != "" {
				typ += ", " + k.Unit
			}
			if k.legacy != "" {
				example = ""
			}
			b.WriteString("| `" + k.Name + "` | " + cell(typ) + " | " + cell(k.Default) + " | " + cell(example) + " | " + cell(k.Doc) + " |\n")
		}
	}
	return b.String()
}
