package protect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"sigs.k8s.io/yaml"

	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
)

// Summary is a line of the list of clusters. No field has the name of one of Status, which the schema of the API would take for it.
type Summary struct {
	TargetID          int64      `json:"id,string" doc:"of the cluster"`
	Name              string     `json:"name"`
	Kind              string     `json:"kind" enum:"kubeconfig,in-cluster,connector"`
	Connection        string     `json:"connection" doc:"state of the connection to the cluster"`
	Version           string     `json:"version,omitempty"`
	State             State      `json:"state" enum:"unprotected,installing,error,protected,no-policy,policy-failed,removing,remove-failed"`
	Reason            string     `json:"reason,omitempty"`
	StateAt           store.Time `json:"stateAt,omitzero" format:"date-time"`
	Policies          int        `json:"policies" doc:"that hold here"`
	Constraints       int        `json:"constraints" doc:"that are in force"`
	ProblemCount      int        `json:"problems"`
	Alive             int        `json:"replicas" doc:"providers that said a word within the last minute"`
	WantedAlive       int        `json:"wantedReplicas"`
	GatekeeperVersion string     `json:"gatekeeper,omitempty" doc:"version"`
	Ours              bool       `json:"ours" doc:"Gatekeeper was installed by us"`
	Drifted           int        `json:"drift" doc:"what was changed from outside in the last 24 hours"`
	SeenAt            store.Time `json:"seenAt,omitzero" format:"date-time" doc:"when the cluster last was as it should be"`
	UnreachableAt     store.Time `json:"unreachableSince,omitzero" format:"date-time"`
}

// Status is all that is known of a cluster's protection.
type Status struct {
	Summary
	Steps        []Step        `json:"steps" doc:"of the installation or removal that is going on, or was the last"`
	Gatekeeper   *Gatekeeper   `json:"gatekeeperDetails,omitempty"`
	Deployments  []Deployment  `json:"deployments"`
	Replicas     []Replica     `json:"providers"`
	Certificates []Certificate `json:"certificates"`
	Problems     []Problem     `json:"problemList"`
	Drift        []Drift       `json:"driftList" doc:"newest first"`
	Settings     Settings      `json:"settings"`
	Effective    Settings      `json:"effectiveSettings" doc:"with what was left out"`
	Generation   string        `json:"generation,omitempty" doc:"of the policies that are in force"`
	Wanted       string        `json:"wantedGeneration,omitempty" doc:"of the policies that should be"`
	ChangesAt    store.Time    `json:"changesAt,omitzero" format:"date-time" doc:"when a staged policy gets sharper"`
	EnabledAt    store.Time    `json:"enabledAt,omitzero" format:"date-time"`
	EnabledBy    string        `json:"enabledBy,omitempty"`
}

// Replica is a pod of the provider, as it said last.
type Replica struct {
	protocol.Beat
	At    store.Time `json:"at" format:"date-time"`
	Alive bool       `json:"alive" doc:"it said a word within the last minute"`
}

// Filter says which clusters a list holds.
type Filter struct {
	Search string
	State  State
}

// aliveFor is how long a replica counts as there after its last word.
const aliveFor = time.Minute

type summaryRow struct {
	TargetID      int64      `bun:"target_id"`
	Name          string     `bun:"name"`
	Kind          string     `bun:"kind"`
	Connection    string     `bun:"connection"`
	Version       string     `bun:"version"`
	State         State      `bun:"state"`
	Reason        string     `bun:"reason"`
	StateAt       store.Time `bun:"state_at"`
	Health        string     `bun:"health"`
	Gatekeeper    string     `bun:"gatekeeper"`
	Settings      string     `bun:"settings"`
	SeenAt        store.Time `bun:"seen_at"`
	UnreachableAt store.Time `bun:"unreachable_at"`
	Alive         int        `bun:"alive"`
	Drifts        int        `bun:"drifts"`
}

// lines begins the query of summaries.
func (s *Service) lines() *bun.SelectQuery {
	now := s.o.Now()
	return s.db.R.NewSelect().ColumnExpr("c.target_id, t.name, c.kind, c.state AS connection, c.version").
		ColumnExpr("coalesce(p.state, 'unprotected') AS state, coalesce(p.reason, '') AS reason, coalesce(p.state_at, 0) AS state_at, coalesce(p.health, '') AS health").
		ColumnExpr("coalesce(p.gatekeeper, '') AS gatekeeper, coalesce(p.settings, '{}') AS settings, coalesce(p.seen_at, 0) AS seen_at, coalesce(p.unreachable_at, 0) AS unreachable_at").
		ColumnExpr("(SELECT count(*) FROM protection_replicas AS r WHERE r.target_id = c.target_id AND r.at > ?) AS alive", store.At(now.Add(-aliveFor))).
		ColumnExpr("(SELECT count(*) FROM protection_drift AS d WHERE d.target_id = c.target_id AND d.at > ?) AS drifts", store.At(now.Add(-24*time.Hour))).
		TableExpr("clusters AS c").Join("JOIN targets AS t ON t.id = c.target_id").Join("LEFT JOIN protections AS p ON p.target_id = c.target_id").
		Where("t.removed_at = 0 AND c.kind <> ?", fleet.Snapshot)
}

