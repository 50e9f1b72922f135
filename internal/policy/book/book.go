// Package book keeps policies and users' templates in the database: every version of a policy with who changed what, templates that
// were tested before they were kept, starting policies, and files of policies in and out.
package book

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/store"
)

// Errors that callers tell apart.
var (
	ErrInvalid   = errors.New("invalid")
	ErrForbidden = errors.New("not allowed")
	ErrConflict  = errors.New("conflict")
)

// Topic is that of news on the hub: a policy, template, or what belongs to them changed. The event's target is the cluster that it
// matters to, 0 for all.
const Topic = "policies"

// Bounds of what is kept.
const (
	maxPolicies  = 1000
	maxTemplates = 1000
	maxVersions  = 1000 // of a policy; the oldest are forgotten
)

// Record is a policy as it is kept.
type Record struct {
	policy.Policy
	CreatedAt store.Time `json:"createdAt" format:"date-time"`
	CreatedBy string     `json:"createdBy"`
	UpdatedAt store.Time `json:"updatedAt" format:"date-time"`
	UpdatedBy string     `json:"updatedBy"`
}

// Version is one state of a policy in the past, or the present one.
type Version struct {
	Version int        `json:"version"`
	At      store.Time `json:"at" format:"date-time"`
	By      string     `json:"by"`
	Note    string     `json:"note,omitempty" doc:"what the author said of it"`
	Deleted bool       `json:"deleted,omitempty" doc:"with this version the policy was deleted"`
	Changes []Change   `json:"changes" doc:"against the version before"`
}

// Full is a version with the policy as it was.
type Full struct {
	Version
	Policy policy.Policy `json:"policy"`
}

type policyRow struct {
	bun.BaseModel `bun:"table:policies,alias:p"`

	ID        int64      `bun:"id,pk,autoincrement"`
	Name      string     `bun:"name"`
	Version   int        `bun:"version"`
	Body      string     `bun:"body"`
	Clusters  string     `bun:"clusters"` // ",3,7,": for the query of one cluster; "" is all
	CreatedAt store.Time `bun:"created_at"`
	CreatedBy string     `bun:"created_by"`
	UpdatedAt store.Time `bun:"updated_at"`
	UpdatedBy string     `bun:"updated_by"`
	DeletedAt store.Time `bun:"deleted_at"`
}

type versionRow struct {
	bun.BaseModel `bun:"table:policy_versions,alias:v"`

	PolicyID int64      `bun:"policy_id,pk"`
	Version  int        `bun:"version,pk"`
	At       store.Time `bun:"at"`
	By       string     `bun:"by_whom"`
	Note     string     `bun:"note"`
	Deleted  bool       `bun:"deleted"`
	Body     string     `bun:"body"`
}

// Options of a Book. DB and Library are needed.
type Options struct {
	DB      *store.DB
	Library *rule.Library
	Hub     *live.Hub // may be nil
	Log     *slog.Logger
	Now     func() time.Time
}

// Book keeps the policies.
type Book struct{ o Options }

// New makes a Book.
func New(o Options) *Book {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Library == nil {
		o.Library = &rule.Library{}
	}
	return &Book{o: o}
}

// Library is the rules that policies name.
func (b *Book) Library() *rule.Library { return b.o.Library }

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

func (r *policyRow) policy() (policy.Policy, error) {
	var p policy.Policy
	if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
		return p, fmt.Errorf("policy %d as it is kept: %w", r.ID, err)
	}
	p.ID, p.Version, p.Name = r.ID, r.Version, r.Name
	return p, nil
}

func (r *policyRow) record() (*Record, error) {
	p, err := r.policy()
	if err != nil {
		return nil, err
	}
	return &Record{Policy: p, CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy, UpdatedAt: r.UpdatedAt, UpdatedBy: r.UpdatedBy}, nil
}

func (r *policyRow) object() string { return fmt.Sprintf("policy %d (%s)", r.ID, r.Name) }

// seen reports whether a policy matters to one of the clusters of v. Policies for all clusters are everybody's to read.
func seen(v identity.Visible, p *policy.Policy) bool {
	return v.All || len(p.Scope.Clusters) == 0 || slices.ContainsFunc(p.Scope.Clusters, v.Sees)
}

// shown hides from p the clusters that v does not see.
func shown(v identity.Visible, p *policy.Policy) {
	if !v.All {
		p.Scope.Clusters = slices.DeleteFunc(slices.Clone(p.Scope.Clusters), func(id int64) bool { return !v.Sees(id) })
	}
}

