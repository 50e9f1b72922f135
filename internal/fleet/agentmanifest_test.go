package fleet

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestAgentManifest: what is listed for consent is what the manifest holds; it says what the values say whatever these are, has no field
// that the cluster's version does not know, and gives agents no more than they need.
func TestAgentManifest(t *testing.T) {
	hostile := "x\"\n---\nkind: ClusterRoleBinding {{ .Values }} 'y"
	for version, fields := range map[string]bool{"": true, "v1.29.14": false, "v1.30.0+k3s1": true, "1.36": true} {
		objects, text, values, err := AgentManifest(AgentOptions{Server: "stockade.example.com:8443", Pin: hostile, Token: hostile, Image: hostile, Version: version})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(values, "newFields: false") == fields {
			t.Errorf("%s: the values are\n%s", version, values)
		}
		var got, want []string
		for _, o := range objects {
			want = append(want, o.Kind+" "+o.Name)
			if o.Why == "" {
				t.Errorf("%s: no reason", o.Name)
			}
		}
		for doc := range strings.SplitSeq(text, "\n---\n") {
			var o struct {
				Kind     string
				Metadata struct{ Name, Namespace string }
			}
			if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
				t.Fatalf("%v:\n%s", err, doc)
			}
			got = append(got, o.Kind+" "+o.Metadata.Name)
			if o.Kind != "Namespace" && o.Metadata.Namespace != agentNamespace {
				t.Errorf("%s %s is in namespace %q", o.Kind, o.Metadata.Name, o.Metadata.Namespace)
			}
			switch o.Kind {
			case "Namespace":
				var n corev1.Namespace
				if err := yaml.UnmarshalStrict([]byte(doc), &n); err != nil || n.Labels["pod-security.kubernetes.io/enforce"] != "privileged" {
					t.Errorf("%v: %+v", err, n)
				}
			case "DaemonSet":
				var d appsv1.DaemonSet
				if err := yaml.UnmarshalStrict([]byte(doc), &d); err != nil {
					t.Fatal(err)
				}
				agentPod(t, d.Spec.Template, fields)
				if c := d.Spec.Template.Spec.Containers[0]; c.Image != hostile || c.Args[4] != hostile || c.Args[2] != "stockade.example.com:8443" {
					t.Errorf("%+v", c)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the manifest has %q, consent is asked for %q", got, want)
		}
	}
}

func agentPod(t *testing.T, pod corev1.PodTemplateSpec, fields bool) {
	t.Helper()
	c := pod.Spec.Containers[0]
	sc := c.SecurityContext
	if !*sc.ReadOnlyRootFilesystem || *sc.AllowPrivilegeEscalation || sc.Privileged != nil || *pod.Spec.AutomountServiceAccountToken || !pod.Spec.HostPID || pod.Spec.HostNetwork {
		t.Errorf("%+v", pod.Spec)
	}
	if !slices.Equal(sc.Capabilities.Drop, []corev1.Capability{"ALL"}) || !slices.Equal(sc.Capabilities.Add, []corev1.Capability{"SYS_PTRACE", "DAC_READ_SEARCH"}) {
		t.Errorf("capabilities %+v", sc.Capabilities)
	}
	annotated := pod.Annotations["container.apparmor.security.beta.kubernetes.io/agent"] == "unconfined"
	if (sc.AppArmorProfile != nil) != fields || annotated == fields {
		t.Errorf("AppArmor %+v, annotations %v", sc.AppArmorProfile, pod.Annotations)
	}
	for _, m := range c.VolumeMounts {
		if m.Name == "host" && (!m.ReadOnly || (m.RecursiveReadOnly != nil) != fields || m.RecursiveReadOnly != nil && m.MountPropagation != nil) {
			t.Errorf("%+v", m)
		}
	}
}