func (s *Service) summary(r *summaryRow) Summary {
	var seen Seen
	_ = json.Unmarshal([]byte(r.Health), &seen) // "" of clusters that nobody has looked at
	out := Summary{TargetID: r.TargetID, Name: r.Name, Kind: r.Kind, Connection: r.Connection, Version: r.Version, State: r.State, Reason: r.Reason, StateAt: r.StateAt,
		Policies: seen.Policies, Constraints: seen.Constraints, ProblemCount: len(seen.Problems), Alive: r.Alive, Drifted: r.Drifts, SeenAt: r.SeenAt, UnreachableAt: r.UnreachableAt}
	if out.State.On() {
		var set Settings
		_ = json.Unmarshal([]byte(r.Settings), &set) // the defaults stand for what cannot be read
		out.WantedAlive = set.filled(&s.o).Provider.Replicas
		var g Gatekeeper
		if json.Unmarshal([]byte(r.Gatekeeper), &g) == nil {
			out.GatekeeperVersion, out.Ours = g.Version, g.Ours
		}
	}
	return out
}

// List returns a page of the live clusters that v sees whole, by name.
func (s *Service) List(ctx context.Context, v identity.Visible, f Filter, page store.Page) ([]Summary, string, error) {
	if !v.All && len(v.Targets) == 0 {
		return nil, "", nil
	}
	var rows []summaryRow
	q := s.lines().OrderExpr("t.name, c.target_id").Limit(int64(page.Size()) + 1)
	if !v.All {
		q = q.Where("c.target_id IN (?)", bun.In(v.Targets))
	}
	if f.State != "" {
		q = q.Where("coalesce(p.state, 'unprotected') = ?", f.State)
	}
	if f.Search != "" {
		escaped := store.Like(strings.ToLower(f.Search))
		q = q.Where(`lower(t.name) LIKE ? ESCAPE '\'`, "%"+escaped+"%")
	}
	if page.After != "" {
		var name string
		var id int64
		if err := store.ReadCursor(page.After, &name, &id); err != nil {
			return nil, "", err
		}
		q = q.Where("(t.name, c.target_id) > (?, ?)", name, id)
	}
	if err := q.Scan(ctx, &rows); err != nil {
		return nil, "", err
	}
	next := ""
	if len(rows) > page.Size() {
		rows = rows[:page.Size()]
		last := rows[len(rows)-1]
		next = store.Cursor(last.Name, last.TargetID)
	}
	list := make([]Summary, len(rows))
	for i := range rows {
		list[i] = s.summary(&rows[i])
	}
	return list, next, nil
}

// Status shows how a cluster is protected.
func (s *Service) Status(ctx context.Context, target int64) (*Status, error) {
	var line summaryRow
	if err := s.lines().Where("c.target_id = ?", target).Scan(ctx, &line); err != nil {
		return nil, store.NotFound(err)
	}
	st := &Status{Summary: s.summary(&line), Steps: []Step{}, Deployments: []Deployment{}, Replicas: []Replica{}, Certificates: []Certificate{}, Problems: []Problem{}, Drift: []Drift{}}
	r, err := s.row(ctx, target)
	if errors.Is(err, store.ErrNotFound) {
		st.Effective = st.Settings.filled(&s.o)
		return st, nil
	}
	if err != nil {
		return nil, err
	}
	st.Settings, st.Effective = r.Settings, r.Settings.filled(&s.o)
	st.Steps = append(st.Steps, r.Steps...)
	if err := s.db.R.NewSelect().Model(&st.Drift).Where("target_id = ?", target).OrderExpr("id DESC").Limit(50).Scan(ctx); err != nil {
		return nil, err
	}
	if !r.State.On() {
		return st, nil
	}
	st.Gatekeeper, st.Generation, st.ChangesAt, st.EnabledAt, st.EnabledBy = r.Gatekeeper, r.Generation, r.RecompileAt, r.EnabledAt, r.EnabledBy
	st.Deployments = append(st.Deployments, r.Seen.Deployments...)
	st.Certificates = append(st.Certificates, r.Seen.Certificates...)
	st.Problems = append(st.Problems, r.Seen.Problems...)
	if st.Replicas, err = s.replicas(ctx, target); err != nil {
		return nil, err
	}
	b, err := s.Bundle(ctx, target)
	if err != nil {
		return nil, err
	}
	st.Wanted = b.Generation
	return st, nil
}

