package browse_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/browse/browsetest"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

var everything = identity.Visible{All: true}

// small is a seeded database with all its rows in memory.
type small struct {
	db      *store.DB
	b       *browse.Browser
	rows    []ledger.Row
	targets map[int64]ledger.Target
	assets  map[int64]browse.Asset
	uses    map[int64][]string // image -> "target/namespace"
	runs    map[int64][]int64  // workload -> images
	titles  map[int64]string
}

func seed(t *testing.T, db *store.DB) *small {
	t.Helper()
	ctx := context.Background()
	if err := browsetest.Seed(ctx, db, browsetest.Small); err != nil {
		t.Fatal(err)
	}
	s := &small{db: db, b: browse.New(db), targets: map[int64]ledger.Target{}, assets: map[int64]browse.Asset{}, uses: map[int64][]string{}, runs: map[int64][]int64{}, titles: map[int64]string{}}
	s.b.SetClock(func() time.Time { return browsetest.Now })
	s.load(t)
	return s
}

func (s *small) load(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	s.rows = nil
	if err := s.db.R.NewSelect().Model(&s.rows).Scan(ctx); err != nil {
		t.Fatal(err)
	}
	var targets []ledger.Target
	if err := s.db.R.NewSelect().Model(&targets).Scan(ctx); err != nil {
		t.Fatal(err)
	}
	for _, x := range targets {
		s.targets[x.ID] = x
	}
	each := func(q string, scan func(scan func(...any) error) error) {
		t.Helper()
		rows, err := s.db.R.QueryContext(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			if err := scan(rows.Scan); err != nil {
				t.Fatal(err)
			}
		}
	}
	each("SELECT id, target_id, kind, namespace, name, digest FROM assets", func(scan func(...any) error) error {
		var a browse.Asset
		err := scan(&a.ID, &a.TargetID, &a.Kind, &a.Namespace, &a.Name, &a.Digest)
		s.assets[a.ID] = a
		return err
	})
	each("SELECT target_id, image_id, workload_id, namespace FROM asset_uses", func(scan func(...any) error) error {
		var target, image, workload int64
		var ns string
		err := scan(&target, &image, &workload, &ns)
		s.uses[image] = append(s.uses[image], fmt.Sprint(target, "/", ns))
		s.runs[workload] = append(s.runs[workload], image)
		return err
	})
	each("SELECT id, rule, rule_id, title, title_zh FROM risks", func(scan func(...any) error) error {
		var id int64
		var a, b, c, d string
		err := scan(&id, &a, &b, &c, &d)
		s.titles[id] = a + " " + b + " " + c + "\x00" + d
		return err
	})
}

func (s *small) visible(v identity.Visible, r *ledger.Row) bool {
	if !s.targets[r.TargetID].RemovedAt.IsZero() {
		return false
	}
	if v.Whole(r.TargetID) {
		return true
	}
	return slices.ContainsFunc(v.Namespaces[r.TargetID], func(ns string) bool {
		return r.Namespace == ns || slices.Contains(s.uses[r.AssetID], fmt.Sprint(r.TargetID, "/", ns))
	})
}

func in[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

// word reports whether a text has a word that begins with w.
func word(text, w string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9')
	}), func(x string) bool { return strings.HasPrefix(x, w) })
}

func (s *small) matches(f browse.Filter, r *ledger.Row) bool {
	statuses := f.Statuses
	if statuses == nil {
		statuses = ledger.Active
	}
	a := s.assets[r.AssetID]
	of := func(id int64) bool {
		switch x := s.assets[id]; x.Kind {
		case ledger.AssetCluster:
			return r.TargetID == x.TargetID
		case ledger.AssetNamespace:
			return r.TargetID == x.TargetID && (r.Namespace == x.Name || slices.Contains(s.uses[r.AssetID], fmt.Sprint(x.TargetID, "/", x.Name)))
		}
		return r.AssetID == id || slices.Contains(s.runs[id], r.AssetID)
	}
	named := func(kind ledger.AssetKind, name string) bool {
		for id, x := range s.assets {
			if x.Kind == kind && x.Name == name && of(id) {
				return true
			}
		}
		return false
	}
	ok := in(f.Targets, r.TargetID) && in(f.Namespaces, r.Namespace) && in(f.Kinds, r.Kind) && in(f.Severities, r.Severity) &&
		slices.Contains(statuses, r.Status) && (f.Rule == "" || f.Rule == r.Rule) && (f.CVE == "" || strings.EqualFold(f.CVE, r.Rule)) &&
		(f.Package == "" || f.Package == r.Package) && (f.Image == "" || f.Image == r.Image) && (f.Digest == "" || f.Digest == a.Digest) &&
		(f.Asset == 0 || of(f.Asset)) && (f.Node == "" || named(ledger.AssetNode, f.Node)) && (f.Workload == "" || named(ledger.AssetWorkload, f.Workload)) &&
		(f.KEV == nil || *f.KEV == r.KEV) && (f.Fixable == nil || *f.Fixable == r.Fixable) && (f.Assignee == 0 || f.Assignee == r.AssigneeID) &&
		(f.Exception == 0 || f.Exception == r.ExceptionID) && r.Priority >= f.Priority && in(f.IDs, r.ID) &&
		(f.FirstSince.IsZero() || !r.FirstSeen.Before(f.FirstSince)) && (f.FirstUntil.IsZero() || r.FirstSeen.Before(f.FirstUntil)) &&
		(f.Changed.IsZero() || !r.ChangedAt.Before(f.Changed))
	return ok && s.said(f.Q, r, a)
}

