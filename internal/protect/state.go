package protect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
)

// State of a cluster's protection.
type State string

// The states.
const (
	Unprotected  State = "unprotected"
	Installing   State = "installing"
	Failed       State = "error"         // the plug-ins cannot be installed or kept: Reason says why; it is tried again
	Protected    State = "protected"     // with at least one policy
	NoPolicy     State = "no-policy"     // protected, and no policy holds here
	PolicyFailed State = "policy-failed" // the plug-ins work, and not every policy is in force: Reason says which
	Removing     State = "removing"
	RemoveFailed State = "remove-failed" // Reason says what is left; it is tried again
)

// On reports whether the cluster is to be protected.
func (s State) On() bool {
	switch s {
	case Installing, Failed, Protected, NoPolicy, PolicyFailed:
		return true
	}
	return false
}

// standing reports whether the installation was complete once.
func (s State) standing() bool { return s == Protected || s == NoPolicy || s == PolicyFailed }

// Progress of a step.
type Progress string

// How far a step is.
const (
	Waits   Progress = "waiting"
	Runs    Progress = "running"
	Done    Progress = "done"
	Stopped Progress = "failed"
	Left    Progress = "skipped"
)

// Step is a part of an installation or removal.
type Step struct {
	Name   string       `json:"name"`
	Title  finding.Text `json:"title"`
	State  Progress     `json:"state" enum:"waiting,running,done,failed,skipped"`
	Detail string       `json:"detail,omitempty" doc:"what it waits for, or why it failed"`
	At     store.Time   `json:"at,omitzero" format:"date-time" doc:"when it came into this state"`
}

// The steps of an installation, in order.
const (
	stepCheck      = "check"
	stepNamespaces = "namespaces"
	stepCRDs       = "definitions"
	stepSecrets    = "certificates"
	stepGatekeeper = "gatekeeper"
	stepProvider   = "provider"
	stepWebhooks   = "webhooks"
	stepPolicies   = "policies"
)

// The steps of a removal that installations do not have.
const (
	stepUnhook    = "unhook"
	stepRules     = "rules"
	stepTemplates = "templates"
	stepLeave     = "remove-provider"
	stepUninstall = "remove-gatekeeper"
	stepVerify    = "verify"
)

var titles = map[string]finding.Text{
	stepCheck:      {EN: "Permissions, version and what is there are checked", ZH: "检查权限、版本和已有组件"},
	stepNamespaces: {EN: "Namespaces are created", ZH: "创建命名空间"},
	stepCRDs:       {EN: "Gatekeeper's definitions are created", ZH: "创建 Gatekeeper 的自定义资源定义"},
	stepSecrets:    {EN: "Certificates are issued", ZH: "签发证书"},
	stepGatekeeper: {EN: "Gatekeeper starts", ZH: "启动 Gatekeeper"},
	stepProvider:   {EN: "The provider starts", ZH: "启动策略数据服务"},
	stepWebhooks:   {EN: "Webhooks are registered", ZH: "注册准入 Webhook"},
	stepPolicies:   {EN: "Policies are put in force", ZH: "下发策略"},
	stepUnhook:     {EN: "Webhooks are removed", ZH: "移除准入 Webhook"},
	stepRules:      {EN: "Policies are taken out of force", ZH: "移除策略约束"},
	stepTemplates:  {EN: "Templates are removed", ZH: "移除约束模板"},
	stepLeave:      {EN: "The provider is removed", ZH: "移除策略数据服务"},
	stepUninstall:  {EN: "Gatekeeper is removed", ZH: "移除 Gatekeeper"},
	stepVerify:     {EN: "Nothing is left behind: checked", ZH: "检查没有残留"},
}

var (
	installSteps = []string{stepCheck, stepNamespaces, stepCRDs, stepSecrets, stepGatekeeper, stepProvider, stepWebhooks, stepPolicies}
	removeSteps  = []string{stepUnhook, stepRules, stepTemplates, stepLeave, stepUninstall, stepVerify}
)

func newSteps(names []string) []Step {
	list := make([]Step, len(names))
	for i, n := range names {
		list[i] = Step{Name: n, Title: titles[n], State: Waits}
	}
	return list
}

