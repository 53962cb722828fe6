// Package rundbtest holds what every [rundb.Driver] must do: a conformance suite
// ([Run]), a comparison of two drivers under the same random operations
// ([Differential]), a driver that keeps everything in memory ([Memory]), and one
// that loses writes and answers ([Faulty]).
//
// A driver's test is
//
//	func TestSuite(t *testing.T) {
//		rundbtest.Run(t, func(t *testing.T) rundb.Driver { return openEmpty(t) }, rundbtest.Options{})
//	}
package rundbtest
