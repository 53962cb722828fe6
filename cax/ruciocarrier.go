package cax

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rucio/storage"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// rucioCarrier is the carrier of catalogues: what is pushed is uploaded to the entrance
// RSE, verified there and published; what is pulled comes from the nearest RSE.
type rucioCarrier struct{}

// keeps: a catalogue takes what the original uploads.
func (rucioCarrier) keeps(s *Site, typ rundb.Type) bool {
	if s.Method == MethodRucio && s.RucioUploadRSE != "" {
		return typ == rundb.Raw || typ == rundb.Processed
	}
	return s.Dir(typ) != ""
}

// place is the DID of the dataset in the catalogue; here, it is the path that a run's data
// have by its name.
func (rucioCarrier) place(env *Env, to *Site, r *rundb.Run, src *rundb.Copy) string {
	if to == env.Site {
		return to.Location(src.Type, src.Version, datasetName(r, src))
	}
	names, err := env.Config.Naming.Names(r, src.Type, src.Version)
	if err != nil {
		return ""
	}
	return names.Dataset.String()
}

// datasetName is what the dataset of a run is called on disk: as another copy has it, else
// as the original does.
func datasetName(r *rundb.Run, src *rundb.Copy) string {
	for i := range r.Data {
		c := &r.Data[i]
		if c.Type == src.Type && c.Version == src.Version && path.IsAbs(c.Location) {
			return path.Base(c.Location)
		}
	}
	name := r.Name
	if r.Detector == "muon_veto" {
		name += "_MV"
	}
	if src.Type == rundb.Processed {
		name += ".root"
	}
	return name
}

func (rucioCarrier) holds(env *Env, s *Site, location string) bool {
	if s == env.Site {
		return s.Contains(location)
	}
	// The original writes noPlace until it has uploaded.
	_, err := rucio.ParseDID(location)
	return err == nil || location == noPlace || location == ""
}

func (rucioCarrier) statuses() []rundb.Status {
	return []rundb.Status{rundb.RSEReupload, rundb.RSEQuota}
}

// failed tells by the status what the original told: there is no quota, or the upload has
// to be repeated. What is wrong with the source, or settings, is an error.
func (rucioCarrier) failed(err error) rundb.Status {
	switch classify(err) {
	case ClassQuota:
		return rundb.RSEQuota
	case ClassTransient, ClassStalled, ClassUnavailable, ClassInterrupted, ClassSpace:
		return rundb.RSEReupload
	}
	return rundb.Failed
}

func (by rucioCarrier) move(ctx context.Context, h *haul) (rundb.Status, bson.D, error) {
	if h.task.push {
		return by.upload(ctx, h)
	}
	return by.fetch(ctx, h)
}

// upload publishes this site's copy.
func (rucioCarrier) upload(ctx context.Context, h *haul) (rundb.Status, bson.D, error) {
	w, env := h.w, h.w.env
	client, err := env.catalogs.client(env, h.to)
	if err != nil {
		return "", nil, err
	}
	names, err := env.Config.Naming.Names(w.run, h.src.Type, h.src.Version)
	if err != nil {
		return "", nil, &rucio.Error{Op: "name", Thing: w.run.String(), Kind: rucio.ErrInvalid, Err: err}
	}
	if got := names.Dataset.String(); got != w.held.Copy.Location {
		// Of another naming, or other options: the record says where it is from now on.
		if err := w.held.Set(ctx, bson.D{{Key: "location", Value: got}}); err != nil {
			return "", nil, err
		}
	}
	where := h.src.Location
	if h.task.path != "" {
		where = h.task.path
	}
	m, err := env.manifestOf(ctx, w, h.src, where)
	if err != nil {
		return "", nil, err
	}
	files, err := uploadFiles(m, where)
	if err != nil {
		return "", nil, err
	}
	c := &publication{env: env, client: client, names: names, run: w.run, src: h.src}
	c.meta = c.metadata(env.Log.With(fields(w.d)...))
	if err := c.prepare(ctx); err != nil {
		return "", nil, err
	}
	rse := cmp.Or(h.to.RucioUploadRSE, env.Site.RucioUploadRSE)
	if rse == "" {
		return "", nil, &rucio.Error{Op: "upload to", Thing: h.to.Name, Kind: rucio.ErrInvalid, Err: errors.New("no RSE is named"), Hint: `set "rucio_upload_rse" of ` + h.to.Name}
	}
	u := rucio.Uploader{Client: client, Storage: env.storageOptions(), Log: env.Log}
	res, err := u.Upload(ctx, rucio.Upload{Files: files, Dataset: names.Dataset, RSE: rse, Metadata: c.meta, Commit: h.confirm, Progress: w.progress})
	if err != nil {
		return "", nil, err
	}
	if err := c.publish(ctx, h.to.RucioTransfer); err != nil {
		return "", nil, err
	}
	return c.record(ctx, w, m, res)
}

