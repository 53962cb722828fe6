// Package mongotest gives tests a MongoDB-protocol server and fresh databases on
// it.
//
// # Which server
//
// If CAX_TEST_MONGODB_URI names one, for example a real mongod, that is used.
// Else, if CAX_INTEGRATION is set or CAX_REQUIRE names mongodb, the Java server
// de.bwaldvogel:mongo-java-server is built with Maven, once, below $CAX_TEST_CACHE
// (default: cax-test in the user's cache folder), and one is started for the test
// process. Else the test is skipped, as it is where Java or Maven are missing,
// unless CAX_REQUIRE names mongodb: then it fails.
//
// # Other processes
//
// The URI is good for child processes as well, as long as the test process lives.
// The server's standard input is a pipe from it, and the server ends with the
// pipe, however the test process ends.
package mongotest