// replicas are the providers of a cluster that spoke within the last hour.
func (s *Service) replicas(ctx context.Context, target int64) ([]Replica, error) {
	now := s.o.Now()
	var rows []replicaRow
	err := s.db.R.NewSelect().Model(&rows).Where("target_id = ? AND at > ?", target, store.At(now.Add(-time.Hour))).Order("replica").Limit(maxReplicas).Scan(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Replica, 0, len(rows))
	for _, x := range rows {
		r := Replica{At: x.At, Alive: now.Sub(x.At.Time) < aliveFor}
		if err := json.Unmarshal([]byte(x.Beat), &r.Beat); err != nil {
			return nil, fmt.Errorf("the beat of %s: %w", x.Replica, err)
		}
		list = append(list, r)
	}
	return list, nil
}

// Health is how a protection does.
type Health struct {
	State         State            `json:"state"`
	Reason        string           `json:"reason,omitempty"`
	SeenAt        store.Time       `json:"seenAt,omitzero" format:"date-time" doc:"when what follows was last read from the cluster"`
	UnreachableAt store.Time       `json:"unreachableSince,omitzero" format:"date-time" doc:"since when the API server does not answer this server"`
	SilentAt      store.Time       `json:"silentSince,omitzero" format:"date-time" doc:"since when no provider says a word"`
	Webhooks      []Webhook        `json:"webhooks" doc:"as they are registered in the cluster"`
	Deployments   []Deployment     `json:"deployments"`
	Replicas      []Replica        `json:"providers"`
	Provider      protocol.Service `json:"provider" doc:"answers to Gatekeeper, of all replicas: the last, how many in 5 minutes, errors, and the slowest replica's times"`
	Recorder      protocol.Service `json:"recorder" doc:"admission requests recorded, in the same way"`
	ErrorRate     float64          `json:"errorRate" doc:"of answers to Gatekeeper, 0 to 1"`
	Certificates  []Certificate    `json:"certificates"`
	Problems      []Problem        `json:"problems"`
}

// Health says how the protection of a cluster does.
func (s *Service) Health(ctx context.Context, target int64) (*Health, error) {
	h := &Health{State: Unprotected, Webhooks: []Webhook{}, Deployments: []Deployment{}, Replicas: []Replica{}, Certificates: []Certificate{}, Problems: []Problem{}}
	r, err := s.row(ctx, target)
	if errors.Is(err, store.ErrNotFound) {
		return h, s.there(ctx, target)
	}
	if err != nil {
		return nil, err
	}
	h.State, h.Reason, h.SeenAt, h.UnreachableAt = r.State, r.Reason, r.SeenAt, r.UnreachableAt
	if !r.State.On() {
		return h, nil
	}
	h.Webhooks = append(h.Webhooks, r.Seen.Webhooks...)
	h.Deployments = append(h.Deployments, r.Seen.Deployments...)
	h.Certificates = append(h.Certificates, r.Seen.Certificates...)
	h.Problems = append(h.Problems, r.Seen.Problems...)
	if h.Replicas, err = s.replicas(ctx, target); err != nil {
		return nil, err
	}
	alive := 0
	var last store.Time
	for _, x := range h.Replicas {
		if x.At.After(last.Time) {
			last = x.At
		}
		if !x.Alive {
			continue
		}
		alive++
		together(&h.Provider, x.Provider)
		together(&h.Recorder, x.Recorder)
		for _, p := range x.Problems {
			h.Problems = append(h.Problems, Problem{Object: x.Replica, Reason: p})
		}
	}
	if h.Provider.Count > 0 {
		h.ErrorRate = float64(h.Provider.Errors) / float64(h.Provider.Count)
	}
	if alive == 0 && r.State.standing() {
		if h.SilentAt = last; last.IsZero() {
			h.SilentAt = r.StateAt
		}
		h.Problems = append(h.Problems, Problem{Reason: "no provider says a word: what enters the cluster is let in without verdicts on images, or as the policies say, and is not recorded"})
	}
	return h, nil
}

// together adds what one replica did to what all did.
func together(all *protocol.Service, one protocol.Service) {
	all.Count += one.Count
	all.Errors += one.Errors
	if one.Last.After(all.Last) {
		all.Last = one.Last
	}
	all.P50, all.P99 = max(all.P50, one.P50), max(all.P99, one.P99)
}

// there says whether a target is a cluster.
func (s *Service) there(ctx context.Context, target int64) error {
	n, err := s.db.R.NewSelect().Table("targets").Where("id = ? AND kind = 'cluster' AND removed_at = 0", target).Count(ctx)
	if err == nil && n == 0 {
		err = store.ErrNotFound
	}
	return err
}

