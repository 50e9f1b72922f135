package anatomy_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/anatomy"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/internal/triage"
)

var everything = identity.Visible{All: true}

// shelf holds inventories by digest.
type shelf struct {
	all   map[string]*inventory.Software
	reads int
}

func (s *shelf) Inventory(_ context.Context, digest string) (*inventory.Software, error) {
	s.reads++
	sw := s.all[digest]
	if sw == nil {
		return nil, store.ErrNotFound
	}
	out := *sw
	return &out, nil
}

// world is a database with clusters that run images.
type world struct {
	*testing.T
	db    *store.DB
	s     *anatomy.Service
	in    *triage.Triage
	shelf *shelf
	now   time.Time
	count int
}

func newWorld(t *testing.T, db *store.DB) *world {
	w := &world{T: t, db: db, in: triage.New(db, nil, nil), shelf: &shelf{all: map[string]*inventory.Software{}}, now: time.Date(2026, 10, 1, 8, 0, 0, 0, time.UTC)}
	w.in.SetClock(func() time.Time { return w.now })
	w.s = anatomy.New(db, browse.New(db), w.shelf, func() time.Time { return w.now })
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// cluster adds a cluster.
func (w *world) cluster(name string) (id int64) {
	w.Helper()
	w.must(w.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		t, err := ledger.AddTarget(ctx, tx, "cluster", name, w.now)
		if err != nil {
			return err
		}
		id = t.ID
		_, err = tx.NewRaw("INSERT INTO clusters (target_id, kind, version) VALUES (?, 'snapshot', 'v1.34.2')", id).Exec(ctx)
		return err
	}))
	return id
}

// read puts an inventory on the shelf and its rows into the database, as a scan does.
func (w *world) read(digest string, sw *inventory.Software, names ...string) {
	w.Helper()
	w.shelf.all[digest] = sw
	var packed []byte
	chain := int64(0)
	for _, c := range sw.Chains() {
		packed, chain = binary.BigEndian.AppendUint64(packed, uint64(c)), c
	}
	w.must(w.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		at := store.At(w.now)
		if _, err := tx.NewRaw("INSERT INTO inventories (digest, scanner, reference, packages, read_at, used_at, body) VALUES (?, 'x', ?, ?, ?, ?, ?)",
			digest, sw.Name, len(sw.Packages), at, at, []byte("x")).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewRaw("INSERT INTO image_facts (digest, os, layers, chain, chains) VALUES (?, ?, ?, ?, ?)", digest, "Debian 12", len(sw.Layers), chain, packed).Exec(ctx); err != nil {
			return err
		}
		for _, n := range append(names, digest) {
			if _, err := tx.NewRaw("INSERT INTO inventory_names (name, digest) VALUES (?, ?)", n, digest).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	}))
}

// use is an image that workloads of a namespace run.
type use struct {
	reference, digest, namespace, workload string
	found                                  []*finding.Finding
	unread                                 string
}

// scan takes in a full scan of a cluster.
func (w *world) scan(target int64, cluster string, uses ...use) {
	w.Helper()
	w.now = w.now.Add(time.Minute)
	in, err := w.in.Ingest(context.Background(), triage.Run{Target: target, Kind: triage.Full})
	w.must(err)
	about := finding.Target{Kind: "cluster", Name: cluster}
	w.must(in.Begin(finding.Header{Target: about, StartedAt: w.now}))
	w.must(in.Asset(finding.Asset{Kind: "cluster", Name: cluster}))
	for _, u := range uses {
		w.must(in.Asset(finding.Asset{Kind: "namespace", Name: u.namespace}))
		w.must(in.Asset(finding.Asset{Kind: "image", Name: u.reference, Digest: u.digest, Unread: u.unread}))
		w.must(in.Asset(finding.Asset{Kind: "workload", GroupKind: "Deployment.apps", Namespace: u.namespace, Name: u.workload,
			Runs: []finding.ImageRef{{Reference: u.reference, Digest: u.digest}}}))
		if u.unread != "" {
			w.must(in.NotScanned(finding.NotScanned{Target: u.reference, What: "image", Reason: u.unread, Code: finding.Unreachable}))
		}
		for _, f := range u.found {
			x := *f
			w.count++
			x.Fingerprint, x.Status = fmt.Sprintf("%032x", w.count), finding.Open
			x.Resource.Cluster, x.Resource.Image, x.Resource.Digest = cluster, u.reference, u.digest
			w.must(in.Finding(&x))
		}
	}
	w.must(in.End(w.now, about, finding.Stats{}))
}

