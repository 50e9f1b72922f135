package access

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

// told writes a way as "kind:subject ...", "admin" for its end.
func told(steps []Step) string {
	var out []string
	for _, s := range steps {
		to := "admin"
		if s.To.Kind != "" {
			to = SubjectString(s.To)
		}
		out = append(out, fmt.Sprintf("%d>%s", s.Kind, to))
	}
	return strings.Join(out, " ")
}

const (
	star      = "[{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]"
	boss      = "kube-system"
	createPod = "[{apiGroups: [''], resources: [pods], verbs: [create]}]"
)

// base has cluster-admin, bound to a service account of kube-system.
var base = clusterRole("cluster-admin", star) + account(boss, "boss") + crb("boss", "cluster-admin", sa(boss, "boss"))

func TestPathToAdmin(t *testing.T) {
	user := Subject{Kind: "User", Name: "alice"}
	toBoss := func(k StepKind) string { return fmt.Sprintf("%d>ServiceAccount kube-system/boss 0>admin", k) }
	token := "apiVersion: v1\nkind: Secret\nmetadata: {name: boss-token, namespace: kube-system, annotations: {kubernetes.io/service-account.name: boss}}\ntype: kubernetes.io/service-account-token\n---\n"
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: kube-system}\nspec: {serviceAccountName: boss, containers: [{name: c, image: i}]}\n---\n"
	rule := func(group, resource, verb string) string {
		return "{apiGroups: ['" + group + "'], resources: [" + resource + "], verbs: [" + verb + "]}"
	}
	bindRules := "[" + rule(rbacGroup, "clusterroles", "bind") + "," + rule(rbacGroup, "clusterrolebindings", "create") + "]"
	csr := rule("certificates.k8s.io", "certificatesigningrequests", "create") + "," +
		rule("certificates.k8s.io", "certificatesigningrequests/approval", "update")
	signer := "{apiGroups: [certificates.k8s.io], resources: [signers], verbs: [approve], resourceNames: ['%s']}"
	tests := []struct{ name, text, want string }{
		{"already", crb("a", "cluster-admin", alice), "0>admin"},
		{"nothing", clusterRole("r", "[{apiGroups: [''], resources: [pods], verbs: [get, list]}]") + crb("a", "r", alice), ""},
		{"pods everywhere", clusterRole("r", createPod) + crb("a", "r", alice), toBoss(RunPodAs)},
		{"pods in kube-system", nsRole(boss, "r", createPod) + rb(boss, "a", "Role", "r", alice), toBoss(RunPodAs)},
		{"pods where no strong account is", nsRole("shop", "r", createPod) + rb("shop", "a", "Role", "r", alice), ""},
		{"over a second account", nsRole("shop", "r", createPod) + rb("shop", "a", "Role", "r", alice) + account("shop", "mid") +
			clusterRole("m", "[{apiGroups: [''], resources: [serviceaccounts/token], verbs: [create]}]") + crb("m", "m", sa("shop", "mid")),
			fmt.Sprintf("%d>ServiceAccount shop/mid %s", RunPodAs, toBoss(MintToken))},
		{"an account that is not there", nsRole("shop", "r", createPod) + rb("shop", "a", "Role", "r", alice) +
			crb("m", "cluster-admin", sa("shop", "ghost")), ""},
		{"patching deployments", nsRole(boss, "r", "[{apiGroups: [apps], resources: [deployments], verbs: [patch]}]") + rb(boss, "a", "Role", "r", alice), toBoss(RunPodAs)},
		{"patching one deployment that exists", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: dns, namespace: kube-system}\nspec: {template: {spec: {containers: [{name: c, image: i}]}}}\n---\n" +
			nsRole(boss, "r", "[{apiGroups: [apps], resources: [deployments], verbs: [patch], resourceNames: [dns]}]") + rb(boss, "a", "Role", "r", alice), toBoss(RunPodAs)},
		{"patching one that does not", nsRole(boss, "r", "[{apiGroups: [apps], resources: [deployments], verbs: [patch], resourceNames: [dns]}]") + rb(boss, "a", "Role", "r", alice), ""},
		{"exec into a pod with a token of its own", strings.Replace(pod, "serviceAccountName", "automountServiceAccountToken: false, volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: t}}]}}], serviceAccountName", 1) +
			nsRole(boss, "r", "[{apiGroups: [''], resources: [pods/exec], verbs: [create]}]") + rb(boss, "a", "Role", "r", alice), toBoss(ExecInPod)},
		{"secrets without tokens", clusterRole("r", "[{apiGroups: [''], resources: [secrets], verbs: [get]}]") + crb("a", "r", alice), ""},
		{"secrets with tokens", token + clusterRole("r", "[{apiGroups: [''], resources: [secrets], verbs: [list]}]") + crb("a", "r", alice), toBoss(ReadToken)},
		{"the named token", token + nsRole(boss, "r", "[{apiGroups: [''], resources: [secrets], verbs: [get], resourceNames: [boss-token]}]") + rb(boss, "a", "Role", "r", alice), toBoss(ReadToken)},
		{"another named secret", token + nsRole(boss, "r", "[{apiGroups: [''], resources: [secrets], verbs: [get], resourceNames: [tls]}]") + rb(boss, "a", "Role", "r", alice), ""},
		{"making a token secret", nsRole(boss, "r", "[{apiGroups: [''], resources: [secrets], verbs: [create, get]}]") + rb(boss, "a", "Role", "r", alice), toBoss(CreateTokenSecret)},
		{"making but not reading", nsRole(boss, "r", "[{apiGroups: [''], resources: [secrets], verbs: [create]}]") + rb(boss, "a", "Role", "r", alice), ""},
		{"named tokens", nsRole(boss, "r", "[{apiGroups: [''], resources: [serviceaccounts/token], verbs: [create], resourceNames: [boss]}]") + rb(boss, "a", "Role", "r", alice), toBoss(MintToken)},
		{"exec into a pod", pod + nsRole(boss, "r", "[{apiGroups: [''], resources: [pods/exec], verbs: [create]}]") + rb(boss, "a", "Role", "r", alice), toBoss(ExecInPod)},
		{"exec without pods", nsRole(boss, "r", "[{apiGroups: [''], resources: [pods/exec], verbs: [create]}]") + rb(boss, "a", "Role", "r", alice), ""},
		{"exec into a pod without a token", strings.Replace(pod, "serviceAccountName", "automountServiceAccountToken: false, serviceAccountName", 1) +
			nsRole(boss, "r", "[{apiGroups: [''], resources: [pods/exec], verbs: [create]}]") + rb(boss, "a", "Role", "r", alice), ""},
		{"kubelet", pod + clusterRole("r", "[{apiGroups: [''], resources: [nodes/proxy], verbs: [get]}]") + crb("a", "r", alice), toBoss(ThroughKubelet)},
		{"bind", clusterRole("r", bindRules) + crb("a", "r", alice), fmt.Sprintf("%d>admin", BindRole)},
		{"bind without writing bindings", clusterRole("r", "["+rule(rbacGroup, "clusterroles", "bind")+"]") + crb("a", "r", alice), ""},
		{"bind cluster-admin by name", clusterRole("r", "[{apiGroups: ["+rbacGroup+"], resources: [clusterroles], verbs: [bind], resourceNames: [cluster-admin]},"+rule(rbacGroup, "clusterrolebindings", "create")+"]") + crb("a", "r", alice),
			fmt.Sprintf("%d>admin", BindRole)},
		{"bind view by name", clusterRole("r", "[{apiGroups: ["+rbacGroup+"], resources: [clusterroles], verbs: [bind], resourceNames: [view]},"+rule(rbacGroup, "clusterrolebindings", "create")+"]") + crb("a", "r", alice), ""},
		{"half from a group", clusterRole("r", "["+rule(rbacGroup, "clusterroles", "bind")+"]") + crb("a", "r", alice) +
			clusterRole("s", "["+rule(rbacGroup, "clusterrolebindings", "create")+"]") + crb("s", "s", "[{kind: Group, name: 'system:authenticated'}]"),
			fmt.Sprintf("%d>admin", BindRole)},
		{"escalate", clusterRole("r", "["+rule(rbacGroup, "clusterroles", "escalate, patch")+"]") + crb("a", "r", alice), fmt.Sprintf("%d>admin", EscalateRole)},
		{"a rolebinding does not reach clusterroles", clusterRole("r", "["+rule(rbacGroup, "clusterroles", "escalate, patch")+"]") + rb(boss, "a", "ClusterRole", "r", alice), ""},
		{"cluster-admin in kube-system", rb(boss, "a", "ClusterRole", "cluster-admin", alice), toBoss(RunPodAs)},
		{"impersonate masters", clusterRole("r", "["+rule("", "users, groups", "impersonate")+"]") + crb("a", "r", alice), fmt.Sprintf("%d>admin", Impersonate)},
		{"groups alone cannot be impersonated", clusterRole("r", "["+rule("", "groups", "impersonate")+"]") + crb("a", "r", alice), ""},
		{"impersonate a named user", clusterRole("r", "[{apiGroups: [''], resources: [users], verbs: [impersonate], resourceNames: [bob]}]") + crb("a", "r", alice) +
			crb("bob", "cluster-admin", "[{kind: User, name: bob}]"), fmt.Sprintf("%d>User bob 0>admin", Impersonate)},
		{"impersonate accounts", nsRole(boss, "r", "["+rule("", "serviceaccounts", "impersonate")+"]") + rb(boss, "a", "Role", "r", alice), toBoss(Impersonate)},
		{"sign a certificate", clusterRole("r", "["+csr+","+fmt.Sprintf(signer, "kubernetes.io/kube-apiserver-client")+"]") + crb("a", "r", alice) + crb("ops", "cluster-admin", ops),
			fmt.Sprintf("%d>Group ops 0>admin", SignCertificate)},
		{"of another signer", clusterRole("r", "["+csr+","+fmt.Sprintf(signer, "kubernetes.io/kubelet-serving")+"]") + crb("a", "r", alice) + crb("ops", "cluster-admin", ops), ""},
		{"mutating webhooks", clusterRole("r", "["+rule("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "update")+"]") + crb("a", "r", alice), fmt.Sprintf("%d>admin", RewriteRequests)},
		{"aws-auth", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth, namespace: kube-system}\n---\n" +
			nsRole(boss, "r", "[{apiGroups: [''], resources: [configmaps], verbs: [update]}]") + rb(boss, "a", "Role", "r", alice), fmt.Sprintf("%d>admin", MapCloudUser)},
		{"configmaps without aws-auth", nsRole(boss, "r", "[{apiGroups: [''], resources: [configmaps], verbs: [update]}]") + rb(boss, "a", "Role", "r", alice), ""},
		{"by a group", clusterRole("r", createPod) + crb("a", "r", "[{kind: Group, name: 'system:authenticated'}]"),
			fmt.Sprintf("%d>Group system:authenticated %s", MemberOf, toBoss(RunPodAs))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := Build(cluster(t, base+tt.text))
			steps := g.PathToAdmin(user)
			if got := told(steps); got != tt.want {
				t.Errorf("way %q, want %q", got, tt.want)
			}
			for _, s := range steps {
				if s.Kind != MemberOf && len(s.Grants) == 0 && s.From.Name != Masters {
					t.Errorf("step %d of %s has no proof", s.Kind, SubjectString(s.From))
				}
			}
		})
	}
}