// row is a row of protections.
type row struct {
	bun.BaseModel `bun:"table:protections,alias:p"`

	TargetID      int64      `bun:"target_id,pk"`
	State         State      `bun:"state"`
	Reason        string     `bun:"reason"`
	StateAt       store.Time `bun:"state_at"`
	SettingsText  string     `bun:"settings"`
	StepsText     string     `bun:"steps"`
	GKText        string     `bun:"gatekeeper"`
	HealthText    string     `bun:"health"`
	NamespaceText string     `bun:"namespaces"`
	KeepPlugins   bool       `bun:"keep_plugins"`
	ForeignToo    bool       `bun:"foreign_too"`
	Authority     []byte     `bun:"authority"`
	AuthorityKey  []byte     `bun:"authority_key"`
	Generation    string     `bun:"generation"`
	RecompileAt   store.Time `bun:"recompile_at"`
	EnabledAt     store.Time `bun:"enabled_at"`
	EnabledBy     string     `bun:"enabled_by"`
	SeenAt        store.Time `bun:"seen_at"`
	UnreachableAt store.Time `bun:"unreachable_at"`
	Revision      int64      `bun:"revision"`
	NextAt        store.Time `bun:"next_at"`
	Holder        string     `bun:"holder"`
	LeaseUntil    store.Time `bun:"lease_until"`

	Settings   Settings    `bun:"-"`
	Steps      []Step      `bun:"-"`
	Gatekeeper *Gatekeeper `bun:"-"`
	Seen       Seen        `bun:"-"`
}

// Seen is what a pass saw of a protected cluster.
type Seen struct {
	Version      string        `json:"version,omitempty"` // of Kubernetes
	Webhooks     []Webhook     `json:"webhooks,omitempty"`
	Deployments  []Deployment  `json:"deployments,omitempty"`
	Certificates []Certificate `json:"certificates,omitempty"`
	Policies     int           `json:"policies"`
	Constraints  int           `json:"constraints"`
	Templates    int           `json:"templates"`
	Problems     []Problem     `json:"problems,omitempty"`
}

// Problem is something that is not as it should be now.
type Problem struct {
	Object    string `json:"object,omitempty"`
	Policy    int64  `json:"policyId,string,omitempty"`
	Exception int64  `json:"exceptionId,string,omitempty"`
	Reason    string `json:"reason"`
}

// Certificate is a certificate that protection needs, and when it is replaced.
type Certificate struct {
	Name    string     `json:"name" enum:"provider,provider-authority,link,gatekeeper,gatekeeper-authority"`
	Use     string     `json:"use"`
	Ends    store.Time `json:"ends" format:"date-time"`
	Renewed store.Time `json:"renewed,omitzero" format:"date-time" doc:"from when it is replaced"`
	By      string     `json:"by" doc:"who replaces it"`
}

// Deployment is how many pods of a plug-in answer.
type Deployment struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Image     string `json:"image"`
	Wanted    int    `json:"wanted"`
	Ready     int    `json:"ready"`
	Updated   int    `json:"updated" doc:"pods of the newest settings"`
	Reason    string `json:"reason,omitempty" doc:"why pods do not answer"`
}

// Drift is something that was changed behind the server's back.
type Drift struct {
	bun.BaseModel `bun:"table:protection_drift,alias:d" json:"-"`

	ID       int64      `bun:"id,pk,autoincrement" json:"id,string"`
	TargetID int64      `bun:"target_id" json:"-"`
	At       store.Time `bun:"at" json:"at" format:"date-time"`
	Object   string     `bun:"object" json:"object"`
	Change   string     `bun:"change" json:"change" doc:"what was different"`
	Actor    string     `bun:"actor" json:"actor,omitempty" doc:"field manager that changed it last, as far as the object tells: kubectl-edit"`
	Repaired bool       `bun:"repaired" json:"repaired"`
}

// madeRow is a row of protection_objects.
type madeRow struct {
	bun.BaseModel `bun:"table:protection_objects,alias:o"`

	TargetID   int64      `bun:"target_id,pk"`
	Ref        string     `bun:"ref,pk"`
	Part       string     `bun:"part"`
	Hash       string     `bun:"hash"`
	Generation int64      `bun:"generation"`
	AppliedAt  store.Time `bun:"applied_at"`
}

