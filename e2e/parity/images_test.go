package parity

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/constraint"
	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/policy"
)

const bad = "registry.example.com/shop/bad:1"

// blockBad answers that images with "bad" in their names are bad.
func blockBad(k policy.ImageKey) ([]string, error) {
	switch {
	case strings.Contains(k.Image, "unknown"):
		return nil, errors.New("nobody could be asked")
	case strings.Contains(k.Image, "bad"):
		return []string{"[image/vulnerability] Image with vulnerabilities: " + k.Image + ": 3 critical"}, nil
	}
	return nil, nil
}

func imagePolicy(p policy.Policy) policy.Policy {
	if p.Checks == nil {
		p.Checks = []policy.ImageCheck{{Check: policy.Vulnerabilities}}
	}
	return p
}

// TestImageTemplate: images of every sort of container and of every kind that makes pods, each asked for once.
func TestImageTemplate(t *testing.T) {
	lib := library(t)
	g := newGate(t, lib, bundleOf(imagePolicy(policy.Policy{Name: "images"})), constraint.Options{}, blockBad)
	good := container("web", "registry.example.com/shop/good:1")
	p := pod("shop", "web", good)
	for _, tt := range []struct {
		name string
		ask  *ask
		want string // within the refusal; "" is none
	}{
		{"good", &ask{operation: "CREATE", object: p}, ""},
		{"container", &ask{operation: "CREATE", object: pod("shop", "web", good, container("b", bad))}, "[image/vulnerability] container b: Image with vulnerabilities: " + bad + ": 3 critical"},
		{"init", &ask{operation: "CREATE", object: with(p, "spec.initContainers", []any{container("i", bad)})}, "container i: "},
		{"sidecar", &ask{operation: "CREATE", object: with(p, "spec.initContainers", []any{container("s", bad, m{"restartPolicy": "Always"})})}, "container s: "},
		{"ephemeral", &ask{operation: "UPDATE", sub: "ephemeralcontainers", object: with(p, "spec.ephemeralContainers", []any{container("e", bad)}), old: p}, "container e: "},
		{"image volume", &ask{operation: "CREATE", object: with(p, "spec.volumes", []any{m{"name": "models", "image": m{"reference": bad}}, m{"name": "tmp", "emptyDir": m{}}})}, "volume models: "},
		{"several containers of one image", &ask{operation: "CREATE", object: pod("shop", "web", container("a", bad), container("b", bad), container("c", bad), container("d", bad))}, "] container a, container b, container c +1: "},
		{"no images", &ask{operation: "CREATE", object: pod("shop", "web", m{"name": "x"})}, ""},
		{"no spec", &ask{operation: "CREATE", object: m{"apiVersion": "v1", "kind": "Pod", "metadata": m{"name": "x", "namespace": "shop"}}}, ""},
		{"audit", &ask{object: pod("shop", "web", container("b", bad))}, "container b: "},
		{"labels of a running pod whose image became bad", &ask{operation: "UPDATE", object: with(pod("shop", "web", container("b", bad)), "metadata.labels", m{"a": "b"}), old: pod("shop", "web", container("b", bad))}, ""},
		{"patch that turns a good image bad", &ask{operation: "UPDATE", object: pod("shop", "web", container("b", bad)), old: p}, "container b: "},
		{"scale of a Deployment whose image became bad", &ask{operation: "UPDATE", object: with(workload("Deployment", "web", container("b", bad)), "spec.replicas", int64(9)),
			old: workload("Deployment", "web", container("b", bad))}, ""},
		{"bad image beside one that stood there", &ask{operation: "UPDATE", object: pod("shop", "web", container("b", bad), container("c", bad+"2")), old: pod("shop", "web", container("b", bad))}, "container c: "},
		{"system namespace", &ask{operation: "CREATE", object: with(pod("shop", "web", container("b", bad)), "metadata.namespace", "kube-system")}, ""},
		{"another operation", &ask{operation: "DELETE", object: pod("shop", "web", container("b", bad)), old: pod("shop", "web", container("b", bad))}, ""},
	} {
		said := g.review(t, tt.ask)
		switch {
		case tt.want == "" && len(said) > 0:
			t.Errorf("%s: %v", tt.name, said)
		case tt.want != "" && (len(said) != 1 || !strings.HasPrefix(said[0], "deny [image/vulnerability]") || !strings.Contains(said[0], tt.want)):
			t.Errorf("%s: %v, want %q", tt.name, said, tt.want)
		}
	}
	for _, kind := range workloadKinds {
		if said := g.review(t, &ask{operation: "CREATE", object: workload(kind, "web", good, container("b", bad))}); len(said) != 1 {
			t.Errorf("%s: %v", kind, said)
		}
	}
	g.asked = nil
	var uses []any
	for i := range 50 {
		uses = append(uses, container(fmt.Sprintf("c%d", i), fmt.Sprintf("registry.example.com/shop/app:%d", i%5)))
	}
	object := with(pod("shop", "web", uses...), "spec.imagePullSecrets", []any{m{"name": "b"}, m{"name": "a"}, m{"name": "evil|registry.example.com/good"}, m{"name": "x,y"}, m{}})
	if said := g.review(t, &ask{operation: "CREATE", object: object}); len(said) > 0 {
		t.Error(said)
	}
	want := []string{}
	for i := range 5 {
		want = append(want, fmt.Sprintf("|1|block|shop|a,b|registry.example.com/shop/app:%d", i))
	}
	if len(g.asked) != 1 || !slices.Equal(g.asked[0], want) {
		t.Errorf("asked %v, want %v once", g.asked, want)
	}
	if k, err := policy.ParseImageKey(g.asked[0][0]); err != nil || k.String() != g.asked[0][0] || k.Namespace != "shop" || len(k.PullSecrets) != 2 {
		t.Errorf("%+v, %v", k, err)
	}
}

