package cax

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/tsm"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// A tapeUpload takes one dataset to tape: check, prepare, archive, query back, bring back,
// record.
type tapeUpload struct {
	*haul
	drive *tapeDrive
	conf  TapeConfig

	manifest *checksum.Manifest
	files    []tapedFile // under the names that tape has
	staged   bool        // a folder was prepared
	log      tsm.LogSummary
	skipped  bool // tape had everything already
	sampled  int  // files that were brought back and compared
}

func (u *tapeUpload) do(ctx context.Context) (status rundb.Status, set bson.D, err error) {
	u.log = tsm.LogSummary{Dataset: path.Base(u.src.Location), Up: notTold(), Down: notTold()}
	u.log.Up.Files = 0
	defer func() {
		if ctx.Err() == nil {
			u.log.Outcome = outcomeOf(err)
			u.tell(u.log)
		}
	}()
	u.clear(ctx)
	if err := u.check(ctx); err != nil {
		return "", nil, err
	}
	if err := u.prepare(ctx); err != nil {
		return "", nil, err
	}
	defer func() {
		if cerr := u.unstage(); cerr != nil {
			u.w.env.Log.Warn("the folder that was prepared for tape stays", append(fields(u.w.d), zap.Error(cerr))...)
		}
	}()
	if err := u.confirm(ctx); err != nil {
		return "", nil, err
	}
	if err := u.send(ctx); err != nil {
		return "", nil, err
	}
	if err := u.prove(ctx); err != nil {
		return "", nil, err
	}
	return u.record(ctx)
}

// clear removes what earlier tries have brought back to compare. What they have sent is
// named by the description on record.
func (u *tapeUpload) clear(ctx context.Context) {
	for _, claim := range append(append([]string{u.w.held.ID}, u.job.Continue...), u.job.Adopt...) {
		if err := removeAll(u.w.env.tapeRoom(u.src, claim)); err != nil {
			u.w.env.Log.Warn("what an earlier try brought back stays", append(fields(u.w.d), zap.Error(err))...)
			return
		}
	}
	u.w.staged(ctx)
}

// refuse is the error of a dataset that cannot go to tape.
func (u *tapeUpload) refuse(p, why, hint string) error {
	return &transfer.Error{Op: "archive", Path: p, Kind: transfer.ErrInvalid, Err: errors.New(why), Hint: hint}
}

// check looks at the dataset and at the server, before anything is written.
func (u *tapeUpload) check(ctx context.Context) error {
	env := u.w.env
	if err := u.drive.meet(ctx, env.Clock); err != nil {
		return err
	}
	key := rundb.ManifestKey{Run: u.w.run.ID, Type: u.src.Type, Version: u.src.Version}
	stored, err := env.Store.Manifest(ctx, key)
	if err != nil && !errors.Is(err, rundb.ErrNotExist) {
		return err
	}
	if stored != nil {
		v, err := env.remotes.copier().Verify(ctx, transfer.Location{Backend: env.remotes.local(), Path: u.src.Location}, stored, nil)
		if err != nil {
			return err
		}
		if err := checksum.Differ("the source", v.Differences); err != nil {
			return &transfer.Error{Op: "read", Place: env.Site.Name, Path: u.src.Location, Kind: transfer.ErrCorrupt, Err: err}
		}
		u.manifest = stored
	} else if u.manifest, err = env.manifestOf(ctx, u.w, u.src, u.src.Location); err != nil {
		return err
	}
	if u.manifest.Files() == 0 {
		return u.refuse(u.src.Location, "there is no file in it", "register it when it is complete")
	}
	for i := range u.manifest.Entries {
		e := &u.manifest.Entries[i]
		switch {
		case (e.Dir || strings.Contains(e.Path, "/")) && u.conf.Subfolders != wordYes:
			return u.refuse(u.src.Location, fmt.Sprintf("it has the sub-folder %s", transfer.Quote(folderOf(e))), `set "subfolders": "yes" of the key tsm, if such datasets are to go to tape`)
		case strings.ContainsAny(e.Path, "\n\r\x18\x19"):
			return u.refuse(u.src.Location, fmt.Sprintf("dsmc cannot take the name %s", transfer.Quote(e.Path)), "rename it, and make the manifest anew (cax verify --repair-manifest)")
		}
	}
	if p := u.w.progress; p != nil {
		p.Start(u.manifest.Files(), u.manifest.Size())
	}
	return nil
}

func folderOf(e *checksum.Entry) string {
	if e.Dir {
		return e.Path
	}
	return path.Dir(e.Path)
}

// prefix is what files are called on tape; "" for their own names.
func (u *tapeUpload) prefix() string {
	if u.manifest.Single || !u.w.env.renames(u.to) {
		return ""
	}
	return path.Base(u.src.Location)
}

// prepare makes the files available under the names that tape is to have.
func (u *tapeUpload) prepare(ctx context.Context) error {
	env := u.w.env
	if u.manifest.Single && env.renames(u.to) {
		// One file has the run's name already.
		if err := u.moveTo(ctx, u.src.Location); err != nil {
			return err
		}
	}
	place := u.w.held.Copy.Location
	u.files = tapeFiles(place, u.prefix(), u.manifest)
	if u.prefix() == "" {
		return nil
	}
	s, err := tsm.Stage(ctx, u.src.Location, place, u.prefix(), &tsm.StageOptions{Reserve: env.Policy.Reserve})
	if err != nil {
		return err
	}
	u.staged = true
	env.Log.Debug("prepared for tape", append(fields(u.w.d), zap.String("folder", place), zap.Int("linked", s.Linked), zap.Int("cloned", s.Cloned), zap.Int("copied", s.Copied))...)
	return nil
}

