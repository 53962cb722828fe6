package mongostore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// DefaultCollection is the original's collection of runs.
const DefaultCollection = "runs_new"

// reachTimeout is how long a server is looked for if the URI does not say.
const reachTimeout = 10 * time.Second

// Options says how to open a database. nil: the defaults.
type Options struct {
	// Password is asked for the password of the URI's user, if the URI has none;
	// nil: there is none.
	Password func(context.Context) (string, error)

	// Collection holds the runs; "": DefaultCollection.
	Collection string

	// Create makes the collection of runs if there is none.
	Create bool

	// ReadOnly makes no indexes. It does not keep the driver from writing.
	ReadOnly bool

	// Warn is told of what makes the database slower and not wrong, such as an
	// index that could not be made; nil: nobody.
	Warn func(error)

	// Trace is told of every command that is sent, with its filter; nil: nobody.
	// It is called from several goroutines.
	Trace func(command bson.Raw)
}

// A Driver is an open database. It implements [rundb.Driver].
type Driver struct {
	addr   *address
	client *mongo.Client
	db     *mongo.Database
	runs   *mongo.Collection // majority reads
	newest *mongo.Collection // the primary's newest state, to decide updates on
	single *mongo.Collection // linearizable where the server can
	trace  func(bson.Raw)
	legacy atomic.Bool // the server knows isMaster, not hello
}

// Open connects to the database of a URI, mongodb:// or mongodb+srv://, with
// authentication, TLS and replica set as the URI says. rundb.ErrInvalid if the URI
// or the password is not valid; rundb.ErrTransient, after 10 s (or the URI's
// serverSelectionTimeoutMS), if no primary answers; rundb.ErrNotExist if there is
// no collection of runs and Create is not set.
func Open(ctx context.Context, uri string, o *Options) (*Driver, error) {
	if o == nil {
		o = &Options{}
	}
	a, err := parseAddress(uri)
	if err != nil {
		return nil, addressError("address", rundb.ErrInvalid, err)
	}
	password, err := a.secret(ctx, o)
	if err != nil {
		return nil, err
	}
	co, err := a.client(password)
	if err != nil {
		return nil, addressError(a.String(), rundb.ErrInvalid, err)
	}
	d := &Driver{addr: a, trace: o.Trace}
	if d.client, err = mongo.Connect(d.settings(co)); err != nil {
		return nil, addressError(a.String(), rundb.ErrInvalid, a.hushed(err))
	}
	if err := d.init(ctx, o); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// secret is the password to log in with; "" if none is needed.
func (a *address) secret(ctx context.Context, o *Options) (string, error) {
	switch {
	case a.hasPassword && a.password != "":
		return a.password, nil
	case !a.needsPassword():
		return "", nil
	}
	var p string
	if o.Password != nil {
		var err error
		if p, err = o.Password(ctx); err != nil {
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			return "", addressError(a.String(), rundb.ErrInvalid, err)
		}
	}
	if p == "" {
		return "", addressError(a.String(), rundb.ErrInvalid, fmt.Errorf(
			"there is no password for user %q: set MONGODB_PASSWORD or MONGO_PASSWORD, or leave the user out of the address if the server asks for none", a.user))
	}
	return p, nil
}

// settings are what this package needs, whatever the URI says of it.
func (d *Driver) settings(o *options.ClientOptions) *options.ClientOptions {
	if o.AppName == nil {
		o.SetAppName("cax")
	}
	if o.ServerSelectionTimeout == nil {
		o.SetServerSelectionTimeout(reachTimeout)
	}
	if o.ConnectTimeout == nil {
		o.SetConnectTimeout(reachTimeout)
	}
	journal := true
	o.SetReadPreference(readpref.Primary())
	o.SetReadConcern(readconcern.Majority())
	o.SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal})
	o.SetMonitor(&event.CommandMonitor{Started: d.started})
	return o
}

func (d *Driver) init(ctx context.Context, o *Options) error {
	name := o.Collection
	if name == "" {
		name = DefaultCollection
	}
	d.db = d.client.Database(d.addr.database())
	d.runs = d.db.Collection(name)
	d.newest = d.db.Collection(name, options.Collection().SetReadConcern(readconcern.Local()))
	d.single = d.runs
	h, err := d.hello(ctx)
	if err != nil {
		return d.failed(ctx, "open", err)
	}
	if _, ok := h.Lookup("setName").StringValueOK(); ok {
		d.single = d.db.Collection(name, options.Collection().SetReadConcern(readconcern.Linearizable()))
	}
	there, err := d.hasCollection(ctx, name)
	switch {
	case err != nil:
		return d.failed(ctx, "open", err)
	case !there && !o.Create:
		return addressError(d.String(), rundb.ErrNotExist, fmt.Errorf("it has no collection %s: make it with cax db init, or name another one with --rundb", name))
	case !there:
		if err := d.db.CreateCollection(ctx, name); err != nil && !hasCode(err, codeNamespaceExists) {
			return d.failed(ctx, "open", err)
		}
	}
	if o.ReadOnly {
		return nil
	}
	// Every MongoDB has sessions. What has none may be another server, which takes
	// a partial index for one over all documents.
	_, sessions := h.Lookup("logicalSessionTimeoutMinutes").AsInt64OK()
	if err := d.ensureIndexes(ctx, !there && sessions); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if o.Warn != nil {
			o.Warn(err)
		}
	}
	return nil
}

// hasCollection asks for names only, which needs no right of its own. A server
// that will not tell is believed to have it.
func (d *Driver) hasCollection(ctx context.Context, name string) (bool, error) {
	names, err := d.db.ListCollectionNames(ctx, bson.D{{Key: "name", Value: name}},
		options.ListCollections().SetNameOnly(true).SetAuthorizedCollections(true))
	if hasCode(err, codeUnauthorized) {
		return true, nil
	}
	for _, n := range names {
		if n == name {
			return true, nil
		}
	}
	return false, err
}

// hello asks the primary about itself: one round trip. Some servers that are not
// MongoDB know it by its old name only.
func (d *Driver) hello(ctx context.Context) (bson.Raw, error) {
	ask := func(name string) (bson.Raw, error) {
		return d.client.Database("admin").RunCommand(ctx, bson.D{{Key: name, Value: 1}}, options.RunCmd().SetReadPreference(readpref.Primary())).Raw()
	}
	if d.legacy.Load() {
		return ask("isMaster")
	}
	h, err := ask("hello")
	if hasCode(err, codeCommandNotFound) {
		if h, err = ask("isMaster"); err == nil {
			d.legacy.Store(true)
		}
	}
	return h, err
}

// Now implements [rundb.Driver] by the primary's clock.
func (d *Driver) Now(ctx context.Context) (time.Time, error) {
	h, err := d.hello(ctx)
	if err != nil {
		return time.Time{}, d.failed(ctx, "ask for the time", err)
	}
	t, ok := h.Lookup("localTime").DateTimeOK()
	if !ok {
		return time.Time{}, &rundb.Error{Op: "ask for the time", What: d.what(), Kind: rundb.ErrInvalid, Err: errors.New("the server does not tell its time")}
	}
	return time.UnixMilli(t).UTC(), nil
}

// String is the address without password and options.
func (d *Driver) String() string { return d.addr.String() }

func (d *Driver) what() string { return "run database " + d.String() }

// Close closes the connections. The driver must not be used afterwards.
func (d *Driver) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := d.client.Disconnect(ctx); err != nil && !errors.Is(err, mongo.ErrClientDisconnected) {
		return &rundb.Error{Op: "close", What: d.what(), Kind: rundb.ErrTransient, Err: err}
	}
	return nil
}