// said is the search, told simply.
func (s *small) said(q string, r *ledger.Row, a browse.Asset) bool {
	for _, field := range strings.Fields(q) {
		latin, zh, _ := strings.Cut(s.titles[r.RiskID], "\x00")
		var parts, other []string
		for _, w := range strings.FieldsFunc(strings.ToLower(field), func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 127) }) {
			if w[0] < 0x80 {
				parts = append(parts, w)
			} else {
				other = append(other, w)
			}
		}
		has := func(text string) bool {
			return !slices.ContainsFunc(parts, func(w string) bool { return !word(text, w) })
		}
		if len(parts) > 0 && !has(latin) && !has(a.Name) && !has(r.Package) && !(r.Namespace != "" && has(r.Namespace)) {
			return false
		}
		for _, w := range other {
			if !strings.Contains(zh, w) {
				return false
			}
		}
	}
	return true
}

// sorted orders rows as a list shall.
func (s *small) sorted(rows []ledger.Row, sort string) []int64 {
	name, desc := strings.CutPrefix(sort, "-")
	seen := func(r *ledger.Row) int64 {
		if r.LastSeen.IsZero() {
			return s.targets[r.TargetID].LookedAt.UnixMilli()
		}
		return r.LastSeen.UnixMilli()
	}
	c := func(a, b *ledger.Row) int {
		switch name {
		case "priority":
			return cmp.Compare(a.Priority, b.Priority)
		case "severity":
			return cmp.Or(cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Priority, b.Priority))
		case "kind":
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Priority, b.Priority))
		case "status":
			return cmp.Or(cmp.Compare(a.Status, b.Status), a.ChangedAt.Compare(b.ChangedAt.Time))
		case "rule":
			return cmp.Compare(a.Rule, b.Rule)
		case "package":
			return cmp.Compare(a.Package, b.Package)
		case "namespace":
			return cmp.Compare(a.Namespace, b.Namespace)
		case "resource":
			return cmp.Compare(a.Resource, b.Resource)
		case "image":
			return cmp.Compare(a.Image, b.Image)
		case "firstSeen":
			return a.FirstSeen.Compare(b.FirstSeen.Time)
		case "changedAt":
			return a.ChangedAt.Compare(b.ChangedAt.Time)
		case "cluster":
			return cmp.Or(cmp.Compare(s.targets[a.TargetID].Name, s.targets[b.TargetID].Name), cmp.Compare(a.TargetID, b.TargetID), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Severity, b.Severity))
		}
		return cmp.Or(cmp.Compare(seen(a), seen(b)), cmp.Compare(a.TargetID, b.TargetID), a.FirstSeen.Compare(b.FirstSeen.Time))
	}
	slices.SortFunc(rows, func(a, b ledger.Row) int {
		x := cmp.Or(c(&a, &b), cmp.Compare(a.ID, b.ID))
		if desc {
			return -x
		}
		return x
	})
	out := make([]int64, len(rows))
	for i := range rows {
		out[i] = rows[i].ID
	}
	return out
}

func (s *small) want(v identity.Visible, f browse.Filter, sort string) []int64 {
	var rows []ledger.Row
	for i := range s.rows {
		if s.visible(v, &s.rows[i]) && s.matches(f, &s.rows[i]) {
			rows = append(rows, s.rows[i])
		}
	}
	return s.sorted(rows, sort)
}

// walk reads a list page by page, and checks its totals.
func (s *small) walk(t *testing.T, v identity.Visible, f browse.Filter, sort string, size int) []int64 {
	t.Helper()
	var out []int64
	page := store.Page{Limit: size}
	for {
		l, err := s.b.Findings(context.Background(), v, f, sort, page)
		if err != nil {
			t.Fatalf("%+v by %s: %v", f, sort, err)
		}
		if n := len(s.want(v, f, "priority")); l.Total.AtLeast && l.Total.N > n || !l.Total.AtLeast && l.Total.N != n {
			t.Errorf("%+v by %s: the total is %+v, there are %d", f, sort, l.Total, n)
		}
		for _, r := range l.Items {
			out = append(out, r.ID)
		}
		if l.Next == "" {
			return out
		}
		if page.After = l.Next; len(out) > len(s.rows) {
			t.Fatal("the list does not end")
		}
	}
}

func ptr[T any](v T) *T { return &v }