// replicaRow is a row of protection_replicas.
type replicaRow struct {
	bun.BaseModel `bun:"table:protection_replicas,alias:r"`

	TargetID int64      `bun:"target_id,pk"`
	Replica  string     `bun:"replica,pk"`
	At       store.Time `bun:"at"`
	Beat     string     `bun:"beat"`
}

// row reads a cluster's protection; store.ErrNotFound when it never had any.
func (s *Service) row(ctx context.Context, target int64) (*row, error) {
	r := &row{}
	if err := s.db.R.NewSelect().Model(r).Where("target_id = ?", target).Scan(ctx); err != nil {
		return nil, store.NotFound(err)
	}
	return r, r.read()
}

// read decodes the columns that are JSON.
func (r *row) read() error {
	for _, c := range []struct {
		text string
		into any
	}{{r.SettingsText, &r.Settings}, {r.StepsText, &r.Steps}, {r.GKText, &r.Gatekeeper}, {r.HealthText, &r.Seen}} {
		if c.text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(c.text), c.into); err != nil {
			return fmt.Errorf("the protection of cluster %d: %w", r.TargetID, err)
		}
	}
	return nil
}

// write encodes them.
func (r *row) write() {
	r.SettingsText, r.StepsText, r.HealthText = ledger.JSON(r.Settings), ledger.JSON(r.Steps), ledger.JSON(r.Seen)
	r.GKText = ""
	if r.Gatekeeper != nil {
		r.GKText = ledger.JSON(r.Gatekeeper)
	}
}

// enter puts the row into a state, and tells outside when that is news.
func (s *Service) enter(ctx context.Context, tx bun.IDB, r *row, state State, reason string) error {
	reason = oneLine(reason)
	if r.State == state && r.Reason == reason {
		return nil
	}
	news := r.State != state
	r.Reason = reason
	if !news {
		return nil
	}
	r.State, r.StateAt = state, store.At(s.o.Now())
	var cluster string
	if err := tx.NewSelect().Table("targets").Column("name").Where("id = ?", r.TargetID).Scan(ctx, &cluster); err != nil {
		return store.NotFound(err)
	}
	return outbox.Put(ctx, tx, outbox.ProtectionState, r.TargetID, map[string]any{"cluster": cluster, "state": state, "reason": reason})
}

// step says how far a step is.
func (r *row) step(name string, p Progress, detail string, now time.Time) {
	for i := range r.Steps {
		st := &r.Steps[i]
		if st.Name != name {
			continue
		}
		if st.State != p {
			st.At = store.At(now)
		}
		st.State, st.Detail = p, oneLine(detail)
	}
}

// Beat keeps what a replica of the provider says of itself.
func (s *Service) Beat(ctx context.Context, target int64, b protocol.Beat) (*protocol.BeatAnswer, error) {
	r, err := s.row(ctx, target)
	if errors.Is(err, store.ErrNotFound) || err == nil && !r.State.On() {
		return &protocol.BeatAnswer{Gone: true}, nil
	}
	if err != nil {
		return nil, err
	}
	if b.Replica == "" || len(b.Replica) > 253 || len(b.Problems) > 20 || len(b.Certificates) > 20 {
		return nil, invalid("a beat names its pod, at most 20 problems and 20 certificates")
	}
	for i := range b.Problems {
		b.Problems[i] = oneLine(b.Problems[i])
	}
	now := store.At(s.o.Now())
	err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		n, err := tx.NewSelect().Model((*replicaRow)(nil)).Where("target_id = ?", target).Count(ctx)
		if err != nil {
			return err
		}
		if n >= maxReplicas { // pods that were replaced and never said so
			if _, err := tx.NewDelete().Model((*replicaRow)(nil)).Where("target_id = ? AND at < ?", target, store.At(now.Add(-10*time.Minute))).Exec(ctx); err != nil {
				return err
			}
		}
		_, err = tx.NewInsert().Model(&replicaRow{TargetID: target, Replica: b.Replica, At: now, Beat: ledger.JSON(b)}).
			On("CONFLICT (target_id, replica) DO UPDATE").Set("at = EXCLUDED.at").Set("beat = EXCLUDED.beat").Exec(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	answer := &protocol.BeatAnswer{}
	bundle, err := s.Bundle(ctx, target)
	if err != nil {
		return nil, err
	}
	answer.Bundle = bundle.Generation
	return answer, nil
}

// maxReplicas bounds the providers of a cluster that are remembered.
const maxReplicas = 50