func (u *tapeUpload) moveTo(ctx context.Context, place string) error {
	if u.w.held.Copy.Location == place {
		return nil
	}
	if err := u.w.held.Set(ctx, bson.D{{Key: "location", Value: place}}); err != nil {
		return err
	}
	u.w.held.Copy.Location = place
	return nil
}

// unstage removes the folder that was prepared; also one of a claim that was lost, whose
// taker makes it anew.
func (u *tapeUpload) unstage() error {
	if !u.staged {
		return nil
	}
	return tsm.Unstage(u.w.held.Copy.Location, u.prefix())
}

// send gets all files on tape that are not there yet. What an earlier try has sent under
// its description is not sent again, unless it was found to be wrong.
func (u *tapeUpload) send(ctx context.Context) error {
	rest := u.files
	if u.conf.Mode == tapeIncr {
		return u.incremental(ctx)
	}
	if u.w.held.Copy.Archive != "" && !u.job.Suspect {
		missing, err := u.missing(ctx)
		if err != nil {
			return err
		}
		again := map[string]bool{}
		for _, d := range missing {
			again[d.Path] = true
			if d.Kind != tsm.Missing {
				u.w.held.Copy.Archive = "" // what it has is not this dataset
			}
		}
		if u.w.held.Copy.Archive != "" {
			rest = nil
			for _, f := range u.files {
				if again[f.Path] {
					rest = append(rest, f)
				}
			}
		}
	} else {
		u.w.held.Copy.Archive = ""
	}
	if u.w.held.Copy.Archive == "" {
		u.w.held.Copy.Archive = "cax:" + plainName(u.w.run.Name) + ":" + u.w.held.ID
		if err := u.w.held.Set(ctx, bson.D{{Key: "archive", Value: u.w.held.Copy.Archive}}); err != nil {
			return err
		}
	}
	if len(rest) == 0 {
		u.skipped = true
		return nil
	}
	r, err := u.drive.client.Archive(ctx, pathsOf(rest), u.w.held.Copy.Archive, tapeProgress{u.w.progress})
	return u.sent(ctx, r, err)
}

// incremental backs the dataset up, for servers that take no archive copies.
func (u *tapeUpload) incremental(ctx context.Context) error {
	if u.manifest.Single {
		return u.refuse(u.src.Location, "it is a single file, and backups are made of folders", `set "mode": "archive" of the key tsm`)
	}
	if u.w.held.Copy.Archive != "" {
		u.w.held.Copy.Archive = ""
		if err := u.w.held.Set(ctx, bson.D{{Key: "archive", Value: nil}}); err != nil {
			return err
		}
	}
	r, err := u.drive.client.Incremental(ctx, u.w.held.Copy.Location, tapeProgress{u.w.progress})
	return u.sent(ctx, r, err)
}

// sent notes what dsmc says, and if that is an error asks whether the files are on tape
// nevertheless: a lost connection at the end says nothing about them.
func (u *tapeUpload) sent(ctx context.Context, r *tsm.Result, err error) error {
	if r != nil {
		addPart(&u.log.Up, r.Statistics)
	}
	if err == nil || ctx.Err() != nil || !errors.Is(err, tsm.ErrTransient) && !errors.Is(err, tsm.ErrIncomplete) && !errors.Is(err, tsm.ErrFailed) {
		return err
	}
	missing, qerr := u.missing(ctx)
	if qerr != nil || len(missing) > 0 {
		return err
	}
	u.w.env.Log.Warn("dsmc failed, and everything is on tape", append(fields(u.w.d), zap.Error(err))...)
	return nil
}

// missing asks which files are not on tape.
func (u *tapeUpload) missing(ctx context.Context) ([]tsm.Difference, error) {
	q := tsm.Query{Path: u.w.held.Copy.Location, Description: u.w.held.Copy.Archive}
	ask := u.drive.client.QueryArchive
	if u.conf.Mode == tapeIncr {
		ask = u.drive.client.QueryBackup
	}
	rows, err := ask(ctx, q)
	if err != nil {
		return nil, err
	}
	return tsm.Uncovered(filesOf(u.files), rows), nil
}

// record says what the run document gets to say.
func (u *tapeUpload) record(ctx context.Context) (rundb.Status, bson.D, error) {
	w := u.w
	sum, err := u.manifest.LegacySum(checksum.SHA512)
	if err != nil {
		return "", nil, err
	}
	now, err := w.env.Store.Now(ctx)
	if err != nil {
		return "", nil, err
	}
	evidence := rundb.Listed
	if u.sampled == len(u.files) {
		evidence = rundb.Cached
	}
	u.log.Up.Checksum = sum.Bare()
	if u.sampled > 0 {
		u.log.Down.Checksum = sum.Bare()
	}
	w.evidence = bson.D{{Key: "source", Value: u.src.Host}, {Key: "location", Value: w.held.Copy.Location}, {Key: "archive", Value: w.held.Copy.Archive},
		{Key: "files", Value: int64(len(u.files))}, {Key: "bytes", Value: u.manifest.Size()}, {Key: "brought_back", Value: int64(u.sampled)},
		{Key: "was_there", Value: u.skipped}, {Key: "checksum", Value: sum.String()}}
	set := bson.D{{Key: "location", Value: w.held.Copy.Location}, {Key: "checksum", Value: sum.Bare()}, {Key: "checksum_algorithm", Value: nil},
		{Key: "files", Value: int64(len(u.files))}, {Key: "size", Value: u.manifest.Size()},
		{Key: "verified_at", Value: now}, {Key: "evidence", Value: string(evidence)}}
	return rundb.Transferred, set, nil
}

// plainName keeps what a description may hold.
func plainName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '_' || r == '-' || r == '.' {
			return r
		}
		return '.'
	}, s[:min(len(s), 100)])
}
