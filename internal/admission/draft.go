package admission

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
)

// what is what many requests are about alike: a part.
type what struct {
	APIVersion  string `json:"apiVersion"`
	Kind        string `json:"kind"`
	Namespace   string `json:"namespace,omitempty"`
	OwnerKind   string `json:"ownerKind,omitempty"`
	OwnerName   string `json:"ownerName,omitempty"`
	SubResource string `json:"subResource,omitempty"`
	Bundle      string `json:"bundle,omitempty"`
}

// who is who sent a request: a part.
type who struct {
	User   string   `json:"user,omitempty"`
	Groups []string `json:"groups,omitempty"`
}

// remainder is what of a request is neither a column nor a part.
type remainder struct {
	Name       string             `json:"n,omitempty"`
	UID        string             `json:"u,omitempty"`
	Operation  string             `json:"o,omitempty"` // when it is neither CREATE nor UPDATE
	ObjectHash string             `json:"h,omitempty"` // of an object that is not kept
	Bytes      int                `json:"b,omitempty"`
	Violations []short            `json:"v,omitempty"`
	Undecided  []policy.Undecided `json:"x,omitempty"`
}

// short is what the log keeps of a violation: replays judge anew, and the event has the texts.
type short struct {
	Policy    int64         `json:"p"`
	Version   int           `json:"e,omitempty"`
	Rule      string        `json:"r"`
	Action    policy.Action `json:"a"`
	Container string        `json:"c,omitempty"`
	Image     string        `json:"i,omitempty"`
	Digest    string        `json:"d,omitempty"`
	Path      string        `json:"t,omitempty"`
	Exception int64         `json:"x,omitempty"`
}

// draft is an admission on its way into the log.
type draft struct {
	at         time.Time
	uidKey     int64
	generation int64
	operation  int8
	outcome    Outcome
	what, who  hash
	object     *shape // nil: not kept
	body       []byte
	mirror     bool // of a static pod, and it was to be blocked

	seen  protocol.Admission // cleaned; without the object
	owner inventory.Ref
}

const (
	opCreate int8 = iota + 1
	opUpdate
	opOther
)

func operationOf(s string) int8 {
	switch s {
	case "CREATE":
		return opCreate
	case "UPDATE":
		return opUpdate
	}
	return opOther
}

// uidKey is the number of a UID; 0 for none.
func uidKey(uid string) int64 {
	if uid == "" {
		return 0
	}
	h := hashOf([]byte(uid))
	return int64(binary.BigEndian.Uint64(h[:8]) | 1)
}

// drafts is a batch, ready to be written.
type drafts struct {
	list  []draft
	parts map[hash]*part
	left  int // dry runs and tests, which are not kept
	large int // objects that are kept by their hash only
}

// drafts makes drafts of a batch. What cannot be read of it does not keep the rest out: foreign bytes are never an error.
func (s *Service) drafts(b *protocol.Batch, now time.Time, room bool) *drafts {
	out := &drafts{list: make([]draft, 0, len(b.Admissions)), parts: map[hash]*part{}}
	objects := map[string]*shape{} // of the batch, by the hashes of the sender
	for i := range b.Admissions {
		a := &b.Admissions[i]
		if a.DryRun || a.SelfTest {
			out.left++
			continue
		}
		d := draft{generation: max(0, a.Generation), uidKey: uidKey(a.UID), operation: operationOf(a.Operation), outcome: outcomeOf(a.Outcome)}
		if d.at = a.At; d.at.After(now) || now.Sub(d.at) > 365*24*time.Hour { // a clock that is wrong must not keep rows for ever
			d.at = now
		}
		d.at = d.at.UTC().Truncate(time.Millisecond)
		sh := objects[a.ObjectHash]
		if len(a.Object) > 0 && len(a.Object) <= MaxObject {
			if read, err := s.shaper.shape(a.Object); err == nil {
				sh = read
			}
		} else if len(a.Object) > MaxObject {
			sh = nil
			a.Bytes = len(a.Object)
		}
		if a.ObjectHash != "" && sh != nil {
			objects[a.ObjectHash] = sh
		}
		d.seen = tidy(a)
		d.owner = ownerOf(&d.seen, sh)
		d.mirror = sh != nil && sh.mirror && d.outcome == BlockedRequest && d.seen.Kind == "Pod"
		d.object = sh
		if sh != nil && !room {
			d.object, d.seen.Bytes = nil, max(a.Bytes, len(a.Object))
		}
		if d.object == nil {
			out.large++
		} else {
			out.parts[sh.hash] = &sh.part
		}
		d.what = out.put(what{d.seen.APIVersion, d.seen.Kind, d.seen.Namespace, d.owner.Kind, d.owner.Name, d.seen.SubResource, d.seen.Generated})
		d.who = out.put(who{d.seen.User, d.seen.Groups})
		d.body = d.remainder()
		out.list = append(out.list, d)
	}
	return out
}

// put makes a part of a small value.
func (d *drafts) put(v any) hash {
	plain, _ := json.Marshal(v) // of strings only
	h := hashOf(plain)
	if d.parts[h] == nil {
		d.parts[h] = &part{h, pack(plain)}
	}
	return h
}