// TestImagesScope: which images are asked about, and for whom.
func TestImagesScope(t *testing.T) {
	lib := library(t)
	digest := "sha256:" + strings.Repeat("0a", 32)
	create := &ask{operation: "CREATE", user: "alice", groups: []string{"devs"}, object: workload("Deployment", "web", container("b", bad))}
	pinned := &ask{operation: "CREATE", object: pod("shop", "web", container("b", bad+"@"+digest))}
	allow := func(a policy.AllowedImage) policy.Policy { return policy.Policy{Allowed: []policy.AllowedImage{a}} }
	for _, tt := range []struct {
		name   string
		policy policy.Policy
		ask    *ask
		want   bool
	}{
		{"all", policy.Policy{}, create, true},
		{"image", policy.Policy{Scope: policy.Scope{Images: []string{"registry.example.com/shop/*"}}}, create, true},
		{"other image", policy.Policy{Scope: policy.Scope{Images: []string{"nginx"}}}, create, false},
		{"excluded image", policy.Policy{Scope: policy.Scope{ExcludedImages: []string{"*/shop/*"}}}, create, false},
		{"user", policy.Policy{Scope: policy.Scope{Users: []string{"alice"}}}, create, false},
		{"group", policy.Policy{Scope: policy.Scope{Groups: []string{"devs"}}}, create, false},
		{"operation", policy.Policy{Scope: policy.Scope{Operations: []string{"UPDATE"}}}, create, false},
		{"namespace", policy.Policy{Scope: policy.Scope{Namespaces: []string{"pay"}}}, create, false},
		{"kind", policy.Policy{Scope: policy.Scope{Kinds: []string{"Pod"}}}, create, false},
		{"allowed digest", allow(policy.AllowedImage{Digest: digest}), pinned, false},
		{"allowed digest of a repository", allow(policy.AllowedImage{Digest: digest, Repository: "registry.example.com/shop/*"}), pinned, false},
		{"allowed digest of another repository", allow(policy.AllowedImage{Digest: digest, Repository: "registry.example.com/pay/*"}), pinned, true},
		{"allowed digest that has expired", allow(policy.AllowedImage{Digest: digest, Expires: now}), pinned, true},
		{"allowed digest needs the digest", allow(policy.AllowedImage{Digest: digest}), create, true},
		{"bypass: the digest in another place", allow(policy.AllowedImage{Digest: digest}), &ask{operation: "CREATE", object: pod("shop", "web", container("b", "registry.example.com/"+strings.ReplaceAll(digest, ":", "-")+"/bad:1"))}, true},
		{"bypass: digest and more", allow(policy.AllowedImage{Digest: digest}), &ask{operation: "CREATE", object: pod("shop", "web", container("b", "bad@"+digest+"@sha256:"+strings.Repeat("1b", 32)))}, true},
	} {
		g := newGate(t, lib, bundleOf(imagePolicy(tt.policy)), constraint.Options{}, blockBad)
		if said := g.review(t, tt.ask); (len(said) > 0) != tt.want {
			t.Errorf("%s: %v", tt.name, said)
		}
	}
}