// TestOwnPathToAdmin: what everyone may do is a way of system:authenticated alone, and hides no longer way of a subject's own.
func TestOwnPathToAdmin(t *testing.T) {
	token := "apiVersion: v1\nkind: Secret\nmetadata: {name: boss-token, namespace: kube-system, annotations: {kubernetes.io/service-account.name: boss}}\ntype: kubernetes.io/service-account-token\n---\n"
	open := base + token + clusterRole("s", "[{apiGroups: [''], resources: [secrets], verbs: [get]}]") + crb("s", "s", "[{kind: Group, name: 'system:authenticated'}]") +
		account("shop", "mid") + account("shop", "plain") + nsRole("shop", "r", createPod)
	mid := clusterRole("m", "[{apiGroups: [''], resources: [serviceaccounts/token], verbs: [create]}]") + crb("m", "m", sa("shop", "mid"))
	everyone := fmt.Sprintf("%d>ServiceAccount kube-system/boss 0>admin", ReadToken)
	group := "[{kind: Group, name: devs}]"
	tests := []struct {
		name, text string
		who        Subject
		own, all   string
	}{
		{"everyone", "", Group(Authenticated), everyone, everyone},
		{"a pod as an account without rights", rb("shop", "a", "Role", "r", group), Group("devs"), "", fmt.Sprintf("%d>Group system:authenticated %s", MemberOf, everyone)},
		{"an account without rights", "", Account("shop", "plain"), "", fmt.Sprintf("%d>Group system:authenticated %s", MemberOf, everyone)},
		{"no binding", "", Subject{Kind: "User", Name: "bob"}, "", fmt.Sprintf("%d>Group system:authenticated %s", MemberOf, everyone)},
		{"a longer way of its own", rb("shop", "a", "Role", "r", group) + mid, Group("devs"),
			fmt.Sprintf("%d>ServiceAccount shop/mid %d>ServiceAccount kube-system/boss 0>admin", RunPodAs, MintToken), fmt.Sprintf("%d>Group system:authenticated %s", MemberOf, everyone)},
	}
	for _, tt := range tests {
		g := Build(cluster(t, open+tt.text))
		if got := told(g.OwnPathToAdmin(tt.who)); got != tt.own {
			t.Errorf("%s: own way %q, want %q", tt.name, got, tt.own)
		}
		if got := told(g.PathToAdmin(tt.who)); got != tt.all {
			t.Errorf("%s: way %q, want %q", tt.name, got, tt.all)
		}
	}
}

