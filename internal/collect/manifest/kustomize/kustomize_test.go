package kustomize

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// tree writes files below a new folder and returns it, without symbolic links.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		full := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func run(t *testing.T, root, dir string) ([]*inventory.Object, []string, []manifest.Problem) {
	t.Helper()
	objs, consumed, problems := Build(context.Background(), root, filepath.Join(root, dir), manifest.Limits{})
	for i, c := range consumed {
		consumed[i] = strings.TrimPrefix(c, root+"/")
	}
	for i := range problems {
		problems[i].File = strings.TrimPrefix(problems[i].File, root+"/")
		if strings.Contains(problems[i].Reason, root) {
			t.Errorf("a path of the machine is in the reason: %s", problems[i].Reason)
		}
	}
	return objs, consumed, problems
}

const deployment = `# of the shop
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      containers:
      # stockade:ignore image/latest-tag reason="pinned by the overlay"
      - name: web
        image: web
        securityContext:
          privileged: true
`

var shop = map[string]string{
	"base/kustomization.yaml":          "resources: [deployment.yaml, service.yaml]\n",
	"base/deployment.yaml":             deployment,
	"base/service.yaml":                "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n",
	"overlays/prod/kustomization.yaml": "resources:\n- ../../base\nnamePrefix: prod-\nnamespace: prod\npatches:\n- path: replicas.yaml\nconfigMapGenerator:\n- name: settings\n  literals: [URL=https://example.com/]\n",
	"overlays/prod/replicas.yaml":      "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 3\n",
	"overlays/prod/unused.yaml":        "apiVersion: v1\nkind: Pod\n",
	"secret.txt":                       "secret",
}

func TestBuild(t *testing.T) {
	root := tree(t, shop)
	objs, consumed, problems := run(t, root, "overlays/prod")
	if len(problems) != 0 {
		t.Fatal(problems)
	}
	want := []string{"base/deployment.yaml", "base/kustomization.yaml", "base/service.yaml", "overlays/prod/kustomization.yaml", "overlays/prod/replicas.yaml"}
	if !slices.Equal(consumed, want) {
		t.Errorf("consumed %v, want %v", consumed, want)
	}
	byKind := map[string]*inventory.Object{}
	for _, o := range objs {
		byKind[o.Kind] = o
		if !o.Origin.Rendered {
			t.Errorf("%s is not marked as rendered", o.Kind)
		}
		if _, ok := o.Annotations()["config.kubernetes.io/origin"]; ok {
			t.Errorf("%s carries the annotation of its origin", o.Kind)
		}
	}
	d := byKind["Deployment"]
	if d == nil || d.Name != "prod-web" || d.Namespace != "prod" {
		t.Fatalf("objects %v", objs)
	}
	if n, ok := inventory.Int(d.Content, "spec", "replicas"); !ok || n != 3 {
		t.Errorf("the patch was not applied: %v", d.Content["spec"])
	}
	if f := strings.TrimPrefix(d.Origin.File, root+"/"); f != "base/deployment.yaml" {
		t.Errorf("file %s", f)
	}
	if line, _ := d.Origin.Locate("spec.template.spec.containers[0].securityContext.privileged"); line != 14 {
		t.Errorf("line %d, want 14", line)
	}
	if line, _ := d.Origin.Locate("spec.replicas"); line != 6 {
		t.Errorf("a field from the patch: line %d, want that of its parent in the base, 6", line)
	}
	if s := d.Origin.Suppressions; len(s) != 1 || s[0].Rule != "image/latest-tag" || s[0].First > 11 || s[0].Last < 14 {
		t.Errorf("suppressions %+v", s)
	}
	c := byKind["ConfigMap"]
	if c == nil || strings.TrimPrefix(c.Origin.File, root+"/") != "overlays/prod/kustomization.yaml" || c.Origin.Line != 8 {
		t.Fatalf("generated object %+v", c)
	}
	if got := inventory.Str(c.Content, "data", "URL"); got != "https://example.com/" {
		t.Errorf("a literal was changed: %q", got)
	}
	if got := c.Origin.Snippet(8); got != "- name: settings" {
		t.Errorf("snippet %q", got)
	}
}