// Objects are the objects of a protection as YAML.
type Objects struct {
	Items []ObjectText `json:"items"`
	Notes []Problem    `json:"notes" doc:"what is not, or not wholly, enforced"`
}

// ObjectText is an object as it is applied.
type ObjectText struct {
	Part      string     `json:"part" enum:"gatekeeper,provider,policy"`
	Kind      string     `json:"kind"`
	Namespace string     `json:"namespace,omitempty"`
	Name      string     `json:"name"`
	Policy    string     `json:"policyId,omitempty"`
	AppliedAt store.Time `json:"appliedAt,omitzero" format:"date-time" doc:"absent: it is not in the cluster yet"`
	YAML      string     `json:"yaml"`
}

// Objects shows what the server wants in a cluster.
func (s *Service) Objects(ctx context.Context, target int64, part string) (*Objects, error) {
	r, err := s.row(ctx, target)
	if errors.Is(err, store.ErrNotFound) {
		r, err = &row{TargetID: target, State: Unprotected}, s.there(ctx, target)
	}
	if err != nil {
		return nil, err
	}
	out := &Objects{Items: []ObjectText{}, Notes: []Problem{}}
	if !r.State.On() {
		return out, nil
	}
	var rows []madeRow
	if err := s.db.R.NewSelect().Model(&rows).Where("target_id = ?", target).Scan(ctx); err != nil {
		return nil, err
	}
	applied := map[string]store.Time{}
	for _, x := range rows {
		applied[x.Ref] = x.AppliedAt
	}
	add := func(of string, list ...*object) error {
		if part != "" && part != of {
			return nil
		}
		for _, o := range list {
			text, err := yaml.Marshal(o.Object)
			if err != nil {
				return err
			}
			ref := refOf(o)
			out.Items = append(out.Items, ObjectText{Part: of, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name, Policy: o.GetLabels()[labelPolicy],
				AppliedAt: applied[ref.String()], YAML: string(text)})
		}
		return nil
	}
	set := r.Settings.filled(&s.o)
	minor := minorOf(r.Seen.Version)
	b, err := s.Bundle(ctx, target)
	if err != nil {
		return nil, err
	}
	compiled := &Compiled{}
	if s.o.Compile != nil {
		if compiled, err = s.o.Compile(ctx, b, s.compileFor(ctx, target, r.Gatekeeper, minor, r.Authority)); err != nil {
			return nil, err
		}
	}
	out.Notes = append(append(out.Notes, compiled.Problems...), compiled.Notes...)
	rules := merged(workloads, compiled.Rules)
	if s.plugins != nil && (r.Gatekeeper == nil || r.Gatekeeper.Ours) {
		ns, defs, rest := s.plugins.ours(&set, minor)
		if err := add("gatekeeper", slices.Concat([]*object{ns}, defs, rest, s.plugins.hooks(&set, b, rules, compiled.Mutates, nil))...); err != nil {
			return nil, err
		}
	}
	provider := slices.Concat([]*object{namespaceObject()}, providerObjects(&set, minor), []*object{deployment(&set, s.o.Version), recorder(rules, set.system(), r.Authority)})
	if err := add("provider", provider...); err != nil {
		return nil, err
	}
	return out, add("policy", slices.Concat(compiled.Templates, compiled.Rest)...)
}

// Serves reports whether the settings of a protected cluster name a host as this server.
func (s *Service) Serves(ctx context.Context, host string) bool {
	var texts []string
	if err := s.db.R.NewSelect().Model((*row)(nil)).Column("settings").Where("state <> ?", Unprotected).Scan(ctx, &texts); err != nil {
		return false
	}
	return slices.ContainsFunc(texts, func(text string) bool {
		var set Settings
		if json.Unmarshal([]byte(text), &set) != nil || set.Server == "" {
			return false
		}
		name, _ := hostOf(set.Server)
		return strings.EqualFold(name, host)
	})
}

// Protected lists the clusters that are protected, or were and are to be again.
func (s *Service) Protected(ctx context.Context) ([]int64, error) {
	var ids []int64
	err := s.db.R.NewSelect().Model((*row)(nil)).Column("target_id").Join("JOIN targets AS t ON t.id = p.target_id").
		Where("t.removed_at = 0 AND p.state IN (?)", bun.In([]State{Protected, NoPolicy, PolicyFailed, Failed})).Order("target_id").Scan(ctx, &ids)
	return ids, err
}

// Since is when a cluster's protection began to record; zero when it is not protected.
func (s *Service) Since(ctx context.Context, target int64) (time.Time, error) {
	r, err := s.row(ctx, target)
	if errors.Is(err, store.ErrNotFound) || err == nil && !r.State.On() {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return r.EnabledAt.Time, nil
}
