package urgent

import (
	"context"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/nodes"
	"stockade.dev/stockade/internal/store"
)

// Filter says which results a list holds.
type Filter struct {
	Verdicts []emergency.Verdict // none: all but those that do not have the component
	Targets  []int64
	Kind     string // node, image, cluster, or workload for what runs the images; "" is all but workloads
	Q        string // part of the name, in any case
}

// Seen is one result.
type Seen struct {
	Target  int64
	Cluster string
	Kind    string
	Name    string // of the node; digest of the image
	Image   string // reference
	Since   store.Time
	At      store.Time
	// Of a workload that runs the image.
	Workload *finding.WorkloadRef
	Result   emergency.Result
}

// resultRow is what lists read.
type resultRow struct {
	row `bun:",extend"`

	Name      string     `bun:"name"`
	Shown     string     `bun:"shown"`
	At        store.Time `bun:"at"`
	Cluster   string     `bun:"cluster"`
	Workload  int64      `bun:"workload"`
	GroupKind string     `bun:"group_kind"`
	Namespace string     `bun:"namespace"`
	WName     string     `bun:"wname"`
}

// Results is a page of what was seen of an emergency, the worst first.
func (s *Service) Results(ctx context.Context, v identity.Visible, id string, f Filter, page store.Page) ([]Seen, string, error) {
	list, err := s.List()
	if err != nil {
		return nil, "", err
	}
	e := list.Find(id)
	if e == nil {
		return nil, "", store.ErrNotFound
	}
	if slices.Contains(f.Verdicts, emergency.NotPresent) {
		if len(f.Verdicts) > 1 || f.Kind == "workload" {
			return nil, "", invalid("ask for not-present alone, and not for workloads")
		}
		return s.absent(ctx, v, e, f, page)
	}
	q := s.db.R.NewSelect().TableExpr("emergency_results AS r").ColumnExpr("r.*, s.name, s.shown, s.at, t.name AS cluster").
		Join("JOIN emergency_subjects AS s ON s.id = r.subject_id").Join("JOIN targets AS t ON t.id = r.target_id").
		Where("r.emergency = ?", e.ID).OrderExpr("r.verdict DESC, r.subject_id").Limit(int64(page.Size()) + 1)
	q = within(q, "r.target_id", v, f.Targets)
	if len(f.Verdicts) == 0 {
		q = q.Where("r.verdict > 0")
	} else {
		var rungs []int
		for _, verdict := range f.Verdicts {
			rungs = append(rungs, rung(verdict))
		}
		q = q.Where("r.verdict IN (?)", bun.List(rungs))
	}
	like := "(lower(s.name) LIKE ? ESCAPE '\\' OR lower(s.shown) LIKE ? ESCAPE '\\')"
	if f.Kind == "workload" {
		like = "(lower(w.name) LIKE ? ESCAPE '\\' OR lower(s.shown) LIKE ? ESCAPE '\\')"
		q = q.ColumnExpr("w.id AS workload, w.group_kind, w.namespace, w.name AS wname").Where("r.kind = ?", int(Image)).
			Join("JOIN assets AS i ON i.target_id = r.target_id AND i.kind = 4 AND i.digest <> '' AND i.digest = s.name AND i.gone_at = 0").
			Join("JOIN asset_uses AS u ON u.image_id = i.id").Join("JOIN assets AS w ON w.id = u.workload_id AND w.gone_at = 0").OrderExpr("w.id")
	} else if q, err = ofKind(q, "r.kind", f.Kind); err != nil {
		return nil, "", err
	}
	if f.Q != "" {
		q = q.Where(like, part(f.Q), part(f.Q))
	}
	if page.After != "" {
		var verdict int
		var subject, workload int64
		if err := store.ReadCursor(page.After, &verdict, &subject, &workload); err != nil {
			return nil, "", err
		}
		if f.Kind == "workload" {
			q = q.Where("(r.verdict < ? OR r.verdict = ? AND (r.subject_id, w.id) > (?, ?))", verdict, verdict, subject, workload)
		} else {
			q = q.Where("(r.verdict < ? OR r.verdict = ? AND r.subject_id > ?)", verdict, verdict, subject)
		}
	}
	var rows []resultRow
	if err := q.Scan(ctx, &rows); err != nil {
		return nil, "", err
	}
	next := ""
	if len(rows) > page.Size() {
		rows = rows[:page.Size()]
		last := &rows[len(rows)-1]
		next = store.Cursor(last.Verdict, last.SubjectID, last.Workload)
	}
	out := make([]Seen, len(rows))
	for i := range rows {
		if out[i], err = rows[i].seen(); err != nil {
			return nil, "", err
		}
	}
	return out, next, nil
}

