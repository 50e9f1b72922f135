package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	reference "helm.sh/helm/v4/pkg/engine"

	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

func describe(objs []*inventory.Object, problems []manifest.Problem) []string {
	var out []string
	for _, o := range objs {
		out = append(out, fmt.Sprintf("%s %s %s:%d", o.Kind, o.Name, o.Origin.File, o.Origin.Line))
	}
	for _, p := range problems {
		out = append(out, fmt.Sprintf("%s %s %s", p.Code, p.Place(), p.Reason))
	}
	return out
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

type commonFile = common.File

const shop = "testdata/shop"

func TestRender(t *testing.T) {
	objs, problems := Render(context.Background(), shop, nil, nil, manifest.Limits{})
	same(t, describe(objs, problems),
		"Service redis testdata/shop/charts/cache/templates/service.yaml:1",
		"CustomResourceDefinition things.example.com testdata/shop/crds/thing.yaml:2",
		"ConfigMap release testdata/shop/templates/config.yaml:1",
		"Deployment release-shop testdata/shop/templates/deployment.yaml:2",
		"skipped testdata/shop/Chart.yaml it is not in the folder charts/; run helm dependency build first",
		`broken testdata/shop/templates/_helpers.tpl:6 nil pointer evaluating interface {}.deep (while rendering testdata/shop/templates/helper-fails.yaml)`,
		"broken testdata/shop/templates/fails.yaml:4 a name is needed",
		"broken testdata/shop/templates/not-yaml.yaml:6:4 this line is indented deeper than the value above it allows",
		`broken testdata/shop/templates/unparsable.yaml:2 function "nosuchfunction" not defined`,
	)
	config := objs[2]
	data := inventory.StrMap(config.Content, "data")
	for key, want := range map[string]string{"note": "release of shop", "cachePort": "6379", "kube": "36", "secret": "none", "files": "a.conf: |\n  a = 1"} {
		if data[key] != want {
			t.Errorf("%s is %q, want %q", key, data[key], want)
		}
	}
	if v := inventory.List(config.Content, "data", "missing"); v == nil || len(v) != 0 {
		t.Errorf("a missing value printed %v", v)
	}
}

func TestRenderPositions(t *testing.T) {
	objs, _ := Render(context.Background(), shop, nil, nil, manifest.Limits{})
	i := slices.IndexFunc(objs, func(o *inventory.Object) bool { return o.Kind == "Deployment" })
	o := objs[i]
	if !o.Origin.Rendered {
		t.Error("not marked as rendered")
	}
	for path, want := range map[string][2]int{
		"":                                       {2, 1},
		"metadata.name":                          {5, 3},
		"metadata.labels":                        {6, 3},
		"metadata.labels.release":                {7, 0}, // made by include
		"metadata.annotations":                   {8, 3},
		"spec.replicas":                          {11, 3},
		"spec.template.spec":                     {13, 5},
		"spec.template.spec.hostPID":             {13, 5},
		"spec.template.spec.containers":          {17, 7},
		"spec.template.spec.hostNetwork":         {29, 7},
		"spec.template.spec.containers[0].image": {21, 9},
		"spec.template.spec.containers[1].image": {21, 9}, // a loop has one line
		"spec.template.spec.containers[1].securityContext":             {25, 9},
		"spec.template.spec.containers[1].securityContext.privileged":  {26, 0}, // made by toYaml
		"spec.template.spec.containers[1].resources":                   {20, 9},
		"spec.template.spec.containers[0].ports[0].containerPort":      {23, 11},
		"spec.template.spec.containers[0].ports[0].hostPort.something": {23, 11},
	} {
		line, col := o.Origin.Locate(path)
		if line != want[0] || want[1] > 0 && col != want[1] {
			t.Errorf("%s: %d:%d, want %d:%d", path, line, col, want[0], want[1])
		}
	}
	if got := o.Origin.Snippet(29); got != "      hostNetwork: true" {
		t.Errorf("snippet %q", got)
	}
	if s := o.Origin.Suppressions; len(s) != 2 || s[0].Line != 19 || s[0].First != 19 || s[0].Last != 26 {
		t.Errorf("suppressions %+v", s)
	}
}

func TestRenderValues(t *testing.T) {
	objs, _ := Render(context.Background(), shop, nil, []string{"testdata/shop/values-prod.yaml"}, manifest.Limits{})
	var names []string
	for _, o := range objs {
		names = append(names, o.Kind+" "+o.Name)
		if o.Kind == "Deployment" {
			image := o.Containers()[0].Content["image"]
			if image != "example.com/shop:1.0" {
				t.Errorf("image %v", image)
			}
		}
	}
	same(t, names, "Service second", "Service redis", "Pod spare", "CustomResourceDefinition things.example.com", "ConfigMap release", "Deployment release-shop")
	_, problems := Render(context.Background(), shop, nil, []string{"testdata/none.yaml"}, manifest.Limits{})
	same(t, describe(nil, problems), "broken testdata/none.yaml no such file or directory")
	_, problems = Render(context.Background(), shop, nil, []string{"testdata/shop/values.yaml"}, manifest.Limits{FileBytes: 10})
	if len(problems) != 1 {
		t.Error(problems)
	}
}

// TestAgainstHelm holds the engine against Helm's own on templates that use what charts use.
func TestAgainstHelm(t *testing.T) {
	c, err := loader.LoadDir(shop)
	if err != nil {
		t.Fatal(err)
	}
	c.Templates = slices.DeleteFunc(c.Templates, func(f *commonFile) bool { return failing(f.Name) })
	top, err := topValues(c, map[string]any{"spare": map[string]any{"enabled": true}})
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{
		"{{- range $k, $v := .Values.image }}\n{{ $k }}: {{ $v | quote }}\n{{- end }}\n{{ with .Values.none }}x{{ else }}y{{ end }}",
		"{{ define \"a\" }}<{{ . }}>{{ end }}{{ template \"a\" .Values.replicas }}{{ template \"a\" }}{{ block \"b\" 1 }}{{ . }}{{ end }}",
		"{{ .Values.nothing }}|{{ .Values.nothing | default 3 }}|{{ print nil }}|{{ .Values.ports }}|{{ .Values.image }}",
		"{{ range $i, $e := until 5 }}{{ if eq $i 3 }}{{ break }}{{ end }}{{ if eq $i 1 }}{{ continue }}{{ end }}{{ $e }},{{ end }}",
		"{{ $x := 1 }}{{ $x = add $x 2 }}{{ $x }}{{ range 3 }}{{ . }}{{ end }}{{ printf \"%5.2f|%v|%s\" 1.5 .Values.ports \"a\" }}",
		"{{ toYaml .Values | indent 2 }}\n{{ toJson .Values }}\n{{ toToml (dict \"a\" 1) }}\n{{ fromYaml \"a: [1, x]\" }}{{ fromJson \"[\" }}{{ toYamlPretty .Values.securityContext }}",
		"{{ tpl \"{{ include \\\"shop.labels\\\" . }}{{ range .Values.ports }}{{ . }} {{ end }}\" . }}{{ .Template.Name }} {{ .Template.BasePath }}",
		"{{ join \"-\" (list 1 2 \"x\") }}{{ repeat 3 \"ab\" }}{{ replace \"a\" \"b\" \"aaa\" }}{{ regexReplaceAll \"a(.)\" \"axay\" \"$1\" }}{{ nindent 4 \"a\\nb\" }}{{ seq 3 }}{{ untilStep 0 6 2 }}",
		"{{ .Capabilities.APIVersions.Has \"apps/v1\" }}{{ .Capabilities.KubeVersion }}{{ semverCompare \">=1.30-0\" .Capabilities.KubeVersion.Version }}{{ .Chart.Version }}{{ .Chart.IsRoot }}",
		"{{ html \"<a>\" }}{{ js \"'\" }}{{ urlquery \"a b\" }}{{ not true }}{{ and 1 0 }}{{ or 0 2 }}{{ len .Values.ports }}{{ index .Values.ports 1 }}{{ slice (list 1 2 3) 1 2 }}{{ eq 1 1 }}{{ ternary \"a\" \"b\" true }}",
		"{{ $d := dict \"a\" (dict \"b\" 1) }}{{ $_ := set $d \"c\" 2 }}{{ $d.a.b }}{{ merge $d (dict \"z\" 1) | toJson }}{{ keys (dict \"k\" 1) }}{{ hasKey $d \"a\" }}{{ get $d \"c\" }}{{ pick $d \"c\" }}{{ dig \"a\" \"b\" 0 $d }}",
		"{{ .Files.Get \"config/a.conf\" }}{{ .Files.Lines \"config/a.conf\" }}{{ (.Files.Glob \"config/**\").AsSecrets }}{{ .Files.Get \"none\" }}{{ range $n, $d := .Files.Glob \"*/a.*\" }}{{ $n }}{{ end }}",
		"{{ b64enc \"a\" }}{{ b64dec \"YQ==\" }}{{ sha256sum \"a\" }}{{ upper \"a\" }}{{ trunc 2 \"abc\" }}{{ trimSuffix \"c\" \"abc\" }}{{ int \"7\" }}{{ int64 7.9 }}{{ mul 2 3 }}{{ div 7 2 }}{{ ceil 1.2 }}{{ max 1 5 }}{{ kindOf 1 }}{{ typeOf \"a\" }}",
		"a:   {{- /* c */ -}}   b\n{{- if true -}}\n x \n{{- else if false }}y{{ else }}z{{- end }}\n中文 {{ \"文\" }} \u2028",
		"{{ getHostByName \"localhost\" }}{{ lookup \"v1\" \"Pod\" \"a\" \"b\" }}{{ coalesce nil \"\" \"c\" }}{{ list 1 2 | last }}{{ without (list 1 2) 1 }}{{ splitList \",\" \"a,b\" }}{{ required \"x\" 1 }}{{ cat 1 2 }}{{ squote 1 }}{{ toString 1.5 }}",
	} {
		c.Templates = append(c.Templates, &commonFile{Name: fmt.Sprintf("templates/case-%02d.yaml", i), Data: []byte(text)})
	}
	want, err := reference.Render(c, top)
	if err != nil {
		t.Fatal(err)
	}
	r := newRender(shop, manifest.Limits{})
	e := newEngine(context.Background(), r.lim, maxSteps)
	r.collect(e, c, top)
	if fails := e.parse(); len(fails) != 0 {
		t.Fatal(fails)
	}
	rendered := 0
	for _, s := range e.order {
		if !s.produces() {
			continue
		}
		out, fail := e.render(s)
		if fail != nil {
			t.Errorf("%s: %+v", s.name, *fail)
			continue
		}
		rendered++
		if string(out.text) != want[s.name] {
			t.Errorf("%s\n got %q\nwant %q", s.name, out.text, want[s.name])
		}
	}
	if rendered < 18 {
		t.Errorf("%d templates rendered", rendered)
	}
}

func failing(name string) bool {
	for _, part := range []string{"fails", "unparsable", "not-yaml", "NOTES"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// chartFolder writes a chart with one template, and a good one beside it.
func chartFolder(t testing.TB, template string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"Chart.yaml":       "apiVersion: v2\nname: x\nversion: 1.0.0\n",
		"values.yaml":      "text: \"{{ range 1000000000 }}aaaaaaaa{{ end }}\"\n",
		"templates/a.yaml": "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}\n",
		"templates/b.yaml": "# first line\n" + template,
	} {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRenderBombs renders templates that would take all memory or time. Each must end with its own problem on its line,
// without much memory, and leave the other template alone.
func TestRenderBombs(t *testing.T) {
	const grow = "{{ $s := list 1 2 }}{{ range until 60 }}{{ $s = list $s $s }}{{ end }}"
	const cycle = "{{ $d := dict }}{{ $_ := set $d \"a\" $d }}"
	const mega = "{{ $s := repeat 1000000 \"ab\" }}"
	for name, tc := range map[string]struct{ template, reason string }{
		"loop":             {"{{ range 1000000000 }}aaaaaaaa{{ end }}", "more than 50000 steps"},
		"loop with output": {"{{ $s := repeat 100000 \"a\" }}{{ range 1000000000 }}{{ $s }}{{ end }}", "renders to more than"},
		"empty loop":       {"{{ range 1000000000 }}{{ end }}", "more than 50000 steps"},
		"loop in tpl":      {"{{ tpl .Values.text . }}", "more than 50000 steps"},
		"until":            {"{{ range until 1000000000 }}a{{ end }}", "until makes more than"},
		"untilStep":        {"{{ range untilStep 0 1000000000 1 }}a{{ end }}", "untilStep makes more than"},
		"seq":              {"{{ seq 1 1 1000000000 }}", "seq of more than"},
		"repeat":           {"{{ repeat 1000000000 \"aaaa\" }}", "repeat 1000000000 makes too much text"},
		"indent":           {"{{ indent 1000000000 \"a\" }}", "indent 1000000000 makes too much text"},
		"random":           {"{{ randAlphaNum 2000000000 }}", "a random text of 2000000000"},
		"printf":           {"{{ printf \"" + strings.Repeat("%1000000d", 40) + "\" 1 }}", "printf makes more than"},
		"doubled text":     {"{{ $s := \"aaaa\" }}{{ range until 60 }}{{ $s = print $s $s }}{{ end }}", "larger than"},
		"doubled list":     {"{{ $s := list 1 2 }}{{ range until 60 }}{{ $s = concat $s $s }}{{ end }}", "functions make more than"},
		"shared to JSON":   {grow + "{{ toJson $s }}", "larger than"},
		"shared printed":   {grow + "{{ $s }}", "larger than"},
		"cycle to YAML":    {cycle + "{{ toYaml $d }}", "larger than"},
		"cycle printed":    {cycle + "{{ $d }}", "larger than"},
		"cycle copied":     {cycle + "{{ deepCopy $d }}", "larger than"},
		"cycle in values":  {"{{ $_ := set .Values \"a\" .Values }}{{ .Values }}", "larger than"},
		"merged cycle":     {"{{ $d := dict \"a\" 1 }}{{ $e := merge $d (dict \"x\" $d) }}{{ toYaml $e }}", "larger than"},
		"recursion":        {"{{ define \"a\" }}{{ include \"a\" . }}{{ end }}{{ include \"a\" . }}", "more than 200 deep"},
		"recursion 2":      {"{{ define \"a\" }}x{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}", "more than 200 deep"},
		"branching":        {"{{ define \"a\" }}{{ if gt . 0 }}{{ template \"a\" (sub . 1) }}{{ template \"a\" (sub . 1) }}{{ end }}{{ end }}{{ template \"a\" 60 }}", "more than 50000 steps"},
		"replace":          {mega + "{{ replace \"a\" $s $s }}", "replace makes more than"},
		"regular":          {mega + "{{ regexReplaceAll \"\" $s $s }}", "regexReplaceAll makes more than"},
		"join":             {mega + "{{ join $s (until 100000) }}", "join makes more than"},
		"nested":           {strings.Repeat("{{ if 1 }}", maxActions+1), "template actions"},
		"parentheses":      {"{{ " + strings.Repeat("(", 100_000) + " }}", "expression depth"},
		"environment":      {"{{ env \"HOME\" }}", `function "env" not defined`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := chartFolder(t, tc.template)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r := newRender(dir, manifest.Limits{})
			r.steps = 50_000 // the same as with more, but sooner
			r.run(context.Background(), nil, nil)
			objs, problems := r.objs, r.problems
			runtime.ReadMemStats(&after)
			if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 2000 {
				t.Errorf("%d MiB allocated", mb)
			}
			if len(objs) != 1 || objs[0].Name != "release" {
				t.Errorf("objects %v", describe(objs, nil))
			}
			if len(problems) != 1 || !strings.HasSuffix(problems[0].File, "b.yaml") || !strings.Contains(problems[0].Reason, tc.reason) {
				t.Fatalf("problems %v, want %q", describe(nil, problems), tc.reason)
			}
			if problems[0].Line != 2 && name != "nested" {
				t.Errorf("line %d", problems[0].Line)
			}
		})
	}
}

func TestRenderStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	objs, problems := Render(ctx, chartFolder(t, "{{ range 1000000000 }}{{ end }}"), nil, nil, manifest.Limits{})
	if len(objs) > 1 || len(problems) == 0 || problems[0].Code != finding.Limit {
		t.Error(describe(objs, problems))
	}
}

// entry is a file of an archive.
type entry struct {
	name, text string
	kind       byte
}

func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Size: int64(len(e.text)), Mode: 0o644, Typeflag: e.kind}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		} else if e.kind != tar.TypeReg {
			h.Size, h.Linkname = 0, e.text
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte(e.text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.Close()
	z.Close()
	return b.Bytes()
}

var (
	chartYAML = entry{name: "x/Chart.yaml", text: "apiVersion: v2\nname: x\nversion: 1.0.0\n"}
	podYAML   = entry{name: "x/templates/pod.yaml", text: "apiVersion: v1\nkind: Pod\nmetadata: {name: \"{{ .Chart.Name }}\"}\n"}
)

func TestRenderArchive(t *testing.T) {
	sub := pack(t, entry{name: "y/Chart.yaml", text: "apiVersion: v2\nname: sub\nversion: 1.0.0\n"}, entry{name: "y/templates/pod.yaml", text: podYAML.text})
	objs, problems := Render(context.Background(), "dir/x.tgz", pack(t, chartYAML, podYAML, entry{name: "x/charts/y-1.0.0.tgz", text: string(sub)},
		entry{name: "x/folder/", kind: tar.TypeDir}), nil, manifest.Limits{})
	same(t, describe(objs, problems), "Pod sub dir/x.tgz/charts/y-1.0.0-packed/templates/pod.yaml:1", "Pod x dir/x.tgz/templates/pod.yaml:1")
}

func TestRenderHostileArchives(t *testing.T) {
	zeros := strings.Repeat("\x00", 9<<20)
	nest := pack(t, chartYAML)
	for range 7 {
		nest = pack(t, chartYAML, entry{name: "x/charts/x.tgz", text: string(nest)})
	}
	var big []entry
	for i := range 12 {
		big = append(big, entry{name: fmt.Sprintf("x/f%d", i), text: zeros})
	}
	many := []entry{chartYAML}
	for i := range 300 {
		many = append(many, entry{name: fmt.Sprintf("x/f%d", i)})
	}
	inner := pack(t, entry{name: "y/zeros", text: zeros})
	for name, tc := range map[string]struct {
		data   []byte
		lim    manifest.Limits
		code   finding.Code
		reason string
	}{
		"zip bomb":       {pack(t, append(big, chartYAML)...), manifest.Limits{}, finding.Limit, "more than 200 times its size"},
		"bomb inside":    {pack(t, chartYAML, entry{name: "x/charts/y.tgz", text: string(inner)}), manifest.Limits{}, finding.Limit, "more than 200 times its size"},
		"unpacked size":  {pack(t, append(big, chartYAML)...), manifest.Limits{Ratio: 1 << 20, UnpackedBytes: 20 << 20}, finding.Limit, "more than 20971520 bytes unpacked"},
		"one large file": {pack(t, chartYAML, entry{name: "x/big", text: zeros}), manifest.Limits{Ratio: 1 << 20, FileBytes: 1 << 20}, finding.Limit, "big: larger than 1048576 bytes"},
		"many files":     {pack(t, many...), manifest.Limits{UnpackedFiles: 100}, finding.Limit, "more than 100 files"},
		"nested":         {nest, manifest.Limits{}, finding.Limit, "more than 5 deep"},
		"deep path":      {pack(t, chartYAML, entry{name: "x/" + strings.Repeat("charts/a/", 40) + "Chart.yaml", text: "a"}), manifest.Limits{}, finding.Limit, "more than 30 folders"},
		"dots":           {pack(t, chartYAML, entry{name: "x/../../etc/passwd", text: "a"}), manifest.Limits{}, finding.Broken, "leads out of the chart"},
		"backslashes":    {pack(t, chartYAML, entry{name: `x\..\..\a`, text: "a"}), manifest.Limits{}, finding.Broken, "leads out of the chart"},
		"absolute":       {pack(t, chartYAML, entry{name: "/etc/passwd", text: "a"}), manifest.Limits{}, finding.Broken, "absolute path"},
		"drive":          {pack(t, chartYAML, entry{name: `c:\a`, text: "a"}), manifest.Limits{}, finding.Broken, "absolute path"},
		"symlink":        {pack(t, chartYAML, entry{name: "x/templates/l.yaml", text: "/etc/passwd", kind: tar.TypeSymlink}), manifest.Limits{}, finding.Broken, "link or a device"},
		"hard link":      {pack(t, chartYAML, entry{name: "x/templates/l.yaml", text: "/etc/passwd", kind: tar.TypeLink}), manifest.Limits{}, finding.Broken, "link or a device"},
		"device":         {pack(t, chartYAML, entry{name: "x/null", kind: tar.TypeChar}), manifest.Limits{}, finding.Broken, "link or a device"},
		"no chart":       {pack(t, podYAML), manifest.Limits{}, finding.Broken, "Chart.yaml file is missing"},
		"chart on top":   {pack(t, entry{name: "Chart.yaml", text: "a"}), manifest.Limits{}, finding.Broken, "in a folder of the archive"},
		"empty":          {pack(t), manifest.Limits{}, finding.Broken, "empty"},
		"no gzip":        {[]byte("text"), manifest.Limits{}, finding.Broken, "no gzip"},
		"cut":            {pack(t, chartYAML, podYAML)[:150], manifest.Limits{}, finding.Broken, "broken archive"},
		"bad metadata":   {pack(t, entry{name: "x/Chart.yaml", text: "name: [\n"}), manifest.Limits{}, finding.Broken, "Chart.yaml"},
		"bad values":     {pack(t, chartYAML, entry{name: "x/values.yaml", text: "- a\n"}), manifest.Limits{}, finding.Broken, "values.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			objs, problems := Render(context.Background(), "x.tgz", tc.data, nil, tc.lim)
			if len(objs) != 0 || len(problems) != 1 || problems[0].Code != tc.code || !strings.Contains(problems[0].Reason, tc.reason) {
				t.Errorf("got %v, want %s %q", describe(objs, problems), tc.code, tc.reason)
			}
		})
	}
}

