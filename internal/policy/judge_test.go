package policy_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/rules"
)

var library = sync.OnceValues(func() (*rule.Library, error) { return rule.Load(rules.FS) })

func lib(t testing.TB) *rule.Library {
	t.Helper()
	l, err := library()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// parse reads the objects of a YAML text, in the shape that the API server gives them.
func parse(t testing.TB, text string) []*inventory.Object {
	t.Helper()
	list, problems := scan.ParseCase("case.yaml", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, o := range list {
		inventory.DropNulls(o.Content)
		if inventory.Map(o.Content, "metadata") == nil {
			o.Content["metadata"] = map[string]any{}
		}
	}
	return list
}

func judge(t testing.TB, b *policy.Bundle, images policy.Images) *policy.Judge {
	t.Helper()
	j, notes, err := policy.NewJudge(context.Background(), lib(t), b, images)
	if err != nil || len(notes) > 0 {
		t.Fatal(err, notes)
	}
	return j
}

// all is a bundle with one policy.
func all(p policy.Policy) *policy.Bundle {
	if p.ID == 0 {
		p.ID, p.Name = 7, "shop"
	}
	if p.Action == "" {
		p.Action = policy.Block
	}
	return &policy.Bundle{Target: 1, Cluster: "alpha", Lang: "en", Policies: []policy.Policy{p}, System: policy.SystemNamespaces}
}

// told is what a handler got.
type told struct{ list []*finding.Finding }

func (c *told) Begin(finding.Header) error                         { return nil }
func (c *told) Finding(f *finding.Finding) error                   { c.list = append(c.list, f); return nil }
func (c *told) Clause(finding.Clause) error                        { return nil }
func (c *told) NotScanned(finding.NotScanned) error                { return nil }
func (c *told) End(time.Time, finding.Target, finding.Stats) error { return nil }

// TestScanAgrees: on every case of every rule that policies may use, the Judge says what the scan says.
func TestScanAgrees(t *testing.T) {
	cases := os.DirFS("../../rules")
	checked := 0
	for _, r := range policy.Enforceable(lib(t)) {
		dir := path.Join(r.Name, "cases")
		files, err := fs.ReadDir(cases, dir)
		if err != nil {
			t.Fatal(err)
		}
		one, err := (&rule.Library{}).Merge(&rule.Library{Rules: []*rule.Rule{r}})
		if err != nil {
			t.Fatal(err)
		}
		j := judge(t, all(policy.Policy{Rules: []policy.RuleUse{{Rule: r.Name}}, Scope: policy.Scope{SystemNamespaces: true}}), nil)
		for _, f := range files {
			if strings.HasSuffix(f.Name(), ".dockerfile") {
				continue
			}
			data, err := fs.ReadFile(cases, path.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			want, got := map[string]bool{}, map[string]bool{}
			var h told
			source, _ := scan.ParseCase(f.Name(), data)
			if _, err := scan.Run(t.Context(), scan.Config{Library: one, Workers: 1, Header: finding.Header{Target: finding.Target{Kind: "cluster", Name: "alpha"}}}, scan.Objects(source), &h); err != nil {
				t.Fatal(err)
			}
			for _, x := range h.list {
				want[x.RuleID+" "+x.Message.EN] = true
			}
			for _, o := range parse(t, string(data)) {
				for _, operation := range []string{"", "CREATE"} {
					out := j.Judge(t.Context(), &policy.Request{Operation: operation, Object: o, At: now})
					for _, v := range out.Violations {
						got[v.RuleID+" "+v.Message.EN] = true
						if v.Action != policy.Block || v.Exception != 0 || v.Fix.ZH == "" || v.Title.ZH == "" || v.Message.ZH == "" {
							t.Errorf("%s/%s: %+v", r.Name, f.Name(), v)
						}
					}
					for _, u := range out.Undecided {
						t.Errorf("%s/%s: undecided: %s", r.Name, f.Name(), u.Reason)
					}
				}
			}
			if fmt.Sprint(want) != fmt.Sprint(got) {
				t.Errorf("%s/%s:\n scan  %v\n judge %v", r.Name, f.Name(), want, got)
			}
			if strings.HasPrefix(f.Name(), "bad-") && len(got) == 0 {
				t.Errorf("%s/%s: a bad case passes", r.Name, f.Name())
			}
			checked++
		}
	}
	if checked < 300 {
		t.Fatalf("%d cases only", checked)
	}
	t.Log(checked, "cases")
}

const badPod = `
apiVersion: v1
kind: Pod
metadata: {name: till-1, namespace: shop, labels: {app: till}}
spec:
  initContainers: [{name: first, image: "registry.example.com/first:1", securityContext: {privileged: true}}]
  containers:
  - {name: web, image: "nginx:1.25", securityContext: {privileged: true}}
  - {name: log, image: "registry.example.com/log:2"}
`

const privileged = "workload/privileged-container"

func names(o policy.Outcome) string {
	var out []string
	for _, v := range o.Violations {
		s := v.Rule + " " + v.Container + " " + string(v.Action)
		if v.Exception != 0 {
			s += fmt.Sprint(" exception ", v.Exception)
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// TestScope holds what decides whether a policy looks at a request.
func TestScope(t *testing.T) {
	both := privileged + " first block; " + privileged + " web block"
	web, first := privileged+" web block", privileged+" first block"
	for name, c := range map[string]struct {
		scope   policy.Scope
		change  func(*policy.Request)
		cluster []string // users of the bundle
		want    string
	}{
		"nothing set":                  {want: both},
		"namespace":                    {scope: policy.Scope{Namespaces: []string{"shop"}}, want: both},
		"namespace by its beginning":   {scope: policy.Scope{Namespaces: []string{"sh*"}}, want: both},
		"namespace by its end":         {scope: policy.Scope{Namespaces: []string{"*op"}}, want: both},
		"namespace by its middle":      {scope: policy.Scope{Namespaces: []string{"*ho*"}}, want: both},
		"no pattern in the middle":     {scope: policy.Scope{Namespaces: []string{"s*p"}}, want: ""},
		"another namespace":            {scope: policy.Scope{Namespaces: []string{"bank"}}, want: ""},
		"excluded namespace":           {scope: policy.Scope{ExcludedNamespaces: []string{"s*"}}, want: ""},
		"system namespace":             {change: in("kube-system"), want: ""},
		"system namespace, asked for":  {scope: policy.Scope{SystemNamespaces: true}, change: in("kube-system"), want: both},
		"kind":                         {scope: policy.Scope{Kinds: []string{"Deployment.apps", "Pod"}}, want: both},
		"another kind":                 {scope: policy.Scope{Kinds: []string{"Deployment"}}, want: ""},
		"kind of another group":        {scope: policy.Scope{Kinds: []string{"Pod.apps"}}, want: ""},
		"object selector":              {scope: policy.Scope{ObjectSelector: "app in (till,bank)"}, want: both},
		"another object selector":      {scope: policy.Scope{ObjectSelector: "app!=till"}, want: ""},
		"namespace selector":           {scope: policy.Scope{NamespaceSelector: "team=shop"}, want: both},
		"another namespace selector":   {scope: policy.Scope{NamespaceSelector: "!team"}, want: ""},
		"operation":                    {scope: policy.Scope{Operations: []string{"UPDATE"}}, want: ""},
		"operation of what is there":   {scope: policy.Scope{Operations: []string{"UPDATE"}}, change: func(r *policy.Request) { r.Operation = "" }, want: both},
		"user":                         {scope: policy.Scope{Users: []string{"eve"}}, want: ""},
		"user is no pattern":           {scope: policy.Scope{Users: []string{"ev*"}}, want: both},
		"group":                        {scope: policy.Scope{Groups: []string{"deployers"}}, want: ""},
		"user of what is there":        {scope: policy.Scope{Users: []string{"eve"}}, change: func(r *policy.Request) { r.Operation = "" }, want: both},
		"user of the cluster":          {cluster: []string{"eve"}, want: ""},
		"images":                       {scope: policy.Scope{Images: []string{"nginx:*"}}, want: web},
		"excluded images":              {scope: policy.Scope{ExcludedImages: []string{"docker.io/library/nginx"}}, want: first},
		"images that are not there":    {scope: policy.Scope{Images: []string{"quay.io/*"}}, want: ""},
		"another cluster":              {scope: policy.Scope{Clusters: []int64{2}}, want: ""},
		"this cluster":                 {scope: policy.Scope{Clusters: []int64{2, 1}}, want: both},
		"everything set, one does not": {scope: policy.Scope{Namespaces: []string{"shop"}, Kinds: []string{"Pod"}, ObjectSelector: "app=bank"}, want: ""},
	} {
		b := all(policy.Policy{Rules: []policy.RuleUse{{Rule: privileged}}, Scope: c.scope})
		b.Users = c.cluster
		r := &policy.Request{Operation: "CREATE", User: "eve", Groups: []string{"deployers"}, Object: parse(t, badPod)[0], NamespaceLabels: map[string]string{"team": "shop"}, At: now}
		if c.change != nil {
			c.change(r)
		}
		if got := names(judge(t, b, nil).Judge(t.Context(), r)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func in(namespace string) func(*policy.Request) {
	return func(r *policy.Request) {
		o := *r.Object
		o.Namespace = namespace
		r.Object = &o
	}
}

// TestActions holds actions of policies and rules, parameters, and roll-outs.
func TestActions(t *testing.T) {
	o := parse(t, badPod)[0]
	p := policy.Policy{Action: policy.Warn, Rules: []policy.RuleUse{{Rule: privileged, Action: policy.Block}, {Rule: "image/latest-tag"}},
		Rollout: policy.Rollout{Warn: now, Block: now.Add(time.Hour)}}
	j := judge(t, all(p), nil)
	for at, want := range map[time.Time]policy.Action{now.Add(-time.Second): policy.Audit, now: policy.Warn, now.Add(time.Hour): policy.Block} {
		out := j.Judge(t.Context(), &policy.Request{Object: o, At: at})
		if out.Action() != want {
			t.Errorf("at %s: %s, want %s", at, out.Action(), want)
		}
	}
	if got := (&policy.Outcome{Violations: []policy.Violation{{Action: policy.Block, Exception: 3}}, Undecided: []policy.Undecided{{Action: policy.Warn}}}); got.Action() != policy.Warn {
		t.Error(got.Action())
	}
}

// TestUpdates: what an update leaves alone is not judged again, what it makes bad is; a good object that a patch turns bad is found.
func TestUpdates(t *testing.T) {
	old := parse(t, badPod)[0]
	j := judge(t, all(policy.Policy{Rules: []policy.RuleUse{{Rule: privileged}}, Checks: []policy.ImageCheck{{Check: policy.Tag}}}), nil)
	ask := func(text string, old *inventory.Object, sub string) string {
		return names(j.Judge(t.Context(), &policy.Request{Operation: "UPDATE", SubResource: sub, Object: parse(t, text)[0], Old: old, At: now}))
	}
	if got := ask(strings.Replace(badPod, "labels: {app: till}", "labels: {app: bank}, finalizers: []", 1), old, ""); got != "" {
		t.Errorf("other labels: %q", got)
	}
	good := parse(t, strings.ReplaceAll(badPod, ", securityContext: {privileged: true}", ""))[0]
	if got := ask(badPod, good, ""); got != privileged+" first block; "+privileged+" web block" {
		t.Errorf("a patch that turns a good object bad: %q", got)
	}
	ephemeral := badPod + "  ephemeralContainers: [{name: debug, image: \"busybox\", securityContext: {privileged: true}}]\n"
	if got := ask(ephemeral, old, "ephemeralcontainers"); !strings.Contains(got, privileged+" debug block") || !strings.Contains(got, "image/tag debug block") || strings.Contains(got, "image/tag web") {
		t.Errorf("an ephemeral container: %q", got)
	}
}

// knows answers for images by name.
type knows map[string]*policy.ImageVerdict

var asked []string

func (k knows) Verdict(_ context.Context, reference, namespace string, secrets []string) (*policy.ImageVerdict, error) {
	asked = append(asked, fmt.Sprint(reference, " ", namespace, " ", secrets))
	if v := k[reference]; v != nil {
		return v, nil
	}
	return nil, errors.New("away")
}

func fails(check int, kind policy.Check) policy.Failure {
	return policy.Failure{Policy: 7, Check: check, Kind: kind, Count: 1, Worst: "critical", Items: []string{"CVE-2021-44228 log4j-core"}, Message: finding.Text{EN: "1 critical", ZH: "1 个严重"}}
}

// TestImages: every image of a pod is judged, whoever runs it: init, sidecar and ephemeral containers, image volumes.
func TestImages(t *testing.T) {
	const pod = `
apiVersion: v1
kind: Pod
metadata: {name: till, namespace: shop}
spec:
  imagePullSecrets: [{name: pull}]
  initContainers:
  - {name: first, image: "bad:1"}
  - {name: side, image: "bad:2", restartPolicy: Always}
  containers: [{name: web, image: "bad:3"}, {name: twice, image: "bad:3"}, {name: good, image: "good:1"}]
  ephemeralContainers: [{name: debug, image: "bad:4"}]
  volumes: [{name: data, image: {reference: "bad:5"}}]
`
	k := knows{"good:1": {State: policy.Known, Scanned: now}}
	for i := 1; i <= 5; i++ {
		k[fmt.Sprint("bad:", i)] = &policy.ImageVerdict{State: policy.Known, Scanned: now, Digest: someDigest, Failed: []policy.Failure{fails(0, policy.Vulnerabilities)}}
	}
	asked = nil
	j := judge(t, all(policy.Policy{Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities}}}), k)
	out := j.Judge(t.Context(), &policy.Request{Object: parse(t, pod)[0], At: now})
	want := "image/vulnerability  block; image/vulnerability debug block; image/vulnerability first block; image/vulnerability side block; image/vulnerability twice block; image/vulnerability web block"
	if got := names(out); got != want || len(out.Undecided) > 0 {
		t.Errorf("%q, %v", got, out.Undecided)
	}
	if len(asked) != 6 || asked[0] != "bad:3 shop [pull]" { // containers first; one question for two containers
		t.Error(asked)
	}
	for _, v := range out.Violations {
		if v.Digest != someDigest || v.Severity != finding.Critical || v.Items[0] == "" || !strings.Contains(v.Message.ZH, "1 个严重") || !strings.HasSuffix(v.Path, "image") && !strings.HasSuffix(v.Path, "reference") {
			t.Errorf("%+v", v)
		}
	}
}

const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// TestWithoutVerdict: what is not known is neither good nor bad; the policy says what becomes of it.
func TestWithoutVerdict(t *testing.T) {
	checks := []policy.ImageCheck{{Check: policy.Vulnerabilities}, {Check: policy.Unscanned, MaxAge: 7, Action: policy.Warn}, {Check: policy.Registry, Allow: []string{"registry.example.com/*"}}}
	one := func(image string) *inventory.Object {
		return parse(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop}\nspec: {containers: [{name: c, image: \""+image+"\"}]}")[0]
	}
	old := now.AddDate(0, 0, -8)
	for name, c := range map[string]struct {
		image, want, undecided string
		verdict                *policy.ImageVerdict
		action                 policy.Action
	}{
		"away":               {image: "registry.example.com/x:1", undecided: "nobody could be asked about the image: away", action: policy.Block},
		"away, other place":  {image: "quay.io/x:1", want: "image/registry c block", undecided: "nobody could be asked about the image: away", action: policy.Block},
		"never seen":         {image: "registry.example.com/x:1", verdict: &policy.ImageVerdict{State: policy.Unknown}, want: "image/unscanned c warn", undecided: "the image was not scanned", action: policy.Block},
		"being scanned":      {image: "registry.example.com/x:1", verdict: &policy.ImageVerdict{State: policy.Scanning}, want: "image/unscanned c warn", undecided: "the image is being scanned", action: policy.Block},
		"failed":             {image: "registry.example.com/x:1", verdict: &policy.ImageVerdict{State: policy.Unread, Reason: "no such tag"}, want: "image/unscanned c warn", undecided: "the image could not be scanned: no such tag", action: policy.Block},
		"fresh":              {image: "registry.example.com/x:1", verdict: &policy.ImageVerdict{State: policy.Known, Scanned: now}},
		"old":                {image: "registry.example.com/x:1", verdict: &policy.ImageVerdict{State: policy.Known, Scanned: old}, want: "image/unscanned c warn", action: policy.Warn},
		"no advisories":      {image: "registry.example.com/x:1", verdict: &policy.ImageVerdict{State: policy.Known, Scanned: now, Open: []policy.OpenCheck{{Policy: 7, Reason: "no advisories for it"}}}, undecided: "no advisories for it", action: policy.Block},
		"of another policy":  {image: "registry.example.com/x:1", verdict: &policy.ImageVerdict{State: policy.Known, Scanned: now, Failed: []policy.Failure{{Policy: 8, Kind: policy.Vulnerabilities}}}},
		"of another version": {image: "registry.example.com/x:1", verdict: &policy.ImageVerdict{State: policy.Known, Scanned: now, Failed: []policy.Failure{fails(5, policy.Vulnerabilities)}}},
		"not said yet":       {image: "registry.example.com/x:1", verdict: &policy.ImageVerdict{State: policy.Known, Scanned: now, Unsaid: []int64{7}}, undecided: "the policy is newer than what is known of the image, and the server could not be asked", action: policy.Block},
		"let in":             {image: "quay.io/x:1", verdict: &policy.ImageVerdict{State: policy.Known, Allowed: []int64{7}, Failed: []policy.Failure{fails(0, policy.Vulnerabilities)}}},
		"no name":            {image: "registry.example.com/../x", want: "image/registry c block", action: policy.Block},
	} {
		j := judge(t, all(policy.Policy{Checks: checks, Unanswered: policy.Block}), knows{c.image: c.verdict})
		out := j.Judge(t.Context(), &policy.Request{Object: one(c.image), At: now})
		undecided := ""
		if len(out.Undecided) > 0 {
			undecided = out.Undecided[0].Reason
		}
		if got := names(out); got != c.want || undecided != c.undecided || len(out.Undecided) > 1 || out.Action() != c.action {
			t.Errorf("%s: %q, %v, %s", name, got, out.Undecided, out.Action())
		}
		// The provider is asked the same, action by action.
		var parts []string
		for _, a := range []policy.Action{policy.Audit, policy.Warn, policy.Block} {
			v, u := j.Image(t.Context(), policy.ImageKey{Policy: 7, Action: a, Image: c.image}, now)
			for _, x := range v {
				parts = append(parts, x.Rule+" c "+string(x.Action))
			}
			if len(u) > 0 != (c.undecided != "") {
				t.Errorf("%s: Image: %v", name, u)
			}
		}
		slices.Sort(parts)
		if strings.Join(parts, "; ") != c.want {
			t.Errorf("%s: Image: %v", name, parts)
		}
	}
	j := judge(t, all(policy.Policy{Checks: checks[:1]}), nil)
	if out := j.Judge(t.Context(), &policy.Request{Object: one("x"), At: now}); out.Action() != policy.Audit || len(out.Undecided) != 1 {
		t.Error(out)
	}
}

// TestAllowedImages: a repository alone is no identity, and a tag stands for what it named when it was added.
func TestAllowedImages(t *testing.T) {
	const other = "sha256:ffff456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, c := range map[string]struct {
		allowed       policy.AllowedImage
		image, digest string
		in            bool
	}{
		"digest":                  {policy.AllowedImage{Digest: someDigest}, "nginx@" + someDigest, "", true},
		"digest of a tag":         {policy.AllowedImage{Digest: someDigest}, "nginx:1", someDigest, true},
		"another digest":          {policy.AllowedImage{Digest: someDigest}, "nginx@" + other, "", false},
		"tag":                     {policy.AllowedImage{Repository: "nginx", Tag: "1", Resolved: someDigest}, "nginx:1", someDigest, true},
		"tag that was moved":      {policy.AllowedImage{Repository: "nginx", Tag: "1", Resolved: someDigest}, "nginx:1", other, false},
		"tag of nobody knows":     {policy.AllowedImage{Repository: "nginx", Tag: "1", Resolved: someDigest}, "nginx:1", "", false},
		"tag, named by digest":    {policy.AllowedImage{Repository: "nginx", Tag: "1", Resolved: someDigest}, "nginx@" + someDigest, "", true},
		"another tag":             {policy.AllowedImage{Repository: "nginx", Tag: "1", Resolved: someDigest}, "nginx:2", someDigest, false},
		"another repository":      {policy.AllowedImage{Repository: "registry.example.com/*", Digest: someDigest}, "nginx@" + someDigest, "", false},
		"repository alone":        {policy.AllowedImage{Repository: "nginx"}, "nginx:1", someDigest, false},
		"expired":                 {policy.AllowedImage{Digest: someDigest, Expires: now}, "nginx@" + someDigest, "", false},
		"key is not decided here": {policy.AllowedImage{Repository: "*", Keys: []policy.Key{{Name: "k"}}}, "nginx:1", someDigest, false},
	} {
		r, err := policy.ParseReference(c.image)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.allowed.Allows(r, c.digest, now); got != c.in {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestExceptions: an exception of a Deployment lets its pods pass, and those only that a controller made of it.
func TestExceptions(t *testing.T) {
	const pod = `
apiVersion: v1
kind: Pod
metadata:
  name: till-6d4cf56db6-x2x4z
  namespace: shop
  labels: {app: till, pod-template-hash: 6d4cf56db6}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: till-6d4cf56db6, controller: true, uid: u}]
spec: {containers: [{name: web, image: "nginx:1.25", securityContext: {privileged: true}}]}
`
	const job = `
apiVersion: v1
kind: Pod
metadata: {name: dump-29012345-abcde, namespace: shop, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: dump-29012345, controller: true}]}
spec: {containers: [{name: web, image: "nginx:1.25", securityContext: {privileged: true}}]}
`
	r := lib(t).Find(privileged)
	print := func(kind, name string) string {
		return finding.Identity{RuleID: r.ID, Cluster: "alpha", Kind: kind, Group: "apps", Namespace: "shop", Name: name, Container: "web"}.Fingerprint()
	}
	const controller = "system:serviceaccount:kube-system:replicaset-controller"
	past, web := privileged+" web block exception 5", privileged+" web block"
	for name, c := range map[string]struct {
		scope      exception.Scope
		text, user string
		operation  string
		policy     policy.Scope
		expires    time.Time
		want       string
	}{
		"workload":                           {scope: exception.Scope{Rule: privileged, Kind: "Deployment", Name: "till"}, operation: "CREATE", user: controller, want: past},
		"workload, by id":                    {scope: exception.Scope{Rule: "STK-*", Namespace: "shop", Name: "till"}, operation: "CREATE", user: controller, want: past},
		"workload of what is there":          {scope: exception.Scope{Rule: privileged, Name: "till"}, want: past},
		"an owner that somebody wrote":       {scope: exception.Scope{Rule: privileged, Kind: "Deployment", Name: "till"}, operation: "CREATE", user: "eve", want: web},
		"ReplicaSets are not judged":         {scope: exception.Scope{Rule: privileged, Kind: "Deployment", Name: "till"}, operation: "CREATE", user: controller, policy: policy.Scope{Kinds: []string{"Pod"}}, want: web},
		"fingerprint":                        {scope: exception.Scope{Fingerprint: print("Deployment", "till")}, operation: "CREATE", user: controller, want: past},
		"another fingerprint":                {scope: exception.Scope{Fingerprint: print("Deployment", "bank")}, operation: "CREATE", user: controller, want: web},
		"another rule":                       {scope: exception.Scope{Rule: "workload/host-pid"}, want: web},
		"another namespace":                  {scope: exception.Scope{Rule: privileged, Namespace: "bank"}, want: web},
		"container":                          {scope: exception.Scope{Rule: privileged, Container: "w*"}, want: past},
		"labels":                             {scope: exception.Scope{Rule: privileged, Labels: "app=till"}, want: past},
		"other labels":                       {scope: exception.Scope{Rule: privileged, Labels: "app=bank"}, want: web},
		"image":                              {scope: exception.Scope{Rule: privileged, Image: "docker.io/library/*"}, want: past},
		"expired":                            {scope: exception.Scope{Rule: privileged}, expires: now, want: web},
		"CronJob":                            {scope: exception.Scope{Rule: privileged, Kind: "CronJob", Name: "dump"}, text: job, operation: "CREATE", user: "system:serviceaccount:kube-system:job-controller", want: past},
		"Job that is not a CronJob's to say": {scope: exception.Scope{Rule: privileged, Kind: "CronJob", Name: "dump"}, text: job, operation: "CREATE", user: "eve", want: web},
	} {
		if c.text == "" {
			c.text = pod
		}
		b := all(policy.Policy{Rules: []policy.RuleUse{{Rule: privileged}}, Scope: c.policy})
		b.Exceptions = []exception.Exception{{ID: 5, Scope: c.scope, Reason: "why", Expires: c.expires}}
		out := judge(t, b, nil).Judge(t.Context(), &policy.Request{Operation: c.operation, User: c.user, Object: parse(t, c.text)[0], At: now})
		if got := names(out); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if (out.Action() == policy.Off) != (c.want == past) {
			t.Errorf("%s: %s", name, out.Action())
		}
	}
}

// TestCacheAgrees: pods of a workload are judged once, and every one gets the same verdict as by a judge that has seen none before.
func TestCacheAgrees(t *testing.T) {
	var p policy.Policy
	for _, r := range policy.Enforceable(lib(t)) {
		if r.Matches("Pod") {
			p.Rules = append(p.Rules, policy.RuleUse{Rule: r.Name})
		}
	}
	warm := judge(t, all(p), nil)
	var texts []string
	for _, image := range []string{"nginx", "nginx:1"} {
		for _, extra := range []string{"", "securityContext: {privileged: true}, ", "securityContext: {runAsUser: 0}, "} {
			for i := range 3 {
				texts = append(texts, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: till-%d, namespace: shop, uid: u%d, labels: {app: till}, annotations: {a: "%d"}}
spec:
  nodeName: n%d
  containers: [{name: web, %simage: "%s", volumeMounts: [{name: kube-api-access-abcd%d, mountPath: /x}]}]
  volumes: [{name: kube-api-access-abcd%d, emptyDir: {}}]
status: {podIP: 10.0.0.%d}
`, i, i, i, i, extra, image, i, i, i))
			}
		}
	}
	for _, text := range texts {
		o := parse(t, text)[0]
		got := warm.Judge(t.Context(), &policy.Request{Object: o, At: now})
		want := judge(t, all(p), nil).Judge(t.Context(), &policy.Request{Object: o, At: now})
		if fmt.Sprint(got.Violations) != fmt.Sprint(want.Violations) {
			t.Errorf("%s\n got %v\nwant %v", text, got.Violations, want.Violations)
		}
	}
}
