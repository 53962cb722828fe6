package rundb

import (
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// maxDepth is how deep documents may be nested. MongoDB allows 100.
const maxDepth = 200

var (
	errTooDeep  = errors.New("it is nested too deeply")
	errTrailing = errors.New("bytes follow its end")
	errText     = errors.New("a text does not end where it should")
)

// validate checks a document with everything in it. The driver's own Validate
// looks at the outermost level only; below it, a broken list would read as an
// empty one, and a change of it would lose what it held.
func validate(doc bson.Raw, depth int) error {
	return validateLevel(bsoncore.Document(doc), depth)
}

func validateLevel(d bsoncore.Document, depth int) error {
	if depth == 0 {
		return errTooDeep
	}
	if err := d.Validate(); err != nil {
		return err
	}
	if n, _, ok := bsoncore.ReadLength(d); !ok || int(n) != len(d) {
		return errTrailing
	}
	elems, err := d.Elements()
	if err != nil {
		return err
	}
	for _, e := range elems {
		v := e.Value()
		switch v.Type {
		case bsoncore.TypeEmbeddedDocument, bsoncore.TypeArray:
			err = validateLevel(v.Data, depth-1)
		case bsoncore.TypeString, bsoncore.TypeSymbol, bsoncore.TypeJavaScript:
			// Length, text, and a zero byte that the length counts.
			if n, _, ok := bsoncore.ReadLength(v.Data); !ok || n < 1 || int(n)+4 != len(v.Data) || v.Data[len(v.Data)-1] != 0 {
				err = errText
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.Key(), err)
		}
	}
	return nil
}
