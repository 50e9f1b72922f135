package browse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
)

// Limits of a search.
const (
	maxQuery    = 1000 // bytes
	maxWords    = 16
	maxRisks    = 300 // that one word may mean; more are cut, and the answer says so
	maxFound    = 500 // assets
	maxPackages = 200 // and namespaces
)

// fold splits what people type into words: runs of letters and digits, lower case. Runs in other scripts than Latin stand apart,
// since they are looked for anywhere in a text.
func fold(q string) ([]string, error) {
	if len(q) > maxQuery {
		return nil, fmt.Errorf("%w: a search of %d bytes: at most %d", ErrFilter, len(q), maxQuery)
	}
	var words []string
	last := 0 // 0 between words, 1 in Latin, 2 in other letters
	for _, r := range strings.ToLower(strings.ToValidUTF8(q, " ")) {
		kind := 0
		switch {
		case r < unicode.MaxASCII && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9'):
			kind = 1
		case r > unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			kind = 2
		}
		if kind != 0 {
			if kind != last {
				words = append(words, "")
			}
			words[len(words)-1] += string(r)
		}
		last = kind
	}
	slices.Sort(words)
	words = slices.Compact(words)
	if len(words) > maxWords {
		return nil, fmt.Errorf("%w: a search for %d words: at most %d", ErrFilter, len(words), maxWords)
	}
	return words, nil
}

// terms splits a query into what must be found: each is a list of words that must stand in one name. "CVE-2024-1 nginx" is two.
func terms(q string) ([][]string, error) {
	if _, err := fold(q); err != nil {
		return nil, err
	}
	var out [][]string
	for field := range strings.FieldsSeq(q) {
		words, _ := fold(field)
		latin := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w[0] >= 0x80 })
		if len(latin) > 0 {
			out = append(out, latin)
		}
		for _, w := range words {
			if w[0] >= 0x80 {
				out = append(out, []string{w})
			}
		}
	}
	return out, nil
}

// wordsOf are the expressions that PostgreSQL has indexes of words on.
var wordsOf = map[string]string{"risk_words": "rule || ' ' || rule_id || ' ' || title", "asset_words": "name", "package_words": "name"}

// match is the condition that a row of risks, assets or packages has, for each word of a term, a word that begins with it.
func (b *Browser) match(index string, term []string) sqlText {
	if b.db.Postgres() {
		return text("stockade_words("+wordsOf[index]+") @@ ?::tsquery", "'"+strings.Join(term, "':* & '")+"':*")
	}
	return text("id IN (SELECT rowid FROM "+index+" WHERE "+index+" MATCH ?)", `"`+strings.Join(term, `"* AND "`)+`"*`)
}

// riskWords is the condition that a risk has the words of a term. Those in other scripts than Latin may stand anywhere in the title.
func (b *Browser) riskWords(term []string) sqlText {
	if term[0][0] < 0x80 {
		return b.match("risk_words", term)
	}
	like := "%" + term[0] + "%" // letters and digits only
	return text("(title_zh LIKE ? OR title LIKE ?)", like, like)
}

// words turns a search into conditions: every term must be in the rule, title, package, namespace, resource or image. found is
// false when a term is nowhere; cut says that one was in too many names.
func (b *Browser) words(ctx context.Context, q *question, query string) (found, cut bool, err error) {
	list, err := terms(query)
	if err != nil || len(list) == 0 {
		return false, false, err
	}
	for _, term := range list {
		m, err := b.named(ctx, q, term)
		if err != nil {
			return false, cut, err
		}
		cut = cut || m.cut
		if m.empty() {
			return false, cut, nil
		}
		if err := b.kinds(ctx, q, m); err != nil {
			return false, cut, err
		}
		if err := b.means(ctx, q, m); err != nil {
			return false, cut, err
		}
	}
	return true, cut, nil
}

// names are the things that a term may mean.
type names struct {
	risks      []int64
	rules      []string
	kinds      []ledger.Kind // of the risks
	assets     []int64
	packages   []string
	namespaces []string
	cut        bool
}

func (m names) empty() bool {
	return len(m.risks)+len(m.assets)+len(m.packages)+len(m.namespaces) == 0
}