func TestBuildReachesOut(t *testing.T) {
	pod := "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n"
	for name, tc := range map[string]struct {
		kustomization string
		what          string // of the problem
		objects       int
	}{
		"remote base":     {"resources:\n- pod.yaml\n- https://example.com/base?ref=main\n", "resources https://example.com/base?ref=main", 1},
		"github":          {"resources:\n- pod.yaml\n- github.com/a/b//c\n", "resources github.com/a/b//c", 1},
		"upper case":      {"Resources:\n- pod.yaml\n- HTTPS://example.com/base\n", "Resources HTTPS://example.com/base", 1},
		"scp":             {"resources:\n- pod.yaml\n- git@example.com:a/b.git\n", "resources git@example.com:a/b.git", 1},
		"bases":           {"resources:\n- pod.yaml\nbases:\n- ssh://git@example.com/a\n", "bases ssh://git@example.com/a", 1},
		"component":       {"resources:\n- pod.yaml\ncomponents:\n- git::https://example.com/c\n", "components git::https://example.com/c", 1},
		"patch":           {"resources:\n- pod.yaml\npatches:\n- path: https://example.com/p.yaml\n", "patches https://example.com/p.yaml", 1},
		"generator file":  {"resources:\n- pod.yaml\nconfigMapGenerator:\n- name: c\n  files: [a=http://127.0.0.1:1/a, secret.txt]\n", "configMapGenerator a=http://127.0.0.1:1/a", 2},
		"generator env":   {"resources:\n- pod.yaml\nconfigMapGenerator:\n- name: c\n  envs: [http://127.0.0.1:1/a]\n", "configMapGenerator http://127.0.0.1:1/a", 2},
		"crds":            {"resources:\n- pod.yaml\ncrds: [https://example.com/c.yaml]\n", "crds https://example.com/c.yaml", 1},
		"openapi":         {"resources:\n- pod.yaml\nopenapi:\n  path: https://example.com/o.json\n", "openapi https://example.com/o.json", 1},
		"configurations":  {"resources:\n- pod.yaml\nconfigurations: [https://example.com/c.yaml]\n", "configurations https://example.com/c.yaml", 1},
		"replacements":    {"resources:\n- pod.yaml\nreplacements:\n- path: https://example.com/r.yaml\n", "replacements https://example.com/r.yaml", 1},
		"transformer":     {"resources:\n- pod.yaml\ntransformers: [fetch.yaml]\n", "transformers fetch.yaml", 1},
		"inline":          {"resources:\n- pod.yaml\ntransformers:\n- |-\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: x}\n  path: https://example.com/x\n", "transformers apiVersion: builtin", 1},
		"chart":           {"resources:\n- pod.yaml\nhelmCharts:\n- name: x\n  repo: https://example.com\n", "helmCharts", 1},
		"nothing is left": {"resources:\n- https://example.com/base\n", "resources https://example.com/base", 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, map[string]string{"k/kustomization.yaml": tc.kustomization, "k/pod.yaml": pod, "k/secret.txt": "x",
				"k/fetch.yaml": "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: x}\npath: https://example.com/x\n"})
			objs, _, problems := run(t, root, "k")
			if len(objs) != tc.objects {
				t.Errorf("%d objects, want %d: %v", len(objs), tc.objects, problems)
			}
			if len(problems) == 0 || problems[0].What != tc.what || problems[0].Code != finding.Skipped || problems[0].File != "k/kustomization.yaml" {
				t.Errorf("problems %+v, want %q", problems, tc.what)
			}
		})
	}
}

