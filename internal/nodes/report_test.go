package nodes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/internal/triage"
)

// sampleFacts are those of a node.
func sampleFacts() inventory.NodeFacts {
	return inventory.NodeFacts{Name: "n1", OS: inventory.OSFacts{ID: "debian", Name: "Debian 12", Kernel: "6.1.0", Arch: "amd64"},
		Kubelet:    &inventory.Settings{Flags: map[string]string{"anonymous-auth": "true"}, Config: map[string]any{"authentication": map[string]any{"anonymous": map[string]any{"enabled": true}}}},
		Processes:  []inventory.ProcessFact{{Name: "mysqld", Args: []string{"mysqld", "--password=hunter2hunter2"}}},
		Binaries:   []inventory.BinaryFact{{Component: "kubelet", Path: "/usr/bin/kubelet", Version: "1.34.4", Running: true}},
		Containers: []inventory.ContainerFact{{ID: "c1", Namespace: "shop", Pod: "web-1", Container: "web", Drift: []inventory.DriftFact{{Path: "/tmp/x", Why: "added"}}}}}
}

func TestReports(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := newBench(t, db)
		shop := b.cluster("shop")
		id := b.node(shop, "n1")
		f := sampleFacts()
		f.Name = "n2" // of another node
		r := b.report(protocol.ReadFacts, f)
		b.must(b.Take(ctx, id, r))
		known, err := b.Known(ctx, b.all, id)
		b.must(err)
		if known.Name != "n1" || known.Kind != "NodeFacts" {
			t.Errorf("a report made facts of the node %s", known.Name)
		}
		if text := fmt.Sprint(known.Processes); strings.Contains(text, "hunter2") {
			t.Errorf("a password came in: %s", text)
		}
		row := b.row(id)
		if row.FactsDigest != r.Digest || row.DirtyAt.IsZero() || !row.FactsAt.Equal(b.time) || !strings.Contains(row.Summary, `"kubelet":"1.34.4"`) || !strings.Contains(row.Summary, `"drifted":1`) {
			t.Errorf("%+v", row)
		}
		// Taken twice it counts once, and the same digest costs no write.
		b.time = b.time.Add(time.Minute)
		b.must(b.Take(ctx, id, r))
		again := b.report(protocol.ReadFacts, f)
		again.Body = nil
		b.must(b.Take(ctx, id, again))
		if n, err := db.R.NewSelect().Table("node_reports").Count(ctx); err != nil || n != 1 {
			t.Errorf("%d reports were written: %v", n, err)
		}
		b.must(b.Flush(ctx))
		if !b.row(id).FactsAt.Equal(b.time) {
			t.Error("facts that were confirmed grow old")
		}
		// Without a body only what is known counts.
		unknown := b.report(protocol.ReadFacts, f)
		unknown.Body, unknown.Digest = nil, strings.Repeat("0", 64)
		if err := b.Take(ctx, id, unknown); !errors.Is(err, ErrBase) {
			t.Error(err)
		}
		for name, bad := range map[string]*protocol.Report{
			"kind":     {ID: "abc", Kind: "everything", Digest: strings.Repeat("1", 64), Body: json.RawMessage(`{}`)},
			"id":       {ID: "a b", Kind: protocol.ReadFacts, Digest: strings.Repeat("1", 64), Body: json.RawMessage(`{}`)},
			"digest":   {ID: "abc", Kind: protocol.ReadFacts, Digest: "latest", Body: json.RawMessage(`{}`)},
			"none":     {ID: "abc", Kind: protocol.ReadFacts, Body: json.RawMessage(`{}`)},
			"facts":    {ID: "abc", Kind: protocol.ReadFacts, Digest: strings.Repeat("1", 64), Body: json.RawMessage(`[]`)},
			"software": {ID: "abc", Kind: protocol.ReadPackages, Digest: strings.Repeat("1", 64), Body: json.RawMessage(`"x"`)},
			"image":    {ID: "abc", Kind: protocol.ReadImages, Digest: strings.Repeat("1", 64), Body: json.RawMessage(`{"packages":[]}`)},
			"no id":    {ID: "abc", Kind: protocol.ReadImages, Digest: strings.Repeat("1", 64), Body: json.RawMessage(`{"image":{"digest":"latest"},"packages":[]}`)},
		} {
			if bad.Digest != "" && bad.Digest != "latest" {
				bad.Digest = digestOfBody(bad.Body)
			}
			if err := b.Take(ctx, id, bad); !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "that of its body") {
				t.Errorf("%s: %v", name, err)
			}
		}
		// Contents are known by their digest: it is not taken on trust, neither for new contents nor for those that are known.
		f.OS.Kernel = "6.1.9"
		false1, false2 := b.report(protocol.ReadFacts, f), b.report(protocol.ReadFacts, f)
		false1.Digest, false2.Digest = strings.Repeat("5", 64), b.row(id).FactsDigest
		for _, r := range []*protocol.Report{false1, false2} {
			if err := b.Take(ctx, id, r); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "digest is not that of its body") {
				t.Errorf("a report under another digest: %v", err)
			}
		}
		if known, err := b.Known(ctx, b.all, id); err != nil || known.OS.Kernel == "6.1.9" {
			t.Errorf("it counts: %v", err)
		}
		// A clock that is ahead dates nothing into the future.
		f.OS.Kernel = "6.2.0"
		ahead := b.report(protocol.ReadFacts, f)
		ahead.At = b.time.Add(48 * time.Hour)
		b.must(b.Take(ctx, id, ahead))
		if !b.row(id).FactsAt.Equal(b.time) {
			t.Errorf("facts of %v", b.row(id).FactsAt)
		}
		// A report that waited keeps its time.
		f.OS.Kernel = "6.3.0"
		waited := b.report(protocol.ReadFacts, f)
		waited.At = b.time.Add(-3 * time.Hour)
		b.must(b.Take(ctx, id, waited))
		if !b.row(id).FactsAt.Equal(waited.At) {
			t.Errorf("facts of %v", b.row(id).FactsAt)
		}
	})
}