func (r *resultRow) seen() (Seen, error) {
	out := Seen{Target: r.TargetID, Cluster: r.Cluster, Kind: Kinds[r.Kind], Name: r.Name, Since: r.Since, At: r.At}
	if r.Kind == Image {
		out.Image = r.Shown
	}
	if r.Workload != 0 {
		kind, _, _ := strings.Cut(r.GroupKind, ".")
		out.Kind, out.Workload = "workload", &finding.WorkloadRef{Kind: kind, Namespace: r.Namespace, Name: r.WName}
	}
	return out, decode(r.Body, &out.Result)
}

func ofKind(q *bun.SelectQuery, column, kind string) (*bun.SelectQuery, error) {
	if kind == "" {
		return q, nil
	}
	for k, word := range Kinds {
		if word == kind {
			return q.Where(column+" = ?", int(k)), nil
		}
	}
	return nil, invalid("kind %.20q", kind)
}

func part(q string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(q)) + "%"
}

// setsWith are the sets that hold an emergency.
func (s *Service) setsWith(ctx context.Context, id string) ([]int64, error) {
	sets, err := s.sets(ctx, s.db.R, nil)
	out := []int64{0} // IN () is no SQL
	for set, ids := range sets {
		if slices.Contains(ids, id) {
			out = append(out, set)
		}
	}
	slices.Sort(out)
	return out, err
}

// absent lists what was looked at and does not have what an emergency is about.
func (s *Service) absent(ctx context.Context, v identity.Visible, e *emergency.Emergency, f Filter, page store.Page) ([]Seen, string, error) {
	sets, err := s.setsWith(ctx, e.ID)
	if err != nil {
		return nil, "", err
	}
	q := s.db.R.NewSelect().TableExpr("emergency_subjects AS s").ColumnExpr("s.id AS subject_id, s.target_id, s.kind, s.name, s.shown, s.at, t.name AS cluster, coalesce(r.body, '{}') AS body, coalesce(r.since, 0) AS since").
		Join("JOIN targets AS t ON t.id = s.target_id").Join("LEFT JOIN emergency_results AS r ON r.subject_id = s.id AND r.emergency = ?", e.ID).
		Where("s.set_id IN (?) AND coalesce(r.verdict, 0) = 0", bun.List(sets)).OrderExpr("s.id").Limit(int64(page.Size()) + 1)
	q = within(q, "s.target_id", v, f.Targets)
	if q, err = ofKind(q, "s.kind", f.Kind); err != nil {
		return nil, "", err
	}
	if f.Q != "" {
		q = q.Where("(lower(s.name) LIKE ? ESCAPE '\\' OR lower(s.shown) LIKE ? ESCAPE '\\')", part(f.Q), part(f.Q))
	}
	if page.After != "" {
		var id int64
		if err := store.ReadCursor(page.After, &id); err != nil {
			return nil, "", err
		}
		q = q.Where("s.id > ?", id)
	}
	var rows []resultRow
	if err := q.Scan(ctx, &rows); err != nil {
		return nil, "", err
	}
	next := ""
	if len(rows) > page.Size() {
		rows = rows[:page.Size()]
		next = store.Cursor(rows[len(rows)-1].SubjectID)
	}
	out := make([]Seen, len(rows))
	for i := range rows {
		if out[i], err = rows[i].seen(); err != nil {
			return nil, "", err
		}
		out[i].Result.Emergency, out[i].Result.Verdict = e.ID, emergency.NotPresent
	}
	return out, next, nil
}

// Unseen is something that was not looked at for an emergency.
type Unseen struct {
	Target  int64
	Cluster string
	Kind    string // node or image
	Name    string // of the node; reference of the image
	Digest  string
	Code    finding.Code
	Reason  finding.Text
}