// vulnerable is a vulnerability of a package.
func vulnerable(cve string, sev finding.Severity, p inventory.Package, fixed string) *finding.Finding {
	kind := "application"
	if p.Type.System() {
		kind = "system"
	}
	return &finding.Finding{Kind: finding.Vulnerability, Rule: cve, Severity: sev, Title: finding.Text{EN: cve + " in " + p.Name, ZH: cve + "：" + p.Name},
		Resource: finding.Resource{File: p.Path}, Vulnerability: &finding.Vulnerable{ID: cve, Package: p.Name, Version: p.Version, FixedVersion: fixed,
			Type: kind, PURL: "pkg:" + string(p.Type) + "/x/" + p.Name, Path: p.Path, EPSS: 0.5}}
}

func digestOf(n int) string { return fmt.Sprintf("sha256:%064d", n) }

var (
	openssl = inventory.Package{Type: inventory.Deb, Name: "openssl", Version: "3.0.1-1", Path: "var/lib/dpkg/status", Layer: 0}
	left    = inventory.Package{Type: inventory.NPM, Name: "left", Version: "1.2.0", Path: "app/node_modules/left/package.json", Layer: 2, License: "MIT"}
	again   = inventory.Package{Type: inventory.NPM, Name: "left", Version: "1.2.0", Path: "app/node_modules/other/node_modules/left/package.json", Layer: 2}
	quiet   = inventory.Package{Type: inventory.NPM, Name: "quiet", Version: "9.0.0", Path: "app/node_modules/quiet/package.json", Layer: 2}
)

// till is an image of three layers: two of Debian's and its own.
func till() *inventory.Software {
	return &inventory.Software{Kind: "image", Name: "registry.example.com/shop/till:1", OS: &inventory.OS{ID: "debian", VersionID: "12", Release: "Debian 12"},
		Packages: []inventory.Package{openssl, left, again, quiet},
		Layers:   []inventory.Layer{{Digest: "sha256:a", DiffID: "sha256:aa", Size: 10}, {Digest: "sha256:b", DiffID: "sha256:bb", Size: 20}, {Digest: "sha256:c", DiffID: "sha256:cc", Size: 30}},
		Image: &inventory.Image{Reference: "registry.example.com/shop/till:1", User: "0", Env: []string{"TOKEN=****"}, Ports: []string{"22/tcp"}, Created: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC),
			History: []inventory.History{{CreatedBy: "/bin/sh -c #(nop) ADD file:1 in / "}, {CreatedBy: "RUN /bin/sh -c apt-get update # buildkit"}, {CreatedBy: `CMD ["bash"]`, Empty: true},
				{CreatedBy: "COPY . /app # buildkit"}, {CreatedBy: `ENTRYPOINT ["node"]`, Empty: true}}},
		Gaps: []inventory.Gap{{What: "var/x", Reason: "var/x: too large", Code: "limit"}}}
}

