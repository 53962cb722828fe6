package process

// XENON1T gives the processors of the experiment, for any version: pax, which makes
// "processed" from raw data, with the configuration and decoder that detector and
// mode ask for, and hax, which makes one "minitree", Input.Part, from processed
// data. Options of paxer and haxer: their help texts, pax 6.10 and hax 2.5.
//
// The programs are those on the PATH; a site puts its own before these, one a
// version, as with a command "/opt/pax_v6.8.0/bin/paxer".
func XENON1T() []Processor {
	pax := func(detector, mode, config, decoder, output string) Processor {
		return Processor{
			Name: "pax", Type: "processed", Detector: detector, Mode: mode,
			Command: []string{"paxer", "--config", config, "--input", "{{.Path}}", "--output", "{{.Dir}}/" + output,
				"--cpus", "{{.CPUs}}", "--config_string", paxSettings(decoder)},
			Output: output + ".root",
		}
	}
	return []Processor{
		pax("muon_veto", "", "XENON1T_MV", "BSON.DecodeZBSON", "{{.Name}}_MV"),
		pax("tpc", ModeLED, "XENON1T_LED", "Pickle.DecodeZPickle", "{{.Name}}"),
		pax("tpc", ModeSelfTrigger, "XENON1T", "Pickle.DecodeZPickle", "{{.Name}}"),
		{
			Name: "hax", Type: "minitree",
			// haxer writes into the folder in which it runs.
			Command: []string{"haxer", "--main_data_paths", "{{dir .Path}}", "--input", "{{.Name}}",
				"--treemakers", "{{.Part}}", "--pax_version_policy", `{{trimprefix "v" .Version}}`},
			Output: "{{.Name}}_{{.Part}}.root",
		},
	}
}

// paxSettings overrides settings of pax as the original did, in the form that
// paxer reads: "]" and ";" end lines.
func paxSettings(decoder string) string {
	return `[pax]decoder_plugin = "` + decoder + `";[DEFAULT]lock_breaking_timeout = 600;` +
		`[Queues]event_block_size = 1;max_blocks_on_heap = 1000;timeout_after_sec = 600`
}

// Treemakers are the minitrees that the original made of each run.
func Treemakers() []string {
	return []string{"Corrections", "Basics", "Fundamentals", "PositionReconstruction", "CorrectedDoubleS1Scatter",
		"LargestPeakProperties", "IsolatedPeaks", "TotalProperties", "Extended", "Proximity", "LoneSignalsPreS1",
		"LoneSignals", "FlashIdentification", "SingleElectrons"}
}
