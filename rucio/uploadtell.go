package rucio

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"
)

// tell registers verified files: replicas, membership, rule, metadata.
func (t *uploading) tell(ctx context.Context, files []UploadedFile) (rule string, err error) {
	c, ds := t.s.client, t.job.Dataset
	if err := t.dataset(ctx); err != nil {
		return "", err
	}
	var fresh []NewReplica
	var waiting, dids []DID
	for _, f := range files {
		dids = append(dids, f.DID)
		switch state, there := t.known[f.Name].States[t.rse.Name]; {
		case !there:
			r := NewReplica{DID: f.DID, Bytes: f.Bytes, Adler32: f.Adler32, MD5: f.MD5, State: Available}
			if !t.rse.Deterministic {
				r.PFN = f.PFN
			}
			fresh = append(fresh, r)
		case state != Available:
			waiting = append(waiting, f.DID) // an upload that did not come to its end
		}
	}
	if err := c.AddReplicas(ctx, t.rse.Name, fresh); err != nil {
		return "", err
	}
	if len(waiting) > 0 {
		if err := c.SetReplicaState(ctx, t.rse.Name, Available, waiting); err != nil {
			return "", err
		}
	}
	outside := slices.DeleteFunc(slices.Clone(dids), func(d DID) bool { return t.members[d] })
	if err := c.Attach(ctx, ds, outside); err != nil {
		return "", err
	}
	if rule, err = t.keep(ctx); err != nil {
		return "", err
	}
	return rule, t.describe(ctx, dids)
}

// dataset makes the dataset, if it is not there.
func (t *uploading) dataset(ctx context.Context) error {
	c := t.s.client
	err := c.AddDID(ctx, NewDID{DID: t.job.Dataset, Type: Dataset})
	if errors.Is(err, ErrTransient) {
		// It may have been made and the answer was lost.
		if _, lost := c.DID(ctx, t.job.Dataset); lost == nil {
			return nil
		}
	}
	if errors.Is(err, ErrExist) {
		return nil
	}
	return err
}

// keep sees to a rule of ours that keeps the dataset at the RSE. Made after all replicas
// are there, it is OK at once.
func (t *uploading) keep(ctx context.Context) (string, error) {
	c := t.s.client
	find := func() (string, error) {
		all, err := insist(ctx, c, func() iter.Seq2[Rule, error] { return c.RulesOf(ctx, t.job.Dataset) })
		if err != nil {
			return "", err
		}
		for _, r := range all {
			if r.Account != c.Account() || r.RSEExpression != t.rse.Name {
				continue
			}
			if endsEarly(r, t.job.Lifetime) {
				return r.ID, c.SetRuleLifetime(ctx, r.ID, t.job.Lifetime)
			}
			return r.ID, nil
		}
		return "", nil
	}
	if id, err := find(); err != nil || id != "" {
		return id, err
	}
	ids, err := c.AddRule(ctx, NewRule{DIDs: []DID{t.job.Dataset}, RSEExpression: t.rse.Name, Lifetime: t.job.Lifetime})
	switch {
	case errors.Is(err, ErrExist), errors.Is(err, ErrTransient):
		// Somebody was faster, or it was made and the answer was lost.
		if id, ferr := find(); ferr != nil || id != "" {
			return id, ferr
		}
		return "", err
	case err != nil:
		return "", err
	}
	return ids[0], nil
}

// endsEarly tells whether a rule ends before one that was made with a lifetime would: one
// that was deleted is still there for an hour, and refuses that an equal one is made.
func endsEarly(r Rule, lifetime *time.Duration) bool {
	if r.ExpiresAt.IsZero() {
		return false
	}
	return lifetime == nil || r.ExpiresAt.Before(r.CreatedAt.Add(*lifetime-time.Minute))
}

// describe sets metadata: those of columns on the dataset and its files in one request,
// the others one by one.
func (t *uploading) describe(ctx context.Context, dids []DID) error {
	columns, rest := map[string]any{}, map[string]any{}
	for k, v := range t.job.Metadata {
		if kind, _ := Column(k); kind == NoColumn {
			rest[k] = v
		} else {
			columns[k] = v
		}
	}
	if err := t.s.client.setMetadata(ctx, t.job.Dataset, columns, true); err != nil || len(rest) == 0 {
		return err
	}
	return t.each(ctx, append([]DID{t.job.Dataset}, dids...), func(ctx context.Context, d DID) error {
		has, err := t.s.client.Metadata(ctx, d)
		if err != nil {
			return err
		}
		missing := maps.Clone(rest)
		maps.DeleteFunc(missing, func(k string, v any) bool { return fmt.Sprint(has[k]) == fmt.Sprint(v) })
		return t.s.client.SetMetadata(ctx, d, missing)
	})
}

// prove reads back what the catalogue has now and compares all of it: numbers of files,
// sizes and checksums, each available at the RSE.
func (t *uploading) prove(ctx context.Context, files []UploadedFile) error {
	found := map[string]FileReplicas{}
	all, err := insist(ctx, t.s.client, func() iter.Seq2[FileReplicas, error] {
		return t.s.client.Replicas(ctx, ReplicaQuery{DIDs: []DID{t.job.Dataset}, RSEExpression: t.rse.Name, AllStates: true})
	})
	if err != nil {
		return err
	}
	for _, r := range all {
		found[r.Name] = r
	}
	var errs []error
	for _, f := range files {
		r, ok := found[f.Name]
		switch {
		case !ok:
			errs = append(errs, &Error{Op: "prove", Thing: f.DID.String(), Kind: ErrCorrupt, Err: errors.New("it is not in the dataset, or not at the RSE")})
		case r.Bytes != f.Bytes || !SameAdler32(r.Adler32, f.Adler32):
			errs = append(errs, &Error{Op: "prove", Thing: f.DID.String(), Kind: ErrCorrupt,
				Err: fmt.Errorf("the catalogue says %d bytes, adler32 %s, and it has %d, %s", r.Bytes, r.Adler32, f.Bytes, f.Adler32)})
		case r.States[t.rse.Name] != Available:
			errs = append(errs, &Error{Op: "prove", Thing: f.DID.String(), Kind: ErrCorrupt, Err: fmt.Errorf("it is %s at %s", r.States[t.rse.Name], t.rse.Name)})
		}
	}
	return errors.Join(errs...)
}