// named looks a term up.
func (b *Browser) named(ctx context.Context, q *question, term []string) (names, error) {
	var m names
	other := term[0][0] >= 0x80
	stmt := text("SELECT id, rule, kind FROM risks WHERE ")
	stmt.append(b.riskWords(term))
	stmt.add(" LIMIT ?", maxRisks+1)
	err := b.query(ctx, stmt, func(scan func(...any) error) error {
		var id int64
		var rule string
		var kind ledger.Kind
		err := scan(&id, &rule, &kind)
		m.risks, m.rules, m.kinds = append(m.risks, id), append(m.rules, rule), append(m.kinds, kind)
		return err
	})
	if err != nil || other {
		m.cutTo()
		return m, err
	}
	among := func(stmt *sqlText) {
		if q.targets != nil {
			stmt.add(" AND target_id IN (?)", bun.List(q.targets))
		}
	}
	stmt = text("SELECT id FROM assets WHERE kind <> ? AND ", int(ledger.AssetNamespace))
	stmt.append(b.match("asset_words", term))
	among(&stmt)
	stmt.add(" LIMIT ?", maxFound+1)
	if m.assets, err = column[int64](ctx, b, stmt); err != nil {
		return m, err
	}
	stmt = text("SELECT DISTINCT name FROM assets WHERE kind = ? AND ", int(ledger.AssetNamespace))
	stmt.append(b.match("asset_words", term))
	among(&stmt)
	stmt.add(" LIMIT ?", maxPackages+1)
	if m.namespaces, err = column[string](ctx, b, stmt); err != nil {
		return m, err
	}
	stmt = text("SELECT name FROM packages WHERE ")
	stmt.append(b.match("package_words", term))
	stmt.add(" LIMIT ?", maxPackages+1)
	m.packages, err = column[string](ctx, b, stmt)
	m.cutTo()
	return m, err
}

func (m *names) cutTo() {
	m.cut = len(m.risks) > maxRisks || len(m.assets) > maxFound || len(m.packages) > maxPackages || len(m.namespaces) > maxPackages
	n := min(len(m.risks), maxRisks)
	m.risks, m.rules, m.kinds = m.risks[:n], m.rules[:n], m.kinds[:n]
	m.assets, m.packages = m.assets[:min(len(m.assets), maxFound)], m.packages[:min(len(m.packages), maxPackages)]
	m.namespaces = m.namespaces[:min(len(m.namespaces), maxPackages)]
}

// kinds leaves out the kinds of findings that a term cannot mean, when it means only risks and packages.
func (b *Browser) kinds(ctx context.Context, q *question, m names) error {
	if len(m.assets)+len(m.namespaces) > 0 {
		return nil
	}
	stmt, sep := text(""), ""
	if len(m.risks) > 0 {
		stmt.add("SELECT DISTINCT kind FROM risks WHERE id IN (?)", bun.List(m.risks))
		sep = " UNION "
	}
	if len(m.packages) > 0 {
		stmt.add(sep+"SELECT DISTINCT r.kind FROM package_risks AS p JOIN risks AS r ON r.id = p.risk_id WHERE p.package IN (?)", bun.List(m.packages))
	}
	list, err := column[ledger.Kind](ctx, b, stmt)
	q.present = slices.DeleteFunc(q.present, func(c cell) bool { return !slices.Contains(list, c.kind) })
	return err
}

// means adds the condition that a finding has one of the names, and the ranges that hold all that do.
func (b *Browser) means(ctx context.Context, q *question, m names) error {
	var list []meaning
	for _, f := range []func(context.Context, *question, names) (*meaning, error){b.meansRisks, b.meansAssets, b.meansPackages, b.meansNamespaces} {
		one, err := f(ctx, q, m)
		if err != nil {
			return err
		}
		if one != nil {
			list = append(list, *one)
		}
	}
	cond := pred{wants: "risk_id", sqlText: text("(")}
	src := source{name: fmt.Sprint("words ", len(q.terms))}
	for i, one := range list {
		if i > 0 {
			cond.add(" OR ")
		}
		cond.append(one.pred.sqlText)
		cond.rows += one.pred.rows
		src.arms, src.rows = append(src.arms, one.source.arms...), src.rows+one.source.rows
		q.weight += one.weight
	}
	cond.add(")")
	q.preds = append(q.preds, cond)
	if len(src.arms) <= most {
		q.sources = append(q.sources, src)
	}
	q.terms = append(q.terms, term{at: len(q.preds) - 1, source: src.name, meanings: list})
	return nil
}

// meaningOf makes a meaning: its condition, and how many active findings it has.
func (q *question) meaningOf(column string, list any, n, rows int, arms ...arm) *meaning {
	m := &meaning{weight: n/5 + 1, pred: pred{wants: column, rows: rows, sqlText: text("f."+column+" IN (?)", list)}}
	m.source = source{name: column, arms: arms, rows: rows}
	if q.ended {
		m.source.rows *= 2
	}
	return m
}