func TestImages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := newBench(t, db)
		shop, bank := b.cluster("shop"), b.cluster("bank")
		id := b.node(shop, "n1")
		digest := "sha256:" + strings.Repeat("a", 64)
		sw := inventory.Software{Kind: "image", Name: "localhost/web:1", Image: &inventory.Image{Reference: "localhost/web:1", ConfigID: digest, Env: []string{"X=1", "DB_PASSWORD=hunter2hunter2"}},
			Packages: []inventory.Package{{Name: "openssl"}}}
		asked, err := b.Ask(ctx, []int64{id}, protocol.Work{Kind: protocol.ReadImages})
		b.must(err)
		other := b.node(shop, "n2") // which nobody asked
		for _, work := range []int64{0, asked[id], 999} {
			r := b.report(protocol.ReadImages, sw)
			r.Work = work
			if err := b.Take(ctx, other, r); !errors.Is(err, ErrInvalid) {
				t.Errorf("an image for work %d of another node: %v", work, err)
			}
		}
		if _, err := b.LocalImage(ctx, shop, digest); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("it was taken: %v", err)
		}
		r := b.report(protocol.ReadImages, sw)
		r.Work = asked[id]
		b.must(b.Take(ctx, id, r))
		got, err := b.LocalImage(ctx, shop, digest)
		if err != nil || len(got.Packages) != 1 || strings.Contains(fmt.Sprint(got.Image.Env), "hunter2") {
			t.Error(got, err)
		}
		if _, err := b.LocalImage(ctx, bank, digest); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a node of one cluster is believed in another: %v", err)
		}
		b.must(b.Forget(ctx, id))
		if _, err := b.LocalImage(ctx, shop, digest); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}

// TestFacts: a scan of the cluster gets the facts that are fresh, and is told of the rest.
func TestFacts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := newBench(t, db)
		shop, bank := b.cluster("shop"), b.cluster("bank")
		collect := func(target int64) (names []string, told []finding.NotScanned) {
			b.must(b.Facts(ctx, target, func(o *inventory.Object) error {
				names = append(names, o.Kind+" "+o.Name)
				return nil
			}, skipAll(&told)))
			return names, told
		}
		b.must(b.Listed(ctx, bank, nil))
		if names, told := collect(bank); len(names)+len(told) != 0 {
			t.Errorf("a cluster without agents: %v %v", names, told)
		}
		one, two := b.node(shop, "n1"), b.node(shop, "n2")
		b.node(shop, "n3")
		b.must(b.Take(ctx, one, b.report(protocol.ReadFacts, sampleFacts())))
		b.time = b.time.Add(Stale + time.Minute)
		b.must(b.Take(ctx, two, b.report(protocol.ReadFacts, sampleFacts())))
		b.beat(one)
		b.must(b.Flush(ctx))
		if names, told := collect(shop); len(names) != 1 || len(told) != 2 {
			t.Errorf("an agent that lives makes old facts fresh: %v %+v", names, told)
		}
		stale := func() (names []string) {
			list, _, err := b.List(ctx, b.all, Filter{}, store.Page{})
			b.must(err)
			for _, n := range list {
				if n.Stale {
					names = append(names, n.Name)
				}
			}
			return names
		}
		if got := strings.Join(stale(), " "); got != "n1" { // n2 was read now, n3 never
			t.Errorf("marked as old: %s", got)
		}
		again := b.report(protocol.ReadFacts, sampleFacts())
		again.Body = nil
		b.must(b.Take(ctx, one, again)) // it has read the same again
		b.must(b.Flush(ctx))
		if got := stale(); len(got) > 0 {
			t.Errorf("marked as old after a look: %s", got)
		}
		b.time = b.time.Add(2 * time.Minute)
		names, told := collect(shop)
		if strings.Join(names, ", ") != "NodeFacts n1, NodeFacts n2" || len(told) != 1 || told[0].Target != "n3" || told[0].What != triage.NodeFacts {
			t.Errorf("%v %+v", names, told)
		}
		b.time = b.time.Add(Stale + time.Hour)
		names, told = collect(shop)
		if len(names) != 0 || len(told) != 3 || told[0].Code != finding.Unreachable || !strings.Contains(told[0].Reason, "older than") {
			t.Errorf("%v %+v", names, told)
		}
		enrolled, err := b.Enrolled(ctx, shop)
		if err != nil || len(enrolled) != 3 || !enrolled["n3"] {
			t.Error(enrolled, err)
		}
	})
}