// TestUnanswered: the provider is away, or knows nothing: the policy says what happens, and one question is put however many policies
// there are.
func TestUnanswered(t *testing.T) {
	lib := library(t)
	object := func(image string) *ask {
		return &ask{operation: "CREATE", object: pod("shop", "web", container("b", image))}
	}
	for unanswered, want := range map[policy.Action]string{"": "", policy.Audit: "", policy.Warn: "warn", policy.Block: "deny"} {
		for _, away := range []bool{true, false} {
			answer := blockBad
			if away {
				answer = nil
			}
			g := newGate(t, lib, bundleOf(imagePolicy(policy.Policy{Name: `50% "off"`, Unanswered: unanswered})), constraint.Options{}, answer)
			said := g.review(t, object("registry.example.com/unknown:1"))
			if want == "" && len(said) > 0 || want != "" && (len(said) != 1 || !strings.HasPrefix(said[0], want+" [image/unanswered] container b: No verdict on the image: registry.example.com/unknown:1: ") ||
				!strings.Contains(said[0], `Policy "50% "off""; more or an exception: https://stockade.example.com/protection/why?policy=1&rule=image/unanswered`)) {
				t.Errorf("unanswered %q, away %v: %v", unanswered, away, said)
			}
			if said := g.review(t, object("registry.example.com/good:1")); !away && len(said) > 0 {
				t.Errorf("unanswered %q: %v", unanswered, said)
			}
		}
	}
	// The name of an image that is too long to ask about is not let in by being too long.
	g := newGate(t, lib, bundleOf(imagePolicy(policy.Policy{Unanswered: policy.Block})), constraint.Options{}, blockBad)
	if said := g.review(t, object("bad"+strings.Repeat("d", 3000))); len(said) != 1 || len(said[0]) > 1300 {
		t.Errorf("long name: %v", said)
	}
	// Two policies of two actions each: four constraints, one question.
	checks := []policy.ImageCheck{{Check: policy.Vulnerabilities, Action: policy.Block}, {Check: policy.Malware, Action: policy.Warn}}
	g = newGate(t, lib, bundleOf(policy.Policy{Checks: checks}, policy.Policy{Checks: checks, Name: "b"}), constraint.Options{Adopted: true}, blockBad)
	if said := g.review(t, object(bad)); len(said) != 4 || len(g.asked) != 1 || len(g.asked[0]) != 4 || !strings.HasPrefix(g.asked[0][0], "g1|1|block|shop||") {
		t.Errorf("%v\nasked %v", said, g.asked)
	}
}

