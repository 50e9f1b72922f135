// Package constraint compiles the policies of a cluster to the objects that enforce them there: Gatekeeper's templates and
// constraints, mutators and providers, and ValidatingAdmissionPolicies. What policies say (names, patterns, users) becomes parameters:
// data, never part of an expression.
package constraint

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/rule"
)

// Options say what the objects are for.
type Options struct {
	Now        time.Time
	Kubernetes int    // minor version of the API server, 0 when it is not known
	VAP        bool   // it serves admissionregistration.k8s.io/v1 ValidatingAdmissionPolicies
	Gatekeeper string // its version, "" is the one that the binary was built with
	// ProviderURL is where Gatekeeper finds the provider, as https://stockade-provider.stockade-protect.svc:8443.
	ProviderURL string
	CABundle    []byte // PEM, that the provider's certificate is of
	// Adopted: Gatekeeper is not ours and may keep answers for minutes, so that the bundle's generation must stand in what it asks.
	Adopted bool
	// Fingerprint says which finding a fingerprint is of; nil when nobody can say. Exceptions that were made of one finding can be
	// decided at admission only with it.
	Fingerprint func(string) (Place, bool)
}

// Place is what a finding is about.
type Place struct {
	Rule      string // name or id
	Namespace string
	Kind      string
	Name      string
	Container string
	Item      string // the element of a list at fault; with one it cannot be decided at admission
}

// Set is what enforces a bundle.
type Set struct {
	Objects  []*unstructured.Unstructured // in the order in which they are applied
	Recorder []map[string]any             // rules of the recorder's webhook: all that the policies are about, and workloads
	Notes    []Note                       // what is not, or not wholly, enforced
	Next     time.Time                    // when the set changes by itself; zero is never
}

// Note says what could not be compiled, and why.
type Note struct {
	Policy    int64  `json:"policy,string,omitempty"`
	Exception int64  `json:"exception,string,omitempty"`
	What      string `json:"what"`
	Reason    string `json:"reason"`
}

// Names and labels of what is compiled.
const (
	labelManaged  = "app.kubernetes.io/managed-by"
	LabelPolicy   = "stockade.dev/policy"
	LabelVersion  = "stockade.dev/policy-version"
	LabelBundle   = "stockade.dev/bundle" // annotation: changes with anything, and says nothing about the object itself
	annoPolicy    = "stockade.dev/policy-name"
	Provider      = "stockade"
	DigestOf      = "stockade-digest"
	managed       = "stockade"
	templateGroup = "templates.gatekeeper.sh/v1"
	constraintAPI = "constraints.gatekeeper.sh/v1beta1"
)

// compiler is one compilation.
type compiler struct {
	lib    *rule.Library
	bundle *policy.Bundle
	o      Options
	set    *Set

	families map[string]map[string]*rule.Rule // rules that a template must have, by family and id
	grants   []grant
	pardons  []grant // exceptions that verdicts on images name where what was found is accepted
	pairs    []any   // policy and action of every image constraint: all ask for the same, so that the provider is asked once

	templates, providers, constraints, mutators, native []*unstructured.Unstructured
	seen                                                kinds
}

// Compile makes the objects of a bundle. The same input gives the same bytes.
func Compile(lib *rule.Library, b *policy.Bundle, o Options) (*Set, error) {
	if lib == nil || b == nil {
		return nil, errors.New("a rule library and a bundle are needed")
	}
	c := &compiler{lib: lib, bundle: b, o: o, set: &Set{}, families: map[string]map[string]*rule.Rule{}, seen: kinds{}}
	c.readExceptions()
	policies := c.inForce()
	c.pairUp(policies)
	for _, p := range policies {
		for _, t := range []time.Time{p.Rollout.Warn, p.Rollout.Block} {
			c.until(t)
		}
		if err := c.rules(p); err != nil {
			return nil, fmt.Errorf("policy %d: %w", p.ID, err)
		}
		c.images(p)
		c.mutate(p)
		if err := c.own(p); err != nil {
			return nil, fmt.Errorf("policy %d: %w", p.ID, err)
		}
	}
	if err := c.ruleTemplates(); err != nil {
		return nil, err
	}
	c.provide()
	c.set.Objects = slices.Concat(c.templates, c.providers, c.constraints, c.mutators, c.native)
	c.set.Recorder = c.recorder(policies)
	return c.set, nil
}

// inForce are the policies that hold in the cluster.
func (c *compiler) inForce() []*policy.Policy {
	var out []*policy.Policy
	for i := range c.bundle.Policies {
		p := &c.bundle.Policies[i]
		if p.Disabled || len(p.Scope.Clusters) > 0 && !slices.Contains(p.Scope.Clusters, c.bundle.Target) {
			continue
		}
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b *policy.Policy) int { return int(a.ID - b.ID) })
	return out
}

// action is what an action is now.
func (c *compiler) action(p *policy.Policy, a policy.Action) policy.Action {
	if a == policy.Off {
		a = p.Action
	}
	if a.Rank() == 0 {
		a = policy.Audit
	}
	return p.Rollout.At(a, c.o.Now)
}

// enforcement is an action as Gatekeeper calls it.
func enforcement(a policy.Action) string {
	return map[policy.Action]string{policy.Audit: "dryrun", policy.Warn: "warn", policy.Block: "deny"}[a]
}

// until notes a moment at which the set changes by itself.
func (c *compiler) until(t time.Time) {
	if t.After(c.o.Now) && (c.set.Next.IsZero() || t.Before(c.set.Next)) {
		c.set.Next = t
	}
}

func (c *compiler) note(p *policy.Policy, what, format string, args ...any) {
	n := Note{What: what, Reason: fmt.Sprintf(format, args...)}
	if p != nil {
		n.Policy = p.ID
	}
	c.set.Notes = append(c.set.Notes, n)
}

// object is one of ours. p is nil for what several policies share.
func (c *compiler) object(apiVersion, kind, name string, p *policy.Policy, spec map[string]any) *unstructured.Unstructured {
	labels, annotations := map[string]any{labelManaged: managed}, map[string]any{}
	if p != nil {
		labels[LabelPolicy], labels[LabelVersion] = strconv.FormatInt(p.ID, 10), strconv.Itoa(p.Version)
		annotations[annoPolicy], annotations[LabelBundle] = oneLine(p.Name, 100), c.bundle.Generation
	}
	meta := map[string]any{"name": name, "labels": labels}
	if len(annotations) > 0 {
		meta["annotations"] = annotations
	}
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": meta, "spec": spec}}
}

// constraintName is short: it stands before every refusal.
func constraintName(p *policy.Policy, a policy.Action) string { return fmt.Sprintf("p%d-%s", p.ID, a) }

// oneLine is a text that can stand in a message.
func oneLine(s string, most int) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 || r == 0x85 }), " ")
	if r := []rune(s); len(r) > most {
		s = string(r[:most-1]) + "…"
	}
	return s
}

// ends are the ends of messages: whose policy it is, and where the full story is. The rule's id comes after link.
func (c *compiler) ends(p *policy.Policy) (name, link string) {
	name = c.say(`Policy "`, "策略“") + policy.ShortName(p.Name) + c.say(`"`, "”")
	if c.bundle.Console == "" {
		return name, ""
	}
	return name, export.More(c.bundle.Lang) + oneLine(strings.TrimRight(c.bundle.Console, "/"), 200) + "/protection/why?policy=" + strconv.FormatInt(p.ID, 10) + "&rule="
}

// texts makes a list of JSON of strings.
func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
