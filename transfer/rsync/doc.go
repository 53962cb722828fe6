// Package rsync is the transfer backend that lets the system's rsync move whole
// datasets over the system's ssh, with the same keys and the same policy for host
// keys as package ssh. Everything else goes by commands of the far side's login
// shell and by the scp protocol.
//
// rsync writes into staging and nowhere else, keeps partial files in a folder of
// their own (--partial-dir), and never appends to what it finds (--append would
// silently keep a wrong beginning). What it has done is verified afterwards by
// the Copier. Finished files are not sent again: it compares size and
// modification time. Paths are protected from the far side's shell
// (-s, --secluded-args).
package rsync
