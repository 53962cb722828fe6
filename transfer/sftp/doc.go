// Package sftp is the transfer backend for servers with an SFTP subsystem
// (draft-ietf-secsh-filexfer-02, as OpenSSH speaks it).
//
// Several channels over several connections are used at once, and every file has
// many requests in flight, so that a long link is full. What SFTP has no request
// for (hashing and cloning at the far side, syncing a whole file system) is done
// by the login shell where that is a POSIX shell.
package sftp
