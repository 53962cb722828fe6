// Package processtest has the suite that every batch system passes, and a batch
// system that loses answers. The test of an implementation is a call of [Run].
package processtest
