package protect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/yaml"

	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
)

// Plan is what protecting a cluster would take.
type Plan struct {
	Reachable     bool         `json:"reachable"`
	Problem       string       `json:"problem,omitempty" doc:"why the cluster could not be asked"`
	Version       string       `json:"version,omitempty" doc:"of Kubernetes"`
	Architectures []Counted    `json:"architectures" doc:"of the nodes; amd64 and arm64 are supported"`
	Gatekeeper    *Gatekeeper  `json:"gatekeeper,omitempty" doc:"that is there already"`
	Installs      string       `json:"installs,omitempty" doc:"version of Gatekeeper that would be installed"`
	Permissions   []Permission `json:"permissions"`
	Missing       int          `json:"missing" doc:"permissions that are needed and not allowed"`
	Grant         string       `json:"grant,omitempty" doc:"YAML that grants all that protection needs"`
	Objects       []Planned    `json:"objects" doc:"what would be created, to consent to"`
	Images        []string     `json:"images" doc:"that the nodes pull"`
	Warnings      []string     `json:"warnings"`
	Stops         []string     `json:"stops" doc:"why the cluster cannot be protected like this; none: it can"`
}

// Counted is a name with a number.
type Counted struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// Planned is an object that would be created.
type Planned struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Why       string `json:"why"`
	YAML      string `json:"yaml,omitempty" doc:"as it would be applied while no policy holds there; absent: it is made in the cluster, of keys or of policies"`
}