// TestKeep: what changed is judged, and everything when rules or advisories changed.
func TestKeep(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := newBench(t, db)
		shop := b.cluster("shop")
		one, two := b.node(shop, "n1"), b.node(shop, "n2")
		b.must(b.Take(ctx, one, b.report(protocol.ReadFacts, sampleFacts())))
		b.must(b.Take(ctx, two, b.report(protocol.ReadPackages, inventory.Software{Packages: []inventory.Package{{Name: "bash"}}})))
		keep := func(want ...string) {
			t.Helper()
			b.time = b.time.Add(10 * time.Second)
			b.judge.asked = nil
			b.must(b.Keep(ctx))
			slices.Sort(b.judge.asked)
			if strings.Join(b.judge.asked, " ") != strings.Join(want, " ") {
				t.Errorf("judged %v, want %v", b.judge.asked, want)
			}
		}
		b.judge.prints = []string{strings.Repeat("ab", 16)}
		keep("n1", "n2")
		if s := b.judge.states["n1"]; s.Facts == nil || s.Software != nil || len(s.Prints) != 0 {
			t.Errorf("%+v", s)
		}
		if s := b.judge.states["n2"]; s.Facts != nil || s.Software == nil || s.Software.Name != "n2" || s.Software.Kind != "node" {
			t.Errorf("%+v", s)
		}
		keep()
		b.judge.stamp = "two"
		keep("n1", "n2")
		if s := b.judge.states["n1"]; len(s.Prints) != 1 {
			t.Errorf("what was found on containers the last time is not told: %+v", s.Prints)
		}
		f := sampleFacts()
		f.OS.Kernel = "other"
		b.must(b.Take(ctx, one, b.report(protocol.ReadFacts, f)))
		b.judge.broken = errors.New("the rules are broken")
		b.time = b.time.Add(10 * time.Second)
		if err := b.Keep(ctx); err == nil {
			t.Error("an error is swallowed")
		}
		b.judge.broken = nil
		keep() // it is not tried again at once
		b.time = b.time.Add(2 * pauseFailed)
		keep("n1")
		if n, err := b.JudgeNode(ctx, shop, "n2", 7, nil); err != nil || n != 3 {
			t.Error(n, err)
		}
	})
}

// FuzzReport: no body of an agent makes the server fall, or facts of another node.
func FuzzReport(f *testing.F) {
	data, err := json.Marshal(sampleFacts())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, "facts")
	f.Add([]byte(`{"containers":[{"processes":[{"args":["sh","-c","--password","x"]}]}],"kubelet":{"config":{"a":[[["b"]]]}}}`), "facts")
	f.Add([]byte(`{"image":{"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}}`), "images")
	s := New(Options{})
	f.Fuzz(func(t *testing.T, body []byte, kind string) {
		taken := taken{at: time.Unix(0, 0)}
		r := &protocol.Report{Kind: protocol.WorkKind(kind), Digest: strings.Repeat("0", 64), Body: body}
		if err := s.open(Subject{Name: "n1"}, r, &taken); err != nil || taken.body == nil {
			return
		}
		out, err := unpack(taken.body)
		if err != nil {
			t.Fatal(err)
		}
		if r.Kind == protocol.ReadFacts {
			var facts inventory.NodeFacts
			if err := json.Unmarshal(out, &facts); err != nil || facts.Name != "n1" {
				t.Errorf("%q: %v", facts.Name, err)
			}
		}
	})
}

func digestOfBody(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
