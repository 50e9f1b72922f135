package fetch

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // what repomd.xml of old repositories has
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// final is an error that another attempt would not change.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// busy is an error with the pause that the server asked for.
type busy struct {
	error
	pause time.Duration
}

// status makes an error of an answer that is none.
func status(resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent:
		return nil
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		b := busy{fmt.Errorf("the server answered %s", resp.Status), 0}
		if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
			b.pause = time.Duration(min(s, 86400)) * time.Second
		} else if at, err := http.ParseTime(resp.Header.Get("Retry-After")); err == nil {
			b.pause = time.Until(at)
		}
		return b
	}
	return final{fmt.Errorf("the server answered %s", resp.Status)}
}

// retry calls f until it succeeds, fails for good, or the attempts are used up.
func (f *fetcher) retry(ctx context.Context, once func() error) error {
	pause := f.o.Pause
	for i := 1; ; i++ {
		err := once()
		var never final
		if err == nil || errors.As(err, &never) || ctx.Err() != nil {
			return err
		}
		wait := pause
		var b busy
		if errors.As(err, &b) && b.pause > wait {
			wait = b.pause
		}
		if i == f.o.Attempts {
			return fmt.Errorf("after %d attempts: %w", i, err)
		}
		if wait > f.o.Longest {
			return fmt.Errorf("the server asks to come back in %v: %w", wait.Round(time.Second), err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		pause *= 2
	}
}

// file downloads a URL to a path below the folder. The file that is there stays until the new one is complete and looks right.
func (f *fetcher) file(ctx context.Context, name, u, to string, want checksum) (n int64, unchanged bool, err error) {
	full := filepath.Join(f.o.Dir, filepath.FromSlash(to))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return 0, false, err
	}
	part := filepath.Join(filepath.Dir(full), "."+filepath.Base(full)+".part") // readers of feeds pass such names by
	d := &download{f: f, name: name, url: u, path: full, part: part}
	f.mu.Lock()
	was, known := f.state[name]
	f.mu.Unlock()
	if info, err := os.Stat(full); known && err == nil && was.URL == u && was.Path == to && was.Size == info.Size() {
		d.was = was
	}
	if err := f.retry(ctx, func() error { return d.once(ctx) }); err != nil {
		return d.got, false, err
	}
	if d.unchanged {
		return 0, true, os.RemoveAll(part)
	}
	if err := check(part, to, want); err != nil {
		return d.got, false, errors.Join(err, os.Remove(part), removeNote(part))
	}
	if err := errors.Join(os.Rename(part, full), removeNote(part)); err != nil {
		return d.got, false, err
	}
	if was.Path != "" && was.Path != to { // an updateinfo that is packed another way now
		os.Remove(filepath.Join(f.o.Dir, filepath.FromSlash(was.Path)))
	}
	f.mu.Lock()
	f.state[name] = saved{URL: u, ETag: d.etag, Modified: d.modified, Path: to, Size: d.size, Fetched: time.Now().UTC().Format(time.RFC3339)}
	f.mu.Unlock()
	return d.got, false, nil
}

// download is one file on its way.
type download struct {
	f              *fetcher
	name, url      string
	path, part     string
	was            saved // of the file in place, zero when there is none
	etag, modified string
	size, got      int64
	unchanged      bool
}

// note keeps beside a part what it is a part of.
type note struct{ URL, ETag, Modified string }

func noteOf(part string) string    { return part + ".json" }
func removeNote(part string) error { return os.RemoveAll(noteOf(part)) }

// resume returns how much of the file is there from before, and of which version.
func (d *download) resume() (have int64, validator string) {
	var n note
	data, err := os.ReadFile(noteOf(d.part))
	info, err2 := os.Stat(d.part)
	if err != nil || err2 != nil || json.Unmarshal(data, &n) != nil || n.URL != d.url || info.Size() == 0 {
		return 0, ""
	}
	if n.ETag != "" && !strings.HasPrefix(n.ETag, "W/") { // weak ones do not promise the same bytes
		return info.Size(), n.ETag
	}
	if n.Modified != "" {
		return info.Size(), n.Modified
	}
	return 0, ""
}

func (d *download) once(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(d.f.o.Stall, func() { cancel(fmt.Errorf("the server said nothing for %v", d.f.o.Stall)) })
	defer stall.Stop()
	header := map[string]string{}
	have, validator := d.resume()
	if have > 0 {
		header["Range"], header["If-Range"] = fmt.Sprintf("bytes=%d-", have), validator
	} else if d.was.ETag != "" {
		header["If-None-Match"] = d.was.ETag
	} else if d.was.Modified != "" {
		header["If-Modified-Since"] = d.was.Modified
	}
	resp, err := d.f.get(ctx, d.url, header)
	if err != nil {
		return cause(ctx, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNotModified:
		if d.was.Path == "" {
			return final{errors.New("the server says that nothing changed, but nothing was there")}
		}
		d.unchanged = true
		return nil
	case http.StatusRequestedRangeNotSatisfiable:
		return errors.Join(errors.New("the part on disk is not of this file"), os.Remove(d.part), removeNote(d.part))
	}
	if err := status(resp); err != nil {
		return err
	}
	flags := os.O_CREATE | os.O_WRONLY
	if resp.StatusCode == http.StatusPartialContent {
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have)) {
			return errors.Join(fmt.Errorf("the server sent another range: %.60q", resp.Header.Get("Content-Range")), os.Remove(d.part), removeNote(d.part))
		}
		flags |= os.O_APPEND
	} else {
		have = 0
		flags |= os.O_TRUNC
	}
	return cause(ctx, d.receive(resp, have, flags, stall))
}

