// Package fetch downloads the public feeds into a folder that "db build" reads: by a table of URLs, with proxies of the
// environment, mirrors by prefix, conditional requests, and downloads that go on where they were cut. It only runs when it is called.
package fetch

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Options say how feeds are fetched. Zero values take the defaults.
type Options struct {
	Dir      string                               // output folder
	Mirrors  []string                             // PREFIX=PREFIX: URLs that begin with the first are asked for under the second
	Client   *http.Client                         // for tests; redirects and timeouts are set here
	Agent    string                               // User-Agent
	Workers  int                                  // downloads at a time: 3
	Attempts int                                  // at one file: 4
	Pause    time.Duration                        // before the second attempt, doubled for each further: 2 s
	Longest  time.Duration                        // the longest pause that a server may ask for: 2 min
	Stall    time.Duration                        // how long a server may say nothing: 60 s
	MaxBytes int64                                // of one file: 16 GiB
	Progress func(name string, done, total int64) // total -1 when unknown; called from several goroutines, one call at a time
}

func (o Options) withDefaults() Options {
	if o.Workers <= 0 {
		o.Workers = 3
	}
	if o.Attempts <= 0 {
		o.Attempts = 4
	}
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.Pause, 2*time.Second)
	set(&o.Longest, 2*time.Minute)
	set(&o.Stall, time.Minute)
	if o.MaxBytes <= 0 {
		o.MaxBytes = 16 << 30
	}
	client := http.Client{Transport: http.DefaultTransport}
	if o.Client != nil {
		client = *o.Client
	}
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("more than 10 redirects")
		}
		if via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
			return fmt.Errorf("redirected from TLS to %s", r.URL.Scheme)
		}
		return nil
	}
	o.Client = &client
	return o
}

// Result is what became of one source.
type Result struct {
	Source    Source
	Path      string // of the file, below the folder
	Bytes     int64  // received now
	Unchanged bool   // the server has nothing newer
	Err       error  // the file of an earlier fetch, if any, is as it was
}

// stateFile keeps what conditional requests need.
const stateFile = ".fetch.json"

// saved is what is known of a file.
type saved struct {
	URL      string `json:"url"`
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"lastModified,omitempty"`
	Path     string `json:"path"`
	Size     int64  `json:"size"`
	Fetched  string `json:"fetchedAt"`
}

// fetcher is one run.
type fetcher struct {
	o     Options
	mu    sync.Mutex
	state map[string]saved // by source
}

// Run fetches sources and calls report for each as it ends, one call at a time. A source that fails does not stop the others:
// the error is about the folder, or the context's.
func Run(ctx context.Context, sources []Source, o Options, report func(Result)) error {
	f := &fetcher{o: o.withDefaults(), state: map[string]saved{}}
	if err := os.MkdirAll(f.o.Dir, 0o755); err != nil {
		return err
	}
	if data, err := os.ReadFile(filepath.Join(f.o.Dir, stateFile)); err == nil {
		if json.Unmarshal(data, &f.state) != nil || f.state == nil { // then everything is asked for anew
			f.state = map[string]saved{}
		}
	}
	work := make(chan Source)
	var wg sync.WaitGroup
	var saveErr error
	for range f.o.Workers {
		wg.Go(func() {
			for s := range work {
				r := f.source(ctx, s)
				f.mu.Lock()
				if r.Err == nil {
					saveErr = errors.Join(saveErr, f.save())
				}
				report(r)
				f.mu.Unlock()
			}
		})
	}
	for _, s := range sources {
		work <- s
	}
	close(work)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return saveErr
}

func (f *fetcher) save() error {
	data, err := json.MarshalIndent(f.state, "", " ")
	if err != nil {
		return err
	}
	path := filepath.Join(f.o.Dir, stateFile)
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// source fetches one source.
func (f *fetcher) source(ctx context.Context, s Source) (r Result) {
	r.Source = s
	if ctx.Err() != nil {
		r.Err = context.Cause(ctx)
		return r
	}
	at, want, err := f.locate(ctx, s)
	if err == nil {
		r.Path = s.Path
		if s.Kind == Repomd || s.Kind == List {
			r.Path += packing(at)
		}
		r.Bytes, r.Unchanged, err = f.file(ctx, s.Name, at, r.Path, want)
	}
	if err != nil {
		r.Err = fmt.Errorf("%s: %w", s.URL, err)
	}
	return r
}

// packing is the extension that says how a file is compressed.
func packing(u string) string {
	switch e := path.Ext(u); e {
	case ".gz", ".xz", ".zst", ".bz2":
		return e
	}
	return ""
}

// locate finds the URL of a source's file and, where the publisher says it, its checksum.
func (f *fetcher) locate(ctx context.Context, s Source) (at string, want checksum, err error) {
	switch s.Kind {
	case Latest:
		data, err := f.small(ctx, s.URL)
		if err != nil {
			return "", want, err
		}
		name := strings.TrimSpace(string(data))
		if !plainName.MatchString(name) {
			return "", want, fmt.Errorf("wanted the name of an archive, got %.60q", name)
		}
		at, err = beside(s.URL, name)
		return at, want, err
	case List:
		data, err := f.small(ctx, s.URL)
		if err != nil {
			return "", want, err
		}
		line, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
		u, err := url.Parse(strings.TrimSpace(line))
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return "", want, fmt.Errorf("wanted the URL of a repository, got %.60q", line)
		}
		return f.updateinfo(ctx, strings.TrimRight(u.String(), "/")+"/")
	case Repomd:
		return f.updateinfo(ctx, strings.TrimRight(s.URL, "/")+"/")
	}
	return s.URL, want, nil
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,200}$`)