func tillFindings() []*finding.Finding {
	secret := &finding.Finding{Kind: finding.Secret, Rule: "image/secret-in-file", Severity: finding.High, Title: finding.Text{EN: "Secret"}, Resource: finding.Resource{File: "app/.env", Layer: "sha256:c"}}
	root := &finding.Finding{Kind: finding.Configuration, Rule: "image/runs-as-root", Severity: finding.Medium, Title: finding.Text{EN: "Root"}}
	return []*finding.Finding{vulnerable("CVE-2026-1", finding.Critical, openssl, "3.0.9-1"), vulnerable("CVE-2026-2", finding.High, openssl, "3.0.10-1"), vulnerable("CVE-2026-3", finding.Low, openssl, ""),
		vulnerable("CVE-2026-4", finding.High, left, "1.3.0"), vulnerable("CVE-2026-5", finding.Medium, again, "2.0.0"), secret, root}
}

// shop has one cluster that runs till and something that was not read.
func shop(t *testing.T, db *store.DB) (*world, int64) {
	w := newWorld(t, db)
	id := w.cluster("shop")
	w.read(digestOf(1), till(), digestOf(100))
	w.scan(id, "shop", use{"registry.example.com/shop/till:1", digestOf(1), "shop", "till", tillFindings(), ""},
		use{"registry.example.com/shop/lost:1", digestOf(2), "bank", "lost", nil, "the registry cannot be reached"})
	return w, id
}

func TestImage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, id := shop(t, db)
		ctx := context.Background()
		x, err := w.s.Image(ctx, everything, digestOf(1), 0, "en")
		w.must(err)
		if !x.Read || x.Target != "shop" || x.TargetID != id || x.Size != 60 || x.OS.Release != "Debian 12" || x.Packages != 4 || x.User != "0" {
			t.Errorf("header: %+v", x)
		}
		if x.Base.How != "history" || x.Base.Layers != 2 || x.Base.Reason == "" {
			t.Errorf("base: %+v", x.Base)
		}
		if want := map[string]int{"critical": 1, "high": 1, "low": 1}; !maps.Equal(x.Split.Base, want) {
			t.Errorf("base has %v", x.Split.Base)
		}
		if want := map[string]int{"high": 2, "medium": 1}; !maps.Equal(x.Split.Own, want) {
			t.Errorf("own layers have %v", x.Split.Own)
		}
		if want := map[string]int{"medium": 1}; !maps.Equal(x.Split.Elsewhere, want) {
			t.Errorf("elsewhere: %v", x.Split.Elsewhere)
		}
		var steps []string
		for _, s := range x.Layers {
			steps = append(steps, fmt.Sprint(s.Index, " ", s.CreatedBy, " ", s.Base, " ", s.Packages, " ", s.Vulnerabilities, " ", s.Secrets))
		}
		want := []string{"0 ADD file:1 in / true 1 map[critical:1 high:1 low:1] 0", "1 RUN apt-get update true 0 map[] 0", `-1 CMD ["bash"] true 0 map[] 0`,
			"2 COPY . /app false 3 map[high:1 medium:1] 1", `-1 ENTRYPOINT ["node"] false 0 map[] 0`}
		if !slices.Equal(steps, want) {
			t.Errorf("layers:\n%s\nwant\n%s", strings.Join(steps, "\n"), strings.Join(want, "\n"))
		}
		w.advice(x.Advice)
		if len(x.Gaps) != 1 || x.Gaps[0].Reason != "too large" {
			t.Errorf("gaps: %v", x.Gaps)
		}
		if len(x.Uses) != 1 || len(x.Uses[0].Workloads) != 1 || x.Uses[0].Workloads[0].Name != "till" || x.Uses[0].Workloads[0].ID == 0 {
			t.Errorf("uses: %+v", x.Uses)
		}
		if byIndex, err := w.s.Image(ctx, everything, digestOf(100), 0, "zh"); err != nil || byIndex.AssetID != x.AssetID || byIndex.Base.Reason == x.Base.Reason {
			t.Errorf("by the digest of the index, in Chinese: %v", err)
		}
		if byID, err := w.s.Image(ctx, everything, fmt.Sprint(x.AssetID), 0, "en"); err != nil || byID.Digest != digestOf(1) {
			t.Errorf("by the id of the asset: %v", err)
		}
		lost, err := w.s.Image(ctx, everything, digestOf(2), 0, "en")
		if err != nil || lost.Read || lost.Reason != "the registry cannot be reached" || lost.Code != "unreachable" {
			t.Errorf("an image that was not read: %+v, %v", lost, err)
		}
		if _, err := w.s.Image(ctx, everything, digestOf(1), id+1, "en"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("in a cluster that does not run it: %v", err)
		}
	})
}

