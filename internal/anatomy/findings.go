package anatomy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/version"
)

// Found is an active finding on an image, with its place in it.
type Found struct {
	browse.Line
	Layer        int     `json:"layer" doc:"index; -1: of none, or not known"`
	Base         bool    `json:"base" doc:"it came with the base image"`
	Path         string  `json:"path,omitempty"`
	FixedVersion string  `json:"fixedVersion,omitempty"`
	PackageType  string  `json:"packageType,omitempty" doc:"deb, rpm, npm, ..."`
	CVSS         float64 `json:"cvss,omitempty"`
	EPSS         float64 `json:"epss,omitempty"`

	pkg int // index into body.packages, -1
}

// findings are the active ones of an asset.
type findings struct {
	at    time.Time
	stamp string
	list  []Found // worst first
	cut   bool    // there are more
	body  *body   // that they were placed in
	base  int
}

// maxFindings bounds what is placed of one image.
const maxFindings = 20_000

// findingsOf reads the active findings of an asset and places them. body nil: the image was not read.
func (s *Service) findingsOf(ctx context.Context, a *browse.Asset, b *body, base int) (*findings, error) {
	var state struct {
		N       int
		Changed int64
		Run     int64
	}
	err := s.db.R.NewRaw(`SELECT count(*) AS n, coalesce(max(changed_at), 0) AS changed, (SELECT run_id FROM targets WHERE id = ?) AS run FROM findings WHERE asset_id = ?`,
		a.TargetID, a.ID).Scan(ctx, &state)
	if err != nil {
		return nil, err
	}
	stamp := fmt.Sprint(state, a.Score, a.Info)
	s.mu.Lock()
	f := s.seen[a.ID]
	s.mu.Unlock()
	if f != nil && f.stamp == stamp && f.body == b && f.base == base && s.now().Sub(f.at) < keepFor {
		return f, nil
	}
	f = &findings{at: s.now(), stamp: stamp, body: b, base: base}
	var ids []int64
	err = s.db.R.NewRaw("SELECT id FROM findings WHERE asset_id = ? AND status <= 3 ORDER BY severity DESC, priority DESC, id LIMIT ?", a.ID, maxFindings+1).Scan(ctx, &ids)
	if err != nil {
		return nil, err
	}
	if f.cut = len(ids) > maxFindings; f.cut {
		ids = ids[:maxFindings]
	}
	f.list = make([]Found, 0, len(ids))
	for part := range slices.Chunk(ids, 500) {
		if err := s.place(ctx, f, part); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(f.list, func(x, y Found) int { return cmp.Or(y.Priority-x.Priority, int(y.Severity-x.Severity)) })
	s.mu.Lock()
	s.seen[a.ID] = f
	s.mu.Unlock()
	s.trim()
	return f, nil
}

// place reads some findings and finds their layers.
func (s *Service) place(ctx context.Context, f *findings, ids []int64) error {
	lines, err := s.browse.Lines(ctx, ids)
	if err != nil {
		return err
	}
	var rows []struct {
		FindingID int64
		Body      []byte
	}
	if err := s.db.R.NewRaw("SELECT finding_id, body FROM details WHERE finding_id IN (?)", bun.List(ids)).Scan(ctx, &rows); err != nil {
		return err
	}
	details := make(map[int64]*ledger.Detail, len(rows))
	for _, r := range rows {
		d, err := ledger.UnpackDetail(r.Body)
		if err != nil {
			return fmt.Errorf("finding %d: %w", r.FindingID, err)
		}
		details[r.FindingID] = d
	}
	for _, l := range lines {
		x := Found{Line: l, Layer: -1, pkg: -1}
		if d := details[l.ID]; d != nil {
			x.Path = d.Resource.File
			if v := d.Vulnerability; v != nil {
				x.FixedVersion, x.CVSS, x.EPSS, x.Path = v.FixedVersion, v.CVSS, v.EPSS, cmp.Or(v.Path, x.Path)
				x.PackageType = typeOf(v)
			}
			if f.body != nil {
				x.pkg, x.Layer = f.body.where(l.Package, l.Version, x.Path, d.Resource.Layer)
			}
		}
		x.Base = x.Layer >= 0 && x.Layer < f.base
		if x.pkg >= 0 {
			x.PackageType = string(f.body.packages[x.pkg].Type)
		}
		f.list = append(f.list, x)
	}
	return nil
}

// typeOf is the type in a package URL.
func typeOf(v *finding.Vulnerable) string {
	rest, ok := strings.CutPrefix(v.PURL, "pkg:")
	if !ok {
		return ""
	}
	kind, _, _ := strings.Cut(rest, "/")
	return kind
}

// FindingFilter narrows the findings of an image; zero fields do not.
type FindingFilter struct {
	Severities []ledger.Severity
	Kinds      []ledger.Kind
	Layer      *int
	Origin     string // base or own
	Fixable    *bool
	KEV        *bool
	Package    string
	Version    string // of the package
	Path       string
	Q          string
}

func (f *FindingFilter) meets(x *Found) bool {
	switch {
	case len(f.Severities) > 0 && !slices.Contains(f.Severities, x.Severity),
		len(f.Kinds) > 0 && !slices.Contains(f.Kinds, x.Row.Kind),
		f.Layer != nil && *f.Layer != x.Layer,
		f.Origin == "base" && !x.Base,
		f.Origin == "own" && (x.Base || x.Layer < 0),
		f.Fixable != nil && *f.Fixable != x.Fixable,
		f.KEV != nil && *f.KEV != x.KEV,
		f.Package != "" && f.Package != x.Package,
		f.Version != "" && f.Version != x.Row.Version,
		f.Path != "" && f.Path != x.Path:
		return false
	}
	return f.Q == "" || holds(f.Q, x.Rule, x.Package, x.Path, x.Title.EN, x.Title.ZH)
}

// holds reports whether all words of a query stand somewhere in the texts, in any case.
func holds(q string, texts ...string) bool {
	for word := range strings.FieldsSeq(strings.ToLower(q)) {
		if !slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), word) }) {
			return false
		}
	}
	return true
}

