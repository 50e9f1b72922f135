package parity

import (
	"context"
	"testing"
	"time"

	"stockade.dev/stockade/internal/constraint"
	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/verdict"
)

// verdicts answers for every image with the same facts, as the server does.
type verdicts struct {
	bundle *policy.Bundle
	facts  *verdict.Facts
}

func (v verdicts) Verdict(_ context.Context, reference, _ string, _ []string) (*policy.ImageVerdict, error) {
	out := verdict.Of(v.bundle, reference, true, v.facts, nil, now)
	return &out, nil
}

// TestPardons: exceptions for vulnerabilities of images that name namespaces or workloads let these in and nobody else, when all that
// was found is accepted; in Gatekeeper as in the preview.
func TestPardons(t *testing.T) {
	lib := library(t)
	facts := &verdict.Facts{Scanned: now, Matched: now, Vulnerabilities: []verdict.Vulnerability{
		{ID: "CVE-2021-44228", Package: "log4j-core", Version: "2.14.1", Fixed: "2.15.0", Severity: finding.Critical}, {ID: "CVE-2014-6271", Package: "bash", Version: "4.3", Severity: finding.Critical}}}
	image := "registry.example.com/shop/web:1"
	in := func(ns string) m {
		return with(workload("Deployment", "web", container("web", image)), "metadata.namespace", ns)
	}
	hashed := owned(with(pod("shop", "web-5d4-x", container("web", image)), "metadata.labels", m{"pod-template-hash": "5d4"}), "apps/v1", "ReplicaSet", "web-5d4")
	by := func(user string, o m) *ask { return &ask{operation: "CREATE", user: user, object: o} }
	both := func(s exception.Scope) []exception.Scope {
		log4j, bash := s, s
		log4j.CVE, bash.Package = "CVE-2021-44228", "bash"
		return []exception.Scope{log4j, bash}
	}
	for _, tt := range []struct {
		name   string
		scopes []exception.Scope
		ask    *ask
		want   bool // refused
		forged bool
	}{
		{"no exception", nil, by("alice", in("shop")), true, false},
		{"namespace", both(exception.Scope{Namespace: "shop"}), by("alice", in("shop")), false, false},
		{"other namespace", both(exception.Scope{Namespace: "shop"}), by("alice", in("pay")), true, false},
		{"half of it", both(exception.Scope{Namespace: "shop"})[:1], by("alice", in("shop")), true, false},
		{"half for the namespace, half for another", []exception.Scope{{CVE: "CVE-2021-44228", Namespace: "shop"}, {Package: "bash", Namespace: "pay"}}, by("alice", in("shop")), true, false},
		{"half for everybody, half for the namespace", []exception.Scope{{CVE: "CVE-2021-44228"}, {Package: "bash", Namespace: "sh*"}}, by("alice", in("shop")), false, false},
		{"all of the image", []exception.Scope{{Image: "registry.example.com/shop/*", Namespace: "shop"}}, by("alice", in("shop")), false, false},
		{"all of another image", []exception.Scope{{Image: "registry.example.com/pay/*", Namespace: "shop"}}, by("alice", in("shop")), true, false},
		{"by what the scan calls them", []exception.Scope{{Rule: "CVE-*", Namespace: "shop"}}, by("alice", in("shop")), false, false},
		{"workload", both(exception.Scope{Namespace: "shop", Kind: "Deployment", Name: "web"}), by("alice", in("shop")), false, false},
		{"another workload", both(exception.Scope{Namespace: "shop", Kind: "Deployment", Name: "api"}), by("alice", in("shop")), true, false},
		{"its pod", both(exception.Scope{Kind: "Deployment", Name: "web"}), by(rsController, hashed), false, false},
		{"bypass: a forged owner", both(exception.Scope{Kind: "Deployment", Name: "web"}), by("mallory", hashed), true, true},
		{"pod of an operator", both(exception.Scope{Kind: "Database", Name: "db"}), by("system:serviceaccount:ops:operator", owned(pod("shop", "db-0", container("web", image)), "db.example.com/v1", "Database", "db")), true, false},
		{"labels", both(exception.Scope{Labels: "app=web"}), by("alice", in("shop")), false, false},
		{"other labels", both(exception.Scope{Labels: "app!=web"}), by("alice", in("shop")), true, false},
		{"container", both(exception.Scope{Container: "web"}), by("alice", in("shop")), false, false},
		{"another container", both(exception.Scope{Container: "web"}), by("alice", workload("Deployment", "web", container("web", image), container("x", image))), true, false},
		{"until there is a fix", []exception.Scope{{CVE: "CVE-2021-44228", Namespace: "shop"}, {Package: "bash", Namespace: "shop"}}, by("alice", in("shop")), true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := bundleOf(imagePolicy(policy.Policy{}))
			for i, s := range tt.scopes {
				b.Exceptions = append(b.Exceptions, exception.Exception{ID: int64(i + 1), Scope: s, Reason: "r", Expires: now.Add(time.Hour), UntilFix: tt.name == "until there is a fix"})
			}
			answered, _, err := policy.NewJudge(t.Context(), lib, b, verdicts{b, facts})
			if err != nil {
				t.Fatal(err)
			}
			g := newGate(t, lib, b, constraint.Options{}, func(k policy.ImageKey) ([]string, error) {
				var out []string
				violations, _ := answered.Image(context.Background(), k, now)
				for i := range violations {
					out = append(out, b.ImageRefusal(&violations[i]))
				}
				return out, nil
			})
			g.unless = func(k policy.ImageKey) (out [][][]int64) {
				violations, _ := answered.Image(context.Background(), k, now)
				for i := range violations {
					out = append(out, violations[i].Unless)
				}
				return out
			}
			j := answered
			if tt.forged { // the preview believes claims
				j = nil
			}
			agree(t, g, j, tt.name, tt.ask, tt.want)
		})
	}
}