func (b *Browser) meansRisks(ctx context.Context, q *question, names names) (*meaning, error) {
	if len(names.risks) == 0 {
		return nil, nil
	}
	active, rows := map[ledger.Kind]int{}, 0
	err := b.query(ctx, text("SELECT kind, sum(active) FROM risk_counts WHERE target_id = 0 AND risk_id IN (?) GROUP BY kind", bun.List(names.risks)), func(scan func(...any) error) error {
		var k ledger.Kind
		var n int
		err := scan(&k, &n)
		active[k] = n
		rows += n
		return err
	})
	if err != nil {
		return nil, err
	}
	of := func(risks []int64, rules []string, rows int) *meaning {
		m := q.meaningOf("risk_id", bun.List(risks), len(risks), rows, arm{from: q.table("findings_rule"), where: []sqlText{text("f.rule IN (?)", bun.List(rules))}})
		m.rules = rules
		return m
	}
	m := of(names.risks, names.rules, rows)
	if q.order.keys[0] == "package" {
		m.packs, err = b.known(ctx, text("SELECT DISTINCT package FROM package_risks WHERE risk_id IN (?) LIMIT ?", bun.List(names.risks), maxKnown+1))
		if m.packs != nil {
			m.packs = append(m.packs, "")
		}
	}
	m.risks = map[ledger.Kind]meaning{}
	for _, k := range ledger.Kinds {
		var risks []int64
		var rules []string
		for i := range names.risks {
			if names.kinds[i] == k {
				risks, rules = append(risks, names.risks[i]), append(rules, names.rules[i])
			}
		}
		if len(risks) > 0 {
			m.kinds = append(m.kinds, k)
			one := of(risks, rules, active[k])
			one.packs = m.packs
			m.risks[k] = *one
		}
	}
	return m, err
}

// maxKnown bounds the rules and packages that a list goes through one by one.
const maxKnown = 5000

// known reads a list of names; none when they are too many.
func (b *Browser) known(ctx context.Context, stmt sqlText) ([]string, error) {
	list, err := column[string](ctx, b, stmt)
	if len(list) > maxKnown {
		return nil, err
	}
	return list, err
}

func (b *Browser) meansAssets(ctx context.Context, q *question, names names) (*meaning, error) {
	if len(names.assets) == 0 {
		return nil, nil
	}
	rows, err := b.onAssets(ctx, names.assets)
	return q.meaningOf("asset_id", bun.List(names.assets), len(names.assets), rows,
		arm{from: q.table("findings_asset"), where: []sqlText{text("f.asset_id IN (?)", bun.List(names.assets))}}), err
}

func (b *Browser) meansPackages(ctx context.Context, q *question, names names) (*meaning, error) {
	if len(names.packages) == 0 {
		return nil, nil
	}
	m, err := b.meansText(ctx, q, "package", names.packages)
	if err != nil {
		return nil, err
	}
	m.packs = names.packages
	m.kinds, err = column[ledger.Kind](ctx, b, text("SELECT DISTINCT r.kind FROM package_risks AS p JOIN risks AS r ON r.id = p.risk_id WHERE p.package IN (?)", bun.List(names.packages)))
	if m.kinds == nil {
		m.kinds = []ledger.Kind{}
	}
	if err == nil && q.order.keys[0] == "rule" {
		m.rules, err = b.known(ctx, text("SELECT DISTINCT r.rule FROM package_risks AS p JOIN risks AS r ON r.id = p.risk_id WHERE p.package IN (?) LIMIT ?", bun.List(names.packages), maxKnown+1))
	}
	return m, err
}

func (b *Browser) meansNamespaces(ctx context.Context, q *question, names names) (*meaning, error) {
	if len(names.namespaces) == 0 {
		return nil, nil
	}
	return b.meansText(ctx, q, "namespace", names.namespaces)
}

// meansText is the meaning of a column that indexes have behind kind, and for namespaces severity.
func (b *Browser) meansText(ctx context.Context, q *question, column string, list []string) (*meaning, error) {
	p := in(column, list)
	rows, err := b.probe(ctx, q, &p)
	if err != nil {
		return nil, err
	}
	var arms []arm
	for _, half := range q.halves() {
		cells := q.asked(q.world, half, counted)
		where := []sqlText{text(half), text("f.kind IN (?)", bun.List(cells.values("kind"))), text("f."+column+" IN (?)", bun.List(list))}
		if column == "namespace" {
			where = append(where, text("f.severity IN (?)", bun.List(cells.values("severity"))))
		}
		arms = append(arms, arm{from: q.table("findings_kind_" + column + suffix(half)), where: where})
	}
	m := q.meaningOf(column, bun.List(list), 2*len(list), rows, arms...)
	m.pred.column, m.pred.values = p.column, p.values
	return m, nil
}