// findingOrders are the sorts of findings; each also with "-" before it.
var findingOrders = map[string]func(x, y *Found) int{
	"priority": func(x, y *Found) int { return x.Priority - y.Priority },
	"severity": func(x, y *Found) int { return int(x.Severity - y.Severity) },
	"rule":     func(x, y *Found) int { return strings.Compare(x.Rule, y.Rule) },
	"package":  func(x, y *Found) int { return strings.Compare(x.Package, y.Package) },
	"layer":    func(x, y *Found) int { return x.Layer - y.Layer },
	"epss":     func(x, y *Found) int { return cmp.Compare(x.EPSS, y.EPSS) },
	"cvss":     func(x, y *Found) int { return cmp.Compare(x.CVSS, y.CVSS) },
}

// arrange sorts by a word, "-" before it for descending, and by the tie breaker.
func arrange[T any](list []T, orders map[string]func(x, y *T) int, sort string, tie func(x, y *T) int) error {
	name, desc := strings.CutPrefix(sort, "-")
	by := orders[name]
	if by == nil {
		return fmt.Errorf("%w: sort %q", browse.ErrFilter, sort)
	}
	slices.SortStableFunc(list, func(x, y T) int {
		c := by(&x, &y)
		if desc {
			c = -c
		}
		return cmp.Or(c, tie(&x, &y))
	})
	return nil
}

// slice cuts a page out of a list that is in memory. The cursor names the list's order and the row before.
func slice[T any](list []T, page store.Page, sort string, id func(*T) int64) (items []T, next string, err error) {
	from := 0
	if page.After != "" {
		var by string
		var last int64
		var at int
		if err := store.ReadCursor(page.After, &by, &last, &at); err != nil {
			return nil, "", err
		}
		if by != sort || at < 0 {
			return nil, "", store.ErrCursor
		}
		if i := slices.IndexFunc(list, func(x T) bool { return id(&x) == last }); i >= 0 {
			from = i + 1
		} else {
			from = min(at, len(list)) // the row before is gone
		}
	}
	items = list[from:min(len(list), from+page.Size())]
	if end := from + len(items); end < len(list) {
		next = store.Cursor(sort, id(&list[end-1]), end)
	}
	return items, next, nil
}

