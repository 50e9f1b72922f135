package browse

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
)

// Found is what a search for anything found, some of each kind.
type Found struct {
	Clusters, Projects []ledger.Target
	Assets             map[ledger.AssetKind][]Asset
	Vulnerabilities    []Risk // Active is counted where the caller sees whole targets only, else 1 says that there are some
	Cut                bool   // the words are in too many names: some of them were not looked at
}

// maxLooked bounds the assets whose names have the words that a search for anything looks at.
const maxLooked = 2000

// maxRated bounds the vulnerabilities whose findings are counted for a search: the most severe.
const maxRated = 100

// idForm is the form of an advisory's id, or of its beginning.
var (
	idForm   = regexp.MustCompile(`^(?:CVE|GHSA|GO|PYSEC|RUSTSEC|OSV|DSA|DLA|USN|RHSA|ALAS[0-9]*|ALSA|ELSA|GMS|SNYK|TEMP|BIT)-[A-Z0-9][A-Z0-9:._-]*$`)
	idBegins = regexp.MustCompile(`^(?:CVE|GHSA|GO|PYSEC|RUSTSEC|OSV|DSA|DLA|USN|RHSA|ALAS[0-9]*|ALSA|ELSA|GMS|TEMP|BIT)-?[A-Z0-9:._-]*$`)
	cveID    = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,}$`)
)

// IsAdvisoryID reports whether a text, in upper case, is the whole id of an advisory or a vulnerability.
func IsAdvisoryID(id string) bool {
	if len(id) > 100 || !idForm.MatchString(id) {
		return false
	}
	return !strings.HasPrefix(id, "CVE-") || cveID.MatchString(id)
}

// Search looks for anything that v sees by words of its name, or by the beginning of a vulnerability's id. limit is for each kind.
func (b *Browser) Search(ctx context.Context, v identity.Visible, q string, limit int) (*Found, error) {
	out := &Found{Assets: map[ledger.AssetKind][]Asset{}}
	list, err := terms(q)
	if err != nil || len(list) == 0 {
		return out, err
	}
	s, err := b.scope(ctx, v, nil)
	if err != nil || s.nothing() {
		return out, err
	}
	if err := b.searchTargets(ctx, s, q, limit, out); err != nil {
		return nil, err
	}
	if err := b.searchRisks(ctx, s, q, list, limit, out); err != nil {
		return nil, err
	}
	return out, b.searchAssets(ctx, s, q, list, limit, out)
}

// searchTargets looks for all words in the names of clusters and projects, of which there are few.
func (b *Browser) searchTargets(ctx context.Context, s scope, q string, limit int, out *Found) error {
	targets, err := b.targetsOf(ctx, s.ids())
	if err != nil {
		return err
	}
	words := strings.Fields(strings.ToLower(q))
	for _, t := range targets {
		name := strings.ToLower(t.Name)
		if slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(name, w) }) {
			continue
		}
		switch t.Kind {
		case "cluster":
			out.Clusters = append(out.Clusters, t)
		case "project":
			out.Projects = append(out.Projects, t)
		}
	}
	for _, list := range []*[]ledger.Target{&out.Clusters, &out.Projects} {
		slices.SortFunc(*list, func(a, b ledger.Target) int { return strings.Compare(a.Name, b.Name) })
		*list = (*list)[:min(len(*list), limit)]
	}
	return nil
}

// searched are the kinds of assets that a search for anything looks for.
var searched = []ledger.AssetKind{ledger.AssetNamespace, ledger.AssetWorkload, ledger.AssetImage, ledger.AssetNode}

// searchAssets looks for words in names: those that are called just so first, then the worst.
func (b *Browser) searchAssets(ctx context.Context, s scope, q string, list [][]string, limit int, out *Found) error {
	looked, err := b.wordIDs(ctx, list)
	if err != nil || looked == nil {
		return err
	}
	out.Cut = len(looked) > maxLooked
	kinds := make([]int, len(searched))
	for i, k := range searched {
		kinds[i] = int(k)
	}
	exact := text("SELECT "+assetColumns+" FROM assets AS a WHERE a.gone_at = 0 AND a.kind IN (?) AND a.name = ?", bun.List(kinds), strings.TrimSpace(q))
	exact.append(s.ofAssets())
	exact.add(" ORDER BY a.score DESC, a.id LIMIT ?", limit*len(kinds))
	first, err := b.assets(ctx, exact)
	if err != nil {
		return err
	}
	stmt := text("SELECT "+assetColumns+" FROM assets AS a WHERE a.gone_at = 0 AND a.kind IN (?) AND a.id IN (?)", bun.List(kinds), bun.List(looked))
	stmt.append(s.ofAssets())
	stmt.add(" ORDER BY a.score DESC, a.id")
	had := map[int64]bool{}
	var all []Asset
	take := func(a Asset) {
		if !had[a.ID] && len(out.Assets[a.Kind]) < limit {
			had[a.ID] = true
			out.Assets[a.Kind] = append(out.Assets[a.Kind], a)
			all = append(all, a)
		}
	}
	for _, a := range first {
		take(a)
	}
	found, err := b.assets(ctx, stmt)
	if err != nil {
		return err
	}
	for _, a := range found {
		take(a)
	}
	targets, err := b.targetsOf(ctx, targetsIn(all))
	for _, list := range out.Assets {
		for i := range list {
			list[i].Target, list[i].LookedAt = targets[list[i].TargetID].Name, targets[list[i].TargetID].LookedAt
		}
	}
	return err
}

// wordIDs are assets whose names have all words, one more than maxLooked when there are more; nil for words that no name has.
func (b *Browser) wordIDs(ctx context.Context, list [][]string) ([]int64, error) {
	var words []string
	for _, term := range list {
		if term[0][0] >= 0x80 {
			return nil, nil // no name in a cluster has such letters
		}
		words = append(words, term...)
	}
	if b.db.Postgres() {
		return column[int64](ctx, b, wrapped("SELECT id FROM assets WHERE ", b.match("asset_words", words), " LIMIT ?", maxLooked+1))
	}
	return column[int64](ctx, b, text("SELECT rowid FROM asset_words WHERE asset_words MATCH ? LIMIT ?", `"`+strings.Join(words, `"* AND "`)+`"*`, maxLooked+1))
}

func wrapped(before string, inner sqlText, after string, args ...any) sqlText {
	out := text(before)
	out.append(inner)
	out.add(after, args...)
	return out
}

// ofAssets is the condition of the scope on assets, which begins with AND.
func (s scope) ofAssets() sqlText {
	switch {
	case s.all && len(s.removed) == 0:
		return sqlText{}
	case s.all:
		return text(" AND a.target_id NOT IN (?)", bun.List(s.removed))
	case s.whole():
		return text(" AND a.target_id IN (?)", bun.List(s.targets))
	}
	out := text(" AND (")
	sep := ""
	if len(s.targets) > 0 {
		out.add("a.target_id IN (?)", bun.List(s.targets))
		sep = " OR "
	}
	for _, p := range s.parts {
		// A namespace has its own name as its namespace.
		out.add(sep+"a.target_id = ? AND (a.namespace IN (?) OR a.kind = ? AND a.name IN (?)", p.target, bun.List(p.namespaces), int(ledger.AssetNamespace), bun.List(p.namespaces))
		if len(p.images) > 0 {
			out.add(" OR a.id IN (?)", bun.List(p.images))
		}
		out.add(")")
		sep = " OR "
	}
	out.add(")")
	return out
}

// searchRisks looks for vulnerabilities: by the beginning of an id, or by words of the title.
func (b *Browser) searchRisks(ctx context.Context, s scope, q string, list [][]string, limit int, out *Found) error {
	kinds := []int{int(ledger.SystemVulnerability), int(ledger.ApplicationVulnerability), int(ledger.Emergency)}
	stmt := text("SELECT id, kind, severity, rule, title, title_zh FROM risks WHERE kind IN (?)", bun.List(kinds))
	if id := strings.ToUpper(strings.TrimSpace(q)); idBegins.MatchString(id) {
		stmt.add(" AND rule >= ? AND rule < ?", id, id+"\U0010FFFF")
	} else {
		for _, term := range list {
			stmt.add(" AND ")
			stmt.append(b.riskWords(term))
		}
	}
	stmt.add(" ORDER BY severity DESC, rule LIMIT ?", maxRated)
	var risks []Risk
	err := b.query(ctx, stmt, func(scan func(...any) error) error {
		var r Risk
		err := scan(&r.ID, &r.Kind, &r.Severity, &r.Rule, &r.TitleEN, &r.TitleZH)
		risks = append(risks, r)
		return err
	})
	if err != nil || len(risks) == 0 {
		return err
	}
	rules := make([]string, len(risks))
	for i, r := range risks {
		rules[i] = r.Rule
	}
	rules = set(rules)
	active, err := b.activeOf(ctx, s, rules)
	if err != nil {
		return err
	}
	had := map[string]bool{}
	for _, present := range []bool{true, false} {
		for _, r := range risks {
			n, seen := active[r.Rule]
			if !seen || (n > 0) != present || had[r.Rule] || len(out.Vulnerabilities) >= limit {
				continue
			}
			had[r.Rule] = true
			r.Active = n
			out.Vulnerabilities = append(out.Vulnerabilities, r)
		}
	}
	return nil
}

// ActiveOf counts the active findings of rules and vulnerabilities that v sees. What is in the answer with 0 was found some time.
func (b *Browser) ActiveOf(ctx context.Context, v identity.Visible, rules []string) (map[string]int, error) {
	s, err := b.scope(ctx, v, nil)
	if err != nil || s.nothing() || len(rules) == 0 {
		return map[string]int{}, err
	}
	return b.activeOf(ctx, s, rules)
}

// mostCounted bounds the findings that are counted one by one, of rules for who sees single namespaces only.
const mostCounted = 3000

func (b *Browser) activeOf(ctx context.Context, s scope, rules []string) (map[string]int, error) {
	out := map[string]int{}
	var stmt sqlText
	switch {
	case s.whole():
		stmt = text("SELECT c.rule, sum(c.active) FROM risks AS r JOIN risk_counts AS c ON c.risk_id = r.id WHERE r.rule IN (?) AND r.kind IN (?)",
			bun.List(rules), bun.List(ledger.Kinds))
		switch {
		case s.all && len(s.removed) == 0:
			stmt.add(" AND c.target_id = 0")
		case s.all:
			stmt.add(" AND c.target_id <> 0 AND c.target_id NOT IN (?)", bun.List(s.removed))
		default:
			stmt.add(" AND c.target_id IN (?)", bun.List(s.targets))
		}
		stmt.add(" GROUP BY c.rule")
	default:
		inner := text("SELECT f.rule, f.status FROM findings AS f WHERE f.rule IN (?)", bun.List(rules))
		for _, p := range s.preds() {
			inner.add(" AND ")
			inner.append(p.sqlText)
		}
		stmt = wrapped("SELECT rule, sum(CASE WHEN status <= 3 THEN 1 ELSE 0 END) FROM (", inner, " LIMIT ?) AS n GROUP BY rule", mostCounted)
	}
	return out, b.query(ctx, stmt, func(scan func(...any) error) error {
		var rule string
		var n int
		err := scan(&rule, &n)
		out[rule] = n
		return err
	})
}
