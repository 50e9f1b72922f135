package protection

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stockade.dev/stockade/e2e/lab"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/protect"
	"stockade.dev/stockade/internal/provider/protocol"
)

// TestLife: a cluster is protected, what somebody changes is put back and told, and after the end of the protection it has exactly
// the objects that it had before.
func TestLife(t *testing.T) {
	cp := lab.ForTest(t, nowhere)
	h := newHouse(t, cp, "sqlite", "")
	h.assist()
	before := h.everything()
	h.book.list = []policy.Policy{privileged()}

	plan, err := h.s.Plan(h.ctx(), h.target, nil)
	if err != nil || len(plan.Stops) > 0 || !plan.Reachable || plan.Missing > 0 || len(plan.Objects) < 30 || plan.Gatekeeper != nil {
		t.Fatalf("%+v, %v", plan, err)
	}
	if err := h.s.Enable(h.ctx(), h.target, false, nil); !errors.Is(err, protect.ErrConsent) {
		t.Errorf("without consent: %v", err)
	}
	if got := missing(h.everything(), before); len(got) > 0 {
		t.Errorf("a plan made %v", got)
	}
	h.unready.Store(true)
	if err := h.s.Enable(h.ctx(), h.target, true, nil); err != nil {
		t.Fatal(err)
	}
	if err := h.s.Enable(h.ctx(), h.target, true, nil); !errors.Is(err, protect.ErrState) {
		t.Errorf("twice: %v", err)
	}
	h.nothingWhilePodsAreNotReady()
	h.unready.Store(false)
	st := h.until(protect.Protected)
	for _, step := range st.Steps {
		if step.State != protect.Done {
			t.Errorf("%+v", step)
		}
	}
	if st.Policies != 1 || st.Constraints == 0 || len(st.Certificates) != 5 || st.EnabledBy != "anna" {
		t.Errorf("%+v", st)
	}
	h.planIsWhatWasMade(plan, before)
	h.quiet()
	h.drift()
	h.certificates()
	h.selfTest()
	h.unwanted()
	h.beats()
	if err := h.fleet.Remove(h.ctx(), h.target); err == nil || !strings.Contains(err.Error(), "protected") {
		t.Errorf("a protected cluster is removed: %v", err)
	}

	if err := h.s.Disable(h.ctx(), h.target, protect.Removal{}); err != nil {
		t.Fatal(err)
	}
	h.until(protect.Unprotected)
	h.same(before)
	answer, err := h.s.Beat(context.Background(), h.target, protocol.Beat{Replica: "a"})
	if err != nil || !answer.Gone {
		t.Errorf("after the end: %+v, %v", answer, err)
	}
	if err := h.fleet.Remove(h.ctx(), h.target); err != nil {
		t.Error(err)
	}
}