// Upgrade is a package whose newer version clears findings.
type Upgrade struct {
	Package  string         `json:"package"`
	Type     string         `json:"type,omitempty"`
	From     string         `json:"from"`
	To       string         `json:"to" doc:"the least version that clears all that it clears"`
	Clears   int            `json:"clears"`
	Severity map[string]int `json:"severity" doc:"what it clears"`
	KEV      int            `json:"kev,omitempty" doc:"known to be exploited, of what it clears"`
	Base     bool           `json:"base" doc:"the package came with the base image"`
	Layer    int            `json:"layer"`
	Paths    []string       `json:"paths,omitempty" doc:"some of the places"`
	score    int64
}

// Advice is what clears most.
type Advice struct {
	Upgrades []Upgrade `json:"upgrades" doc:"worst first; at most 50"`
	More     int       `json:"more,omitempty" doc:"upgrades that are left out"`
	Clears   int       `json:"clears" doc:"findings that all upgrades together clear"`
	NoFix    int       `json:"noFix" doc:"vulnerabilities without a fixed version"`
	Rebase   *Rebase   `json:"rebase,omitempty"`
}

// Rebase is what building again on a newer base clears: what came with the base and is fixed by its publishers.
type Rebase struct {
	Clears   int            `json:"clears"`
	Of       int            `json:"of" doc:"vulnerabilities that came with the base"`
	Severity map[string]int `json:"severity" doc:"what it clears"`
}

const maxUpgrades = 50

// advise groups vulnerabilities by the package that must be newer.
func (f *findings) advise() Advice {
	type key struct{ kind, name, version string }
	groups, order := map[key]*Upgrade{}, []*Upgrade{}
	out, rebase := Advice{Upgrades: []Upgrade{}}, Rebase{Severity: map[string]int{}}
	for i := range f.list {
		x := &f.list[i]
		if x.Package == "" {
			continue
		}
		if x.Base {
			rebase.Of++
		}
		if x.FixedVersion == "" {
			out.NoFix++
			continue
		}
		if x.Base {
			rebase.Clears++
			rebase.Severity[x.Severity.String()]++
		}
		k := key{x.PackageType, x.Package, x.Version}
		u := groups[k]
		if u == nil {
			u = &Upgrade{Package: x.Package, Type: x.PackageType, From: x.Version, To: x.FixedVersion, Severity: map[string]int{}, Base: x.Base, Layer: x.Layer}
			groups[k] = u
			order = append(order, u)
		}
		u.Clears++
		u.Severity[x.Severity.String()]++
		out.Clears++
		if x.KEV {
			u.KEV++
		}
		if version.Less(schemeOf(x.PackageType), u.To, x.FixedVersion) {
			u.To = x.FixedVersion
		}
		if x.Path != "" && len(u.Paths) < 3 && !slices.Contains(u.Paths, x.Path) {
			u.Paths = append(u.Paths, x.Path)
		}
	}
	for _, u := range order {
		u.score = ledger.Score(u.Severity["critical"], u.Severity["high"], u.Severity["medium"], u.Severity["low"])
	}
	slices.SortStableFunc(order, func(a, b *Upgrade) int {
		return cmp.Or(b.KEV-a.KEV, cmp.Compare(b.score, a.score), strings.Compare(a.Package, b.Package))
	})
	for _, u := range order[:min(len(order), maxUpgrades)] {
		out.Upgrades = append(out.Upgrades, *u)
	}
	out.More = len(order) - len(out.Upgrades)
	if rebase.Of > 0 {
		out.Rebase = &rebase
	}
	return out
}

// schemeOf is the order of versions of a type of packages.
func schemeOf(kind string) advisory.Scheme {
	switch inventory.PackageType(kind) {
	case inventory.Deb:
		return advisory.Deb
	case inventory.RPM:
		return advisory.RPM
	case inventory.APK:
		return advisory.APK
	case inventory.Maven:
		return advisory.Maven
	case inventory.NPM, inventory.Cargo:
		return advisory.SemVer
	case inventory.PyPI:
		return advisory.PEP440
	case inventory.Gem:
		return advisory.Gem
	case inventory.NuGet:
		return advisory.NuGet
	case inventory.Composer:
		return advisory.Composer
	case inventory.Golang:
		return advisory.GoModule
	}
	return advisory.Loose
}
