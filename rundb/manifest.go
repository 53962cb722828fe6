package rundb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cax-go/cax/checksum"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// A ManifestKey names a manifest: one per run, type and version.
type ManifestKey struct {
	Run     ID
	Type    Type
	Version string
}

// chunkFiles is how many entries one document of a manifest holds, usually about a
// megabyte; chunkBytes ends it earlier, far from the database's limit of 16 MB,
// where paths are long or files have many blocks. The chunks of a manifest depend
// on its entries alone, so that a retry makes the same ones.
const (
	chunkFiles = 5000
	chunkBytes = 8 << 20
)

// key is the indexed field of all documents of a manifest.
func (k ManifestKey) key() string { return string(k.Type) + "/" + k.Version + "/" }

// String names the manifest for people.
func (k ManifestKey) String() string {
	return fmt.Sprintf("manifest of %s %s of run %s", k.Type, k.Version, k.Run.Hex())
}

// head and chunk are the _ids of a manifest's documents. A chunk's carries the
// root digest, so that what a crashed writer left of another manifest can never
// become part of this one; the head's does not, so that there is one.
func (k ManifestKey) head() string { return k.Run.Hex() + "/" + k.key() + "head" }

func (k ManifestKey) chunk(root checksum.Sum, i int) string {
	return fmt.Sprintf("%s/%s%s/%06d", k.Run.Hex(), k.key(), root.Bare(), i)
}

// PutManifest stores a manifest, once. If one is stored already under that key:
// no error if it lists the same files with the same sums, ErrExist otherwise.
// Chunks of up to 5 000 files are written first and the head document last, so that a
// manifest is there in full or not at all; a retry after a crash succeeds.
func (s *Store) PutManifest(ctx context.Context, k ManifestKey, m *checksum.Manifest) error {
	if err := m.Check(); err != nil {
		return &Error{Op: "store", What: k.String(), Kind: ErrInvalid, Err: err}
	}
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	root := m.Root()
	common := func(id string) bson.D {
		return bson.D{{Key: "_id", Value: id}, {Key: "run", Value: k.Run}, {Key: "key", Value: k.key()}, {Key: "time", Value: date(now)}}
	}
	chunks := 0
	for rest := m.Entries; len(rest) > 0; chunks++ {
		entries := bson.A{}
		for size := 0; len(rest) > 0 && len(entries) < chunkFiles && size < chunkBytes; rest = rest[1:] {
			e := &rest[0]
			size += len(e.Path) + 16*len(e.Blocks) + 256*len(e.Sums)
			entries = append(entries, entryBSON(e))
		}
		doc, err := bson.Marshal(append(common(k.chunk(root, chunks)), bson.E{Key: "entries", Value: entries}))
		if err != nil {
			return &Error{Op: "store", What: k.String(), Kind: ErrInvalid, Err: err}
		}
		if err := s.add(ctx, Manifests, doc); err != nil && !errors.Is(err, ErrExist) {
			return err
		}
	}
	doc, err := bson.Marshal(append(common(k.head()),
		bson.E{Key: "root", Value: root.String()},
		bson.E{Key: "single", Value: m.Single},
		bson.E{Key: "files", Value: int64(m.Files())},
		bson.E{Key: "bytes", Value: m.Size()},
		bson.E{Key: "chunks", Value: int64(chunks)},
		bson.E{Key: "by", Value: s.By}))
	if err != nil {
		return &Error{Op: "store", What: k.String(), Kind: ErrInvalid, Err: err}
	}
	err = s.add(ctx, Manifests, doc)
	if !errors.Is(err, ErrExist) {
		return err
	}
	stored, _, herr := s.manifestHead(ctx, k)
	if herr != nil {
		return errors.Join(err, herr)
	}
	if got := asString(lookup(stored, "root")); got != root.String() {
		return &Error{Op: "store", What: k.String(), Kind: ErrExist, Err: fmt.Errorf("another manifest is stored: its root digest is %s, this one's %s", got, root)}
	}
	return nil
}

// add appends one document; a write whose outcome is unknown is sent again, which
// its _id makes harmless. ErrExist then tells that this document, or another with
// its _id, is there.
func (s *Store) add(ctx context.Context, coll Collection, doc bson.Raw) error {
	err := s.Driver.Add(ctx, coll, doc)
	if errors.Is(err, ErrUnknownOutcome) {
		err = s.Driver.Add(ctx, coll, doc)
	}
	return err
}

