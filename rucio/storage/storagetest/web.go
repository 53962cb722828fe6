package storagetest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/cax-go/cax/checksum"
)

// A Web is storage behind HTTP, in memory: WebDAV as RFC 4918 has it, or an object
// store. It is an http.Handler.
type Web struct {
	// Before, if it is set, may answer a request in its own way; it then returns true.
	// It may change what is set here.
	Before func(w http.ResponseWriter, r *http.Request) bool

	IgnoreRange bool   // GET gives whole files
	Overwrite   bool   // PUT and MOVE replace whatever they are told, as XRootD does
	NoDigest    bool   // no checksums
	MadeParents bool   // PUT makes directories
	Key         string // signs the URLs of an object store; "": this is WebDAV

	mu    sync.Mutex
	files map[string][]byte
	dirs  map[string]bool
}

// SignedURL is a URL that is good for one method for an hour.
func (s *Web) SignedURL(method, url string) string {
	until := fmt.Sprint(time.Now().Add(time.Hour).Unix())
	return url + "?X-Amz-Expires=" + until + "&X-Amz-Signature=" + s.sign(method, url[strings.Index(url, "://"):], until)
}

func (s *Web) sign(method, place, until string) string {
	m := hmac.New(sha256.New, []byte(s.Key))
	fmt.Fprintf(m, "%s %s %s", method, place, until)
	return hex.EncodeToString(m.Sum(nil))
}

// File is what is stored under a path.
func (s *Web) File(p string) (data []byte, there bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, there = s.files[p]
	return data, there
}

// Store stores a file, with its directories.
func (s *Web) Store(p string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(p, data)
}

func (s *Web) store(p string, data []byte) {
	if s.files == nil {
		s.files, s.dirs = map[string][]byte{}, map[string]bool{}
	}
	s.files[p] = data
	for d := path.Dir(p); d != "/"; d = path.Dir(d) {
		s.dirs[d] = true
	}
}

// ServeHTTP implements http.Handler.
func (s *Web) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Before != nil && s.Before(w, r) {
		return
	}
	if s.Key != "" {
		q := r.URL.Query()
		want := s.sign(r.Method, "://"+r.Host+r.URL.Path, q.Get("X-Amz-Expires"))
		if !hmac.Equal([]byte(want), []byte(q.Get("X-Amz-Signature"))) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
	}
	p := path.Clean(r.URL.Path)
	if r.Method == http.MethodPut {
		s.put(w, r, p)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method {
	case http.MethodHead, http.MethodGet:
		s.read(w, r, p)
	case http.MethodDelete:
		if _, there := s.files[p]; !there && s.Key == "" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		delete(s.files, p)
		w.WriteHeader(http.StatusNoContent)
	case "MKCOL":
		s.mkcol(w, p)
	case "MOVE":
		s.move(w, r, p)
	case "PROPFIND":
		if _, there := s.files[p]; !there && !s.dirs[p] {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusMultiStatus)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (s *Web) read(w http.ResponseWriter, r *http.Request, p string) {
	data, there := s.files[p]
	if !there {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if s.Key == "" && !s.NoDigest {
		for v := range strings.SplitSeq(r.Header.Get("Want-Digest"), ",") {
			d := checksum.NewDigest(checksum.Adler32, checksum.MD5)
			_, _ = d.Write(data) // never fails
			switch v {
			case "adler32":
				w.Header().Set("Digest", "adler32="+d.Sum(checksum.Adler32).Bare())
			case "md5":
				w.Header().Set("Digest", "md5="+base64.StdEncoding.EncodeToString(d.Sum(checksum.MD5).Bytes()))
			}
		}
	}
	if s.IgnoreRange {
		r.Header.Del("Range")
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if r.Method == http.MethodHead && len(data) == 0 {
		return // as Apache does: no length
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// put takes an upload. A WebDAV server makes the file first, and keeps what it has of
// one that is cut off unless somebody has removed it.
func (s *Web) put(w http.ResponseWriter, r *http.Request, p string) {
	if code := s.begin(r, p); code != 0 {
		w.WriteHeader(code)
		return
	}
	data := make([]byte, max(r.ContentLength, 0))
	n, err := io.ReadFull(r.Body, data)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.files[p]
	switch {
	case err == nil:
		s.store(p, data)
		w.WriteHeader(http.StatusCreated)
	case there && s.Key == "":
		s.store(p, data[:n])
	}
}

// begin makes the file of an upload, or refuses it with a status.
func (s *Web) begin(r *http.Request, p string) (status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.files[p]
	switch parent := path.Dir(p); {
	case there && !s.Overwrite && r.Header.Get("If-None-Match") == "*":
		return http.StatusPreconditionFailed
	case s.Key == "" && !s.MadeParents && !s.dirs[parent] && parent != "/":
		return http.StatusConflict
	}
	if s.Key == "" {
		s.store(p, nil)
	}
	return 0
}

func (s *Web) mkcol(w http.ResponseWriter, p string) {
	_, there := s.files[p]
	switch parent := path.Dir(p); {
	case there || s.dirs[p]:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case parent != "/" && !s.dirs[parent]:
		w.WriteHeader(http.StatusConflict)
	default:
		s.store(p+"/.", nil)
		delete(s.files, p+"/.")
		s.dirs[p] = true
		w.WriteHeader(http.StatusCreated)
	}
}

func (s *Web) move(w http.ResponseWriter, r *http.Request, p string) {
	data, there := s.files[p]
	_, rest, ok := strings.Cut(r.Header.Get("Destination"), "://"+r.Host+"/")
	to := "/" + rest
	_, taken := s.files[to]
	switch {
	case !ok:
		w.WriteHeader(http.StatusBadGateway)
	case !there:
		w.WriteHeader(http.StatusNotFound)
	case taken && r.Header.Get("Overwrite") == "F" && !s.Overwrite:
		w.WriteHeader(http.StatusPreconditionFailed)
	case !s.dirs[path.Dir(to)]:
		w.WriteHeader(http.StatusConflict)
	default:
		delete(s.files, p)
		s.store(to, data)
		w.WriteHeader(http.StatusCreated)
	}
}
