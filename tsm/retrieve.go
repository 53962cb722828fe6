package tsm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// A Recall is one run that brings files from tape.
type Recall struct {
	// Paths on the server.
	Paths []string

	// Description selects among several archive copies of a path; "" takes all there
	// are, so that it must be one each. Backups have none.
	Description string

	// Bytes is the size of all, for the order of runs and the space that they need.
	Bytes int64
}

// Retrieve brings archive copies to DEST/<path without the name of its file space>;
// see [Placed]. Files that are there already are replaced only if replace says so;
// else they are left out, which is ErrIncomplete.
//
// It waits for tapes as long as [Client.TapeWait] says. Nothing is verified.
func (c *Client) Retrieve(ctx context.Context, job Recall, dest string, replace bool, p Progress) (*Result, error) {
	cmd := command{op: "retrieve", words: []string{"retrieve"}, mode: modeRun}
	if job.Description != "" {
		cmd.options = append(cmd.options, "-description="+descriptionPattern(job.Description))
	}
	return c.bring(ctx, cmd, job, dest, replace, p)
}

// Restore brings backups the same way: of each path the latest version, active or not.
func (c *Client) Restore(ctx context.Context, job Recall, dest string, replace bool, p Progress) (*Result, error) {
	cmd := command{op: "restore", words: []string{"restore"}, mode: modeRun, options: []string{"-latest", "-followsymbolic=yes"}}
	return c.bring(ctx, cmd, job, dest, replace, p)
}

func (c *Client) bring(ctx context.Context, cmd command, job Recall, dest string, replace bool, p Progress) (*Result, error) {
	if err := checkOperand(cmd.op, dest); err != nil {
		return nil, err
	}
	if len(job.Paths) == 0 {
		return nil, &Error{Op: cmd.op, Kind: ErrInvalid, Err: errors.New("no files")}
	}
	how := "-replace=no"
	if replace {
		how = "-replace=all"
	}
	cmd.options = append(cmd.options, how, "-preservepath=complete")
	cmd.files, cmd.formats, cmd.waits = job.Paths, true, true
	// The slash says that it is a directory.
	cmd.operands = []string{filepath.Clean(dest) + "/"}
	return c.run(ctx, cmd, p)
}

// checkOperand refuses names that cannot be given on dsmc's command line.
func checkOperand(op, path string) error {
	if err := checkPath(op, path); err != nil {
		return err
	}
	if strings.ContainsAny(path, `*?{}"'`) {
		return &Error{Op: op, Path: path, Kind: ErrInvalid, Err: errors.New("dsmc would take it for a pattern"), Hint: "use a folder without * ? { } and quotes in its path"}
	}
	return nil
}

// Placed finds where a path of the server was brought to below dest: the longest
// ending of it that exists there. The name of the file space, which is left out, is
// not known to us. ok is false if there is none.
func Placed(dest, path string) (name string, ok bool) {
	for rest := strings.TrimPrefix(filepath.Clean(path), "/"); rest != ""; {
		p := filepath.Join(dest, rest)
		if _, err := os.Lstat(p); err == nil {
			return p, true
		}
		_, rest, _ = strings.Cut(rest, "/")
	}
	return "", false
}

// PendingRestores lists interrupted restores that the server keeps for this node, in
// dsmc's words: their form is not documented. None is no error.
func (c *Client) PendingRestores(ctx context.Context) ([]string, error) {
	r, err := c.run(ctx, command{op: "query restore", words: []string{"query", "restore"}, mode: modeText}, nil)
	if errors.Is(err, ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return r.Other, nil
}

// CancelRestores drops an interrupted restore that the server keeps for this node,
// whoever started it: what it has brought stays, it can only not go on where it was.
// With several, dsmc may ask which one (ErrPrompt), and a person has to say.
func (c *Client) CancelRestores(ctx context.Context) error {
	_, err := c.run(ctx, command{op: "cancel restore", words: []string{"cancel", "restore"}, mode: modeText}, nil)
	if errors.Is(err, ErrNotExist) {
		return nil
	}
	return err
}