func (w *world) advice(a anatomy.Advice) {
	w.Helper()
	var got []string
	for _, u := range a.Upgrades {
		got = append(got, fmt.Sprint(u.Package, " ", u.From, " ", u.To, " ", u.Clears, " ", u.Base))
	}
	if want := []string{"openssl 3.0.1-1 3.0.10-1 2 true", "left 1.2.0 2.0.0 2 false"}; !slices.Equal(got, want) {
		w.Errorf("upgrades %v, want %v", got, want)
	}
	if a.Clears != 4 || a.NoFix != 1 || a.Rebase == nil || a.Rebase.Clears != 2 || a.Rebase.Of != 3 {
		w.Errorf("advice %+v %+v", a, a.Rebase)
	}
}

// TestWhoSees holds images to the namespaces and clusters of people.
func TestWhoSees(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, id := shop(t, db)
		other := w.cluster("other")
		ctx := context.Background()
		w.scan(other, "other", use{"registry.example.com/shop/till:1", digestOf(1), "hidden", "secret-name", tillFindings(), ""})
		for who, c := range map[string]struct {
			v          identity.Visible
			till, lost bool
			rows       int
		}{
			"everything":  {everything, true, true, 3},
			"the cluster": {identity.Visible{Targets: []int64{id}}, true, true, 2},
			"shop":        {identity.Visible{Namespaces: map[int64][]string{id: {"shop"}}}, true, false, 1},
			"bank":        {identity.Visible{Namespaces: map[int64][]string{id: {"bank"}}}, false, true, 1},
			"nothing":     {identity.Visible{}, false, false, 0},
		} {
			x, err := w.s.Image(ctx, c.v, digestOf(1), 0, "en")
			if (err == nil) != c.till || err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s and till: %v", who, err)
			}
			text, _ := json.Marshal(x)
			if !c.v.All && strings.Contains(string(text), "secret-name") {
				t.Errorf("%s sees the workload of another cluster: %s", who, text)
			}
			if _, err := w.s.Image(ctx, c.v, digestOf(2), 0, "en"); (err == nil) != c.lost {
				t.Errorf("%s and lost: %v", who, err)
			}
			_, err = w.s.Findings(ctx, c.v, digestOf(1), 0, anatomy.FindingFilter{}, "-priority", store.Page{})
			_, _, _, err2 := w.s.Packages(ctx, c.v, digestOf(1), 0, anatomy.PackageFilter{}, "name", store.Page{})
			_, _, err3 := w.s.Inventory(ctx, c.v, digestOf(1))
			if (err == nil) != c.till || (err2 == nil) != c.till || (err3 == nil) != c.till {
				t.Errorf("%s and the lists of till: %v, %v, %v", who, err, err2, err3)
			}
			rows, _, _, err := w.s.List(ctx, c.v, browse.AssetFilter{}, "score", store.Page{})
			if err != nil || len(rows) != c.rows {
				t.Errorf("%s sees %d images, want %d: %v", who, len(rows), c.rows, err)
			}
			if _, err := w.s.Components(ctx, c.v, id, "en"); (err == nil) != c.v.Whole(id) {
				t.Errorf("%s and components: %v", who, err)
			}
		}
	})
}

