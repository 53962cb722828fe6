// Package scp is the transfer backend for servers without SFTP: file contents go
// by the protocol of "scp -t" and "scp -f", one session a file, and everything
// else by commands of the login shell (see ssh.Shell).
//
// The protocol has no specification; it is that of BSD rcp as OpenSSH's scp.c
// speaks it. The sender writes
//
//	T<mtime> 0 <atime> 0\n
//	C<mode> <size> <name>\n<bytes>\0
//
// and the receiver answers each line, and the bytes, with one byte: 0 for
// success, 1 for a warning and 2 for an error, each of these two followed by a
// line of text. Names in C lines cannot hold a newline; the path on the command
// line can, and where that names a file the name in the C line is ignored.
//
// The protocol cannot write at an offset: what is resumed is whole files.
package scp
