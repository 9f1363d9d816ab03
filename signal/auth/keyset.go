package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"parley/signal"
)

const (
	// maxKeyFile bounds a key file and the body of a JWK Set, in bytes.
	maxKeyFile = 128 << 10
	// keyTimeout bounds the request for a JWK Set.
	keyTimeout = 5 * time.Second
	// fileAge is how long keys of a file are used before the file is looked at again, and urlAge
	// the same for a URL.
	fileAge, urlAge = time.Second, 5 * time.Minute
	// urlPause is the least time between two requests for a JWK Set, however many tokens have an
	// unknown key.
	urlPause = 10 * time.Second
)

// errUnchanged is returned by a keySource whose content is what it returned before.
var errUnchanged = errors.New("unchanged")

// keySource returns the content of a key file or URL, or errUnchanged.
type keySource func(ctx context.Context) ([]byte, error)

// keySet is a set of keys that follows its source. The keys in use stay when the source fails or
// has no valid keys: a file may be half written.
type keySet struct {
	name   string // of the source, in errors
	source keySource
	parse  func([]byte) ([]verificationKey, error)
	age    time.Duration // after which the source is read again
	pause  time.Duration // least time between two reads
	now    func() time.Time
	log    *slog.Logger

	keys atomic.Pointer[[]verificationKey]

	mu      sync.Mutex // held during a read; guards checked
	checked time.Time
}

// newKeySet reads the keys at location, a path or an https URL.
func newKeySet(ctx context.Context, location string, o JWTOptions) (*keySet, error) {
	s := &keySet{name: location, parse: parseKeys, age: fileAge, now: o.Now, log: o.Logger}
	if strings.Contains(location, "://") {
		u, err := url.Parse(location)
		if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
			return nil, fmt.Errorf("invalid URL of keys %.200q: want https://host/path", signal.PrintableURL(location))
		}
		s.name, s.age, s.pause = "https://"+u.Host+u.EscapedPath(), urlAge, urlPause
		s.source, s.parse = urlSource(u.String(), o.Client), parsePublicJWKs
	} else {
		s.source = fileSource(location)
	}
	s.checked = s.now()
	return s, s.read(ctx)
}

// current returns the keys, after it has read them again if they are old.
func (s *keySet) current(ctx context.Context) []verificationKey {
	if s.mu.TryLock() { // otherwise they are being read: the keys in use will do
		defer s.mu.Unlock()
		if s.now().Sub(s.checked) >= s.age {
			s.readLocked(ctx)
		}
	}
	return *s.keys.Load()
}

// refresh reads the source again, unless that was done a moment ago. It reports whether the keys
// are others than old.
func (s *keySet) refresh(ctx context.Context, old []verificationKey) (keys []verificationKey, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now().Sub(s.checked) >= s.pause {
		s.readLocked(ctx)
	}
	keys = *s.keys.Load()
	return keys, &keys[0] != &old[0]
}

func (s *keySet) readLocked(ctx context.Context) {
	s.checked = s.now()
	switch err := s.read(ctx); {
	case err == nil:
		s.log.Info("keys for tokens were read again", slog.String("from", s.name), slog.Int("keys", len(*s.keys.Load())))
	case !errors.Is(err, errUnchanged):
		s.log.Warn("changed keys for tokens cannot be used; the earlier ones stay in use", slog.String("error", err.Error()))
	}
}

// read replaces the keys by those of the source.
func (s *keySet) read(ctx context.Context) error {
	data, err := s.source(ctx)
	if err != nil {
		return fmt.Errorf("reading keys for tokens from %s: %w", s.name, err)
	}
	keys, err := s.parse(data)
	if err != nil {
		return fmt.Errorf("%s holds no keys for tokens: %w", s.name, err)
	}
	s.keys.Store(&keys)
	return nil
}

// fileSource reads a file when its size or time has changed.
func fileSource(path string) keySource {
	var last fs.FileInfo
	return func(context.Context) ([]byte, error) {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		// What is no regular file, such as a pipe, can be read only once.
		if last != nil && (!info.Mode().IsRegular() || os.SameFile(last, info) && last.ModTime().Equal(info.ModTime()) && last.Size() == info.Size()) {
			return nil, errUnchanged
		}
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		data, err := readBounded(f)
		if err == nil {
			last = info
		}
		return data, err
	}
}

// urlSource requests a JWK Set. It follows no redirects.
func urlSource(u string, client *http.Client) keySource {
	if client == nil {
		client = newClient()
	}
	var last string
	return func(ctx context.Context) ([]byte, error) {
		// The request is for all clients, so it does not end with the one that caused it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
		if err != nil {
			return nil, err
		}
		req.Close = true // the next request is minutes away
		req.Header.Set("Accept", "application/jwk-set+json, application/json")
		resp, err := client.Do(req)
		if err != nil {
			return nil, withoutURL(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("got status %d, want 200", resp.StatusCode)
		}
		data, err := readBounded(resp.Body)
		if err != nil {
			return nil, err
		}
		if string(data) == last {
			return nil, errUnchanged
		}
		last = string(data)
		return data, nil
	}
}

// newClient returns a client that follows no redirects.
func newClient() *http.Client {
	return &http.Client{
		Transport:     http.DefaultTransport.(*http.Transport).Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func readBounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxKeyFile+1))
	if err == nil && len(data) > maxKeyFile {
		err = fmt.Errorf("got more than %d bytes", maxKeyFile)
	}
	return data, err
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