// cause prefers the reason for which a request was given up.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); err != nil && c != nil && !errors.Is(c, context.Canceled) {
		return c
	}
	return err
}

// receive writes the body to the part.
func (d *download) receive(resp *http.Response, have int64, flags int, stall *time.Timer) (err error) {
	d.etag, d.modified = resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	data, err := json.Marshal(note{d.url, d.etag, d.modified})
	if err != nil {
		return err
	}
	if err := os.WriteFile(noteOf(d.part), data, 0o644); err != nil {
		return final{err}
	}
	out, err := os.OpenFile(d.part, flags, 0o644)
	if err != nil {
		return final{err}
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	total := int64(-1)
	if resp.ContentLength >= 0 {
		total = have + resp.ContentLength
	}
	if total > d.f.o.MaxBytes {
		return final{fmt.Errorf("%d bytes are more than the limit of %d", total, d.f.o.MaxBytes)}
	}
	buf := make([]byte, 128<<10)
	for d.size = have; ; {
		n, err := resp.Body.Read(buf)
		stall.Reset(d.f.o.Stall)
		if _, err := out.Write(buf[:n]); err != nil {
			return final{err} // a full disk
		}
		d.size, d.got = d.size+int64(n), d.got+int64(n)
		d.progress(total)
		if d.size > d.f.o.MaxBytes {
			return final{fmt.Errorf("more bytes than the limit of %d", d.f.o.MaxBytes)}
		}
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	if total >= 0 && d.size != total {
		return fmt.Errorf("%d bytes of %d: %w", d.size, total, io.ErrUnexpectedEOF)
	}
	return out.Sync()
}

func (d *download) progress(total int64) {
	if d.f.o.Progress == nil {
		return
	}
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	d.f.o.Progress(d.name, d.size, total)
}

// magics are the beginnings of files by their extension.
var magics = map[string]string{".gz": "\x1f\x8b", ".zip": "PK", ".bz2": "BZh", ".xz": "\xfd7zXZ", ".zst": "\x28\xb5\x2f\xfd"}

// check refuses what cannot be the file: a web page, an empty file, another format, another checksum than the publisher's.
func check(file, name string, want checksum) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 1024)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return err
	}
	head = head[:n]
	switch text := bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))); {
	case len(text) == 0:
		return errors.New("the file is empty")
	case looksHTML(head):
		return errors.New("a web page came instead of data")
	case magics[path.Ext(name)] != "" && !strings.HasPrefix(string(head), magics[path.Ext(name)]):
		return fmt.Errorf("not a %s file: it begins with %.20q", path.Ext(name), head)
	case path.Ext(name) == ".json" && text[0] != '{' && text[0] != '[':
		return fmt.Errorf("not JSON: it begins with %.20q", head)
	case path.Ext(name) == ".xml" && text[0] != '<':
		return fmt.Errorf("not XML: it begins with %.20q", head)
	}
	var h hash.Hash
	switch want.algorithm {
	case "sha256":
		h = sha256.New()
	case "sha512":
		h = sha512.New()
	case "sha", "sha1":
		h = sha1.New() //nolint:gosec
	default:
		return nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); !strings.EqualFold(got, want.hex) {
		return fmt.Errorf("%s is %s, the publisher says %.128q", want.algorithm, got, want.hex)
	}
	return nil
}

func looksHTML(head []byte) bool {
	text := strings.ToLower(string(bytes.TrimSpace(head[:min(len(head), 1024)])))
	return strings.HasPrefix(text, "<!doctype html") || strings.HasPrefix(text, "<html") || strings.HasPrefix(text, "<head")
}
