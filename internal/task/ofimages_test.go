package task

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// ofImages is a scan of images.
func ofTheseImages(origin string, target int64, refs ...string) Request {
	r := Request{Origin: origin}
	for _, ref := range refs {
		r.Scope.Images = append(r.Scope.Images, Image{Target: target, Reference: ref})
	}
	return r
}

// TestTaskOfImages: images are read that run nowhere, each once, of a cluster or of none; the task ends with its last image.
func TestTaskOfImages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 0)
		a := r.cluster("a")
		made := r.create(ofTheseImages(Manual, a, "registry.example.com/x:1", "registry.example.com/x:1", "nginx"))
		if done := r.await(made.ID); done.Status != Finished {
			t.Fatalf("%+v\n%s", done, r.dump(made.ID))
		}
		got, err := r.s.Task(t.Context(), identity.Visible{Targets: []int64{a}}, made.ID)
		if err != nil || got.Total.ImagesOf != 2 || got.Total.Images != 2 || got.Total.Unread != 0 || got.Total.Items != 0 || len(got.Targets) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		items, _, err := r.s.Items(t.Context(), identity.Visible{All: true}, made.ID, ItemFilter{Kind: kindImage}, store.Page{})
		if err != nil || len(items) != 2 || items[0].Result == "" || items[1].Name != "docker.io/library/nginx:latest" {
			t.Errorf("%+v, %v", items, err)
		}
		outside := r.create(ofTheseImages(Manual, 0, "registry.example.com/x:1", "registry.example.com/y:1"))
		r.await(outside.ID)
		if reads := r.reads(); reads["registry.example.com/x:1"] != 1 || reads["registry.example.com/y:1"] != 1 || reads["docker.io/library/nginx:latest"] != 1 {
			t.Error(reads)
		}
		if _, err := r.s.Task(t.Context(), identity.Visible{Targets: []int64{a}}, outside.ID); !errors.Is(err, store.ErrNotFound) {
			t.Error("images of no cluster are shown to who sees one cluster", err)
		}
		all, err := r.s.Task(t.Context(), identity.Visible{All: true}, outside.ID)
		if err != nil || len(all.Targets) != 1 || all.Targets[0].Kind != outsideKind || all.Total.Images != 2 {
			t.Errorf("%+v, %v", all, err)
		}
		if n := r.count("SELECT count(*) FROM targets WHERE kind = 'images' AND removed_at > 0"); n != 1 {
			t.Errorf("%d targets of images", n)
		}
		r.await(r.create(ofTheseImages(Manual, 0, "registry.example.com/z:1")).ID)
		if n := r.count("SELECT count(*) FROM targets WHERE kind = 'images'"); n != 1 {
			t.Errorf("%d targets of images", n)
		}
		for name, q := range map[string]Request{
			"no name":      ofTheseImages(Manual, a, "Not A Name"),
			"no cluster":   ofTheseImages(Manual, a+1000, "nginx"),
			"far too many": ofTheseImages(Manual, a, strings.Split(strings.Repeat("nginx ", maxImages), " ")...),
		} {
			if _, err := r.s.Create(t.Context(), q); !errors.Is(err, ErrInvalid) && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestSameImageTwice: an image that another task is about to read is waited for; for admission nothing more is needed.
func TestSameImageTwice(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 0)
		a := r.cluster("a")
		hold, begun := make(chan struct{}), make(chan struct{}, 10)
		r.reader.hold = func(ctx context.Context, _ string) {
			begun <- struct{}{}
			select {
			case <-hold:
			case <-ctx.Done():
			}
		}
		first := r.create(ofTheseImages(Admission, a, "registry.example.com/x:1"))
		<-begun
		if _, err := r.s.Create(t.Context(), ofTheseImages(Admission, a, "registry.example.com/x:1")); !Busy(err) {
			t.Error(err)
		}
		second := r.create(ofTheseImages(Manual, a, "registry.example.com/x:1"))
		close(hold)
		if s := r.await(first.ID).Status; s != Finished {
			t.Error(s)
		}
		if s := r.await(second.ID).Status; s != Finished {
			t.Error(s)
		}
		if n := r.reads()["registry.example.com/x:1"]; n != 1 {
			t.Errorf("read %d times", n)
		}
		if n := r.count("SELECT count(*) FROM audit WHERE action = 'task.create'"); n != 1 {
			t.Errorf("%d entries in the log: nobody asked for what admission wants", n)
		}
		if n := r.count("SELECT count(*) FROM outbox WHERE topic = 'task.finished'"); n != 1 {
			t.Errorf("%d messages", n)
		}
	})
}