// TestExecByGet: GET opened a terminal up to Kubernetes 1.34.
func TestExecByGet(t *testing.T) {
	text := clusterRole("r", "[{apiGroups: [''], resources: [pods/exec], verbs: [get]}]") + crb("a", "r", alice)
	for version, want := range map[string]int{"v1.34.4": 1, "v1.35.0": 0, "v1.36.1-eks-9": 0, "": 1, "v1.19.16": 1} {
		c := cluster(t, text)
		c.Version = version
		if got := len(Build(c).Holders(ExecPods, false)); got != want {
			t.Errorf("version %q: %d holders, want %d", version, got, want)
		}
	}
}

// TestWaysEnd: on random clusters every way ends at cluster-admin, has a proof for each step, and does not hang on the
// order in which the objects came.
func TestWaysEnd(t *testing.T) {
	found := 0
	for seed := range int64(1500) {
		c := randomCluster(rand.New(rand.NewSource(seed)))
		for _, ns := range []string{"n0", "n1"} {
			c.ServiceAccounts[ns+"/a"] = &inventory.ServiceAccount{Namespace: ns, Name: "a"}
		}
		g := Build(c)
		slices.Reverse(c.Bindings)
		h := Build(c)
		for _, s := range g.Subjects() {
			steps := g.PathToAdmin(s)
			if other := h.PathToAdmin(s); countSteps(other) != countSteps(steps) {
				t.Fatalf("seed %d: %v has %q, and %q from the same bindings in another order", seed, s, told(steps), told(other))
			}
			if len(steps) == 0 {
				continue
			}
			found++
			if last := steps[len(steps)-1]; last.To.Kind != "" || steps[0].From != s {
				t.Fatalf("seed %d: way of %v: %q", seed, s, told(steps))
			}
			for i, st := range steps {
				if i > 0 && steps[i-1].To != st.From {
					t.Fatalf("seed %d: broken way of %v: %q", seed, s, told(steps))
				}
				if st.Kind != MemberOf && len(st.Grants) == 0 && st.From.Name != Masters {
					t.Fatalf("seed %d: no proof in %q of %v", seed, told(steps), s)
				}
			}
		}
	}
	if found < 800 {
		t.Errorf("only %d ways: too few to prove anything", found)
	}
}

