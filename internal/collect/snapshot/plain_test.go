package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

const kubectlList = `apiVersion: v1
items:
- apiVersion: v1
  data:
    script: |
      - apiVersion: not a new item
      kind: not a key
      ---
  kind: ConfigMap
  metadata:
    managedFields:
    - manager: kubectl
    name: c
- apiVersion: v1
  data:
    k: aGlkZGVu
  kind: Secret
  metadata:
    name: s
kind: List
metadata:
  resourceVersion: ""
`

func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPlainFolder(t *testing.T) {
	dir := write(t, map[string]string{
		"all.yaml":          kubectlList,
		"sub/pods.json":     `{"apiVersion":"v1","items":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","managedFields":[{}]}}],"kind":"List"}`,
		"raw.json":          `{"kind":"DeploymentList","apiVersion":"apps/v1","metadata":{},"items":[{"metadata":{"name":"d"}}]}`,
		"one.json":          "\ufeff{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"svc\"}}",
		"docs.yml":          "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n# nothing\n---\r\napiVersion: v1\r\nkind: Node\r\nmetadata: {name: n1}\r\nstatus: {nodeInfo: {kubeletVersion: v1.31.2-eks-1}}\r\n",
		"nested.json":       `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"x"}}{"kind":"List","apiVersion":"v1","items":[{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"y"}}]}`,
		"node.yaml":         "apiVersion: stockade.dev/v1\nkind: NodeFacts\nmetadata: {name: n1}\n",
		"values.yaml":       "replicas: 3\n",
		"notes.txt":         "apiVersion: v1\nkind: Pod\n",
		".git/config.yaml":  "apiVersion: v1\nkind: Pod\nmetadata: {name: hidden}\n",
		"kustomization.yml": "resources: [a.yaml]\n",
	})
	r := read(t, dir, Limits{})
	if r.err != nil || len(r.notScanned) != 0 {
		t.Fatalf("%v\n%s", r.err, r.told())
	}
	want := "Namespace/a Node/n1 ServiceAccount/x ServiceAccount/y Secret/s ConfigMap/c NodeFacts/n1 Service/svc Deployment/d Pod/p"
	if r.kinds() != want {
		t.Errorf("got  %s\nwant %s", r.kinds(), want)
	}
	for _, o := range r.objects {
		if inventory.Map(o.Content, "metadata")["managedFields"] != nil || o.Origin.File != "" {
			t.Errorf("%s: %v %v", o.Kind, o.Content, o.Origin.File)
		}
		if strings.Contains(fmt.Sprint(o.Content), "aGlkZGVu") {
			t.Errorf("the Secret's value was kept: %v", o.Content)
		}
	}
	if script := inventory.Str(r.objects[5].Content, "data", "script"); script != "- apiVersion: not a new item\nkind: not a key\n---\n" {
		t.Errorf("%q", script)
	}
	if r.info.Name != "shop" || r.info.Version != "v1.31.2-eks-1" || r.info.Distribution != "eks" || !r.info.Managed {
		t.Errorf("%+v", r.info)
	}
}

func TestPlainFile(t *testing.T) {
	dir := write(t, map[string]string{"cluster.yaml": kubectlList})
	if r := read(t, filepath.Join(dir, "cluster.yaml"), Limits{}); r.err != nil || r.kinds() != "Secret/s ConfigMap/c" || r.info.Name != "cluster" {
		t.Errorf("%v %s %s", r.err, r.kinds(), r.info.Name)
	}
}

func TestPlainBroken(t *testing.T) {
	list := strings.Replace(kubectlList, "kind: Secret", "kind: [Secret", 1)
	long := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: long}\ndata: {k: " + strings.Repeat("x", 200<<10) + "}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: after}\n"
	dir := write(t, map[string]string{"list.yaml": list, "long.yaml": long,
		"cut.json":  `{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"p"}},{"metadata":`,
		"item.json": `{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":01}},{"metadata":{"name":"q"}},{"x":"` + strings.Repeat("y", 200<<10) + `"}]}`})
	r := read(t, dir, Limits{Object: 100 << 10})
	if r.err != nil || r.kinds() != "ConfigMap/c Pod/p Pod/q Pod/after" {
		t.Errorf("%v %s", r.err, r.kinds())
	}
	told := r.told()
	for _, want := range []string{"cut.json|the rest of the file|broken|unexpected EOF", "item.json|an object|broken|item 0: not valid JSON",
		"item.json|an object|limit|item 2 is larger", "long.yaml:1|an object|limit|"} {
		if !strings.Contains(told, want) {
			t.Errorf("not told: %s\n%s", want, told)
		}
	}
	// The broken item begins at line 14 of the list; the place must be counted from the start of the file.
	found := false
	for _, n := range r.notScanned {
		var line int
		if i := strings.Index(n.Target, "list.yaml:"); i >= 0 {
			if _, err := fmt.Sscanf(n.Target[i:], "list.yaml:%d", &line); err == nil && line >= 14 && line <= 20 {
				found = true
			}
		}
	}
	if !found {
		t.Errorf("no place in list.yaml:\n%s", told)
	}
}

// TestPlainOrder emits in the order of reading however the files are named, and in portions when there is much.
func TestPlainOrder(t *testing.T) {
	pods := make([]string, 40)
	for i := range pods {
		pods[i] = fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p%d"},"spec":{"x":"%s"}}`, i, strings.Repeat("y", 1000))
	}
	dir := write(t, map[string]string{"a.json": strings.Join(pods, "\n"), "z.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"})
	r := read(t, dir, Limits{})
	if len(r.objects) != 41 || r.objects[0].Kind != "Namespace" {
		t.Errorf("%s", r.kinds())
	}
}

func FuzzPieces(f *testing.F) {
	f.Add([]byte(kubectlList))
	f.Add([]byte("a: 1\n---\nb: 2\n...\nitems:\n- apiVersion: v1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := newPieces(strings.NewReader(string(data)), 1<<10)
		total := 0
		for range len(data) + 10 {
			text, line, err := p.next()
			if line < 1 {
				t.Fatal("no line")
			}
			if total += len(text); len(text) > 1<<10+1 || total > 2*len(data)+2 {
				t.Fatalf("%d bytes of %d", total, len(data))
			}
			if err != nil && err != errLong {
				return
			}
		}
		t.Fatal("it does not end")
	})
}