func TestLists(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, id := shop(t, db)
		ctx := context.Background()
		yes, no, two := true, false, 2
		for name, c := range map[string]struct {
			f    anatomy.FindingFilter
			want int
		}{
			"all": {anatomy.FindingFilter{}, 7}, "base": {anatomy.FindingFilter{Origin: "base"}, 3}, "own": {anatomy.FindingFilter{Origin: "own"}, 3},
			"layer": {anatomy.FindingFilter{Layer: &two}, 3}, "fixable": {anatomy.FindingFilter{Fixable: &yes}, 4}, "secrets": {anatomy.FindingFilter{Kinds: []ledger.Kind{ledger.Secret}}, 1},
			"severity": {anatomy.FindingFilter{Severities: []ledger.Severity{4, 3}}, 4}, "words": {anatomy.FindingFilter{Q: "LEFT cve-2026"}, 2}, "kev": {anatomy.FindingFilter{KEV: &yes}, 0},
			"package": {anatomy.FindingFilter{Package: "left", Version: "1.2.0"}, 2}, "place": {anatomy.FindingFilter{Package: "left", Path: again.Path}, 1}, "version": {anatomy.FindingFilter{Version: "7"}, 0},
		} {
			l, err := w.s.Findings(ctx, everything, digestOf(1), 0, c.f, "-priority", store.Page{})
			if err != nil || l.Total != c.want || len(l.Items) != c.want {
				t.Errorf("findings %s: %d, want %d: %v", name, l.Total, c.want, err)
			}
		}
		var got []string
		for after := ""; ; {
			l, err := w.s.Findings(ctx, everything, digestOf(1), 0, anatomy.FindingFilter{}, "rule", store.Page{Limit: 2, After: after})
			w.must(err)
			for _, x := range l.Items {
				got = append(got, x.Rule)
			}
			if after = l.Next; after == "" {
				break
			}
		}
		if len(got) != 7 || !slices.IsSorted(got) {
			t.Errorf("page by page: %v", got)
		}
		first, err := w.s.Findings(ctx, everything, digestOf(1), 0, anatomy.FindingFilter{}, "rule", store.Page{Limit: 2})
		w.must(err)
		if _, err := w.s.Findings(ctx, everything, digestOf(1), 0, anatomy.FindingFilter{}, "-priority", store.Page{After: first.Next}); !errors.Is(err, store.ErrCursor) {
			t.Errorf("the cursor of another order: %v", err)
		}
		if _, err := w.s.Findings(ctx, everything, digestOf(1), 0, anatomy.FindingFilter{}, "color", store.Page{}); !errors.Is(err, browse.ErrFilter) {
			t.Errorf("an order that there is not: %v", err)
		}
		for name, c := range map[string]struct {
			f    anatomy.PackageFilter
			want string
		}{
			"all": {anatomy.PackageFilter{}, "openssl left left quiet"}, "type": {anatomy.PackageFilter{Types: []string{"deb"}}, "openssl"}, "quiet": {anatomy.PackageFilter{Vulnerable: &no}, "quiet"},
			"own": {anatomy.PackageFilter{Origin: "own", Vulnerable: &yes}, "left left"}, "words": {anatomy.PackageFilter{Q: "mit"}, "left"}, "none": {anatomy.PackageFilter{Q: "absent"}, ""},
		} {
			list, _, total, err := w.s.Packages(ctx, everything, digestOf(1), 0, c.f, "-worst", store.Page{})
			var names []string
			for _, p := range list {
				names = append(names, p.Name)
			}
			if got := strings.Join(names, " "); err != nil || got != c.want || total != len(names) {
				t.Errorf("packages %s: %q of %d, want %q: %v", name, got, total, c.want, err)
			}
		}
		list, _, _, err := w.s.Packages(ctx, everything, digestOf(1), 0, anatomy.PackageFilter{Q: "openssl"}, "name", store.Page{})
		w.must(err)
		if p := list[0]; p.Findings != 3 || p.Worst != "critical" || p.FixedVersion != "3.0.10-1" || !p.Base {
			t.Errorf("package %+v", p)
		}
		if w.shelf.reads != 1 {
			t.Errorf("the inventory was opened %d times", w.shelf.reads)
		}
		w.lists(id)
	})
}