// countSteps leaves out memberships, which cost nothing.
func countSteps(steps []Step) int {
	n := 0
	for _, s := range steps {
		if s.Kind != MemberOf {
			n++
		}
	}
	return n
}

// sized makes a cluster of n RBAC objects as big clusters have them: half bindings, most in namespaces of 50 objects.
func sized(n int) *inventory.Cluster {
	c := inventory.NewCluster("big")
	c.Roles = append(c.Roles, &inventory.Role{Ref: inventory.Ref{Kind: "ClusterRole", Name: "cluster-admin"},
		Rules: []inventory.PolicyRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}}})
	c.Bindings = append(c.Bindings, &inventory.Binding{Ref: inventory.Ref{Kind: "ClusterRoleBinding", Name: "boss"}, RoleKind: "ClusterRole",
		RoleName: "cluster-admin", Subjects: []Subject{Account("kube-system", "boss")}})
	c.ServiceAccounts["kube-system/boss"] = &inventory.ServiceAccount{Namespace: "kube-system", Name: "boss"}
	for i := range n / 2 {
		ns := fmt.Sprint("team-", i/25)
		r := &inventory.Role{Ref: inventory.Ref{Kind: "Role", Namespace: ns, Name: fmt.Sprint("role-", i)}}
		b := &inventory.Binding{Ref: inventory.Ref{Kind: "RoleBinding", Namespace: ns, Name: fmt.Sprint("bind-", i)}, RoleKind: "Role",
			RoleName: r.Ref.Name, Subjects: []Subject{Account(ns, fmt.Sprint("sa-", i)), {Kind: "Group", Name: "dev-" + ns}}}
		if i%20 == 0 {
			r.Ref.Kind, r.Ref.Namespace, b.RoleKind = "ClusterRole", "", "ClusterRole"
			b.Ref.Kind, b.Ref.Namespace = "ClusterRoleBinding", ""
		}
		r.Rules = []inventory.PolicyRule{
			{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"configmaps", "services", "pods"}},
			{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{fmt.Sprint("tls-", i)}},
			{Verbs: []string{"create", "patch"}, APIGroups: []string{"apps"}, Resources: []string{"deployments", "statefulsets"}}}
		if i%3 > 0 {
			r.Rules = r.Rules[:2]
		}
		c.Roles, c.Bindings = append(c.Roles, r), append(c.Bindings, b)
		c.ServiceAccounts[ns+"/"+fmt.Sprint("sa-", i)] = &inventory.ServiceAccount{Namespace: ns, Name: fmt.Sprint("sa-", i)}
		c.Workloads = append(c.Workloads, &inventory.Workload{Ref: inventory.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: ns,
			Name: fmt.Sprint("app-", i)}, ServiceAccount: fmt.Sprint("sa-", i)})
	}
	return c
}

// BenchmarkGraph builds the graph, asks for every capability and finds every subject's way to cluster-admin.
func BenchmarkGraph(b *testing.B) {
	for _, n := range []int{1000, 2000, 5000, 10000, 20000} {
		c := sized(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				g := Build(c)
				for cap := range capabilities {
					g.Holders(cap, false)
				}
				ways := 0
				for _, s := range g.Subjects() {
					if g.PathToAdmin(s) != nil {
						ways++
					}
				}
				if ways < n/60 {
					b.Fatalf("%d ways", ways)
				}
			}
		})
	}
}