// manifestOf is what a dataset has to be: its manifest on record, else one made now from
// the files at a path, which has to be what the run's records say.
func (e *Env) manifestOf(ctx context.Context, w *work, src *rundb.Copy, where string) (*checksum.Manifest, error) {
	key := rundb.ManifestKey{Run: w.run.ID, Type: src.Type, Version: src.Version}
	m, err := e.Store.Manifest(ctx, key)
	if err == nil || !errors.Is(err, rundb.ErrNotExist) {
		return m, err
	}
	if m, err = checksum.MakeManifest(ctx, where, &checksum.ManifestOptions{DropCache: true}); err != nil {
		return nil, err
	}
	sum, err := m.LegacySum(checksum.SHA512)
	if err != nil {
		return nil, err
	}
	if ok, why := acceptable(e.Config, w.run, key, sum); !ok {
		return nil, fmt.Errorf("%w: %s", errConflict, why)
	}
	return m, e.Store.PutManifest(ctx, key, m)
}

// uploadFiles are the files of a manifest as an upload takes them.
func uploadFiles(m *checksum.Manifest, where string) ([]rucio.UploadFile, error) {
	var files []rucio.UploadFile
	for i := range m.Entries {
		e := &m.Entries[i]
		switch {
		case e.Dir:
			return nil, &rucio.Error{Op: "upload", Thing: transfer.Quote(e.Path), Kind: rucio.ErrInvalid, Err: errors.New("it is an empty directory, which a catalogue cannot hold"), Hint: "remove it, and make the manifest anew (cax verify --repair-manifest)"}
		case strings.ContainsFunc(e.Path, func(r rune) bool { return r <= ' ' || r == ':' || r >= 0x7f }):
			return nil, &rucio.Error{Op: "upload", Thing: transfer.Quote(e.Path), Kind: rucio.ErrInvalid, Err: errors.New("a catalogue takes no such name")}
		}
		p := filepath.Join(where, filepath.FromSlash(e.Path))
		if m.Single {
			p = where
		}
		files = append(files, rucio.UploadFile{Path: p, Name: e.Path, Size: e.Size, Sums: e.Sums})
	}
	if len(files) == 0 {
		return nil, &rucio.Error{Op: "upload", Thing: where, Kind: rucio.ErrInvalid, Err: errors.New("there is no file in it")}
	}
	return files, nil
}

// storageOptions are how to log in to storage from this site.
func (e *Env) storageOptions() *storage.Options {
	o := &storage.Options{Stall: e.Policy.Stall, CADir: os.Getenv("X509_CERT_DIR"), Log: e.Log}
	if e.Site.GridCert != "" {
		o.Proxy = expandHome(e.Site.GridCert)
	}
	return o
}

// A publication is what surrounds the files of one dataset in a catalogue: scopes,
// containers, metadata, rules.
type publication struct {
	env    *Env
	client *rucio.Client
	names  CatalogNames
	run    *rundb.Run
	src    *rundb.Copy
	meta   map[string]any
}

// prepare asks whether the server is there and makes the scopes, where they are missing.
func (p *publication) prepare(ctx context.Context) error {
	if _, err := p.client.Ping(ctx); err != nil {
		return err
	}
	me, err := p.client.Whoami(ctx)
	if err != nil {
		return err
	}
	mine, err := p.client.AccountScopes(ctx, me.Name)
	if err != nil {
		return err
	}
	var all []string
	for _, s := range p.names.Scopes() {
		if slices.Contains(mine, s) {
			continue
		}
		if all == nil {
			if all, err = p.client.Scopes(ctx); err != nil {
				return err
			}
		}
		if slices.Contains(all, s) {
			continue // somebody else's, which we may be allowed to write to
		}
		if err := p.client.AddScope(ctx, me.Name, s); err != nil && !errors.Is(err, rucio.ErrExist) {
			return err
		}
	}
	return nil
}

