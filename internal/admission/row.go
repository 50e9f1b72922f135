package admission

import (
	"encoding/json"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
)

// Event is what happened with the same policy, rule, owner, image and action.
type Event struct {
	bun.BaseModel `bun:"table:admission_events,alias:e" json:"-"`

	ID            int64           `bun:"id,pk,autoincrement" json:"id,string"`
	TargetID      int64           `bun:"target_id" json:"targetId,string"`
	Key           []byte          `bun:"event_key" json:"-"`
	Kind          Kind            `bun:"kind" json:"kind" enum:"blocked,warned,audited,turned,existing,unchecked"`
	ActionRank    int8            `bun:"action" json:"-"`
	State         State           `bun:"state" json:"state" enum:"unhandled,ignored,handled"`
	Severity      ledger.Severity `bun:"severity" json:"severity" enum:"critical,high,medium,low,info"`
	PolicyID      int64           `bun:"policy_id" json:"policyId,string"`
	PolicyVersion int             `bun:"policy_version" json:"policyVersion,omitempty"`
	PolicyName    string          `bun:"policy_name" json:"policyName"`
	Rule          string          `bun:"rule" json:"rule"`
	RuleID        string          `bun:"rule_id" json:"ruleId,omitempty"`
	TitleEN       string          `bun:"title" json:"-"`
	TitleZH       string          `bun:"title_zh" json:"-"`
	MessageEN     string          `bun:"message" json:"-"`
	MessageZH     string          `bun:"message_zh" json:"-"`
	Namespace     string          `bun:"namespace" json:"namespace,omitempty"`
	OwnerKind     string          `bun:"owner_kind" json:"ownerKind,omitempty"`
	OwnerName     string          `bun:"owner_name" json:"ownerName,omitempty" doc:"of objects with made-up names and no owner: the beginning of the name and *"`
	Image         string          `bun:"image" json:"image,omitempty"`
	Digest        string          `bun:"digest" json:"digest,omitempty"`
	User          string          `bun:"user_name" json:"user,omitempty" doc:"who sent the last request"`
	Hits          int64           `bun:"hits" json:"count" doc:"requests; of existing: objects that violate"`
	Reopened      int             `bun:"reopened" json:"reopened,omitempty" doc:"how often it happened again after it was handled"`
	FirstAt       store.Time      `bun:"first_at" json:"firstSeen" format:"date-time"`
	LastAt        store.Time      `bun:"last_at" json:"lastSeen" format:"date-time"`
	ChangedAt     store.Time      `bun:"changed_at" json:"changedAt" format:"date-time" doc:"of the state"`
	SweptAt       store.Time      `bun:"swept_at" json:"-"`
	ObjectID      int64           `bun:"object_id" json:"-"`
	ExceptionID   int64           `bun:"exception_id" json:"exceptionId,string,omitempty" doc:"the last exception that was asked for"`
	Handler       string          `bun:"handler" json:"handledBy,omitempty"`
	Note          string          `bun:"note" json:"note,omitempty"`
	ToldAt        store.Time      `bun:"told_at" json:"-"`
	ToldHits      int64           `bun:"told_hits" json:"-"`
	Detail        []byte          `bun:"detail" json:"-"`
}

// Action is what the policy does with what violates it.
func (e *Event) Action() policy.Action { return actionOf(e.ActionRank) }

// Title and Message are texts of the last violation.
func (e *Event) Title() finding.Text { return finding.Text{EN: e.TitleEN, ZH: e.TitleZH} }

// Message says what was found.
func (e *Event) Message() finding.Text { return finding.Text{EN: e.MessageEN, ZH: e.MessageZH} }

// Violation is the last one in full.
func (e *Event) Violation() policy.Violation {
	var v policy.Violation
	if json.Unmarshal(unpack(e.Detail), &v) != nil { // it is written by drafts only
		return policy.Violation{Policy: e.PolicyID, Rule: e.Rule}
	}
	return v
}

func (e *Event) cell() cell {
	return cell{e.TargetID, e.Namespace, e.Kind, e.ActionRank, e.State, e.PolicyID, e.Rule}
}

// Entry is a request that nobody judged.
type Entry struct {
	bun.BaseModel `bun:"table:admission_unchecked,alias:u" json:"-"`

	ID         int64      `bun:"id,pk,autoincrement" json:"id,string"`
	TargetID   int64      `bun:"target_id" json:"targetId,string"`
	Key        []byte     `bun:"unchecked_key" json:"-"`
	UIDKey     int64      `bun:"uid_key" json:"-"`
	UID        string     `bun:"uid" json:"uid,omitempty"`
	Generation int64      `bun:"generation" json:"generation,omitempty"`
	Reason     Reason     `bun:"reason" json:"reason" enum:"provider-away,not-recorded,overflow,no-verdict,not-enforced,static-pod"`
	State      Checked    `bun:"state" json:"state" enum:"found,good,bad,gone"`
	APIVersion string     `bun:"api_version" json:"apiVersion,omitempty"`
	Kind       string     `bun:"object_kind" json:"kind,omitempty"`
	Namespace  string     `bun:"namespace" json:"namespace,omitempty"`
	Name       string     `bun:"name" json:"name,omitempty"`
	OwnerKind  string     `bun:"owner_kind" json:"ownerKind,omitempty"`
	OwnerName  string     `bun:"owner_name" json:"ownerName,omitempty"`
	Note       string     `bun:"note" json:"note,omitempty" doc:"why there was no verdict"`
	Hits       int64      `bun:"hits" json:"count"`
	WrittenAt  store.Time `bun:"written_at" json:"writtenAt" format:"date-time" doc:"when the request was let in"`
	FromAt     store.Time `bun:"from_at" json:"from,omitzero" format:"date-time" doc:"of the time in which nobody was there"`
	UntilAt    store.Time `bun:"until_at" json:"until,omitzero" format:"date-time"`
	FoundAt    store.Time `bun:"found_at" json:"foundAt" format:"date-time"`
	JudgedAt   store.Time `bun:"judged_at" json:"judgedAt,omitzero" format:"date-time"`
	Tries      int        `bun:"tries" json:"-"`
	ToldAt     store.Time `bun:"told_at" json:"-"`
}

// mirrorRefused is the note on a static pod.
var mirrorRefused = finding.Text{EN: "its mirror was refused, so that the API server does not show it; the kubelet runs it all the same",
	ZH: "其 mirror pod 被拒绝，API Server 中看不到它，但 kubelet 仍会运行它"}

// NoteIn is the note in a language.
func (e *Entry) NoteIn(lang string) string {
	if e.Note == mirrorRefused.EN {
		return mirrorRefused.In(lang)
	}
	image, reason, ok := strings.Cut(e.Note, ": ")
	if said := policy.ReasonIn(lang, e.Note); !ok || said != e.Note {
		return said
	}
	return image + ": " + policy.ReasonIn(lang, reason)
}

// cell is a cell of the counters of events.
type cell struct {
	target    int64
	namespace string
	kind      Kind
	action    int8
	state     State
	policy    int64
	rule      string
}

// tally is what changes of a cell.
type tally struct{ events, hits int64 }