func TestRenderFolderLinks(t *testing.T) {
	dir := chartFolder(t, "")
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret.yaml")
	if err := os.WriteFile(secret, []byte("apiVersion: v1\nkind: Secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"templates/out.yaml": secret, "templates/in.yaml": "a.yaml", "templates/dir": outside, "crds": outside} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	objs, problems := Render(context.Background(), dir, nil, nil, manifest.Limits{})
	if len(objs) != 2 || objs[1].Kind != "Pod" {
		t.Error(describe(objs, nil))
	}
	if len(problems) != 3 {
		t.Error(describe(nil, problems))
	}
	for _, p := range problems {
		if p.Code != finding.Skipped {
			t.Error(p)
		}
	}
	_, problems = Render(context.Background(), filepath.Join(dir, "none"), nil, nil, manifest.Limits{})
	if len(problems) != 1 || problems[0].Code != finding.Broken {
		t.Error(describe(nil, problems))
	}
}

func FuzzRender(f *testing.F) {
	f.Add(pack(f, chartYAML, podYAML))
	f.Add(pack(f, chartYAML, entry{name: "x/charts/y.tgz", text: string(pack(f, chartYAML, podYAML))}))
	f.Add(pack(f, chartYAML, entry{name: "x/values.yaml", text: "a: &a [*a]\n"}, entry{name: "x/templates/_a.tpl", text: "{{ define \"a\" }}{{ end }}"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		lim := manifest.Limits{UnpackedBytes: 1 << 20, UnpackedFiles: 100, RenderedBytes: 1 << 20}
		objs, problems := Render(context.Background(), "x.tgz", data, nil, lim)
		for _, o := range objs {
			if line, col := o.Origin.Locate("metadata.name"); line < 1 || col < 1 {
				t.Errorf("%s at %d:%d", o.Name, line, col)
			}
		}
		for _, p := range problems {
			if p.File == "" || p.Reason == "" || p.Code == "" {
				t.Errorf("%+v", p)
			}
		}
	})
}

// FuzzTemplate renders any text as a template.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"a: {{ .Values.a }}", "{{ range .Values.list }}{{ . }}{{ end }}", "{{ define \"x\" }}{{ . }}{{ end }}{{ template \"x\" 1 }}",
		"{{ tpl \"{{ .Values.a }}\" . | quote }}", "{{- with .Values }}\n{{ toYaml . | nindent 2 }}{{ end -}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		archive := pack(t, chartYAML, entry{name: "x/values.yaml", text: "a: b\nlist: [1, 2]\n"}, entry{name: "x/templates/a.yaml", text: text})
		ctx, cancel := context.WithTimeout(context.Background(), maxTime/10)
		defer cancel()
		objs, _ := Render(ctx, "x.tgz", archive, nil, manifest.Limits{RenderedBytes: 1 << 20})
		for _, o := range objs {
			if line, _ := o.Origin.Locate("metadata"); line < 1 || line > strings.Count(text, "\n")+1 {
				t.Errorf("line %d of %q", line, text)
			}
		}
	})
}