// metadata are those of the dataset, its files and its container. A value that does not
// fit its column is kept as JSON, under a key of our own.
func (p *publication) metadata(log *zap.Logger) map[string]any {
	out := map[string]any{}
	for _, m := range []struct {
		key   string
		value any
	}{
		{"phys_group", p.run.User}, {"provenance", p.run.Detector}, {"datatype", p.run.Source}, {"campaign", p.names.ScienceRun},
		{"run_number", p.run.Number}, {"prod_step", string(p.src.Type)}, {"version", p.src.Version},
	} {
		if m.value == "" {
			continue
		}
		key := m.key
		if rucio.CheckMetadata(key, m.value) != nil {
			key = p.env.Config.Naming.WithDefaults().JSONPrefix + m.key
			log.Warn("a value is too long for its column in the catalogue and is kept as JSON", zap.String("column", m.key), zap.Any("value", m.value), zap.String("key", key))
		}
		out[key] = m.value
	}
	return out
}

// publish puts the dataset into its containers, and makes the rules that are wanted right
// after an upload.
func (p *publication) publish(ctx context.Context, rses []string) error {
	for _, link := range []struct{ parent, child rucio.DID }{{p.names.Container, p.names.Dataset}, {p.names.OverContainer, p.names.Container}} {
		err := p.client.AddDID(ctx, rucio.NewDID{DID: link.parent, Type: rucio.Container})
		if err != nil && !errors.Is(err, rucio.ErrExist) {
			return err
		}
		if err := p.client.Attach(ctx, link.parent, []rucio.DID{link.child}); err != nil {
			return err
		}
	}
	if err := p.client.SetMetadata(ctx, p.names.Container, p.meta); err != nil {
		return err
	}
	for _, rse := range rses {
		_, err := p.client.AddRule(ctx, rucio.NewRule{DIDs: []rucio.DID{p.names.Dataset}, RSEExpression: rse})
		if err != nil && !errors.Is(err, rucio.ErrExist) {
			return fmt.Errorf("rule at %s: %w", rse, err)
		}
	}
	return nil
}

// record says what the run document gets to say, after one more look into the catalogue.
func (p *publication) record(ctx context.Context, w *work, m *checksum.Manifest, res *rucio.UploadResult) (rundb.Status, bson.D, error) {
	found, err := lookUp(ctx, p.client, p.names.Dataset)
	if err != nil {
		return "", nil, err
	}
	content, err := found.content(m)
	if err != nil {
		return "", nil, err
	}
	if content == "" {
		return "", nil, &rucio.Error{Op: "compare", Thing: p.names.Dataset.String(), Kind: rucio.ErrCorrupt, Err: errors.New("the dataset in the catalogue is not the one that was uploaded")}
	}
	now, err := w.env.Store.Now(ctx)
	if err != nil {
		return "", nil, err
	}
	replicas := found.replicas(now, nil)
	rse, info := found.original(replicas, now)
	if !slices.Contains(rse, res.RSE) {
		r, ok := found.rule(res.RSE, "")
		why := "no rule keeps it there"
		if ok {
			why = fmt.Sprintf("the rule is %s: %s", r.State, found.why[r.ID])
		}
		return "", nil, &rucio.Error{Op: "publish", Thing: p.names.Dataset.String() + " at " + res.RSE, Kind: rucio.ErrTransient, Err: errors.New(why)}
	}
	w.evidence = bson.D{{Key: "rse", Value: res.RSE}, {Key: "rule", Value: res.Rule}, {Key: "bytes", Value: res.Bytes}, {Key: "sent", Value: res.Sent},
		{Key: "files", Value: int64(len(res.Files))}, {Key: "checksum", Value: content}}
	return rundb.Transferred, bson.D{
		{Key: "location", Value: p.names.Dataset.String()},
		{Key: "checksum", Value: found.checksum()}, {Key: "checksum_algorithm", Value: "adler32"},
		{Key: "rse", Value: rse}, {Key: "rule_info", Value: info},
		{Key: "replicas", Value: rundb.ReplicasBSON(replicas)}, {Key: "content", Value: content},
		{Key: "files", Value: found.files}, {Key: "size", Value: found.bytes},
		{Key: "verified_at", Value: now}, {Key: "evidence", Value: string(rundb.Stream)},
	}, nil
}
