package triage

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/collect/snapshot"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/rules"
)

// without is a source that leaves out a namespace.
type without struct {
	scan.Source
	namespace string
}

func (s without) Stream(ctx context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error {
	return s.Source.Stream(ctx, func(o *inventory.Object) error {
		if s.namespace != "" && (o.Namespace == s.namespace || o.Kind == "Namespace" && o.Name == s.namespace) {
			return nil
		}
		return emit(o)
	}, notScanned)
}

// spy is an Ingest whose findings are kept.
type spy struct {
	*Ingest
	found      map[string]*finding.Finding
	unreported []string
}

func (s *spy) Finding(f *finding.Finding) error {
	s.found[f.Fingerprint] = f
	return s.Ingest.Finding(f)
}

func (s *spy) End(at time.Time, target finding.Target, stats finding.Stats) error {
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.assets.flush(s.Ingest); err != nil {
		return err
	}
	for i := range s.assets.list {
		if x := &s.assets.list[i]; x.touched && !x.reported && x.kind != ledger.AssetCluster {
			s.unreported = append(s.unreported, strings.Join([]string{x.kind.String(), x.groupKind, x.namespace}, " "))
		}
	}
	return s.Ingest.End(at, target, stats)
}

func (x *fixture) demo(lib *rule.Library, namespace string) *spy {
	x.t.Helper()
	x.now = x.now.Add(time.Minute)
	source, err := snapshot.Open("../../demo/shop")
	if err != nil {
		x.t.Fatal(err)
	}
	in, err := x.tr.Ingest(context.Background(), Run{Target: x.target, Kind: Full, Rules: func(string) int64 { return 1 }})
	if err != nil {
		x.t.Fatal(err)
	}
	s := &spy{Ingest: in, found: map[string]*finding.Finding{}}
	defer in.Abort("broke off")
	cfg := scan.Config{Library: lib, Analyzers: analyze.All, Info: source.Info, Now: func() time.Time { return x.now },
		Header: finding.Header{StartedAt: x.now, Target: finding.Target{Kind: "cluster", Name: "shop"}}}
	if _, err := scan.Run(context.Background(), cfg, without{source, namespace}, s); err != nil {
		x.t.Fatal(err)
	}
	x.right()
	return s
}

// TestDemo takes the demo's cluster in: every finding comes back as it was, a second look changes nothing, and what goes with a
// namespace is gone, not fixed.
func TestDemo(t *testing.T) {
	lib, err := rule.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		x := setUp(t, db)
		s := x.demo(lib, "")
		if len(s.found) < 200 || s.Run().Added != len(s.found) {
			t.Fatalf("%d findings, %d added", len(s.found), s.Run().Added)
		}
		for _, u := range s.unreported { // what is named by findings only; anything else would be gone in a scan without the finding
			if !strings.HasPrefix(u, "object Process.") && !strings.HasPrefix(u, "workload Pod kube-system") && !strings.HasPrefix(u, "object Group.rbac") &&
				!strings.HasPrefix(u, "object User.rbac") && !slices.Contains([]string{"namespace  kube-system", "namespace  payments", "namespace  ingress-nginx",
				"object StorageClass.storage.k8s.io ", "object Secret ci", "object Service ingress-nginx"}, u) {
				t.Errorf("findings are on what was not looked at: %q", u)
			}
		}
		x.rebuilt(s.found)
		again := x.demo(lib, "")
		if run := again.Run(); run.Unchanged != len(s.found) || run.Added+run.Changed+run.Reopened+run.Fixed+run.Gone+run.Unseen != 0 {
			t.Errorf("a second look: %+v", run)
		}
		rest := x.demo(lib, "legacy")
		less := rest.Run()
		if less.Gone == 0 {
			t.Errorf("a namespace went: %+v", less)
		}
		var left []ledger.Row
		if err := db.R.NewSelect().Model(&left).Where("namespace = 'legacy' AND status <> ?", int(ledger.StatusGone)).Scan(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, r := range left {
			if rest.found[hex.EncodeToString(r.Fingerprint)] == nil { // a binding from elsewhere names an account that was in it
				t.Errorf("%s on %s is %s after its namespace went", r.Rule, r.Resource, r.Status)
			}
		}
		back := x.demo(lib, "").Run()
		if back.Reopened < less.Gone {
			t.Errorf("it came back: %+v", back)
		}
	})
}

// rebuilt holds what is kept to what came.
func (x *fixture) rebuilt(found map[string]*finding.Finding) {
	x.t.Helper()
	var rows []struct {
		ledger.Row `bun:",extend"`
		Advice     string
		Body       []byte
	}
	if err := x.db.R.NewSelect().TableExpr("findings AS f").ColumnExpr("f.*, a.body AS advice, d.body AS body").Join("JOIN details AS d ON d.finding_id = f.id").
		Join("JOIN advice AS a ON a.id = d.advice_id").Where("f.target_id = ?", x.target).Scan(context.Background(), &rows); err != nil {
		x.t.Fatal(err)
	}
	if len(rows) != len(found) {
		x.t.Errorf("%d rows, %d findings", len(rows), len(found))
	}
	bad := 0
	for i := range rows {
		var a ledger.Advice
		if err := json.Unmarshal([]byte(rows[i].Advice), &a); err != nil {
			x.t.Fatal(err)
		}
		d, err := ledger.UnpackDetail(rows[i].Body)
		if err != nil {
			x.t.Fatal(err)
		}
		got := ledger.Reconstruct(&rows[i].Row, &a, d)
		want := *found[got.Fingerprint]
		want.Resource.Labels, want.Resource.Workloads = nil, nil
		g, w := text(x.t, got), text(x.t, &want)
		if g != w && bad < 3 {
			bad++
			x.t.Error(cmp.Diff(w, g))
		}
	}
}

// text is all that a finding says.
func text(t testing.TB, f *finding.Finding) string {
	t.Helper()
	var b bytes.Buffer
	for _, v := range []any{f, f.Title, f.Message, f.Remediation, f.Mitigations} {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(data)
	}
	return b.String()
}
