package sqlitestore

// applicationID marks a file as a run database ("cax1"); schemaVersion is raised
// with each change of the tables.
const (
	applicationID = 0x63617831
	schemaVersion = 1
)

// schema is what a new file gets. Documents are kept whole, as BSON; columns and
// side tables hold what queries ask for and are written in the same transaction.
const schema = `
CREATE TABLE runs (
	id       BLOB PRIMARY KEY,     -- the 12 bytes of _id
	number   INTEGER NOT NULL,
	name     TEXT NOT NULL,
	detector TEXT NOT NULL,
	start    INTEGER NOT NULL,     -- milliseconds since 1970
	sig      INTEGER NOT NULL REFERENCES signatures (id),
	doc      BLOB NOT NULL
) WITHOUT ROWID;
-- With all that queries look at, so that they need not read past documents.
CREATE INDEX runs_start ON runs (start, id, sig, number, detector, name);
CREATE INDEX runs_number ON runs (number);
CREATE INDEX runs_name ON runs (name, detector);
CREATE INDEX runs_sig ON runs (sig, start, id);

CREATE TABLE signatures (
	id   INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
	text TEXT NOT NULL UNIQUE,
	runs INTEGER NOT NULL                   -- how many have it
);

CREATE TABLE tags (
	name TEXT NOT NULL,
	run  BLOB NOT NULL,
	PRIMARY KEY (name, run)
) WITHOUT ROWID;
CREATE INDEX tags_run ON tags (run);

CREATE TABLE copies (
	host     TEXT NOT NULL,
	location TEXT NOT NULL,
	run      BLOB NOT NULL,
	PRIMARY KEY (host, location, run)
) WITHOUT ROWID;
CREATE INDEX copies_run ON copies (run);
CREATE INDEX copies_location ON copies (location, host, run);

CREATE TABLE docs (
	coll TEXT NOT NULL,
	id   BLOB NOT NULL,            -- type and bytes of _id
	run  BLOB NOT NULL,
	time INTEGER NOT NULL,
	key  TEXT NOT NULL,
	doc  BLOB NOT NULL,
	PRIMARY KEY (coll, id)
) WITHOUT ROWID;
CREATE INDEX docs_run ON docs (coll, run, time, id);
CREATE INDEX docs_time ON docs (coll, time, id);
`
