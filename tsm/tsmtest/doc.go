// Package tsmtest is a stand-in for dsmc, for tests: it keeps its tapes in a folder,
// prints what is known of the real program's output, and fails on demand.
//
// A test binary becomes the program when it is started under the name dsmc:
//
//	func TestMain(m *testing.M) {
//		tsmtest.Main()
//		os.Exit(m.Run())
//	}
//
// and [New] makes a [Tape], with a folder to put in the PATH and the variables that
// the program needs. What a Tape records of each run (calls, mounts of tapes) tells
// how much work a program makes for a library.
//
// What it prints for archive, for the end of retrieve, for directories, and for the
// waiting for a tape is not known from the real program; neither is the form of query
// restore.
package tsmtest
