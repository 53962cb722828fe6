// Package ruciotest gives tests a Rucio server: a real one, and one in memory.
//
// # A server in memory
//
// [NewFake] answers as a real server of a version from 34 to 41 does, in milliseconds,
// with the oddities of the real one, and goes wrong on demand ([Fake.Fail]). Its
// storages are folders. A test compares its answers with those of a real server.
//
// # A real server
//
// [Start] runs the real thing on loopback for one test: PostgreSQL, the Rucio
// server under gunicorn, an XRootD that serves two of its storages, all fresh, on
// ports of their own and with data in one temporary folder, and ends them with the
// test. It takes some 5 seconds; tests that can share one are sub-tests of a test
// that starts it, and use [Server.With].
//
// It needs PostgreSQL, XRootD and Python with venv from the system (see [Install])
// and, once, the network: the Python packages go into a virtual environment below
// $CAX_TEST_RUCIO, else $CAX_TEST_CACHE, else cax-test in the user's cache folder.
// Without CAX_INTEGRATION=1 the test is skipped, as it is where something is
// missing, unless CAX_REQUIRE names rucio: then it fails.
//
// # What is there
//
// Three accounts, [Server.Root], [Server.Admin] and [Server.User], and four
// storages: [RSEA] and [RSEB] are folders, [RSEDavs] is WebDAV over TLS and
// [RSERoot] the XRootD protocol. [Server.Folder] is where each keeps its files.
//
// # The judge
//
// [Server.CLI], [Server.Python] and [Server.Command] run the Python client of the
// same release against the server, [Server.Daemon] runs one of Rucio's daemons
// once, [Server.SQL] looks into the database.
//
// # By hand
//
// This keeps a server running until it is interrupted, and says how to reach it:
//
//	CAX_INTEGRATION=1 CAX_RUCIO_SERVE=1 go test -timeout 0 -v -run TestReal ./rucio/ruciotest
package ruciotest
