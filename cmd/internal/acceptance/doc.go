// Package acceptance holds the tests of what cax promises, with the program itself
// as its users start it, real servers, and real faults: processes that are killed
// or frozen, disks that are full, bytes that flip.
//
// Without CAX_INTEGRATION=1 they run in small versions.
package acceptance