// beside resolves a reference against a URL; it may not lead to another host.
func beside(base, ref string) (string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	u, err := b.Parse(ref)
	if err != nil {
		return "", err
	}
	if u.Host != b.Host || u.Scheme != b.Scheme || u.User != nil && b.User == nil {
		return "", fmt.Errorf("%.100q leads to another host", ref)
	}
	return u.String(), nil
}

// checksum is what a publisher says of a file.
type checksum struct{ algorithm, hex string }

// updateinfo finds the updateinfo of an RPM repository: repodata/repomd.xml lists the parts of its metadata.
func (f *fetcher) updateinfo(ctx context.Context, base string) (string, checksum, error) {
	data, err := f.small(ctx, base+"repodata/repomd.xml")
	if err != nil {
		return "", checksum{}, err
	}
	return parseRepomd(base, data)
}

func parseRepomd(base string, data []byte) (string, checksum, error) {
	var doc struct {
		XMLName xml.Name `xml:"repomd"`
		Data    []struct {
			Type     string `xml:"type,attr"`
			Checksum struct {
				Type  string `xml:"type,attr"`
				Value string `xml:",chardata"`
			} `xml:"checksum"`
			Location struct {
				Href string `xml:"href,attr"`
			} `xml:"location"`
		} `xml:"data"`
	}
	if err := xml.Unmarshal(data, &doc); err != nil {
		return "", checksum{}, fmt.Errorf("%srepodata/repomd.xml: %w", base, err)
	}
	for _, d := range doc.Data {
		if d.Type == "updateinfo" && d.Location.Href != "" {
			at, err := beside(base, d.Location.Href)
			return at, checksum{d.Checksum.Type, strings.TrimSpace(d.Checksum.Value)}, err
		}
	}
	return "", checksum{}, errors.New("the repository has no updateinfo")
}

// mirror rewrites a URL.
func (f *fetcher) mirror(u string) string {
	for _, m := range f.o.Mirrors {
		if from, to, ok := strings.Cut(m, "="); ok && strings.HasPrefix(u, from) {
			return to + u[len(from):]
		}
	}
	return u
}

// maxSmall bounds lists and repomd.xml.
const maxSmall = 4 << 20

// small fetches a short text into memory.
func (f *fetcher) small(ctx context.Context, u string) (data []byte, err error) {
	err = f.retry(ctx, func() error {
		ctx, stop := context.WithTimeout(ctx, 2*f.o.Stall)
		defer stop()
		resp, err := f.get(ctx, u, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if err := status(resp); err != nil {
			return err
		}
		if data, err = io.ReadAll(io.LimitReader(resp.Body, maxSmall+1)); err != nil {
			return err
		}
		if len(data) > maxSmall {
			return final{fmt.Errorf("%s: larger than %d bytes", u, maxSmall)}
		}
		if looksHTML(data) {
			return final{fmt.Errorf("%s: a web page came instead of data", u)}
		}
		return nil
	})
	return data, err
}

func (f *fetcher) get(ctx context.Context, u string, header map[string]string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.mirror(u), nil)
	if err != nil {
		return nil, final{err}
	}
	req.Header.Set("Accept-Encoding", "identity") // files come packed; a second packing would change lengths and ranges
	if f.o.Agent != "" {
		req.Header.Set("User-Agent", f.o.Agent)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	return f.o.Client.Do(req)
}
