// Package local is the transfer backend for the disks of this machine.
package local
