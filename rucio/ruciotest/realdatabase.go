package ruciotest

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// The database is called rucio, and so is its owner, who needs no password: who can
// reach the socket is let in.

// socket is the folder of PostgreSQL's socket.
func (r *real) socket() string { return filepath.Join(r.dir, "pg") }

// databaseURL is how SQLAlchemy names the database.
func (r *real) databaseURL() string { return "postgresql+psycopg://rucio@/rucio?host=" + r.socket() }

// startDatabase makes a cluster with an empty database.
func (r *real) startDatabase() error {
	if err := r.as.mkdir(r.socket()); err != nil {
		return err
	}
	data := filepath.Join(r.socket(), "data")
	initdb := exec.Command(filepath.Join(r.postgres, "initdb"),
		"-D", data, "-U", "rucio", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	initdb.Dir = r.dir
	prepare(initdb, r.as, syscall.SIGKILL)
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	// The data live as long as the test: nothing is worth the wait for a disk.
	cmd := exec.Command(filepath.Join(r.postgres, "postgres"), "-D", data, "-k", r.socket(),
		"-c", "listen_addresses=", "-c", "max_connections=200",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	cmd.Dir = r.dir
	var err error
	// SIGQUIT is PostgreSQL's own way to end at once: it frees its shared memory.
	if r.database, err = run(cmd, r.as, filepath.Join(r.dir, "postgres.log"), syscall.SIGQUIT); err != nil {
		return err
	}
	return r.database.wait(func() error {
		_, err := r.psql("postgres", "CREATE DATABASE rucio")
		return err
	})
}

// psql returns what a statement yields, as psql prints it without decoration.
func (r *real) psql(database, statement string) (string, error) {
	cmd := exec.Command(filepath.Join(r.postgres, "psql"), "-h", r.socket(), "-U", "rucio",
		"-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement, database)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// SQL runs a statement in the database, whose tables are in the schema dev, and
// returns the rows: one a line, the columns separated by |.
func (s *Server) SQL(statement string) string {
	s.t.Helper()
	out, err := s.real.psql("rucio", statement)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// ExpireTokens ends the life of all tokens that were given out.
func (s *Server) ExpireTokens() {
	s.t.Helper()
	s.SQL("UPDATE dev.tokens SET expired_at = (now() AT TIME ZONE 'utc') - interval '1 minute'")
}