func (d *draft) remainder() []byte {
	r := remainder{Name: d.seen.Name, UID: d.seen.UID, Undecided: d.seen.Undecided}
	if d.operation == opOther {
		r.Operation = d.seen.Operation
	}
	if d.object == nil {
		r.ObjectHash, r.Bytes = d.seen.ObjectHash, d.seen.Bytes
	}
	for i := range d.seen.Violations {
		v := &d.seen.Violations[i]
		r.Violations = append(r.Violations, short{v.Policy, v.Version, v.Rule, v.Action, v.Container, v.Image, v.Digest, v.Path, v.Exception})
	}
	plain, err := json.Marshal(r)
	if err != nil { // strings and numbers only
		return []byte("{}")
	}
	return pack(plain)
}

// Bounds of texts, in bytes.
const (
	nameText    = 300
	shortText   = 600
	messageText = 4000
	itemText    = 500
)

// tidy bounds what a provider says of a request. The object is left out.
func tidy(a *protocol.Admission) protocol.Admission {
	c := *a
	c.Object = nil
	for _, p := range []*string{&c.UID, &c.APIVersion, &c.Kind, &c.Namespace, &c.Name, &c.OwnerKind, &c.OwnerName, &c.Operation, &c.SubResource, &c.User, &c.Generated, &c.ObjectHash} {
		*p = clean(*p, nameText)
	}
	c.Groups = slices.Clone(c.Groups[:min(len(c.Groups), 100)])
	for i := range c.Groups {
		c.Groups[i] = clean(c.Groups[i], nameText)
	}
	slices.Sort(c.Groups)
	c.Violations = slices.Clone(c.Violations[:min(len(c.Violations), maxViolations)])
	for i := range c.Violations {
		tidyViolation(&c.Violations[i])
	}
	c.Undecided = slices.Clone(c.Undecided[:min(len(c.Undecided), maxViolations)])
	for i := range c.Undecided {
		u := &c.Undecided[i]
		u.Rule, u.Image, u.Reason = clean(u.Rule, nameText), clean(u.Image, shortText), clean(u.Reason, shortText)
	}
	return c
}

func tidyViolation(v *policy.Violation) {
	for _, p := range []*string{&v.Name, &v.Rule, &v.RuleID, &v.Container, &v.Digest} {
		*p = clean(*p, nameText)
	}
	v.Image, v.Path = clean(v.Image, shortText), clean(v.Path, 2*shortText)
	v.Title.EN, v.Title.ZH = clean(v.Title.EN, shortText), clean(v.Title.ZH, shortText)
	v.Message.EN, v.Message.ZH = clean(v.Message.EN, messageText), clean(v.Message.ZH, messageText)
	v.Fix.EN, v.Fix.ZH = clean(v.Fix.EN, messageText), clean(v.Fix.ZH, messageText)
	v.Items = slices.Clone(v.Items[:min(len(v.Items), 20)])
	for i := range v.Items {
		v.Items[i] = clean(v.Items[i], itemText)
	}
	v.Found, v.Want = bounded(v.Found), bounded(v.Want)
}

// bounded drops values that are too long to be kept.
func bounded(v any) any {
	if v == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	if len(text) > messageText {
		return clean(string(text), messageText)
	}
	return v
}

// ownerOf is what a request counts for: the workload, as far as names tell it for certain.
func ownerOf(a *protocol.Admission, sh *shape) inventory.Ref {
	kind, name := a.OwnerKind, a.OwnerName
	if sh != nil && sh.mirror && a.Kind == "Pod" { // its node runs it, and says nothing of what it is
		return inventory.Ref{Kind: a.Kind, Namespace: a.Namespace, Name: a.Name}
	}
	if sh != nil && sh.owner != "" && (kind == "" || name == "" || kind == a.Kind && name == a.Name) {
		kind, name, _ = strings.Cut(sh.owner, "/")
		kind, name = clean(kind, nameText), clean(name, nameText)
	}
	if kind == "" || name == "" {
		kind, name = a.Kind, a.Name
	}
	if kind == a.Kind && name == a.Name && sh != nil && sh.generated != "" && (name == "" || strings.HasPrefix(name, sh.generated)) {
		return inventory.Ref{Kind: kind, Namespace: a.Namespace, Name: clean(sh.generated, nameText) + "*"}
	}
	switch kind {
	case "ReplicaSet": // only the Deployment controller sets the label, and it names the ReplicaSet after it
		if sh != nil && sh.template != "" {
			if base, ok := strings.CutSuffix(name, "-"+sh.template); ok && base != "" {
				return inventory.Ref{Kind: "Deployment", Namespace: a.Namespace, Name: base}
			}
		}
	case "Job": // the CronJob controller appends the time in minutes since 1970
		if i := strings.LastIndexByte(name, '-'); i > 0 && len(name)-i-1 == 8 && strings.Trim(name[i+1:], "0123456789") == "" {
			return inventory.Ref{Kind: "CronJob", Namespace: a.Namespace, Name: name[:i]}
		}
	}
	return inventory.Ref{Kind: kind, Namespace: a.Namespace, Name: name}
}