// mayChange asks whether the principal of ctx may have a policy of this scope: he must be allowed in each of its clusters, and
// everywhere where it names none.
func mayChange(ctx context.Context, clusters []int64) error {
	p := identity.From(ctx)
	if len(clusters) == 0 && !p.Can(identity.Protect, 0, "") {
		return fmt.Errorf("%w: a policy without clusters holds in all of them; name those that you operate in scope.clusters", ErrForbidden)
	}
	v := p.Visible(identity.Read)
	for _, id := range clusters {
		if !v.Sees(id) {
			return store.ErrNotFound
		}
	}
	for _, id := range clusters {
		if !p.Can(identity.Protect, id, "") {
			return fmt.Errorf("%w: the policy holds in cluster %d, which you do not operate as a whole", ErrForbidden, id)
		}
	}
	return nil
}

// Filter says which policies a list holds.
type Filter struct {
	Target int64  // that hold in this cluster; 0 is all
	Search string // part of the name or the description, in any case
	Rule   string // that use this rule, "image/CHECK" or "template/NAME"
	Action policy.Action
	Off    *bool // disabled or not; nil is both
}

func (f *Filter) keeps(p *policy.Policy) bool {
	if f.Target != 0 && len(p.Scope.Clusters) > 0 && !slices.Contains(p.Scope.Clusters, f.Target) ||
		f.Action != "" && p.Action != f.Action || f.Off != nil && *f.Off != p.Disabled {
		return false
	}
	q := strings.ToLower(strings.TrimSpace(f.Search))
	if q != "" && !strings.Contains(strings.ToLower(p.Name), q) && !strings.Contains(strings.ToLower(p.Description), q) {
		return false
	}
	return f.Rule == "" || p.Uses(f.Rule)
}

// List lists the policies that v shows, by name.
func (b *Book) List(ctx context.Context, v identity.Visible, f Filter) ([]Record, error) {
	rows, err := b.rows(ctx, b.o.DB.R, 0)
	if err != nil {
		return nil, err
	}
	out := make([]Record, 0, len(rows))
	for _, r := range rows {
		rec, err := r.record()
		if err != nil {
			return nil, err
		}
		if !seen(v, &rec.Policy) || !f.keeps(&rec.Policy) || f.Target != 0 && !v.Sees(f.Target) {
			continue
		}
		shown(v, &rec.Policy)
		out = append(out, *rec)
	}
	return out, nil
}

// rows reads the policies that were not deleted; of one target, or all for 0.
func (b *Book) rows(ctx context.Context, db bun.IDB, target int64) ([]*policyRow, error) {
	var rows []*policyRow
	q := db.NewSelect().Model(&rows).Where("deleted_at = 0").OrderExpr("name, id")
	if target != 0 {
		q = q.Where("clusters = '' OR clusters LIKE ?", fmt.Sprintf("%%,%d,%%", target))
	}
	return rows, q.Scan(ctx)
}

// Get gives one policy.
func (b *Book) Get(ctx context.Context, v identity.Visible, id int64) (*Record, error) {
	r, err := one(ctx, b.o.DB.R, id)
	if err != nil {
		return nil, err
	}
	rec, err := r.record()
	if err != nil {
		return nil, err
	}
	if !seen(v, &rec.Policy) {
		return nil, store.ErrNotFound
	}
	shown(v, &rec.Policy)
	return rec, nil
}

func one(ctx context.Context, db bun.IDB, id int64) (*policyRow, error) {
	r := &policyRow{}
	err := db.NewSelect().Model(r).Where("id = ? AND deleted_at = 0", id).Scan(ctx)
	return r, store.NotFound(err)
}

// ForTarget gives the policies that are in force in a cluster and the templates that they use, by id. Disabled ones are left out.
func (b *Book) ForTarget(ctx context.Context, target int64) ([]policy.Policy, []policy.Template, error) {
	rows, err := b.rows(ctx, b.o.DB.R, target)
	if err != nil {
		return nil, nil, err
	}
	var out []policy.Policy
	for _, r := range rows {
		p, err := r.policy()
		if err != nil {
			return nil, nil, err
		}
		if !p.Disabled {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b policy.Policy) int { return int(a.ID - b.ID) })
	templates, err := b.TemplatesOf(ctx, out)
	return out, templates, err
}

