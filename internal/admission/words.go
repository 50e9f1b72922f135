package admission

import (
	"fmt"
	"slices"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
)

// Outcome is what became of a request. Values are kept in databases: never change them.
type Outcome int8

// The outcomes.
const (
	Allowed Outcome = iota + 1
	AuditedRequest
	WarnedRequest
	BlockedRequest
	Unjudged // it was seen, and nobody could say what the policies say of it
)

var outcomeNames = []string{"", "allowed", "audited", "warned", "blocked", "unjudged"}

// Kind is why there is an event.
type Kind int8

// The kinds.
const (
	Blocked   Kind = iota + 1 // requests were refused
	Warned                    // let in, the user was told
	Audited                   // let in and recorded
	Turned                    // an image was let in, and turned out to be bad
	Existing                  // what runs already violates a policy
	Unchecked                 // what was let in unchecked violates a policy
)

var kindNames = []string{"", "blocked", "warned", "audited", "turned", "existing", "unchecked"}

// Kinds lists all.
var Kinds = []Kind{Blocked, Warned, Audited, Turned, Existing, Unchecked}

// State is what people say of an event.
type State int8

// The states.
const (
	Unhandled State = iota + 1
	Ignored         // stays so when it happens again
	Handled         // becomes unhandled when it happens again
)

var stateNames = []string{"", "unhandled", "ignored", "handled"}

// States lists all.
var States = []State{Unhandled, Ignored, Handled}

// Reason is why a request was not checked.
type Reason int8

// The reasons.
const (
	ProviderAway Reason = iota + 1 // no provider was heard of at the time
	NotRecorded                    // everything seemed to be there, and the request did not come: webhook away, time-out
	Overflow                       // a limit of the recorder was reached
	NoVerdict                      // it was seen, and no verdict was to be had: an image that nobody knew
	NotEnforced                    // it was to be blocked, and is there all the same
	StaticPod                      // a kubelet runs it from a file, whatever admission says
)

var reasonNames = []string{"", "provider-away", "not-recorded", "overflow", "no-verdict", "not-enforced", "static-pod"}

var reasonTexts = []finding.Text{{},
	{EN: "No provider of the cluster was heard of at that time: the request was not seen.", ZH: "当时集群中没有策略服务的消息：该请求未被看到。"},
	{EN: "The request did not reach the recorder: the webhook was away, took too long, or was changed.", ZH: "请求未到达记录器：Webhook 不可用、超时或被修改。"},
	{EN: "There were more requests than could be recorded.", ZH: "请求过多，未能全部记录。"},
	{EN: "The request was seen, and no verdict was to be had at the time.", ZH: "已看到该请求，但当时无法得出结论。"},
	{EN: "The policies say block, and the object is there all the same: who enforces them did not answer.", ZH: "策略要求拦截，但对象仍然存在：执行方没有响应。"},
	{EN: "A static pod: the kubelet runs it from a file of the node, whatever admission says. Here is only its mirror.", ZH: "静态 Pod：kubelet 从节点上的文件运行它，不受准入控制约束。这里只是它的镜像对象。"},
}

// Text says the reason to people.
func (r Reason) Text() finding.Text {
	if r < 1 || int(r) >= len(reasonTexts) {
		return finding.Text{}
	}
	return reasonTexts[r]
}

// Checked is how far an unchecked admission was judged afterwards.
type Checked int8

// The states of unchecked admissions.
const (
	Found Checked = iota + 1 // not judged yet, or there is still no verdict
	Good                     // it violates nothing
	Bad                      // it violates a policy: there is an event
	Gone                     // the object is not there any more
)

var checkedNames = []string{"", "found", "good", "bad", "gone"}

// CheckedStates lists all.
var CheckedStates = []Checked{Found, Good, Bad, Gone}

func (o Outcome) String() string { return name(outcomeNames, int(o)) }
func (k Kind) String() string    { return name(kindNames, int(k)) }
func (s State) String() string   { return name(stateNames, int(s)) }
func (r Reason) String() string  { return name(reasonNames, int(r)) }
func (c Checked) String() string { return name(checkedNames, int(c)) }

// MarshalText implements encoding.TextMarshaler, and so do those below: in JSON all of these are words.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }
func (k Kind) MarshalText() ([]byte, error)    { return []byte(k.String()), nil }
func (s State) MarshalText() ([]byte, error)   { return []byte(s.String()), nil }
func (r Reason) MarshalText() ([]byte, error)  { return []byte(r.String()), nil }
func (c Checked) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Kind) UnmarshalText(b []byte) error    { return parse(k, kindNames, "kind", b) }
func (s *State) UnmarshalText(b []byte) error   { return parse(s, stateNames, "state", b) }
func (r *Reason) UnmarshalText(b []byte) error  { return parse(r, reasonNames, "reason", b) }
func (c *Checked) UnmarshalText(b []byte) error { return parse(c, checkedNames, "state", b) }

func name(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return fmt.Sprint(i)
	}
	return names[i]
}

func parse[T ~int8](v *T, names []string, what string, b []byte) error {
	i := slices.Index(names, string(b))
	if i < 1 {
		return fmt.Errorf("%w: %s %.50q: want one of %v", ErrInvalid, what, b, names[1:])
	}
	*v = T(i)
	return nil
}

// outcomeOf reads the outcome of a recorded request. What this program does not know is not judged.
func outcomeOf(s string) Outcome {
	if i := slices.Index(outcomeNames, s); i > 0 {
		return Outcome(i)
	}
	return Unjudged
}

// kindOf is the kind of event of a request that met an action.
func kindOf(a policy.Action) Kind {
	switch a {
	case policy.Block:
		return Blocked
	case policy.Warn:
		return Warned
	}
	return Audited
}

var actions = []policy.Action{policy.Off, policy.Audit, policy.Warn, policy.Block}

// actionOf is the action of a rank.
func actionOf(rank int8) policy.Action { return actions[min(max(rank, 0), 3)] }
