package protect

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"stockade.dev/stockade/e2e/lab"
)

// gatekeeperModule has some templates of Gatekeeper's library among its tests and examples; the library itself is no module.
const gatekeeperModule = "github.com/open-policy-agent/gatekeeper/v3"

// libraryTemplates are those that look at pods, with parameters as people set them.
var libraryTemplates = []struct {
	file       string
	parameters map[string]any
}{
	{"pkg/webhook/testdata/psp-all-violations/psp-templates/host-filesystem-template.yaml", map[string]any{"allowedHostPaths": []any{map[string]any{"pathPrefix": "/var/log", "readOnly": true}}}},
	{"pkg/webhook/testdata/psp-all-violations/psp-templates/host-namespace-template.yaml", nil},
	{"pkg/webhook/testdata/psp-all-violations/psp-templates/host-network-ports-template.yaml", map[string]any{"hostNetwork": false, "min": int64(80), "max": int64(9000)}},
	{"pkg/webhook/testdata/psp-all-violations/psp-templates/privileged-containers-template.yaml", nil},
	{"pkg/webhook/testdata/psp-all-violations/psp-templates/volume-template.yaml", map[string]any{"volumes": []any{"configMap", "emptyDir", "projected", "secret", "downwardAPI", "persistentVolumeClaim"}}},
	{"demo/agilebank/templates/k8sallowedrepos_template.yaml", map[string]any{"repos": []any{registryHost + "/"}}},
	{"demo/agilebank/templates/k8scontainterlimits_template.yaml", map[string]any{"cpu": "2", "memory": "1Gi"}},
	{"demo/agilebank/templates/k8srequiredlabels_template.yaml", map[string]any{"labels": []any{map[string]any{"key": "app"}}}},
	{"demo/agilebank/templates/k8srequiredprobes_template.yaml", map[string]any{"probes": []any{"readinessProbe", "livenessProbe"}, "probeTypes": []any{"tcpSocket", "httpGet", "exec"}}},
	{"demo/agilebank/remediation/k8sbannedimagetags_template.yaml", map[string]any{"tags": []any{"latest"}}},
}

// library puts n templates in Rego in force, each with a constraint that denies, and says what they are.
func (m *meter) library(n int) string {
	m.t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", gatekeeperModule).Output()
	if err != nil {
		m.t.Fatal(err)
	}
	constraints := make([]*unstructured.Unstructured, n)
	for i := range n {
		t := libraryTemplates[i%len(libraryTemplates)]
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), filepath.FromSlash(t.file)))
		if err != nil {
			m.t.Fatal(err)
		}
		var from struct {
			Spec struct {
				CRD struct {
					Spec struct{ Names struct{ Kind string } }
				} `yaml:"crd"`
				Targets []struct{ Rego string }
			}
		}
		if err := yaml.Unmarshal(text, &from); err != nil || len(from.Spec.Targets) != 1 {
			m.t.Fatalf("%s: %v", t.file, err)
		}
		kind := fmt.Sprint(from.Spec.CRD.Spec.Names.Kind, i)
		m.apply(map[string]any{"apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate", "metadata": map[string]any{"name": strings.ToLower(kind)},
			"spec": map[string]any{"crd": map[string]any{"spec": map[string]any{"names": map[string]any{"kind": kind},
				"validation": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
				"targets": []any{map[string]any{"target": "admission.k8s.gatekeeper.sh", "rego": from.Spec.Targets[0].Rego}}}}, "templates.gatekeeper.sh/v1", "constrainttemplates")
		parameters := t.parameters
		if parameters == nil {
			parameters = map[string]any{}
		}
		constraints[i] = &unstructured.Unstructured{Object: map[string]any{"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": kind, "metadata": map[string]any{"name": "measured"},
			"spec": map[string]any{"enforcementAction": "deny", "parameters": parameters, "match": map[string]any{"kinds": []any{map[string]any{"apiGroups": []any{""}, "kinds": []any{"Pod"}}},
				"excludedNamespaces": []any{"kube-system", "gatekeeper-system"}}}}}
	}
	for _, c := range constraints {
		m.apply(c.Object, "constraints.gatekeeper.sh/v1beta1", strings.ToLower(c.GetKind()))
	}
	for _, c := range constraints {
		m.WaitConstraint(m.t, c.GetKind(), c.GetName())
	}
	bad := slices.Concat([]byte(nil), careful("registry.other.example.com/web:latest"))
	lab.Eventually(m.t, "the templates refuse", func() error {
		if status, said, err := m.asks(bad); err != nil || status != 403 || strings.Count(said, "invalid image repo") < n/len(libraryTemplates) {
			return fmt.Errorf("%d %s %v", status, said, err)
		}
		return nil
	})
	return fmt.Sprintf("The templates in Rego are the %d of Gatekeeper's library about pods that come with Gatekeeper's own module, each %d times under a name of its own.", len(libraryTemplates), n/len(libraryTemplates))
}

// apply makes an object whose kind may have been defined a moment ago.
func (m *meter) apply(o map[string]any, version, resource string) {
	m.t.Helper()
	u := &unstructured.Unstructured{Object: o}
	gv, err := schema.ParseGroupVersion(version)
	if err != nil {
		m.t.Fatal(err)
	}
	lab.Eventually(m.t, u.GetKind()+" "+u.GetName()+" is taken", func() error {
		_, err := m.Dynamic.Resource(gv.WithResource(resource)).Apply(m.t.Context(), u.GetName(), u, metav1.ApplyOptions{FieldManager: "lab", Force: true})
		return err
	})
}
