// Package correction gives runs what processing needs to know about the detector at
// that time: gains of photomultipliers, the drift velocity, maps.
//
// # Documents
//
// The settings of a correction are documents of a collection, written by people. The
// newest, by its calculation_time, counts for all runs ([Newest]); to change a setting, a
// document is added.
//
//	field             type                                        needed
//	calculation_time  date                                        yes
//	version           text or number, another for each document   no: calculation_time, as Python prints it
//	function          text, a formula                             for gains and drift velocity, if there is no correction
//	correction        list of {min, max, value}                   else
//
// An entry of correction holds for the run numbers min ≤ n < max; of several the first
// counts. A document that cannot be used is an error that names it, the field, and what to
// write; an older one is not used in its place.
//
// # Kinds
//
// [Kinds] are the corrections of the original:
//
//	task                          collection                   field of the run, below processor           value
//	AddGains                      gains                        DEFAULT.gains                               formula in pmt, t, t0, V
//	AddDriftVelocity              drift_velocity               DEFAULT.drift_velocity_liquid               formula in v, in km/s
//	SetNeuralNetwork              neural_network               NeuralNet|PosRecNeuralNet.neural_net_file   by run number
//	SetFieldDistortion            field_distortion             WaveformSimulator.rz_position_distortion_map  by run number
//	SetLightCollectionEfficiency  light_collection_efficiency  WaveformSimulator.s1_light_yield_map        by run number
//	SetS2xyMap                    s2_xy_map                    WaveformSimulator.s2_light_yield_map        by run number
//
// pmt is the number of the photomultiplier, from 0; t the start of the run in seconds
// since 1970; t0 is 0; V the median voltage of the photomultiplier during the run, in V, and v
// the mean voltage of the cathode, in kV, both from slow control. Runs that are not
// self-triggered, taken with LEDs, get the gain 1 for each photomultiplier, and runs of the
// muon veto 1e6. The drift velocity is stored in the unit of the processor, cm/ns: a
// formula that gives 1.44 km/s is stored as 1.44e-4.
//
// # Formulas
//
// A [Formula] is written as sympy prints it, and has the value that sympy computes, in double
// precision. It is translated to the language of a library for expressions, in which
// nothing can be called that is not on a short list; a formula that cannot be read is an
// error that names the column and what to write.
//
// # Slow control
//
// [SlowControl] is asked for what was recorded during a run: a [Command], or a web
// service ([HTTP]).
//
// # Errors
//
// Errors are [*Error] with a kind: [ErrInvalid], [ErrNotExist], [ErrUnavailable],
// [ErrRefused]. Errors of the run database, and context errors, pass through.
package correction
