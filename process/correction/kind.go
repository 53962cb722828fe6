package correction

import (
	"github.com/cax-go/cax/rundb"
)

// A Kind is one correction: where it comes from, and where its value goes.
type Kind struct {
	Task       string           // name of the task that applies it, as "AddGains"
	Collection rundb.Collection // where its documents are
	Field      string           // of the run, dotted: what is set
	Symbols    []string         // of its formula; nil: it has none, but values by run number
}

// Symbols of formulas.
const (
	SymbolPMT     = "pmt" // number of the photomultiplier, from 0
	SymbolTime    = "t"   // start of the run, seconds since 1970 UTC
	SymbolT0      = "t0"  // always 0
	SymbolVoltage = "V"   // median voltage of the photomultiplier during the run, in V
	SymbolCathode = "v"   // mean voltage of the cathode during the run, in kV
)

// Names of the corrections whose values are computed.
const (
	Gains         = "AddGains"
	DriftVelocity = "AddDriftVelocity"
)

// Kinds are the corrections of the original, with its names and targets.
func Kinds() []Kind {
	return []Kind{
		{Gains, rundb.Gains, "processor.DEFAULT.gains", []string{SymbolPMT, SymbolTime, SymbolT0, SymbolVoltage}},
		{DriftVelocity, rundb.DriftVelocity, "processor.DEFAULT.drift_velocity_liquid", []string{SymbolCathode}},
		{"SetNeuralNetwork", rundb.NeuralNetwork, "processor.NeuralNet|PosRecNeuralNet.neural_net_file", nil},
		{"SetFieldDistortion", rundb.FieldDistortion, "processor.WaveformSimulator.rz_position_distortion_map", nil},
		{"SetLightCollectionEfficiency", rundb.LightCollectionEfficiency, "processor.WaveformSimulator.s1_light_yield_map", nil},
		{"SetS2xyMap", rundb.S2XYMap, "processor.WaveformSimulator.s2_light_yield_map", nil},
	}
}

// VersionField is the field of a run that holds the version of the correction that
// it has.
func (k Kind) VersionField() string { return rundb.CorrectionVersions + "." + k.Task }
