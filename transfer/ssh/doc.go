// Package ssh is the connection layer of the transfer backends that reach a
// server by SSH: several connections to one account, opened when they are needed
// and renewed when they break, and file operations by the far side's shell.
//
// Host keys are always checked, against known_hosts or a pinned key; there is no
// way to switch that off. Logins are by key: an agent, or identity files.
//
// The window of one SSH channel is 2 MiB in the Go implementation, so one channel
// moves at most 2 MiB per round trip. Long links need several channels; several
// connections also use several processors at both ends. [Config.Connections] and
// [Config.Sessions] stay below the defaults of sshd (MaxSessions 10,
// MaxStartups 10).
//
// Errors are *transfer.Error with the kinds ErrHostKey, ErrAuth, ErrTransient and
// ErrInvalid.
package ssh
