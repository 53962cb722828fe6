package mongostore

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// defaultDatabase is the original's.
const defaultDatabase = "run"

// An address is a MongoDB URI, taken apart by hand: it may name several hosts,
// which net/url refuses, and a parser's errors would show the password.
type address struct {
	scheme      string // with "://"
	user        string // as it stands in the URI; "" for none
	password    string // decoded
	hasPassword bool
	hosts       string
	path        string // database, as it stands
	options     string // behind the "?"
}

var (
	errScheme = errors.New("write mongodb://USER@HOST/run")
	errEscape = errors.New("user name or password hold characters that must be written as %XX (/ as %2F, @ as %40, : as %3A, % as %25): leave the password out and set MONGODB_PASSWORD")
)

func parseAddress(uri string) (*address, error) {
	a := &address{}
	rest := ""
	for _, s := range []string{"mongodb://", "mongodb+srv://"} {
		if r, ok := strings.CutPrefix(uri, s); ok {
			a.scheme, rest = s, r
		}
	}
	if a.scheme == "" {
		return nil, errScheme
	}
	main, opts, _ := strings.Cut(rest, "?")
	a.options = opts
	if i := strings.LastIndexByte(main, '@'); i >= 0 {
		userinfo := main[:i]
		main = main[i+1:]
		user, password, ok := strings.Cut(userinfo, ":")
		a.user, a.hasPassword = user, ok
		var err error
		if a.password, err = url.PathUnescape(password); err != nil || strings.ContainsAny(userinfo, "/@") || strings.Contains(password, ":") {
			return nil, errEscape
		}
		if _, err = url.PathUnescape(user); err != nil || user == "" {
			return nil, errEscape
		}
	}
	if strings.Contains(opts, "@") {
		return nil, errEscape // a "?" in the password
	}
	a.hosts, a.path, _ = strings.Cut(main, "/")
	if a.hosts == "" {
		return nil, fmt.Errorf("it names no host: %w", errScheme)
	}
	return a, nil
}

// String is the address without password and options.
func (a *address) String() string {
	s := a.scheme
	if a.user != "" {
		s += a.user + "@"
	}
	return s + a.hosts + "/" + a.database()
}

func (a *address) database() string {
	if db, err := url.PathUnescape(a.path); err == nil && db != "" {
		return db
	}
	return defaultDatabase
}

// option is an option of the URI; the driver takes their names in any case.
func (a *address) option(name string) string {
	for _, o := range strings.Split(a.options, "&") {
		if k, v, _ := strings.Cut(o, "="); strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}

// needsPassword reports whether this user logs in with one.
func (a *address) needsPassword() bool {
	switch strings.ToUpper(a.option("authMechanism")) {
	case "MONGODB-X509", "MONGODB-AWS", "MONGODB-OIDC", "GSSAPI":
		return false
	}
	return a.user != ""
}

func (a *address) uri(password string) string {
	s := a.scheme
	if a.user != "" {
		s += a.user
		if password != "" {
			s += ":" + strings.ReplaceAll(url.QueryEscape(password), "+", "%20")
		}
		s += "@"
	}
	s += a.hosts + "/" + a.path
	if a.options != "" {
		s += "?" + a.options
	}
	return s
}

// client makes the driver's options. What is wrong with the URI is found out with
// a stand-in for the password, because the driver's errors quote what they parse.
func (a *address) client(password string) (*options.ClientOptions, error) {
	if password != "" {
		if err := options.Client().ApplyURI(a.uri("password")).Validate(); err != nil {
			return nil, a.hushed(err)
		}
	}
	o := options.Client().ApplyURI(a.uri(password))
	if err := o.Validate(); err != nil {
		return nil, a.hushed(err)
	}
	return o, nil
}

// hushed keeps secrets among the options out of an error.
func (a *address) hushed(err error) error {
	for _, secret := range []string{"password", "token"} {
		if strings.Contains(strings.ToLower(a.options), secret) {
			return errors.New("an option behind the ? is not valid")
		}
	}
	return err
}

func addressError(what string, kind, err error) error {
	return &rundb.Error{Op: "open", What: "run database " + what, Kind: kind, Err: err}
}