// lists holds the filters of the list of images.
func (w *world) lists(id int64) {
	w.Helper()
	ctx, yes, no := context.Background(), true, false
	for name, c := range map[string]struct {
		f    browse.AssetFilter
		want string
	}{
		"all": {browse.AssetFilter{}, "till lost"}, "read": {browse.AssetFilter{Read: &yes}, "till"}, "not read": {browse.AssetFilter{Read: &no}, "lost"}, "fixable": {browse.AssetFilter{Fixable: &yes}, "till"},
		"not fixable": {browse.AssetFilter{Fixable: &no}, "lost"}, "critical": {browse.AssetFilter{Severities: []ledger.Severity{4}}, "till"}, "info": {browse.AssetFilter{Severities: []ledger.Severity{0}}, ""},
		"namespace": {browse.AssetFilter{Namespaces: []string{"bank"}}, "lost"}, "target": {browse.AssetFilter{Targets: []int64{id}, Q: "lost"}, "lost"}, "elsewhere": {browse.AssetFilter{Targets: []int64{id + 9}}, ""},
	} {
		rows, _, _, err := w.s.List(ctx, everything, c.f, "score", store.Page{})
		var names []string
		for _, r := range rows {
			name, _, _ := strings.Cut(strings.TrimPrefix(r.Name, "registry.example.com/shop/"), ":")
			names = append(names, name)
			if r.Read != (name == "till") || r.Read && (r.Workloads != 1 || r.OS != "Debian 12" || r.BaseHow != "os-layer") || !r.Read && r.Reason == "" {
				w.Errorf("row %+v", r)
			}
		}
		if got := strings.Join(names, " "); err != nil || got != c.want {
			w.Errorf("images %s: %q, want %q: %v", name, got, c.want, err)
		}
	}
}

// TestBelow finds the image that another was built on, by its layers, and tells its name only to those who see it.
func TestBelow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, id := shop(t, db)
		ctx := context.Background()
		base := &inventory.Software{Kind: "image", Name: "docker.io/library/debian:12", Layers: till().Layers[:1]}
		w.read(digestOf(50), base)
		x, err := w.s.Image(ctx, everything, digestOf(1), 0, "en")
		w.must(err)
		if x.Base.How != "image" || x.Base.Name != "docker.io/library/debian:12" || x.Base.Layers != 1 || !x.Base.Known || x.Base.Digest != digestOf(50) {
			t.Errorf("base %+v", x.Base)
		}
		rows, _, _, err := w.s.List(ctx, everything, browse.AssetFilter{}, "score", store.Page{})
		if err != nil || rows[0].Base != "docker.io/library/debian:12" || rows[0].BaseHow != "image" {
			t.Errorf("row %+v, %v", rows, err)
		}
		x, err = w.s.Image(ctx, identity.Visible{Targets: []int64{id}}, digestOf(1), 0, "en")
		if err != nil || x.Base.Name != "" || x.Base.Layers != 1 {
			t.Errorf("the base of somebody else is told: %+v, %v", x.Base, err)
		}
		named := till()
		named.Image.Labels = map[string]string{inventory.LabelBaseName: "registry.example.com/base:3", inventory.LabelBaseDigest: digestOf(77)}
		named.Layers = []inventory.Layer{{Digest: "sha256:x"}, {Digest: "sha256:y"}, {Digest: "sha256:z"}}
		w.read(digestOf(51), named)
		x, err = w.s.Image(ctx, everything, digestOf(51), 0, "en")
		if err != nil || x.Base.How != "label" || x.Base.Name != "registry.example.com/base:3" || x.AssetID != 0 || len(x.References) != 1 {
			t.Errorf("base by label %+v, %v", x, err)
		}
	})
}