// Save keeps a policy: a new one when its ID is 0, else the next version of it. A Version that is set must be the present one. note
// is what the author says of the change. A save that changes nothing makes no version.
func (b *Book) Save(ctx context.Context, p policy.Policy, note string) (*Record, error) {
	p.Settle()
	if p.ID != 0 { // what may not be seen is not there, whatever is asked of it
		if _, err := b.Get(ctx, identity.From(ctx).Visible(identity.Read), p.ID); err != nil {
			return nil, err
		}
	}
	templates, err := b.TemplatesOf(ctx, []policy.Policy{p})
	if err != nil {
		return nil, err
	}
	if err := policy.Validate(&p, b.o.Library, templates); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := policy.TryTemplates(ctx, &p, templates); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len([]rune(note)) > 2000 {
		return nil, invalid("note: longer than 2000 characters")
	}
	if err := mayChange(ctx, p.Scope.Clusters); err != nil {
		return nil, err
	}
	var out *Record
	var told []int64
	err = b.o.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		out, told = nil, nil
		if err := b.clustersExist(ctx, tx, p.Scope.Clusters); err != nil {
			return err
		}
		var err error
		if p.ID == 0 {
			out, err = b.add(ctx, tx, p, note)
			told = p.Scope.Clusters
		} else {
			out, told, err = b.change(ctx, tx, p, note)
		}
		return err
	})
	if store.Duplicate(err) {
		return nil, fmt.Errorf("%w: there is a policy with the name %q already", ErrConflict, p.Name)
	}
	if err != nil {
		return nil, err
	}
	b.tell(ctx, out.ID, told)
	return out, nil
}

func (b *Book) clustersExist(ctx context.Context, tx bun.IDB, ids []int64) error {
	for _, id := range ids {
		var kind string
		err := tx.NewSelect().Model((*ledger.Target)(nil)).Column("kind").Where("id = ? AND removed_at = 0", id).Scan(ctx, &kind)
		if err := store.NotFound(err); errors.Is(err, store.ErrNotFound) || err == nil && kind != "cluster" {
			return invalid("scope.clusters: there is no cluster %d", id)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func who(ctx context.Context) string {
	if p := identity.From(ctx); p != nil {
		return p.Name
	}
	return "system"
}

func (b *Book) add(ctx context.Context, tx bun.Tx, p policy.Policy, note string) (*Record, error) {
	n, err := tx.NewSelect().Model((*policyRow)(nil)).Where("deleted_at = 0").Count(ctx)
	if err != nil {
		return nil, err
	}
	if n >= maxPolicies {
		return nil, invalid("there are %d policies already", n)
	}
	now := store.At(b.o.Now())
	r := &policyRow{Name: p.Name, Version: 1, Body: body(p), Clusters: clusterList(p.Scope.Clusters), CreatedAt: now, CreatedBy: who(ctx), UpdatedAt: now, UpdatedBy: who(ctx)}
	if _, err := tx.NewInsert().Model(r).Exec(ctx); err != nil {
		return nil, err
	}
	if err := b.version(ctx, tx, r, note, false); err != nil {
		return nil, err
	}
	rec, err := r.record()
	if err != nil {
		return nil, err
	}
	return rec, b.recorded(ctx, tx, "policy.add", r, nil, rec, p.Scope.Clusters)
}

func (b *Book) change(ctx context.Context, tx bun.Tx, p policy.Policy, note string) (rec *Record, told []int64, err error) {
	r, err := one(ctx, tx, p.ID)
	if err != nil {
		return nil, nil, err
	}
	before, err := r.record()
	if err != nil {
		return nil, nil, err
	}
	if v := identity.From(ctx).Visible(identity.Read); !seen(v, &before.Policy) {
		return nil, nil, store.ErrNotFound
	}
	if err := mayChange(ctx, before.Scope.Clusters); err != nil {
		return nil, nil, hidden(err)
	}
	if p.Version != 0 && p.Version != r.Version {
		return nil, nil, fmt.Errorf("%w: the policy is at version %d now, not %d: read it again", ErrConflict, r.Version, p.Version)
	}
	if p.Name == r.Name && body(p) == body(before.Policy) {
		return before, nil, nil
	}
	r.Name, r.Version, r.Body, r.Clusters = p.Name, r.Version+1, body(p), clusterList(p.Scope.Clusters)
	r.UpdatedAt, r.UpdatedBy = store.At(b.o.Now()), who(ctx)
	if err := replace(ctx, tx, r); err != nil {
		return nil, nil, err
	}
	if err := b.version(ctx, tx, r, note, false); err != nil {
		return nil, nil, err
	}
	if rec, err = r.record(); err != nil {
		return nil, nil, err
	}
	told = both(before.Scope.Clusters, p.Scope.Clusters)
	return rec, told, b.recorded(ctx, tx, "policy.change", r, before, rec, told)
}

// replace writes the next version of a row, unless somebody else has done so since it was read.
func replace(ctx context.Context, tx bun.Tx, r *policyRow) error {
	res, err := tx.NewUpdate().Model(r).WherePK().Where("version = ?", r.Version-1).Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(fmt.Errorf("%w: somebody else changed the policy at the same moment: read it again", ErrConflict), err)
	}
	return nil
}

// hidden makes of a policy that holds in more clusters than its reader sees one that he may not change: it is there for him.
func hidden(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: the policy holds in clusters that you do not see, too", ErrForbidden)
	}
	return err
}

// Delete ends a policy. It stays in the list of versions. version, when it is not 0, must be the present one.
func (b *Book) Delete(ctx context.Context, id int64, version int) error {
	var told []int64
	err := b.o.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		r, err := one(ctx, tx, id)
		if err != nil {
			return err
		}
		before, err := r.record()
		if err != nil {
			return err
		}
		if !seen(identity.From(ctx).Visible(identity.Read), &before.Policy) {
			return store.ErrNotFound
		}
		if err := mayChange(ctx, before.Scope.Clusters); err != nil {
			return hidden(err)
		}
		if version != 0 && version != r.Version {
			return fmt.Errorf("%w: the policy is at version %d now, not %d: read it again", ErrConflict, r.Version, version)
		}
		told = before.Scope.Clusters
		r.Version++
		r.UpdatedAt, r.UpdatedBy, r.DeletedAt = store.At(b.o.Now()), who(ctx), store.At(b.o.Now())
		if err := replace(ctx, tx, r); err != nil {
			return err
		}
		if err := b.version(ctx, tx, r, "", true); err != nil {
			return err
		}
		return b.recorded(ctx, tx, "policy.delete", r, before, nil, told)
	})
	if err == nil {
		b.tell(ctx, id, told)
	}
	return err
}