// NotLooked is a page of the nodes or images that were not looked at for an emergency, with the reasons.
func (s *Service) NotLooked(ctx context.Context, v identity.Visible, id, kind string, targets []int64, page store.Page) ([]Unseen, string, error) {
	list, err := s.List()
	if err != nil {
		return nil, "", err
	}
	e := list.Find(id)
	if e == nil {
		return nil, "", store.ErrNotFound
	}
	if !slices.Contains(e.Where, kind) {
		return nil, "", nil
	}
	sets, err := s.setsWith(ctx, e.ID)
	if err != nil {
		return nil, "", err
	}
	k := Node
	if kind == Kinds[Image] {
		k = Image
	}
	q := s.there(k).ColumnExpr("t.name AS cluster").Join("JOIN targets AS t ON t.id = x.target_id").Where("coalesce(s.set_id, -1) NOT IN (?)", bun.List(sets)).OrderExpr("x.id").Limit(int64(page.Size()) + 1)
	if k == Node {
		q = q.ColumnExpr("x.id, x.target_id, x.name, x.enrolled_at, x.seen_at, x.object_os, x.agent_state")
	} else {
		q = q.ColumnExpr("x.id, x.target_id, x.name, x.digest, EXISTS (SELECT 1 FROM inventory_names i WHERE i.name = x.digest) AS held")
	}
	if page.After != "" {
		var after int64
		if err := store.ReadCursor(page.After, &after); err != nil {
			return nil, "", err
		}
		q = q.Where("x.id > ?", after)
	}
	var rows []unseenRow
	if err := within(q, "x.target_id", v, targets).Scan(ctx, &rows); err != nil {
		return nil, "", err
	}
	next := ""
	if len(rows) > page.Size() {
		rows = rows[:page.Size()]
		next = store.Cursor(rows[len(rows)-1].ID)
	}
	out := make([]Unseen, len(rows))
	for i := range rows {
		r := &rows[i]
		out[i] = Unseen{Target: r.TargetID, Cluster: r.Cluster, Kind: kind, Name: r.Name, Digest: r.Digest}
		out[i].Reason, out[i].Code = s.reason(r, k)
	}
	return out, next, nil
}

// unseenRow is what of nodes and of images tells why they were not looked at.
type unseenRow struct {
	ID, TargetID          int64
	Cluster, Name, Digest string
	EnrolledAt, SeenAt    store.Time
	ObjectOS              string `bun:"object_os"`
	AgentState            string
	Held                  bool
}

func (s *Service) reason(r *unseenRow, k Kind) (finding.Text, finding.Code) {
	if k == Image {
		if r.Held {
			return finding.Text{EN: "what it holds is known, and it was not judged since the emergency became known: scan for it now", ZH: "已有该镜像的清单，但漏洞发布后尚未判定，请立即扫描"}, finding.Skipped
		}
		return finding.Text{EN: "no scan has read what it holds: scan its cluster for vulnerabilities first", ZH: "尚无扫描读取过该镜像的内容，请先对其集群进行漏洞扫描"}, finding.Skipped
	}
	state := (&nodes.Row{EnrolledAt: r.EnrolledAt, SeenAt: r.SeenAt, ObjectOS: r.ObjectOS, AgentState: r.AgentState}).State(s.now(), s.o.Agents.Away())
	if text, code := why(state, r.Name, r.ObjectOS); text.EN != "" {
		return text, code
	}
	return finding.Text{EN: "its agent has not reported on it yet: scan for it now", ZH: "代理尚未上报该漏洞的结果，请立即扫描"}, finding.Skipped
}

// Verified tells on which nodes of a cluster agents saw every precondition of emergencies: ids by node.
func (s *Service) Verified(ctx context.Context, target int64, ids []string) (map[string][]string, error) {
	var rows []struct{ Name, Emergency string }
	out := map[string][]string{}
	if len(ids) == 0 {
		return out, nil
	}
	err := s.db.R.NewRaw(`SELECT s.name, r.emergency FROM emergency_results AS r JOIN emergency_subjects AS s ON s.id = r.subject_id
		WHERE r.emergency IN (?) AND r.verdict = ? AND s.target_id = ? AND s.kind = ? ORDER BY s.name, r.emergency`, bun.List(ids), rung(emergency.Exposed), target, int(Node)).Scan(ctx, &rows)
	for _, r := range rows {
		out[r.Name] = append(out[r.Name], r.Emergency)
	}
	return out, err
}