// TestHostile opens inventories that want to do harm.
func TestHostile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		id := w.cluster("shop")
		ctx := context.Background()
		evil := till()
		evil.OS = nil
		evil.Image.Labels = map[string]string{}
		for i := range 5000 {
			evil.Image.Labels[fmt.Sprint("label", i)] = strings.Repeat("\xff", 10_000)
			evil.Image.Env = append(evil.Image.Env, "x")
			evil.Image.History = append(evil.Image.History, inventory.History{CreatedBy: strings.Repeat("a", 9000), Layer: -7, Empty: i%2 == 0})
		}
		for i := range 2000 {
			evil.Layers = append(evil.Layers, inventory.Layer{Size: -1, Digest: strings.Repeat("d", i%3)})
		}
		evil.Packages = append(evil.Packages, inventory.Package{Name: strings.Repeat("n", 100_000), Layer: 1 << 40}, inventory.Package{Layer: -1 << 40, Version: "\x00"})
		empty := &inventory.Software{}
		w.read(digestOf(1), evil)
		w.read(digestOf(2), empty)
		odd := inventory.Package{Type: "odd", Name: strings.Repeat("n", 3000), Version: "§", Layer: -5}
		w.scan(id, "shop", use{"evil", digestOf(1), "a", "b", []*finding.Finding{vulnerable("CVE-1", finding.Low, odd, "not a version"), vulnerable("CVE-2", finding.Low, odd, "")}, ""},
			use{"empty", digestOf(2), "a", "c", []*finding.Finding{vulnerable("CVE-1", finding.High, openssl, "1")}, ""})
		for n := 1; n <= 2; n++ {
			x, err := w.s.Image(ctx, everything, digestOf(n), 0, "en")
			w.must(err)
			text, err := json.Marshal(x)
			if err != nil || len(text) > 24<<20 || x.Size < 0 {
				t.Errorf("%d: %d bytes, %v", n, len(text), err)
			}
			if len(x.Layers) > 2000 || len(x.Labels) > 500 || len(x.Env) > 500 {
				t.Errorf("%d: %d layers, %d labels, %d variables", n, len(x.Layers), len(x.Labels), len(x.Env))
			}
			if _, _, _, err := w.s.Packages(ctx, everything, digestOf(n), 0, anatomy.PackageFilter{}, "-worst", store.Page{Limit: 500}); err != nil {
				t.Error(err)
			}
			if l, err := w.s.Findings(ctx, everything, digestOf(n), 0, anatomy.FindingFilter{}, "-layer", store.Page{}); err != nil || len(l.Items) == 0 || l.Items[0].Layer < -1 {
				t.Errorf("%d: %+v, %v", n, l, err)
			}
		}
		for _, key := range []string{"", "0", "-1", "99999999999", "sha256:", "' OR 1=1 --", strings.Repeat("9", 30)} {
			if _, err := w.s.Image(ctx, everything, key, 0, "en"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%q: %v", key, err)
			}
		}
	})
}

// TestFresh shows what people and scans change at once, although inventories are kept.
func TestFresh(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, _ := shop(t, db)
		ctx := context.Background()
		l, err := w.s.Findings(ctx, everything, digestOf(1), 0, anatomy.FindingFilter{}, "-priority", store.Page{})
		w.must(err)
		w.now = w.now.Add(time.Second)
		w.must(db.Write(identity.With(ctx, identity.System), func(ctx context.Context, tx bun.Tx) error {
			_, err := w.in.Handle(ctx, tx, triage.Handling{Action: ledger.Ignore, IDs: []int64{l.Items[0].ID}, Note: "no"})
			return err
		}))
		after, err := w.s.Findings(ctx, everything, digestOf(1), 0, anatomy.FindingFilter{}, "-priority", store.Page{})
		if err != nil || after.Total != l.Total-1 {
			t.Errorf("%d findings after one of %d was ignored: %v", after.Total, l.Total, err)
		}
		for i := range 30 { // more than are kept
			w.read(digestOf(200+i), till())
			if _, err := w.s.Image(ctx, everything, digestOf(200+i), 0, "en"); err != nil {
				t.Fatal(err)
			}
		}
	})
}
