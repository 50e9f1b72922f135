package browse

import (
	"context"
	"encoding/hex"
	"encoding/json"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// clauseBody is the body of a row of clauses.
type clauseBody struct {
	Title    finding.Text `json:"title"`
	Reason   finding.Text `json:"reason"`
	Findings []string     `json:"findings,omitempty"`
}

// prints are the fingerprints as findings have them.
func (c clauseBody) prints() [][]byte {
	var out [][]byte
	for _, f := range c.Findings {
		if b, err := hex.DecodeString(f); err == nil && len(b) == 16 {
			out = append(out, b)
		}
	}
	return out
}

// Framework is a compliance framework in one target: how many of its clauses have which verdict.
type Framework struct {
	TargetID      int64      `json:"targetId,string"`
	Target        string     `json:"target"`
	Framework     string     `json:"framework"`
	Pass          int        `json:"pass"`
	Fail          int        `json:"fail"`
	Manual        int        `json:"manual"`
	NotApplicable int        `json:"notApplicable"`
	Score         int        `json:"score" doc:"percent of the decided clauses that pass; -1 when none was decided"`
	UpdatedAt     store.Time `json:"updatedAt" format:"date-time"`
}

// Clause is the verdict on one clause in one target.
type Clause struct {
	TargetID  int64        `json:"targetId,string"`
	Target    string       `json:"target"`
	Framework string       `json:"framework"`
	Clause    string       `json:"clause"`
	Status    string       `json:"status" enum:"pass,fail,manual,not-applicable"`
	Findings  int          `json:"findings"`
	Title     finding.Text `json:"-"`
	Reason    finding.Text `json:"-"`
	UpdatedAt store.Time   `json:"updatedAt" format:"date-time"`
}

// clausesOf begins a statement on clauses of whole targets: verdicts are of the whole cluster, who sees only some namespaces does
// not see them.
func clausesOf(columns string, s scope) sqlText {
	stmt := text("SELECT " + columns + " FROM clauses AS c JOIN targets AS t ON t.id = c.target_id WHERE t.removed_at = 0")
	if !s.all {
		stmt.add(" AND c.target_id IN (?)", bun.List(s.targets))
	}
	return stmt
}

// Frameworks lists the verdicts of frameworks on targets, nil for all.
func (b *Browser) Frameworks(ctx context.Context, v identity.Visible, targets []int64) ([]Framework, error) {
	s, err := b.scope(ctx, v, targets)
	if err != nil || !s.all && len(s.targets) == 0 {
		return nil, err
	}
	stmt := clausesOf("t.id, t.name, c.framework, c.status, count(*), max(c.updated_at)", s)
	stmt.add(" GROUP BY t.id, t.name, c.framework, c.status ORDER BY c.framework, t.name, t.id")
	var out []Framework
	err = b.query(ctx, stmt, func(scan func(...any) error) error {
		var f Framework
		var status string
		var n int
		if err := scan(&f.TargetID, &f.Target, &f.Framework, &status, &n, &f.UpdatedAt); err != nil {
			return err
		}
		last := len(out) - 1
		if last < 0 || out[last].TargetID != f.TargetID || out[last].Framework != f.Framework {
			out = append(out, f)
			last++
		}
		switch finding.ClauseStatus(status) {
		case finding.Pass:
			out[last].Pass += n
		case finding.Fail:
			out[last].Fail += n
		case finding.Manual:
			out[last].Manual += n
		default:
			out[last].NotApplicable += n
		}
		if f.UpdatedAt.After(out[last].UpdatedAt.Time) {
			out[last].UpdatedAt = f.UpdatedAt
		}
		return nil
	})
	for i := range out {
		out[i].Score = -1
		if n := out[i].Pass + out[i].Fail; n > 0 {
			out[i].Score = 100 * out[i].Pass / n
		}
	}
	return out, err
}

// Clauses lists the verdicts of a framework on its clauses, by clause and target. status "" is all.
func (b *Browser) Clauses(ctx context.Context, v identity.Visible, targets []int64, framework, status string, page store.Page) ([]Clause, string, error) {
	s, err := b.scope(ctx, v, targets)
	if err != nil || !s.all && len(s.targets) == 0 {
		return nil, "", err
	}
	stmt := clausesOf("t.id, t.name, c.framework, c.clause, c.status, c.findings, c.body, c.updated_at", s)
	stmt.add(" AND c.framework = ?", framework)
	if status != "" {
		stmt.add(" AND c.status = ?", status)
	}
	if page.After != "" {
		var clause string
		var target int64
		if err := store.ReadCursor(page.After, &clause, &target); err != nil {
			return nil, "", err
		}
		stmt.add(" AND (c.clause, c.target_id) > (?, ?)", clause, target)
	}
	size := page.Size()
	stmt.add(" ORDER BY c.clause, c.target_id LIMIT ?", size+1)
	var out []Clause
	err = b.query(ctx, stmt, func(scan func(...any) error) error {
		var c Clause
		var body string
		if err := scan(&c.TargetID, &c.Target, &c.Framework, &c.Clause, &c.Status, &c.Findings, &body, &c.UpdatedAt); err != nil {
			return err
		}
		var more clauseBody
		_ = json.Unmarshal([]byte(body), &more) // a verdict without texts is still one
		c.Title, c.Reason = more.Title, more.Reason
		out = append(out, c)
		return nil
	})
	next := ""
	if len(out) > size {
		out = out[:size]
		next = store.Cursor(out[size-1].Clause, out[size-1].TargetID)
	}
	return out, next, err
}

// GapFilter selects what was not scanned.
type GapFilter struct {
	Targets []int64
	Codes   []string
}

// Gap is something that was not scanned at the last look.
type Gap struct {
	ledger.Gap
	Target string `json:"target"`
}

// Gaps lists what was not scanned, by target. What was not scanned is told to who sees the whole target.
func (b *Browser) Gaps(ctx context.Context, v identity.Visible, f GapFilter, page store.Page) ([]Gap, string, error) {
	s, err := b.scope(ctx, v, f.Targets)
	if err != nil || !s.all && len(s.targets) == 0 {
		return nil, "", err
	}
	stmt := text("SELECT g.id, g.target_id, g.part, g.what, g.subject, g.reason, g.code, g.since, t.name FROM gaps AS g JOIN targets AS t ON t.id = g.target_id WHERE t.removed_at = 0")
	if !s.all {
		stmt.add(" AND g.target_id IN (?)", bun.List(s.targets))
	}
	if len(f.Codes) > 0 {
		stmt.add(" AND g.code IN (?)", bun.List(f.Codes))
	}
	if page.After != "" {
		var id int64
		if err := store.ReadCursor(page.After, &id); err != nil {
			return nil, "", err
		}
		stmt.add(" AND g.id > ?", id)
	}
	size := page.Size()
	stmt.add(" ORDER BY g.id LIMIT ?", size+1)
	var out []Gap
	err = b.query(ctx, stmt, func(scan func(...any) error) error {
		var g Gap
		err := scan(&g.ID, &g.TargetID, &g.Part, &g.What, &g.Subject, &g.Reason, &g.Code, &g.Since, &g.Target)
		out = append(out, g)
		return err
	})
	next := ""
	if len(out) > size {
		out = out[:size]
		next = store.Cursor(out[size-1].ID)
	}
	return out, next, err
}