// filters are the common ones and the odd ones.
func (s *small) filters() map[string]browse.Filter {
	day := browsetest.Now.Add(-200 * time.Hour)
	var workload, space, cluster, image int64
	for id, a := range s.assets {
		switch {
		case a.Kind == ledger.AssetWorkload && (workload == 0 || id < workload):
			workload = id
		case a.Kind == ledger.AssetNamespace && (space == 0 || id < space):
			space = id
		case a.Kind == ledger.AssetCluster && (cluster == 0 || id < cluster):
			cluster = id
		case a.Kind == ledger.AssetImage && (image == 0 || id < image):
			image = id
		}
	}
	r := s.rows[10]
	return map[string]browse.Filter{
		"all":          {},
		"any status":   {Statuses: ledger.Statuses},
		"ended":        {Statuses: []ledger.Status{ledger.StatusFixed, ledger.StatusGone}},
		"ignored":      {Statuses: []ledger.Status{ledger.StatusIgnored, ledger.StatusReopened}},
		"target":       {Targets: []int64{2}},
		"targets":      {Targets: []int64{1, 3, 6}},
		"namespace":    {Namespaces: []string{"kube-system"}},
		"target space": {Targets: []int64{1}, Namespaces: []string{"team-1", "team-2"}},
		"kind":         {Kinds: []ledger.Kind{ledger.Configuration}},
		"kinds":        {Kinds: []ledger.Kind{ledger.Secret, ledger.Emergency}},
		"severity":     {Severities: []ledger.Severity{4, 1}},
		"kind sev":     {Kinds: []ledger.Kind{ledger.SystemVulnerability}, Severities: []ledger.Severity{3}},
		"rule":         {Rule: r.Rule},
		"rule ended":   {Rule: r.Rule, Statuses: ledger.Statuses},
		"cve":          {CVE: "cve-2018-1000"},
		"package":      {Package: "libnginx-0"},
		"image":        {Image: s.assets[image].Name},
		"digest":       {Digest: s.assets[image].Digest},
		"workload id":  {Asset: workload},
		"space id":     {Asset: space},
		"cluster id":   {Asset: cluster},
		"node":         {Node: "node-1"},
		"workload":     {Workload: s.assets[workload].Name},
		"kev":          {KEV: ptr(true)},
		"not kev":      {KEV: ptr(false), Kinds: []ledger.Kind{ledger.SystemVulnerability}},
		"kev ended":    {KEV: ptr(true), Statuses: ledger.Statuses},
		"fixable":      {Fixable: ptr(true), Severities: []ledger.Severity{4}},
		"assignee":     {Assignee: 2},
		"exception":    {Exception: 1, Statuses: ledger.Statuses},
		"since":        {FirstSince: day},
		"until":        {FirstUntil: day, Targets: []int64{1}},
		"changed":      {Changed: day, Statuses: ledger.Statuses},
		"priority":     {Priority: 50},
		"ids":          {IDs: []int64{5, 7, 9, 11, 13}, Statuses: ledger.Statuses},
		"q":            {Q: "ngin"},
		"q two":        {Q: "redis cve-2019", Statuses: ledger.Statuses},
		"q space":      {Q: "KUBE-SYSTEM"},
		"q chinese":    {Q: "溢出漏洞"},
		"q mixed":      {Q: "不安全 team-2"},
		"q nothing":    {Q: "zebra"},
		"q kind":       {Q: "payment", Kinds: []ledger.Kind{ledger.Configuration}, Targets: []int64{1, 2}},
		"nothing":      {Targets: []int64{999}},
	}
}

// TestFindings holds every list to the same list made simply: each filter, in each order, page by page.
func TestFindings(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := seed(t, db)
		some := 0
		for name, f := range s.filters() {
			for _, sort := range browse.Sorts {
				for _, sort := range []string{sort, "-" + sort} {
					want := s.want(everything, f, sort)
					some += len(want)
					if got := s.walk(t, everything, f, sort, 170); !slices.Equal(got, want) {
						t.Errorf("%s by %s: %d findings, want %d; first difference at %d", name, sort, len(got), len(want), differ(got, want))
					}
				}
			}
		}
		if some < 10_000 {
			t.Errorf("the filters select %d findings in all: too few to tell", some)
		}
	})
}

// TestMerged holds searches to the same lists when every word is taken apart, for those who see everything and those who see a part.
func TestMerged(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := seed(t, db)
		browse.TakeApart(s.b)
		part := identity.Visible{Targets: []int64{2}, Namespaces: map[int64][]string{1: {"team-1"}}}
		some := 0
		for name, f := range s.filters() {
			if f.Q == "" {
				continue
			}
			more := f
			more.Package, more.Statuses = "libnginx-0", ledger.Statuses
			for what, f := range map[string]browse.Filter{name: f, name + " of a package": more} {
				for _, sort := range browse.Sorts {
					for _, sort := range []string{sort, "-" + sort} {
						for _, v := range []identity.Visible{everything, part} {
							want := s.want(v, f, sort)
							some += len(want)
							if got := s.walk(t, v, f, sort, 37); !slices.Equal(got, want) {
								t.Errorf("%s by %s: %d findings, want %d; first difference at %d", what, sort, len(got), len(want), differ(got, want))
							}
						}
					}
				}
			}
		}
		if some < 5000 {
			t.Errorf("the searches select %d findings in all: too few to tell", some)
		}
	})
}

func differ(a, b []int64) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