// TestFailedTaskOfImages: a task whose images cannot be read fails with the reason of each, and can be tried again; one that is canceled ends.
func TestFailedTaskOfImages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 0)
		a := r.cluster("a")
		r.reader.fail = func(ref string) error {
			if strings.Contains(ref, "bad") {
				return examine.Coded(errors.New("denied"), finding.Forbidden)
			}
			return nil
		}
		some := r.create(ofTheseImages(Manual, a, "registry.example.com/bad:1", "registry.example.com/good:1"))
		if s := r.await(some.ID).Status; s != Partial {
			t.Error(s)
		}
		none := r.create(ofTheseImages(Manual, a, "registry.example.com/bad:2"))
		if s := r.await(none.ID).Status; s != Failed {
			t.Error(s)
		}
		got, err := r.s.Readings(t.Context(), []string{"registry.example.com/bad:1", "registry.example.com/good:1", "registry.example.com/never:1"})
		if err != nil || len(got) != 2 || got["registry.example.com/bad:1"].Code != "forbidden" || got["registry.example.com/bad:1"].Why != "denied" || got["registry.example.com/good:1"].Code != "" {
			t.Errorf("%+v, %v", got, err)
		}
		r.reader.fail = nil
		if _, err := r.s.Retry(t.Context(), none.ID); err != nil {
			t.Fatal(err)
		}
		if s := r.await(none.ID).Status; s != Finished {
			t.Error(s)
		}
		hold := make(chan struct{})
		defer close(hold)
		r.reader.hold = func(ctx context.Context, _ string) {
			select {
			case <-hold:
			case <-ctx.Done():
			}
		}
		var refs []string
		for i := range 20 {
			refs = append(refs, fmt.Sprintf("registry.example.com/slow:%d", i))
		}
		long := r.create(ofTheseImages(Manual, a, refs...))
		if err := r.s.Cancel(t.Context(), long.ID); err != nil {
			t.Fatal(err)
		}
		if s := r.await(long.ID).Status; s != Canceled {
			t.Error(s)
		}
	})
}

// TestFindingsOfImage: what is in a kept inventory is held against the rules and the database without the image; another database
// makes another stamp.
func TestFindingsOfImage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir := t.TempDir()
		r := newRig(t, db, 0, func(o *Options) { o.Database = dir })
		r.await(r.create(ofTheseImages(Manual, r.cluster("a"), "registry.example.com/x:1")).ID)
		digest := digestOf("registry.example.com/x:1")
		look := func() Looked {
			t.Helper()
			l, err := r.s.Findings(t.Context(), digest, func(*finding.Finding, string, string) {})
			if err != nil {
				t.Fatal(err)
			}
			stamp, err := r.s.Stamp()
			if err != nil || stamp != l.Stamp || l.Digest != digest || l.Read.IsZero() {
				t.Errorf("%+v, %q, %v", l, stamp, err)
			}
			return l
		}
		before := look()
		if before.NoDatabase == "" {
			t.Error("it is not told that there is no database")
		}
		advisoryDatabase(t, dir, "CVE-2026-0001", time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
		after := look()
		if after.Stamp == before.Stamp {
			t.Error("another database has the same stamp")
		}
		if _, err := r.s.Findings(t.Context(), digestOf("nobody"), nil); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}
