// Package command holds what the binaries share at their edge: the order of
// arguments, usage errors with the nearest valid name, exit codes, and signals.
//
// # Arguments
//
// The flag parser stops at the first argument that is no flag, and wants a flag
// at the level of the command that defines it. [Permute] lets people put any
// flag anywhere: before the subcommand, after it, and after its arguments.
//
// # Exit codes
//
//	0    done
//	1    something failed
//	2    usage or configuration
//	130  interrupted
package command