func TestBuildBroken(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'h'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 10) + "]\n"
	}
	for name, tc := range map[string]struct {
		files  map[string]string
		code   finding.Code
		reason string
	}{
		"syntax":         {map[string]string{"kustomization.yaml": "resources: [\n"}, finding.Broken, "yaml"},
		"missing file":   {map[string]string{"kustomization.yaml": "resources: [nope.yaml]\n"}, finding.Broken, "nope.yaml"},
		"unknown field":  {map[string]string{"kustomization.yaml": "resource: [a.yaml]\n"}, finding.Broken, "resource"},
		"outside":        {map[string]string{"kustomization.yaml": "resources: [../out.yaml]\n"}, finding.Broken, "outside the folder"},
		"absolute":       {map[string]string{"kustomization.yaml": "resources: [/etc/hostname]\n"}, finding.Broken, "outside the folder"},
		"broken patch":   {map[string]string{"kustomization.yaml": "resources: [pod.yaml]\npatches:\n- path: p.yaml\n", "pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", "p.yaml": "kind: [\n"}, finding.Broken, ""},
		"alias bomb":     {map[string]string{"kustomization.yaml": "resources: [bomb.yaml]\n", "bomb.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n" + bomb}, finding.Limit, "values"},
		"exec generator": {map[string]string{"kustomization.yaml": "generators: [g.yaml]\n", "g.yaml": "apiVersion: x/v1\nkind: Evil\nmetadata:\n  name: a\n  annotations:\n    config.kubernetes.io/function: |\n      exec: {path: ./evil.sh}\n"}, finding.Broken, ""},
		"cycle":          {map[string]string{"kustomization.yaml": "resources: [a]\n", "a/kustomization.yaml": "resources: [..]\n"}, finding.Broken, "cycle"},
		"component":      {map[string]string{"kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- path: p.yaml\n", "p.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"}, finding.Skipped, "component"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"out.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: out}\n"}
			for n, text := range tc.files {
				files["k/"+n] = text
			}
			top := tree(t, files)
			objs, _, problems := Build(context.Background(), filepath.Join(top, "k"), filepath.Join(top, "k"), manifest.Limits{})
			if len(objs) != 0 || len(problems) == 0 {
				t.Fatalf("%d objects, problems %v", len(objs), problems)
			}
			p := problems[len(problems)-1]
			if p.Code != tc.code || !strings.Contains(p.Reason, tc.reason) {
				t.Errorf("%s %s, want %s %q", p.Code, p.Reason, tc.code, tc.reason)
			}
			if strings.Contains(p.Reason, top) {
				t.Errorf("a path of the machine is in the reason: %s", p.Reason)
			}
		})
	}
}

// TestBuildGrowth uses bases that use each other twice: each level doubles the objects.
func TestBuildGrowth(t *testing.T) {
	files := map[string]string{"l0/kustomization.yaml": "resources: [pod.yaml]\n", "l0/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n"}
	for i := 1; i < 25; i++ {
		n := string(rune('a' + i))
		prev := "../l" + string(rune('a'+i-1))
		if i == 1 {
			prev = "../l0"
		}
		files["x"+n+"/kustomization.yaml"] = "namePrefix: x-\nresources: [" + prev + "]\n"
		files["y"+n+"/kustomization.yaml"] = "namePrefix: y-\nresources: [" + prev + "]\n"
		files["l"+n+"/kustomization.yaml"] = "resources: [../x" + n + ", ../y" + n + "]\n"
	}
	root := tree(t, files)
	_, _, problems := Build(context.Background(), root, filepath.Join(root, "ly"), manifest.Limits{UnpackedBytes: 20_000})
	if len(problems) != 1 || problems[0].Code != finding.Limit {
		t.Fatalf("problems %v", problems)
	}
}

func TestBuildSymlinkOut(t *testing.T) {
	root := tree(t, map[string]string{"k/kustomization.yaml": "resources: [link.yaml]\n", "out/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"})
	if err := os.Symlink("../out/pod.yaml", filepath.Join(root, "k", "link.yaml")); err != nil {
		t.Fatal(err)
	}
	objs, _, problems := Build(context.Background(), filepath.Join(root, "k"), filepath.Join(root, "k"), manifest.Limits{})
	if len(objs) != 0 || len(problems) != 1 || !strings.Contains(problems[0].Reason, "outside the folder") {
		t.Fatalf("objects %v, problems %v", objs, problems)
	}
}

func TestBuildCancelled(t *testing.T) {
	root := tree(t, shop)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	objs, _, problems := Build(ctx, root, filepath.Join(root, "overlays/prod"), manifest.Limits{})
	if len(objs) != 0 || len(problems) == 0 {
		t.Fatalf("objects %v, problems %v", objs, problems)
	}
}