// Permission is one thing that the credentials must be allowed to do.
type Permission struct {
	Group     string `json:"group"`
	Resource  string `json:"resource"`
	Verb      string `json:"verb"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	For       string `json:"for" doc:"what needs it"`
	Optional  bool   `json:"optional,omitempty" doc:"protection works without it; one thing does not"`
	Allowed   bool   `json:"allowed"`
	Advice    string `json:"advice,omitempty"`
}

// need is a line of the table of permissions.
type need struct {
	group, resources, verbs, namespace, names, why string
	gatekeeper                                     bool // only when Gatekeeper is ours
	optional                                       bool
}

const write = "get list create patch delete"

// needs is all that protection asks of an API server. deploy/rbac/protect has it as a ClusterRole.
var needs = []need{
	{resources: "namespaces", verbs: write, why: "the plug-ins' namespaces; labels of namespaces that policies choose by"},
	{resources: "secrets", verbs: "get create patch delete", namespace: Namespace, why: "the provider's certificates"},
	{resources: "secrets", verbs: "get create patch delete", namespace: gatekeeperNS, why: "Gatekeeper's certificate: whom the provider trusts"},
	{resources: "serviceaccounts services resourcequotas", verbs: write, namespace: Namespace, why: "the provider"},
	{group: "apps", resources: "deployments", verbs: write, namespace: Namespace, why: "the provider"},
	{group: "apps", resources: "deployments", verbs: "list", why: "to find a Gatekeeper that is there"},
	{group: "policy", resources: "poddisruptionbudgets", verbs: write, namespace: Namespace, why: "the provider stays while nodes are drained"},
	{group: "networking.k8s.io", resources: "networkpolicies", verbs: write, namespace: Namespace, why: "nobody but the API server and Gatekeeper speaks to the provider"},
	{resources: "pods", verbs: "list", why: "why a plug-in does not start; static pods, which nothing can refuse"},
	{resources: "nodes", verbs: "list", why: "architectures"},
	{group: admissionGroup, resources: "validatingwebhookconfigurations mutatingwebhookconfigurations", verbs: write + " update", why: "the webhooks"},
	{group: admissionGroup, resources: "validatingadmissionpolicies validatingadmissionpolicybindings", verbs: write, why: "policies that the API server itself enforces"},
	{group: definitionGroup, resources: "customresourcedefinitions", verbs: write, why: "Gatekeeper's definitions; those that it makes of templates are removed"},
	{group: templateGroup, resources: "constrainttemplates", verbs: write, why: "policies"},
	{group: constraintGroup, resources: "*", verbs: write, why: "policies"},
	{group: mutationGroup, resources: "*", verbs: write, why: "policies that replace tags by digests"},
	{group: providerGroup, resources: "providers", verbs: write, why: "policies on images"},
	{group: "config.gatekeeper.sh", resources: "configs", verbs: "get list", why: "namespaces that Gatekeeper leaves out"},
	{resources: "serviceaccounts services resourcequotas", verbs: write, namespace: gatekeeperNS, why: "Gatekeeper", gatekeeper: true},
	{group: "apps", resources: "deployments", verbs: write, namespace: gatekeeperNS, why: "Gatekeeper", gatekeeper: true},
	{group: "policy", resources: "poddisruptionbudgets", verbs: write, namespace: gatekeeperNS, why: "Gatekeeper", gatekeeper: true},
	{group: "rbac.authorization.k8s.io", resources: "roles rolebindings", verbs: write, namespace: gatekeeperNS, why: "Gatekeeper's own permissions", gatekeeper: true},
	{group: "rbac.authorization.k8s.io", resources: "clusterroles clusterrolebindings", verbs: write, why: "Gatekeeper's own permissions", gatekeeper: true},
	{group: "rbac.authorization.k8s.io", resources: "clusterroles", verbs: "escalate bind", names: "gatekeeper-manager-role", why: "Gatekeeper may read everything: who gives it that must be allowed to", gatekeeper: true},
	{group: "rbac.authorization.k8s.io", resources: "roles", verbs: "escalate bind", namespace: gatekeeperNS, names: "gatekeeper-manager-role", why: "Gatekeeper may write its certificate", gatekeeper: true},
	{resources: "pods", verbs: "create", why: "the self-test, always as a dry run", optional: true},
}

// permissions writes the table out.
func permissions(gatekeeper bool) []Permission {
	var list []Permission
	for _, n := range needs {
		if n.gatekeeper && !gatekeeper {
			continue
		}
		for resource := range strings.FieldsSeq(n.resources) {
			for verb := range strings.FieldsSeq(n.verbs) {
				list = append(list, Permission{Group: n.group, Resource: resource, Verb: verb, Namespace: n.namespace, Name: n.names, For: n.why, Optional: n.optional})
			}
		}
	}
	return list
}

// Role is the ClusterRole that grants all of it, and the binding to the account that deploy/rbac makes.
func Role() string {
	var b strings.Builder
	b.WriteString("# What protecting a cluster needs, beside what a scan reads. Made from the table of permissions: go test ./internal/protect -run TestRole -update\n")
	b.WriteString("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: stockade-protect\nrules:\n")
	type line struct{ group, verbs, names, resources string }
	var lines []line
	for _, n := range needs {
		same := slices.IndexFunc(lines, func(x line) bool { return x.group == n.group && x.verbs == n.verbs && x.names == n.names })
		if same < 0 {
			lines = append(lines, line{n.group, n.verbs, n.names, ""})
			same = len(lines) - 1
		}
		for r := range strings.FieldsSeq(n.resources) {
			if !slices.Contains(strings.Fields(lines[same].resources), r) {
				lines[same].resources += " " + r
			}
		}
	}
	for _, x := range lines {
		var resources []string
		for r := range strings.FieldsSeq(x.resources) {
			resources = append(resources, quotedStar(r))
		}
		fmt.Fprintf(&b, "  - apiGroups: [%q]\n    resources: [%s]\n", x.group, strings.Join(resources, ", "))
		if x.names != "" {
			fmt.Fprintf(&b, "    resourceNames: [%s]\n", x.names)
		}
		fmt.Fprintf(&b, "    verbs: [%s]\n", strings.Join(strings.Fields(x.verbs), ", "))
	}
	b.WriteString("  - nonResourceURLs: [/version]\n    verbs: [get]\n")
	b.WriteString(`---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: stockade-protect
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: stockade-protect
subjects:
  - kind: ServiceAccount
    name: stockade
    namespace: stockade
`)
	return b.String()
}

func quotedStar(s string) string {
	if s == "*" {
		return `"*"`
	}
	return s
}

// ask fills in which permissions the credentials have.
func ask(ctx context.Context, c *client, gatekeeper bool) ([]Permission, error) {
	if all, err := may(ctx, c, Permission{Group: "*", Resource: "*", Verb: "*"}); err != nil {
		return nil, err
	} else if all {
		list := permissions(gatekeeper)
		for i := range list {
			list[i].Allowed = true
		}
		return list, nil
	}
	list := permissions(gatekeeper)
	var all sync.WaitGroup
	var mu sync.Mutex
	var first error
	slots := make(chan struct{}, 8)
	for i := range list {
		p := &list[i]
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			allowed, err := may(ctx, c, *p)
			mu.Lock()
			defer mu.Unlock()
			if p.Allowed = allowed; err != nil && first == nil {
				first = err
			}
			if !allowed {
				p.Advice = advice(*p)
			}
		})
	}
	all.Wait()
	return list, first
}

func advice(p Permission) string {
	text := fmt.Sprintf("grant {apiGroups: [%q], resources: [%q], verbs: [%q]}", p.Group, p.Resource, p.Verb)
	if p.Namespace != "" {
		text += " in namespace " + p.Namespace
	}
	return text + ", or apply deploy/rbac/protect/clusterrole.yaml"
}

func may(ctx context.Context, c *client, p Permission) (bool, error) {
	body, err := json.Marshal(m{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": m{"resourceAttributes": m{
		"group": p.Group, "resource": p.Resource, "verb": p.Verb, "namespace": p.Namespace, "name": p.Name}}})
	if err != nil {
		return false, err
	}
	var answer struct {
		Status struct {
			Allowed bool `json:"allowed"`
		} `json:"status"`
	}
	_, err = c.call(ctx, http.MethodPost, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", nil, "", "application/json", body, &answer)
	return answer.Status.Allowed, err
}

// lacking counts what is needed and not allowed.
func lacking(list []Permission) (n int) {
	for _, p := range list {
		if !p.Allowed && !p.Optional {
			n++
		}
	}
	return n
}

// Plan finds out what protecting a cluster would take. It changes nothing. settings nil are those that are kept.
func (s *Service) Plan(ctx context.Context, target int64, settings *Settings) (*Plan, error) {
	if settings != nil {
		if err := settings.check(); err != nil {
			return nil, err
		}
	} else {
		r, err := s.row(ctx, target)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		settings = &Settings{}
		if err == nil {
			settings = &r.Settings
		}
	}
	set := settings.filled(&s.o)
	p := &Plan{Architectures: []Counted{}, Permissions: []Permission{}, Objects: []Planned{}, Images: []string{}, Warnings: []string{}, Stops: []string{}}
	c, err := s.client(ctx, target)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, fleet.ErrNotLive) {
		return nil, err
	}
	if err == nil {
		err = s.survey(ctx, c, &set, p)
	}
	if err != nil {
		p.Problem = oneLine(err.Error())
		p.Stops = append(p.Stops, "the cluster does not answer: "+p.Problem)
		return p, nil
	}
	return p, nil
}

// survey asks a cluster for all of it.
func (s *Service) survey(ctx context.Context, c *client, set *Settings, p *Plan) error {
	var err error
	if p.Version, err = c.version(ctx); err != nil {
		return err
	}
	p.Reachable = true
	minor := minorOf(p.Version)
	if minor > 0 && minor < oldest {
		p.Stops = append(p.Stops, fmt.Sprintf("the cluster runs Kubernetes %s; 1.%d is the oldest that can be protected", p.Version, oldest))
	}
	if p.Gatekeeper, err = findGatekeeper(ctx, c); err != nil {
		if !forbidden(err) {
			return err
		}
		p.Warnings = append(p.Warnings, "whether a Gatekeeper is there could not be looked up: "+oneLine(err.Error()))
	}
	ours := p.Gatekeeper == nil || p.Gatekeeper.Ours || set.Gatekeeper.Mode == TakeOver
	s.weigh(set, p, ours)
	if p.Permissions, err = ask(ctx, c, ours); err != nil {
		return err
	}
	if p.Missing = lacking(p.Permissions); p.Missing > 0 {
		p.Grant = Role()
		p.Stops = append(p.Stops, fmt.Sprintf("the credentials lack %d permissions", p.Missing))
	}
	s.nodes(ctx, c, p)
	s.neighbours(ctx, c, p)
	if err := set.fits(minor); err != nil {
		p.Stops = append(p.Stops, err.Error())
	}
	if set.Server == "" {
		p.Stops = append(p.Stops, "the server does not know the address at which providers reach it: start it with --public-url https://host:port, or set server")
	}
	return s.list(set, p, ours, minor)
}

// weigh says what a Gatekeeper that is there means.
func (s *Service) weigh(set *Settings, p *Plan, ours bool) {
	if ours && s.plugins == nil {
		p.Stops = append(p.Stops, ErrBuiltWithout.Error())
	}
	if s.plugins != nil && ours {
		p.Installs = s.plugins.version
	}
	g := p.Gatekeeper
	if g == nil || g.Ours {
		return
	}
	g.Differences = g.compareTo(s.plugins, set)
	switch set.Gatekeeper.Mode {
	case Adopt:
		for _, d := range g.Differences {
			if d.Stops {
				p.Stops = append(p.Stops, fmt.Sprintf("the Gatekeeper that is there cannot be adopted: %s is %s, needed is %s", d.Setting, d.Found, d.Wanted))
			}
		}
	case TakeOver:
		if g.Namespace != gatekeeperNS {
			p.Stops = append(p.Stops, fmt.Sprintf("the Gatekeeper that is there runs in namespace %s: only one in %s can be taken over", g.Namespace, gatekeeperNS))
		}
		if g.By != "" {
			p.Warnings = append(p.Warnings, fmt.Sprintf("Gatekeeper was installed by %s, which may put its own settings back", g.By))
		}
		if s.plugins != nil && g.Version != "" && older(s.plugins.version, g.Version) {
			p.Warnings = append(p.Warnings, fmt.Sprintf("the Gatekeeper that is there is %s; ours is the older %s", g.Version, s.plugins.version))
		}
	default:
		p.Stops = append(p.Stops, fmt.Sprintf("a Gatekeeper %s is there already, in namespace %s: choose gatekeeper.mode adopt (used as it is) or takeover (replaced by ours)", g.Version, g.Namespace))
	}
}

// nodes counts architectures.
func (s *Service) nodes(ctx context.Context, c *client, p *Plan) {
	count := map[string]int{}
	cut, err := c.list(ctx, "/api/v1/nodes", "", partial, func(o *object) error {
		count[oneLine(o.GetLabels()["kubernetes.io/os"]+"/"+o.GetLabels()["kubernetes.io/arch"])]++
		return nil
	})
	if err != nil || cut {
		p.Warnings = append(p.Warnings, "the nodes' architectures could not all be looked up")
	}
	usable := 0
	for name, n := range count {
		p.Architectures = append(p.Architectures, Counted{name, n})
		if name == "linux/amd64" || name == "linux/arm64" {
			usable += n
		}
	}
	slices.SortFunc(p.Architectures, func(a, b Counted) int { return strings.Compare(a.Name, b.Name) })
	switch {
	case len(count) > 0 && usable == 0:
		p.Stops = append(p.Stops, "no node is linux/amd64 or linux/arm64: the plug-ins' pods cannot run")
	case usable == 1:
		p.Warnings = append(p.Warnings, "one node can run the plug-ins: while it is away nothing is checked")
	}
}

// neighbours warns of other webhooks that see what we do.
func (s *Service) neighbours(ctx context.Context, c *client, p *Plan) {
	for _, kind := range []string{"validating", "mutating"} {
		_, err := c.list(ctx, "/apis/"+admissionGroup+"/v1/"+kind+"webhookconfigurations", "", "", func(o *object) error {
			if len(p.Warnings) >= 50 {
				return nil
			}
			list, _ := o.Object["webhooks"].([]any)
			for _, h := range list {
				hook, _ := h.(m)
				w := webhookOf(o.GetName(), kind == "mutating", hook)
				ns, _ := nested(hook, "clientConfig", "service", "namespace").(string)
				if ns == Namespace || p.Gatekeeper != nil && ns == p.Gatekeeper.Namespace || ns == gatekeeperNS {
					continue
				}
				pods := slices.ContainsFunc(w.Resources, func(r string) bool {
					return r == "/pods" || r == "*/*" || r == "/*" || r == "*/pods" || r == "apps/*" || r == "apps/deployments"
				})
				switch {
				case pods && w.FailurePolicy == "Fail":
					p.Warnings = append(p.Warnings, oneLine(fmt.Sprintf("another webhook refuses pods while it does not answer, the plug-ins' too: %s", w.String())))
				case pods && kind == "mutating":
					p.Warnings = append(p.Warnings, oneLine(fmt.Sprintf("another webhook changes pods before they are judged: %s", w.String())))
				}
			}
			return nil
		})
		if err != nil {
			p.Warnings = append(p.Warnings, "other webhooks could not be looked up: "+oneLine(err.Error()))
		}
	}
}

// reasons say what each kind of object is for.
var reasons = map[string]string{
	"Namespace": "holds a plug-in; Pod Security level restricted", "CustomResourceDefinition": "a kind that Gatekeeper works with",
	"ServiceAccount": "whom a plug-in's pods are", "ResourceQuota": "lets critical pods into the namespace", "Role": "Gatekeeper writes its certificate",
	"ClusterRole": "Gatekeeper reads all kinds, as templates may need them, and writes its own", "RoleBinding": "gives Gatekeeper its Role",
	"ClusterRoleBinding": "gives Gatekeeper its ClusterRole", "Secret": "certificates", "Service": "where the API server and Gatekeeper find the pods",
	"Deployment": "the pods: not root, read-only, no privileges", "PodDisruptionBudget": "keeps a pod while nodes are drained",
	"NetworkPolicy": "the provider is reached for its two ports, and reaches nothing but the server and DNS",
}

// list writes down what would be created.
func (s *Service) list(set *Settings, p *Plan, ours bool, minor int) error {
	var broken error
	add := func(o *object, why string) {
		if why == "" {
			why = reasons[o.GetKind()]
		}
		planned := Planned{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName(), Why: why}
		if o.GetAPIVersion() != "" {
			text, err := yaml.Marshal(o.Object)
			broken = errors.Join(broken, err)
			planned.YAML = string(text)
		}
		p.Objects = append(p.Objects, planned)
	}
	// named is an object that is there later, when it is known what is in it.
	named := func(kind, namespace, name, why string) {
		p.Objects = append(p.Objects, Planned{Kind: kind, Namespace: namespace, Name: name, Why: why})
	}
	if ours && s.plugins != nil {
		ns, defs, rest := s.plugins.ours(set, minor)
		for _, o := range slices.Concat([]*object{ns}, defs, rest) {
			add(o, "")
		}
		named("Secret", gatekeeperNS, gatekeeperCA, "Gatekeeper's certificate, which it renews by itself")
		failure := "what it does not answer in time is let in, and recorded"
		if set.FailClosed {
			failure = "what it does not answer in time is refused, outside of system namespaces"
		}
		mutates := false
		for _, o := range s.plugins.hooks(set, &policy.Bundle{}, workloads, false, nil) {
			if o.GetName() == validatingCfg {
				add(o, fmt.Sprintf("Gatekeeper is asked about what the policies name, for %d s at most; %s", set.Timeout, failure))
				continue
			}
			mutates = true
			add(o, "Gatekeeper is asked about every kind, as the settings say")
		}
		if !mutates {
			named("MutatingWebhookConfiguration", "", mutatingCfg, "only while a policy replaces tags by digests")
		}
		p.Images = append(p.Images, set.Gatekeeper.reference(s.plugins.image))
	}
	for _, o := range slices.Concat([]*object{namespaceObject()}, providerObjects(set, minor), []*object{deployment(set, s.o.Version)}) {
		add(o, "")
	}
	named("Secret", Namespace, tlsSecret, "what the provider shows to Gatekeeper and the API server")
	named("Secret", Namespace, linkSecret, "what the provider shows to this server")
	add(recorder(workloads, set.system(), nil), "sees what was admitted; never refuses, 2 s at most")
	named("Provider", "", "stockade", "tells Gatekeeper where verdicts on images are, when a policy needs them")
	named("ConstraintTemplate", "", "stockade...", "rules, as the policies that hold here need them")
	p.Images = append(p.Images, set.Provider.reference(""))
	return broken
}
