// Package logging configures the log of the binaries: a *zap.Logger that writes
// one line per entry to standard error and, appending, to a file.
//
// A line of text is made for people and grep, with the time in UTC, the level,
// the task, and key=value pairs of which run, site and event come first:
//
//	2026-11-25T19:46:10Z INFO  CopyPush run=1234 site=midway event="copy begins" name=160315_1432
//
// Values that are not plain words are quoted as Go strings, so that no name of a
// file or a run can make a line of its own or steer a terminal.
package logging
