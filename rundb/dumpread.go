package rundb

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// maxDocument is the length of the longest document that is read, in bytes. MongoDB
// allows 16 MiB and a little.
const maxDocument = 48 << 20

// archiveMagic begins the files of mongodump --archive.
const archiveMagic = 0x8199e26d

// ReadDump yields the documents of a file that mongodump or mongoexport wrote, or
// [Store.Export]: BSON documents one after the other, or Extended JSON, canonical,
// relaxed or of the older forms, as lines, pretty-printed, or as one array; each
// perhaps compressed by gzip. The formats are told apart by content.
//
// A document that is not valid yields an error that is ErrInvalid, and the sequence
// goes on behind it where that is possible; an error of the reader ends it.
func ReadDump(r io.Reader) iter.Seq2[bson.Raw, error] {
	return func(yield func(bson.Raw, error) bool) {
		n := 0
		fail := func(err error) bool {
			return yield(nil, &Error{Op: "read", What: fmt.Sprintf("document %d", n+1), Kind: ErrInvalid, Err: err})
		}
		b := bufio.NewReaderSize(r, 64<<10)
		if magic, err := b.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
			zip, err := gzip.NewReader(b)
			if err != nil {
				fail(err)
				return
			}
			b = bufio.NewReaderSize(zip, 64<<10)
		}
		next := readJSON(b)
		if head, err := b.Peek(4); err == nil {
			if binary.LittleEndian.Uint32(head) == archiveMagic {
				fail(errors.New("this is an archive of mongodump: make the dump without --archive"))
				return
			}
			// The length of a BSON document, below 16 MiB, has a zero byte; JSON has none.
			if bytes.IndexByte(head, 0) >= 0 {
				next = readBSON(b)
			}
		} else if err != io.EOF {
			next = func() (bson.Raw, error) { return nil, dumpError(err) }
		}
		for {
			doc, err := next()
			if err == io.EOF {
				return
			}
			var stop *brokenError
			switch {
			case errors.As(err, &stop):
				fail(stop.err)
				return
			case err != nil:
				var bad *badDocument
				if !errors.As(err, &bad) {
					yield(nil, err)
					return
				}
				if !fail(bad.err) {
					return
				}
			case !yield(doc, nil):
				return
			}
			n++
		}
	}
}

// A badDocument is one that is not valid, with the next one in sight; after a
// brokenError there is no telling where the next one begins.
type badDocument struct{ err error }

func (e *badDocument) Error() string { return e.err.Error() }

type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }

// readBSON reads documents that follow each other. io.EOF after the last.
func readBSON(r *bufio.Reader) func() (bson.Raw, error) {
	return func() (bson.Raw, error) {
		head, err := r.Peek(4)
		switch {
		case err == io.EOF && len(head) == 0:
			return nil, io.EOF
		case err == io.EOF:
			return nil, &brokenError{errors.New("the file ends in the middle of it")}
		case err != nil:
			return nil, dumpError(err)
		}
		size := binary.LittleEndian.Uint32(head)
		if size < 5 || size > maxDocument {
			return nil, &brokenError{fmt.Errorf("its length would be %d bytes: this is no BSON, or it is damaged", size)}
		}
		// The buffer grows with what is really there, not with what is promised.
		var buf bytes.Buffer
		switch _, err := io.CopyN(&buf, r, int64(size)); {
		case err == io.EOF:
			return nil, &brokenError{errors.New("the file ends in the middle of it")}
		case err != nil:
			return nil, dumpError(err)
		}
		doc := bson.Raw(buf.Bytes())
		if err := validate(doc, maxDepth); err != nil {
			return nil, &badDocument{err}
		}
		return doc, nil
	}
}

// dumpError tells damage, which gzip finds, from failure to read.
func dumpError(err error) error {
	if errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &brokenError{fmt.Errorf("the compressed file is damaged: %w", err)}
	}
	return err
}

// readJSON reads documents that follow each other, or the elements of one array.
func readJSON(r *bufio.Reader) func() (bson.Raw, error) {
	if bom, err := r.Peek(3); err == nil && string(bom) == "\xef\xbb\xbf" {
		_, _ = r.Discard(3)
	}
	d := json.NewDecoder(r)
	inArray, started, ended := false, false, false
	return func() (bson.Raw, error) {
		if !started {
			started = true
			if first, err := firstByte(r); err == nil && first == '[' {
				if _, err := d.Token(); err != nil {
					return nil, jsonError(err)
				}
				inArray = true
			}
		}
		if inArray && !ended && !d.More() {
			switch _, err := d.Token(); {
			case err == io.EOF:
				return nil, &brokenError{errors.New("the array has no end")}
			case err != nil:
				return nil, jsonError(err)
			}
			ended = true
		}
		var text json.RawMessage
		if err := d.Decode(&text); err != nil {
			return nil, jsonError(err)
		}
		if ended {
			return nil, &brokenError{errors.New("something follows the end of the array")}
		}
		if len(text) > maxDocument {
			return nil, &badDocument{fmt.Errorf("it is %d bytes long", len(text))}
		}
		if text[0] != '{' {
			return nil, &badDocument{errors.New("it is not a document")}
		}
		var doc bson.Raw
		if err := bson.UnmarshalExtJSON(text, false, &doc); err != nil {
			return nil, &badDocument{err}
		}
		if err := validate(doc, maxDepth); err != nil {
			return nil, &badDocument{err}
		}
		return doc, nil
	}
}

// firstByte looks at the first byte that is no space.
func firstByte(r *bufio.Reader) (byte, error) {
	for {
		b, err := r.Peek(1)
		if err != nil {
			return 0, err
		}
		switch b[0] {
		case ' ', '\t', '\r', '\n':
			_, _ = r.Discard(1)
		default:
			return b[0], nil
		}
	}
}

func jsonError(err error) error {
	var syntax *json.SyntaxError
	switch {
	case err == io.EOF:
		return io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &brokenError{errors.New("the file ends in the middle of it")}
	case errors.As(err, &syntax):
		return &brokenError{fmt.Errorf("at byte %d: %w", syntax.Offset, err)}
	}
	return dumpError(err)
}
