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
	stmt := text("SELECT id, rule FROM risks WHERE ")
	stmt.append(b.riskWords(term))
	stmt.add(" LIMIT ?", maxRisks+1)
	err := b.query(ctx, stmt, func(scan func(...any) error) error {
		var id int64
		var rule string
		err := scan(&id, &rule)
		m.risks, m.rules = append(m.risks, id), append(m.rules, rule)
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
	m.risks, m.rules = m.risks[:min(len(m.risks), maxRisks)], m.rules[:min(len(m.rules), maxRisks)]
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
		for _, half := range q.halves() {
			for _, k := range q.world.values("kind") {
				stmt.add(sep+"SELECT ? AS kind WHERE EXISTS (SELECT 1 FROM "+q.table("findings_kind_package"+suffix(half))+" WHERE "+half+" AND f.kind = ? AND f.package IN (?))",
					k, k, bun.List(m.packages))
				sep = " UNION "
			}
		}
	}
	list, err := column[ledger.Kind](ctx, b, stmt)
	q.present = slices.DeleteFunc(q.present, func(c cell) bool { return !slices.Contains(list, c.kind) })
	return err
}

// means adds the condition that a finding has one of the names, and the ranges that hold all that do.
func (b *Browser) means(ctx context.Context, q *question, m names) error {
	cond := pred{wants: "risk_id", sqlText: text("(")}
	src := source{name: "words"}
	put := func(n int, rows int, s string, list any, index string) {
		if n == 0 {
			return
		}
		if len(cond.text) > 1 {
			cond.add(" OR ")
		}
		cond.add(s, list)
		cond.rows += rows
		if index != "" {
			src.arms = append(src.arms, arm{from: q.table(index), where: []sqlText{text(s, list)}})
		}
	}
	rows := 0
	if len(m.risks) > 0 {
		n, err := column[int](ctx, b, text("SELECT coalesce(sum(active), 0) FROM risk_counts WHERE target_id = 0 AND risk_id IN (?)", bun.List(m.risks)))
		if err != nil {
			return err
		}
		rows = n[0]
		src.arms = append(src.arms, arm{from: q.table("findings_rule"), where: []sqlText{text("f.rule IN (?)", bun.List(m.rules))}})
	}
	put(len(m.risks), rows, "f.risk_id IN (?)", bun.List(m.risks), "")
	if len(m.assets) > 0 {
		n, err := b.onAssets(ctx, m.assets)
		if err != nil {
			return err
		}
		rows = n
	}
	put(len(m.assets), rows, "f.asset_id IN (?)", bun.List(m.assets), "findings_asset")
	for column, list := range map[string][]string{"package": m.packages, "namespace": m.namespaces} {
		if len(list) == 0 {
			continue
		}
		p := in(column, list)
		n, err := b.probe(ctx, q, &p)
		if err != nil {
			return err
		}
		put(len(list), n, "f."+column+" IN (?)", bun.List(list), "")
		for _, half := range q.halves() {
			cells := q.asked(q.world, half, counted)
			where := []sqlText{text(half), text("f.kind IN (?)", bun.List(cells.values("kind"))), text("f."+column+" IN (?)", bun.List(list))}
			if column == "namespace" {
				where = append(where, text("f.severity IN (?)", bun.List(cells.values("severity"))))
			}
			src.arms = append(src.arms, arm{from: q.table("findings_kind_" + column + suffix(half)), where: where})
		}
	}
	cond.add(")")
	q.preds = append(q.preds, cond)
	q.weight += (len(m.risks) + len(m.assets) + 2*len(m.packages) + 2*len(m.namespaces)) / 5
	if src.rows = cond.rows; q.ended {
		src.rows *= 2
	}
	if len(src.arms) <= most {
		q.sources = append(q.sources, src)
	}
	return nil
}
