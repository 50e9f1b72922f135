package fleet

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"stockade.dev/stockade/internal/collect"
)

var update = flag.Bool("update", false, "write the connector's ClusterRole anew from the table of kinds, and copy the charts to deploy/connector and deploy/agent")

// connectorRole is the ClusterRole of the connector.
func connectorRole() string {
	var b strings.Builder
	b.WriteString("# What the connector may read. Made from the table of kinds: go test ./internal/fleet -run TestChart -update\n")
	b.WriteString("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: stockade-connector\nrules:\n")
	var order []string
	byGroup := map[string][]string{}
	for _, k := range collect.Kinds {
		if k.GroupKind() == "Secret" {
			continue
		}
		if byGroup[k.Group] == nil {
			order = append(order, k.Group)
		}
		byGroup[k.Group] = append(byGroup[k.Group], k.Resource)
	}
	for _, g := range order {
		slices.Sort(byGroup[g])
		fmt.Fprintf(&b, "  - apiGroups: [%q]\n    resources: [%s]\n    verbs: [get, list, watch]\n", g, strings.Join(byGroup[g], ", "))
	}
	b.WriteString("  - nonResourceURLs: [/version, /api, \"/api/*\", /apis, \"/apis/*\"]\n    verbs: [get]\n")
	b.WriteString("{{- if .Values.secrets }}\n  - apiGroups: [\"\"]\n    resources: [secrets]\n    verbs: [get, list, watch]\n{{- end }}\n")
	return b.String()
}

const roleFile = "chart/templates/clusterrole.yaml"

// TestChart holds the role to the table of kinds, and deploy/connector and deploy/agent to the charts.
func TestChart(t *testing.T) {
	if *update {
		if err := os.WriteFile(roleFile, []byte(connectorRole()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(roleFile); err != nil || string(got) != connectorRole() {
		t.Errorf("%s is not the table's: %v", roleFile, err)
	}
	copies(t, "chart", "../../deploy/connector")
	copies(t, "agentchart", "../../deploy/agent")
}

func copies(t *testing.T, dir, to string) {
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == dir+"/namespace.yaml" {
			return err
		}
		copied := filepath.Join(to, strings.TrimPrefix(name, dir))
		want, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if *update {
			if err := os.MkdirAll(filepath.Dir(copied), 0o755); err != nil {
				return err
			}
			return os.WriteFile(copied, want, 0o644)
		}
		if got, err := os.ReadFile(copied); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is no copy of %s: %v", copied, name, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestManifest: what is listed for consent is what the manifest holds, and it says what the values say whatever these are.
func TestManifest(t *testing.T) {
	hostile := "x\"\n---\nkind: ClusterRoleBinding {{ .Values }} 'y"
	for _, secrets := range []bool{true, false} {
		text, err := render(map[string]any{"server": "stockade.example.com:8443", "caPin": hostile, "token": hostile, "image": hostile, "secrets": secrets})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for doc := range strings.SplitSeq(text, "\n---\n") {
			var o struct {
				Kind     string
				Metadata struct{ Name, Namespace string }
			}
			if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
				t.Fatalf("%v:\n%s", err, doc)
			}
			got = append(got, o.Kind+" "+o.Metadata.Name)
			switch o.Kind {
			case "ClusterRole":
				var r rbacv1.ClusterRole
				if err := yaml.UnmarshalStrict([]byte(doc), &r); err != nil {
					t.Fatal(err)
				}
				reads := slices.ContainsFunc(r.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, "secrets") })
				if reads != secrets {
					t.Errorf("secrets %v, but the role reads them: %v", secrets, reads)
				}
			case "Deployment":
				var d appsv1.Deployment
				if err := yaml.UnmarshalStrict([]byte(doc), &d); err != nil {
					t.Fatal(err)
				}
				c := d.Spec.Template.Spec.Containers[0]
				if c.Image != hostile || c.Args[4] != hostile || c.Args[2] != "stockade.example.com:8443" || !*c.SecurityContext.ReadOnlyRootFilesystem {
					t.Errorf("%+v", c)
				}
			}
		}
		var want []string
		for _, o := range objects {
			want = append(want, o.Kind+" "+o.Name)
			if o.Why == "" {
				t.Errorf("%s: no reason", o.Name)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the manifest has %q, consent is asked for %q", got, want)
		}
	}
}