// TestImageExceptions: exceptions that name image checks hold for whom they name.
func TestImageExceptions(t *testing.T) {
	lib := library(t)
	web := workload("Deployment", "web", container("b", bad), container("c", bad))
	hashed := owned(with(pod("shop", "web-5d4-x", container("b", bad)), "metadata.labels", m{"pod-template-hash": "5d4"}), "apps/v1", "ReplicaSet", "web-5d4")
	for _, tt := range []struct {
		scope exception.Scope
		ask   *ask
		want  string
	}{
		{exception.Scope{Rule: "image/vulnerability"}, &ask{operation: "CREATE", object: web}, ""},
		{exception.Scope{Rule: "image/*", Namespace: "sh*", Kind: "Deployment", Name: "web"}, &ask{operation: "CREATE", object: web}, ""},
		{exception.Scope{Rule: "image/malware"}, &ask{operation: "CREATE", object: web}, "container b"},
		{exception.Scope{Rule: "image/vulnerability", Name: "api"}, &ask{operation: "CREATE", object: web}, "container b"},
		{exception.Scope{Rule: "image/vulnerability", Container: "b"}, &ask{operation: "CREATE", object: web}, "container c: "},
		{exception.Scope{Rule: "image/vulnerability", Image: "registry.example.com/shop/bad"}, &ask{operation: "CREATE", object: web}, ""},
		{exception.Scope{Rule: "image/vulnerability", Image: "registry.example.com/pay/*"}, &ask{operation: "CREATE", object: web}, "container b"},
		{exception.Scope{Rule: "image/vulnerability", Labels: "app=web"}, &ask{operation: "CREATE", object: web}, ""},
		{exception.Scope{Rule: "image/vulnerability", Labels: "app!=web"}, &ask{operation: "CREATE", object: web}, "container b"},
		{exception.Scope{Rule: "image/*", Kind: "Deployment", Name: "web"}, &ask{operation: "CREATE", user: rsController, object: hashed}, ""},
		{exception.Scope{Rule: "image/*", Kind: "Deployment", Name: "web"}, &ask{operation: "CREATE", user: "mallory", object: hashed}, "container b"},
	} {
		b := bundleOf(imagePolicy(policy.Policy{}))
		b.Exceptions = []exception.Exception{{ID: 1, Scope: tt.scope, Reason: "r"}}
		g := newGate(t, lib, b, constraint.Options{}, blockBad)
		said := g.review(t, tt.ask)
		if tt.want == "" && len(said) > 0 || tt.want != "" && (len(said) != 1 || !strings.Contains(said[0], tt.want)) {
			t.Errorf("%+v: %v, want %q", tt.scope, said, tt.want)
		}
	}
}

// TestImageRollout: at the audit stage everything is a dry run, what happens to images without an answer too.
func TestImageRollout(t *testing.T) {
	lib := library(t)
	p := imagePolicy(policy.Policy{Unanswered: policy.Block, Rollout: policy.Rollout{Warn: now.Add(time.Hour), Block: now.Add(time.Hour)}})
	g := newGate(t, lib, bundleOf(p), constraint.Options{}, blockBad)
	actions := map[string]bool{}
	for _, image := range []string{bad, "unknown"} {
		for _, s := range g.review(t, &ask{operation: "CREATE", object: pod("shop", "web", container("b", image))}) {
			actions[strings.Fields(s)[0]] = true
		}
	}
	if got := slices.Sorted(maps.Keys(actions)); !slices.Equal(got, []string{"dryrun"}) {
		t.Error(got)
	}
}

// TestImageNames: the template reads names of images as the preview does.
func TestImageNames(t *testing.T) {
	lib := library(t)
	digest := "sha256:" + strings.Repeat("0a", 32)
	images := []string{"nginx", "nginx:1.27", "library/nginx", "docker.io/nginx:1", "index.docker.io/library/nginx", "Docker.IO/library/nginx:2", "shop/web", "registry.example.com:5000/shop/web:1@" + digest,
		"registry.example.com/shop/web@" + digest, "localhost/web", "LOCALHOST/web", "registry.example.com.evil.example/shop/web", "[2001:db8::1]:5000/web", "NGINX", "nginx:", "a|b", "nginx@sha256:00",
		"registry.example.com/../web", "localhost:5000", "пример.example.com/web", strings.Repeat("a", 600)}
	for _, pattern := range []string{"nginx", "nginx:*", "docker.io/*", "library/nginx", "registry.example.com/*", "*/shop/*", "*@sha256:*", "*:latest", "shop/*", "localhost/*", "*"} {
		for _, scope := range []policy.Scope{{Images: []string{pattern}}, {ExcludedImages: []string{pattern}}} {
			p := imagePolicy(policy.Policy{Scope: scope, Checks: []policy.ImageCheck{{Check: policy.Tag}}})
			g := newGate(t, lib, bundleOf(p), constraint.Options{}, func(policy.ImageKey) ([]string, error) { return []string{"[image/tag] x"}, nil })
			for _, image := range images {
				r, err := policy.ParseReference(image)
				judged := err != nil || policy.MatchImage(pattern, r) == (scope.Images != nil)
				if said := g.review(t, &ask{operation: "CREATE", object: pod("shop", "web", container("b", image))}); (len(said) > 0) != judged {
					t.Errorf("%+v on %q: %v, want %v", scope, image, said, judged)
				}
			}
		}
	}
}