// manifestHead returns the head document and all chunk documents under the key.
func (s *Store) manifestHead(ctx context.Context, k ManifestKey) (head bson.Raw, chunks map[string]bson.Raw, err error) {
	chunks = map[string]bson.Raw{}
	for d, err := range s.Driver.Docs(ctx, &DocQuery{Coll: Manifests, Run: k.Run, KeyPrefix: k.key()}) {
		if err != nil {
			return nil, nil, err
		}
		if asString(lookup(d, "key")) != k.key() {
			continue // of a version that begins with this one
		}
		if id := asString(lookup(d, "_id")); id == k.head() {
			head = d
		} else {
			chunks[id] = d
		}
	}
	if head == nil {
		return nil, nil, &Error{Op: "find", What: k.String(), Kind: ErrNotExist}
	}
	return head, chunks, nil
}

// Manifest returns a stored manifest; ErrNotExist if there is none, ErrInvalid
// if the stored chunks do not give the head's root digest.
func (s *Store) Manifest(ctx context.Context, k ManifestKey) (*checksum.Manifest, error) {
	head, chunks, err := s.manifestHead(ctx, k)
	if err != nil {
		return nil, err
	}
	invalid := func(err error) error {
		return &Error{Op: "read", What: k.String(), Kind: ErrInvalid, Err: err}
	}
	root, err := checksum.ParseSum(asString(lookup(head, "root")))
	if err != nil {
		return nil, invalid(err)
	}
	m := &checksum.Manifest{}
	m.Single, _ = lookup(head, "single").BooleanOK()
	for i := range int(asInt(lookup(head, "chunks"))) {
		d, ok := chunks[k.chunk(root, i)]
		if !ok {
			return nil, invalid(fmt.Errorf("chunk %d is missing", i))
		}
		for _, v := range list(lookup(d, "entries")) {
			e, err := decodeEntry(v)
			if err != nil {
				return nil, invalid(err)
			}
			m.Entries = append(m.Entries, e)
		}
	}
	if err := m.Check(); err != nil {
		return nil, invalid(err)
	}
	if got := m.Root(); got != root {
		return nil, invalid(fmt.Errorf("its files give the root digest %s, its head says %s", got, root))
	}
	return m, nil
}

// entryBSON is one file of a manifest: path as text where it is UTF-8, else as
// binary; sums in their text form; blocks as 64-bit numbers.
func entryBSON(e *checksum.Entry) bson.D {
	d := bson.D{{Key: "path", Value: e.Path}}
	if !utf8.ValidString(e.Path) || strings.ContainsRune(e.Path, 0) {
		d[0].Value = bson.Binary{Data: []byte(e.Path)}
	}
	if e.Dir {
		return append(d, bson.E{Key: "dir", Value: true})
	}
	d = append(d, bson.E{Key: "size", Value: e.Size})
	if !e.ModTime.IsZero() {
		// Nanoseconds, which a date would not keep.
		d = append(d, bson.E{Key: "mtime", Value: e.ModTime.UnixNano()})
	}
	sums := make(bson.A, len(e.Sums))
	for i, s := range e.Sums {
		sums[i] = s.String()
	}
	d = append(d, bson.E{Key: "sums", Value: sums})
	if e.Blocks != nil {
		blocks := make(bson.A, len(e.Blocks))
		for i, b := range e.Blocks {
			blocks[i] = int64(b)
		}
		d = append(d, bson.E{Key: "blocks", Value: blocks})
	}
	return d
}

func decodeEntry(v bson.RawValue) (checksum.Entry, error) {
	var e checksum.Entry
	d, ok := v.DocumentOK()
	if !ok {
		return e, errors.New("an entry is not a document")
	}
	p := lookup(d, "path")
	if _, b, ok := p.BinaryOK(); ok {
		e.Path = string(b)
	} else if e.Path, ok = p.StringValueOK(); !ok {
		return e, errors.New("an entry has no path")
	}
	e.Dir, _ = lookup(d, "dir").BooleanOK()
	if e.Dir {
		return e, nil
	}
	e.Size = asInt(lookup(d, "size"))
	if t := lookup(d, "mtime"); !t.IsZero() {
		e.ModTime = time.Unix(0, asInt(t)).UTC()
	}
	for _, s := range asStrings(lookup(d, "sums")) {
		sum, err := checksum.ParseSum(s)
		if err != nil {
			return e, fmt.Errorf("%q: %w", e.Path, err)
		}
		e.Sums = append(e.Sums, sum)
	}
	for _, b := range list(lookup(d, "blocks")) {
		e.Blocks = append(e.Blocks, uint64(asInt(b)))
	}
	return e, nil
}
