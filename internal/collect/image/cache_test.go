package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stockade.dev/stockade/internal/collect/image/source"
)

// counted counts how often a layer is opened.
func counted(l source.Layer, n *atomic.Int64) source.Layer {
	open := l.Open
	l.Open = func(ctx context.Context) (io.ReadCloser, error) {
		n.Add(1)
		return open(ctx)
	}
	return l
}

func testStore(t *testing.T, c Cache) *Store {
	t.Helper()
	s, err := NewStore(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCaches(t *testing.T) {
	dir, err := NewDirectory(filepath.Join(t.TempDir(), "cache"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]Cache{"memory": NewMemory(1 << 20), "directory": dir} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			base := counted(layerOf(gz(t, tarOf(t, entry{name: "var/lib/dpkg/status", body: stanza("jre", "1")}, entry{name: "var/lib/dpkg/info/jre.list", body: "/opt/release\n"}))), &n)
			top := layerOf(tarOf(t, entry{name: "opt/release", body: jdk("21.0.1")}))
			o := Options{Store: testStore(t, c)}
			want := []string{"jre 1 @0 var/lib/dpkg/status", "openjdk 21.0.1 @1 opt/release of jre"}
			first := analyze(t, imageOf(base, top), o)
			second := analyze(t, imageOf(base, top), o)
			same(t, list(first), want)
			same(t, list(second), want)
			if n.Load() != 1 || first.Stats.Cached != 0 || second.Stats.Cached != 2 || second.Stats.Files != first.Stats.Files {
				t.Errorf("%d reads, %+v, %+v", n.Load(), first.Stats, second.Stats)
			}
			o.Scanners.NoSecrets = true // another question
			analyze(t, imageOf(base), o)
			if n.Load() != 2 {
				t.Errorf("%d reads", n.Load())
			}
		})
	}
}

func TestDirectory(t *testing.T) {
	path := t.TempDir()
	d, err := NewDirectory(path, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte("x"), 9_000)
	for i := range 30 {
		if err := d.Put(fmt.Sprint(i), value); err != nil {
			t.Fatal(err)
		}
		name := d.file(fmt.Sprint(i))
		at := time.Now().Add(time.Duration(i-1000) * time.Second)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
		d.Get("0") // in use, so it stays
	}
	files, err := filepath.Glob(filepath.Join(path, "*"))
	if err != nil || len(files) > 11 || len(files) < 5 {
		t.Errorf("%d files, %v", len(files), err)
	}
	if _, ok := d.Get("0"); !ok {
		t.Error("what was used is gone")
	}
	if _, ok := d.Get("1"); ok {
		t.Error("what was not used is there")
	}
	if err := d.Put("big", make([]byte, 50_000)); err == nil {
		t.Error("half the cache for one layer")
	}
}

func TestDamagedCache(t *testing.T) {
	c := NewMemory(1 << 20)
	l := layerOf(tarOf(t, entry{name: "opt/release", body: jdk("21.0.1")}))
	o := Options{Store: testStore(t, c)}
	analyze(t, imageOf(l), o)
	for key, v := range c.m {
		for _, damaged := range [][]byte{nil, v[:len(v)/2], []byte("rubbish"), append([]byte("x"), v...)} {
			c.m[key] = damaged
			same(t, list(analyze(t, imageOf(l), o)), []string{"openjdk 21.0.1 @0 opt/release"})
		}
	}
	if len(c.m) != 1 {
		t.Errorf("%d results", len(c.m))
	}
}

// TestOnce: many scans of images that share a layer, at the same time, read it once.
func TestOnce(t *testing.T) {
	var n atomic.Int64
	base := counted(layerOf(gz(t, tarOf(t, entry{name: "opt/release", body: jdk("21.0.1")}))), &n)
	o := Options{Store: testStore(t, NewMemory(1<<20))}
	var wg sync.WaitGroup
	for i := range 20 {
		top := layerOf(tarOf(t, entry{name: fmt.Sprintf("srv/%d/release", i), body: jdk("17.0.1")}))
		wg.Go(func() {
			s, err := Analyze(t.Context(), imageOf(base, base, top), o)
			if err != nil || len(s.Packages) != 2 {
				t.Errorf("%v %v", s, err)
			}
		})
	}
	wg.Wait()
	if n.Load() != 1 {
		t.Errorf("read %d times", n.Load())
	}
}

// TestLeaderLeaves: whoever waits for another's reading goes on when that one is cancelled.
func TestLeaderLeaves(t *testing.T) {
	s := testStore(t, NewMemory(1<<20))
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _, err := s.layer(ctx, "k", func() (*result, error) {
			close(started)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
	<-started
	wg.Go(func() {
		r, _, err := s.layer(t.Context(), "k", func() (*result, error) { return &result{Entries: 7}, nil })
		if err != nil || r.Entries != 7 {
			t.Errorf("%v %v", r, err)
		}
	})
	cancel()
	wg.Wait()
}