// same compares the cluster with what it was; definitions take a moment to go.
func (h *house) same(before []string) {
	h.t.Helper()
	var more, less []string
	for range 100 {
		now := h.everything()
		more, less = missing(now, before), missing(before, now)
		if len(more)+len(less) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	h.t.Errorf("left behind: %v; lost: %v", more, less)
}

// nothingWhilePodsAreNotReady: no webhook leads to pods that do not answer yet.
func (h *house) nothingWhilePodsAreNotReady() {
	h.t.Helper()
	for range 8 {
		if err := h.s.Pass(context.Background(), h.target); err != nil {
			h.t.Fatal(err)
		}
	}
	var list listed
	h.api("GET", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", "", "", &list)
	if len(list.Items) > 0 {
		h.t.Errorf("webhooks before there are pods: %+v", list.Items)
	}
	st, err := h.s.Status(h.ctx(), h.target)
	if err != nil || st.State != protect.Installing || !strings.Contains(st.Reason, "the test says so") {
		h.t.Errorf("%+v, %v", st, err)
	}
}

// planIsWhatWasMade: nobody consented to something else.
func (h *house) planIsWhatWasMade(plan *protect.Plan, before []string) {
	h.t.Helper()
	for _, made := range missing(h.everything(), before) {
		name := made[strings.LastIndex(made, "/")+1:]
		known := slices.ContainsFunc(plan.Objects, func(o protect.Planned) bool {
			return o.Name == name || o.Kind == "ConstraintTemplate" && (strings.Contains(made, ".gatekeeper.sh") || strings.HasPrefix(name, "stockade"))
		})
		if !known {
			h.t.Errorf("%s was made, and the plan did not say so", made)
		}
	}
}

// quiet: a pass over a cluster that is as it should be changes nothing in it.
func (h *house) quiet() {
	h.t.Helper()
	count := func() string {
		var o struct {
			Metadata struct{ ResourceVersion string }
		}
		out := ""
		for _, p := range []string{"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/gatekeeper-validating-webhook-configuration",
			"/apis/apps/v1/namespaces/stockade-protect/deployments/stockade-provider", "/api/v1/namespaces/stockade-protect/secrets/stockade-provider-tls",
			"/api/v1/namespaces/stockade-protect/secrets/stockade-provider-link", "/apis/apps/v1/namespaces/gatekeeper-system/deployments/gatekeeper-controller-manager"} {
			h.api("GET", p, "", "", &o)
			out += o.Metadata.ResourceVersion + " "
		}
		return out
	}
	first := count()
	for range 3 {
		if err := h.s.Pass(context.Background(), h.target); err != nil {
			h.t.Fatal(err)
		}
	}
	if again := count(); again != first {
		h.t.Errorf("passes write what is as it should be: %s, then %s", first, again)
	}
	if st, err := h.s.Status(h.ctx(), h.target); err != nil || len(st.Drift) > 0 {
		h.t.Errorf("drift that nobody made: %+v, %v", st.Drift, err)
	}
}

// drift: what somebody changes, deletes or adds is put back, and told with the name of who it was.
func (h *house) drift() {
	h.t.Helper()
	const merge, hooks = "application/merge-patch+json", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/"
	var templates listed
	h.api("GET", "/apis/templates.gatekeeper.sh/v1/constrainttemplates", "", "", &templates)
	if len(templates.Items) == 0 {
		h.t.Fatal("no template")
	}
	kind := strings.ToLower(templates.Items[0].Metadata.Name)
	constraints := "/apis/constraints.gatekeeper.sh/v1beta1/" + kind
	var list listed
	h.api("GET", constraints, "", "", &list)
	if len(list.Items) == 0 {
		h.t.Fatal("no constraint of " + kind)
	}
	constraint := constraints + "/" + list.Items[0].Metadata.Name
	for _, c := range []struct{ what, method, path, contentType, body string }{
		{"an edited constraint", "PATCH", constraint + "?fieldManager=mallory", merge, `{"spec":{"enforcementAction":"dryrun"}}`},
		{"a deleted constraint", "DELETE", constraint, "", ""},
		{"a webhook that matches nothing", "PATCH", hooks + "gatekeeper-validating-webhook-configuration?fieldManager=mallory", "application/json-patch+json",
			`[{"op":"replace","path":"/webhooks/0/rules","value":[{"apiGroups":["none.example.com"],"apiVersions":["v1"],"operations":["CREATE"],"resources":["nothing"]}]}]`},
		{"a webhook that leaves labelled namespaces out", "PATCH", hooks + "gatekeeper-validating-webhook-configuration?fieldManager=mallory", "application/json-patch+json",
			`[{"op":"add","path":"/webhooks/0/namespaceSelector/matchExpressions/-","value":{"key":"admission.gatekeeper.sh/ignore","operator":"DoesNotExist"}}]`},
		{"a deleted webhook", "DELETE", hooks + "stockade-recorder", "", ""},
		{"no provider", "PATCH", "/apis/apps/v1/namespaces/stockade-protect/deployments/stockade-provider?fieldManager=mallory", merge, `{"spec":{"replicas":0}}`},
		{"a deleted certificate", "DELETE", "/api/v1/namespaces/stockade-protect/secrets/stockade-provider-tls", "", ""},
		{"a label taken away", "PATCH", "/apis/apps/v1/namespaces/gatekeeper-system/deployments/gatekeeper-audit?fieldManager=mallory", merge,
			`{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}`},
		{"an edited definition", "PATCH", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/providers.externaldata.gatekeeper.sh?fieldManager=mallory", merge,
			`{"spec":{"names":{"shortNames":["mine"]}}}`},
	} {
		st, err := h.s.Status(h.ctx(), h.target)
		if err != nil {
			h.t.Fatal(err)
		}
		had := len(st.Drift)
		if code := h.api(c.method, c.path, c.contentType, c.body, nil); code/100 != 2 {
			h.t.Errorf("%s: the API server answers %d", c.what, code)
			continue
		}
		if err := h.s.Pass(context.Background(), h.target); err != nil {
			h.t.Fatal(err)
		}
		if st, err = h.s.Status(h.ctx(), h.target); err != nil || len(st.Drift) <= had {
			h.t.Errorf("%s: not told (%s %s), %v", c.what, st.State, st.Reason, err)
			continue
		}
		d := st.Drift[0]
		if c.method == "PATCH" && !strings.Contains(c.what, "label taken") && d.Actor != "mallory" || !d.Repaired || d.Change == "" {
			h.t.Errorf("%s: %+v", c.what, d)
		}
		if err := h.s.Pass(context.Background(), h.target); err != nil {
			h.t.Fatal(err)
		}
		if again, err := h.s.Status(h.ctx(), h.target); err != nil || len(again.Drift) != len(st.Drift) || again.State != protect.Protected {
			h.t.Errorf("%s: not put back at once: %s %s %+v %v", c.what, again.State, again.Reason, again.Drift[0], err)
		}
	}
	var topics []string
	if err := h.db.R.NewSelect().Table("outbox").Column("topic").Where("topic = 'protection.drift'").Scan(context.Background(), &topics); err != nil || len(topics) < 9 {
		h.t.Errorf("%d messages about drift, %v", len(topics), err)
	}
}

// certificates are replaced before they end.
func (h *house) certificates() {
	h.t.Helper()
	ends := func() map[string]time.Time {
		st, err := h.s.Status(h.ctx(), h.target)
		if err != nil {
			h.t.Fatal(err)
		}
		out := map[string]time.Time{}
		for _, c := range st.Certificates {
			out[c.Name] = c.Ends.Time
		}
		return out
	}
	first := ends()
	h.clock.Add(int64(61 * 24 * time.Hour))
	h.until(protect.Protected)
	then := ends()
	for _, name := range []string{"provider", "link"} {
		if !then[name].After(first[name].Add(50 * 24 * time.Hour)) {
			h.t.Errorf("the certificate %s ends %s, and ended %s", name, then[name], first[name])
		}
	}
	if !then["provider-authority"].Equal(first["provider-authority"]) {
		h.t.Error("the authority was replaced as well")
	}
	h.clock.Add(int64(9 * 365 * 24 * time.Hour)) // a year before its end
	h.until(protect.Protected)
	if last := ends(); !last["provider-authority"].After(then["provider-authority"]) || !last["provider"].After(then["provider"]) {
		h.t.Errorf("%v, before %v", last, then)
	}
	h.clock.Store(0)
	h.until(protect.Protected)
}

// selfTest: nothing refuses here, since there is nobody who answers the webhook; the API server says so after the time-out.
func (h *house) selfTest() {
	h.t.Helper()
	r, err := h.s.SelfTest(h.ctx(), h.target, "")
	if err != nil || r.Refused || !strings.Contains(r.Meaning, "Nothing refused") || r.Millis <= 0 {
		h.t.Errorf("%+v, %v", r, err)
	}
	if _, err := h.s.SelfTest(h.ctx(), h.target, "nowhere"); !errors.Is(err, protect.ErrInvalid) {
		h.t.Errorf("a namespace that is not there: %v", err)
	}
	var pods listed
	if h.api("GET", "/api/v1/pods", "", "", &pods); len(pods.Items) > 0 {
		h.t.Errorf("a self-test left %+v", pods.Items)
	}
	b, err := h.s.Bypasses(h.ctx(), h.target)
	if err != nil || len(b.Gaps) > 0 {
		h.t.Fatalf("%+v, %v", b, err)
	}
	for _, want := range []string{"system-namespace kube-system", "failure-policy Ignore", "static-pod every node"} {
		if !slices.ContainsFunc(b.Items, func(x protect.Bypass) bool { return x.Kind+" "+x.What == want }) {
			h.t.Errorf("no bypass %q in %+v", want, b.Items)
		}
	}
	o, err := h.s.Objects(h.ctx(), h.target, "policy")
	if err != nil || len(o.Items) < 2 || !strings.Contains(o.Items[0].YAML, "ConstraintTemplate") || o.Items[0].AppliedAt.IsZero() {
		h.t.Errorf("%+v, %v", o, err)
	}
}

// unwanted: when a policy goes, so do its objects; those of others stay.
func (h *house) unwanted() {
	h.t.Helper()
	h.book.list = nil
	if st := h.until(protect.NoPolicy); st.Constraints != 0 {
		h.t.Errorf("%+v", st)
	}
	var list listed
	if h.api("GET", "/apis/templates.gatekeeper.sh/v1/constrainttemplates", "", "", &list); len(list.Items) > 0 {
		h.t.Errorf("templates of no policy: %+v", list.Items)
	}
	h.book.list = []policy.Policy{privileged()}
	h.until(protect.Protected)
}

// beats of providers are shown.
func (h *house) beats() {
	h.t.Helper()
	ctx := context.Background()
	for _, name := range []string{"one", "two"} {
		a, err := h.s.Beat(ctx, h.target, protocol.Beat{Replica: name, Version: "test", Provider: protocol.Service{Count: 100, Errors: 1, P50: 0.5, P99: 2}})
		if err != nil || a.Gone || a.Bundle == "" {
			h.t.Fatalf("%+v, %v", a, err)
		}
	}
	health, err := h.s.Health(h.ctx(), h.target)
	if err != nil || len(health.Replicas) != 2 || health.Provider.Count != 200 || health.ErrorRate != 0.01 || len(health.Webhooks) < 2 || !health.SilentAt.IsZero() {
		h.t.Errorf("%+v, %v", health, err)
	}
	h.clock.Add(int64(2 * time.Minute))
	if health, err = h.s.Health(h.ctx(), h.target); err != nil || health.SilentAt.IsZero() {
		h.t.Errorf("silent providers: %+v, %v", health, err)
	}
	h.clock.Store(0)
}

// TestTooOld: Kubernetes 1.19 is refused before anything is made.
func TestTooOld(t *testing.T) {
	cp := lab.ForTest(t, lab.Config{Version: lab.Oldest})
	h := newHouse(t, cp, "sqlite", "")
	before := h.everything()
	err := h.s.Enable(h.ctx(), h.target, true, nil)
	if !errors.Is(err, protect.ErrState) || !strings.Contains(err.Error(), "1.20 is the oldest") {
		t.Fatal(err)
	}
	h.same(before)
}

// TestPermissions: what is missing is said, with a role that grants it; with exactly that role everything works.
func TestPermissions(t *testing.T) {
	cp := lab.ForTest(t, nowhere)
	kubeconfig, err := cp.KubeconfigFor("system:serviceaccount:stockade:stockade", "system:serviceaccounts", "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, cp, "sqlite", kubeconfig)
	h.assist()
	plan, err := h.s.Plan(h.ctx(), h.target, nil)
	if err != nil || plan.Missing < 50 || plan.Grant == "" || len(plan.Stops) == 0 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if err := h.s.Enable(h.ctx(), h.target, true, nil); !errors.Is(err, protect.ErrState) || !strings.Contains(err.Error(), "permissions") {
		t.Fatalf("without permissions: %v", err)
	}
	shipped, err := os.ReadFile(filepath.Join("..", "..", "deploy", "rbac", "protect", "clusterrole.yaml"))
	if err != nil || string(shipped) != plan.Grant {
		t.Fatalf("deploy/rbac/protect/clusterrole.yaml is not what the plan says: %v", err)
	}
	for i, doc := range strings.Split(plan.Grant, "\n---\n") {
		path := "/apis/rbac.authorization.k8s.io/v1/" + []string{"clusterroles", "clusterrolebindings"}[i] + "/stockade-protect?fieldManager=test"
		if code := h.api("PATCH", path, "application/apply-patch+yaml", doc, nil); code/100 != 2 {
			t.Fatalf("granting: %d\n%s", code, doc)
		}
	}
	before := h.everything()
	h.book.list = []policy.Policy{privileged()}
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // RBAC takes a moment
		if err = h.s.Enable(h.ctx(), h.target, true, nil); err == nil || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	h.until(protect.Protected)
	if _, err := h.s.SelfTest(h.ctx(), h.target, ""); err != nil {
		t.Error(err)
	}
	h.hooksInError()
	if err := h.s.Disable(h.ctx(), h.target, protect.Removal{}); err != nil {
		t.Fatal(err)
	}
	h.until(protect.Unprotected)
	h.same(before)
}

// TestServerAway: the API server dies in the middle of an installation and of a removal; what was begun is ended when it is back,
// and the work of a server of ours that died is taken up by another.
func TestServerAway(t *testing.T) {
	cp := lab.ForTest(t, nowhere)
	h := newHouse(t, cp, "sqlite", "")
	h.assist()
	before := h.everything()
	h.book.list = []policy.Policy{privileged()}
	h.unready.Store(true)
	if err := h.s.Enable(h.ctx(), h.target, true, nil); err != nil {
		t.Fatal(err)
	}
	pass := func() { _ = h.s.Pass(context.Background(), h.target) }
	pass()
	cp.Kill()
	pass()
	st, err := h.s.Status(h.ctx(), h.target)
	if err != nil || st.State != protect.Installing || st.UnreachableAt.IsZero() || !strings.Contains(st.Reason, "does not answer") {
		t.Fatalf("%+v, %v", st, err)
	}
	if err := cp.Restart(context.Background()); err != nil {
		t.Fatal(err)
	}
	h.unready.Store(false)
	h.s = protect.New(h.options) // another server: nothing of the first one's memory
	if st := h.until(protect.Protected); !st.UnreachableAt.IsZero() {
		t.Errorf("%+v", st)
	}
	cp.Kill()
	pass()
	if st, err := h.s.Status(h.ctx(), h.target); err != nil || st.State != protect.Protected || st.UnreachableAt.IsZero() {
		t.Errorf("a protected cluster that does not answer: %+v, %v", st, err)
	}
	if err := h.s.Disable(h.ctx(), h.target, protect.Removal{}); err != nil {
		t.Fatal(err)
	}
	pass()
	if st, err := h.s.Status(h.ctx(), h.target); err != nil || st.State != protect.Removing {
		t.Errorf("%+v, %v", st, err)
	}
	if err := cp.Restart(context.Background()); err != nil {
		t.Fatal(err)
	}
	h.s = protect.New(h.options)
	h.until(protect.Unprotected)
	h.same(before)
}

// TestTwoServers: two servers at one database never work on a cluster at the same time, and both do no harm.
func TestTwoServers(t *testing.T) {
	cp := lab.ForTest(t, nowhere)
	h := newHouse(t, cp, "postgres", "")
	h.assist()
	before := h.everything()
	h.book.list = []policy.Policy{privileged()}
	if err := h.s.Enable(h.ctx(), h.target, true, nil); err != nil {
		t.Fatal(err)
	}
	other := protect.New(h.options)
	run := func() {
		var all sync.WaitGroup
		for _, s := range []*protect.Service{h.s, other} {
			all.Go(func() {
				for range 10 {
					if err := s.Pass(context.Background(), h.target); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	}
	run()
	h.until(protect.Protected)
	run()
	if st, err := h.s.Status(h.ctx(), h.target); err != nil || len(st.Drift) > 0 || st.State != protect.Protected {
		t.Errorf("%+v, %v", st, err)
	}
	if err := other.Disable(h.ctx(), h.target, protect.Removal{}); err != nil {
		t.Fatal(err)
	}
	run()
	h.until(protect.Unprotected)
	h.same(before)
}

// TestAdopt: a Gatekeeper that is there is used as it is or taken over, as somebody says, and an adopted one is there after the end
// as it was before.
func TestAdopt(t *testing.T) {
	cp := lab.ForTest(t, nowhere)
	h := newHouse(t, cp, "sqlite", "")
	h.assist()
	h.foreignGatekeeper("v3.23.1")
	before := h.everything()
	h.book.list = []policy.Policy{privileged()}
	if err := h.s.Enable(h.ctx(), h.target, true, nil); !errors.Is(err, protect.ErrState) || !strings.Contains(err.Error(), "adopt") {
		t.Fatalf("nobody said what to do with it: %v", err)
	}
	adopt := &protect.Settings{Gatekeeper: protect.GatekeeperSettings{Mode: protect.Adopt}}
	plan, err := h.s.Plan(h.ctx(), h.target, adopt)
	if err != nil || plan.Gatekeeper == nil || plan.Gatekeeper.Ours || plan.Gatekeeper.Version != "v3.23.1" || len(plan.Stops) > 0 ||
		!slices.ContainsFunc(plan.Gatekeeper.Differences, func(d protect.Difference) bool { return strings.Contains(d.Setting, "response-cache-ttl") }) {
		t.Fatalf("%+v, %v", plan, err)
	}
	deployment := func() string {
		var o struct {
			Metadata struct{ ResourceVersion string }
		}
		h.api("GET", "/apis/apps/v1/namespaces/gatekeeper-system/deployments/gatekeeper-controller-manager", "", "", &o)
		return o.Metadata.ResourceVersion
	}
	version := deployment()
	if err := h.s.Enable(h.ctx(), h.target, true, adopt); err != nil {
		t.Fatal(err)
	}
	st := h.until(protect.Protected)
	if st.Ours || deployment() != version {
		t.Errorf("the adopted Gatekeeper was changed: %+v", st)
	}
	if err := h.s.Disable(h.ctx(), h.target, protect.Removal{}); err != nil {
		t.Fatal(err)
	}
	h.until(protect.Unprotected)
	h.same(before)
	if deployment() != version {
		t.Error("the adopted Gatekeeper was changed")
	}

	takeover := &protect.Settings{Gatekeeper: protect.GatekeeperSettings{Mode: protect.TakeOver}}
	if err := h.s.Enable(h.ctx(), h.target, true, takeover); err != nil {
		t.Fatal(err)
	}
	if st := h.until(protect.Protected); !st.Ours || deployment() == version {
		t.Errorf("%+v", st)
	}
	// A template of somebody else is not taken away unasked.
	h.api("PATCH", "/apis/templates.gatekeeper.sh/v1/constrainttemplates/theirs?fieldManager=test", "application/apply-patch+yaml",
		`{"apiVersion":"templates.gatekeeper.sh/v1","kind":"ConstraintTemplate","metadata":{"name":"theirs"},"spec":{"crd":{"spec":{"names":{"kind":"Theirs"}}},"targets":[{"target":"admission.k8s.gatekeeper.sh","rego":"package theirs"}]}}`, nil)
	if err := h.s.Disable(h.ctx(), h.target, protect.Removal{}); err != nil {
		t.Fatal(err)
	}
	if st := h.until(protect.RemoveFailed); !strings.Contains(st.Reason, "theirs") {
		t.Errorf("%+v", st)
	}
	if err := h.s.Disable(h.ctx(), h.target, protect.Removal{KeepPlugins: true}); err != nil {
		t.Fatal(err)
	}
	h.until(protect.Unprotected)
	var list listed
	h.api("GET", "/apis/templates.gatekeeper.sh/v1/constrainttemplates", "", "", &list)
	if len(list.Items) != 1 || list.Items[0].Metadata.Name != "theirs" {
		t.Errorf("%+v", list.Items)
	}
	for _, left := range missing(h.everything(), before) {
		if strings.Contains(left, "stockade") {
			t.Errorf("kept the plug-ins, and left %s", left)
		}
	}
}

// foreignGatekeeper installs a Gatekeeper as others do.
func (h *house) foreignGatekeeper(version string) {
	h.t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "internal", "protect", "plugin", "gatekeeper.yaml"))
	if err != nil {
		h.t.Fatalf("%v: make copies it", err)
	}
	text := strings.ReplaceAll(string(data), "gatekeeper:v3.23.1", "gatekeeper:"+version)
	text = strings.ReplaceAll(text, "failurePolicy: Fail", "failurePolicy: Ignore") // nobody answers here
	for doc := range strings.SplitSeq(text, "\n---\n") {
		path := pathOf(doc)
		if code := h.api("PATCH", path+"?fieldManager=helm", "application/apply-patch+yaml", doc, nil); code/100 != 2 {
			h.t.Fatalf("%s: %d", path, code)
		}
	}
	// What its pods would do.
	h.api("PATCH", "/api/v1/namespaces/gatekeeper-system/secrets/gatekeeper-webhook-server-cert", "application/merge-patch+json", fmt.Sprintf(`{"data":{"ca.crt":%q}}`, authority(h.t)), nil)
}