// version keeps the state of r, and forgets the oldest where there are too many.
func (b *Book) version(ctx context.Context, tx bun.Tx, r *policyRow, note string, deleted bool) error {
	v := &versionRow{PolicyID: r.ID, Version: r.Version, At: r.UpdatedAt, By: r.UpdatedBy, Note: note, Deleted: deleted, Body: r.Body}
	if _, err := tx.NewInsert().Model(v).Exec(ctx); err != nil {
		return err
	}
	if r.Version <= maxVersions {
		return nil
	}
	_, err := tx.NewDelete().Model((*versionRow)(nil)).Where("policy_id = ? AND version <= ?", r.ID, r.Version-maxVersions).Exec(ctx)
	return err
}

// recorded writes the change into the audit log and the outbox.
func (b *Book) recorded(ctx context.Context, tx bun.Tx, action string, r *policyRow, before, after *Record, clusters []int64) error {
	target := int64(0)
	if len(clusters) == 1 {
		target = clusters[0]
	}
	var old, now any
	if before != nil {
		old = before.Policy
	}
	if after != nil {
		now = after.Policy
	}
	if err := audit.Record(ctx, tx, action, r.object(), target, old, now); err != nil {
		return err
	}
	return outbox.Put(ctx, tx, outbox.PolicyChanged, target, map[string]any{"policy": r.ID, "name": r.Name, "version": r.Version, "change": strings.TrimPrefix(action, "policy."), "by": r.UpdatedBy})
}

// tell publishes the change to all that it matters to.
func (b *Book) tell(ctx context.Context, id int64, clusters []int64) {
	if b.o.Hub == nil {
		return
	}
	if len(clusters) == 0 {
		clusters = []int64{0}
	}
	for _, c := range clusters {
		b.o.Hub.Publish(ctx, live.Event{Topic: Topic, Target: c, ID: id})
	}
}

// both are the clusters that two scopes reach; none is all.
func both(a, b []int64) []int64 {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// body is what is kept of a policy: all but what stands in columns.
func body(p policy.Policy) string {
	p.ID, p.Version = 0, 0
	return ledger.JSON(p)
}

func clusterList(ids []int64) string {
	var out strings.Builder
	for i, id := range ids {
		if i == 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, "%d,", id)
	}
	return out.String()
}
