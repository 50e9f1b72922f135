package collect

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the roles in deploy/rbac anew from the table of kinds")

const roles = "../../deploy/rbac"

// role returns the text of a ClusterRole that grants reading the kinds.
func role(name, about string, secrets bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n# Made from the table of kinds: go test ./internal/collect -run TestRoles -update\n", about)
	fmt.Fprintf(&b, "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: %s\nrules:\n", name)
	var order []string
	byGroup := map[string][]string{}
	for _, k := range Kinds {
		if k.GroupKind() == "Secret" && !secrets {
			continue
		}
		if byGroup[k.Group] == nil {
			order = append(order, k.Group)
		}
		byGroup[k.Group] = append(byGroup[k.Group], k.Resource)
	}
	for _, g := range order {
		fmt.Fprintf(&b, "  - apiGroups: [%q]\n    resources:\n", g)
		slices.Sort(byGroup[g])
		for _, r := range byGroup[g] {
			fmt.Fprintf(&b, "      - %s\n", r)
		}
		fmt.Fprintf(&b, "    verbs: [get, list]\n")
	}
	b.WriteString("  - nonResourceURLs: [/version, /api, /api/*, /apis, /apis/*]\n    verbs: [get]\n")
	return b.String()
}

// TestRoles holds the shipped roles to the table: exactly its kinds, and nothing but reading.
func TestRoles(t *testing.T) {
	for _, tt := range []struct {
		file, name, about string
		secrets           bool
	}{
		{"clusterrole.yaml", "stockade-reader", "What a scan reads, Secrets included: values leave the API server but not the scanner.", true},
		{"clusterrole-without-secrets.yaml", "stockade-reader-without-secrets", "What a scan reads but for Secrets.", false},
	} {
		file := filepath.Join(roles, tt.file)
		if *update {
			if err := os.WriteFile(file, []byte(role(tt.name, tt.about, tt.secrets)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got rbacv1.ClusterRole
		if err := yaml.UnmarshalStrict(data, &got); err != nil {
			t.Fatal(err)
		}
		granted := map[string]bool{}
		for _, r := range got.Rules {
			if len(r.NonResourceURLs) > 0 {
				if !slices.Equal(r.Verbs, []string{"get"}) {
					t.Errorf("%s: %v", tt.file, r)
				}
				continue
			}
			if !slices.Equal(r.Verbs, []string{"get", "list"}) || slices.Contains(r.Resources, "*") || len(r.APIGroups) != 1 {
				t.Errorf("%s: %v", tt.file, r)
			}
			for _, resource := range r.Resources {
				granted[resource+"."+r.APIGroups[0]] = true
			}
		}
		for _, k := range Kinds {
			key := k.Resource + "." + k.Group
			if want := tt.secrets || key != "secrets."; granted[key] != want {
				t.Errorf("%s: %s granted: %v, want %v", tt.file, k.GroupResource(), granted[key], want)
			}
			delete(granted, key)
		}
		if len(granted) > 0 {
			t.Errorf("%s grants what no scan reads: %v", tt.file, granted)
		}
	}
}

// TestBindings: each variant can be applied as it is.
func TestBindings(t *testing.T) {
	for file, want := range map[string]string{"serviceaccount.yaml": "stockade-reader", "serviceaccount-without-secrets.yaml": "stockade-reader-without-secrets"} {
		data, err := os.ReadFile(filepath.Join(roles, file))
		if err != nil {
			t.Fatal(err)
		}
		docs := strings.Split(string(data), "\n---\n")
		var b rbacv1.ClusterRoleBinding
		if err := yaml.UnmarshalStrict([]byte(docs[len(docs)-1]), &b); err != nil {
			t.Fatal(err)
		}
		if len(docs) != 3 || b.RoleRef.Name != want || b.Subjects[0].Name != "stockade" || b.Subjects[0].Namespace != "stockade" {
			t.Errorf("%s: %d documents, %+v", file, len(docs), b)
		}
	}
}
