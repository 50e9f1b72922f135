package parity

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/scan"
)

// referenceChecks names the clause of our frameworks that stands for each check of the reference implementation. A check
// of the restricted profile replaces the baseline one of the same clause.
var referenceChecks = map[policy.CheckID]string{
	"windowsHostProcess":         "host-process",
	"hostNamespaces":             "host-namespaces",
	"privileged":                 "privileged-containers",
	"capabilities_baseline":      "capabilities",
	"hostPathVolumes":            "host-path-volumes",
	"hostPorts":                  "host-ports",
	"hostProbesAndHostLifecycle": "host-probes",
	"appArmorProfile":            "apparmor",
	"seLinuxOptions":             "selinux",
	"procMount":                  "proc-mount",
	"seccompProfile_baseline":    "seccomp",
	"sysctls":                    "sysctls",
	"restrictedVolumes":          "volume-types",
	"allowPrivilegeEscalation":   "privilege-escalation",
	"runAsNonRoot":               "run-as-non-root",
	"runAsUser":                  "run-as-non-root-user",
	"seccompProfile_restricted":  "seccomp",
	"capabilities_restricted":    "capabilities",
	"procMount_restricted":       "proc-mount",
}

// reference is Kubernetes' own implementation of the Pod Security Standards.
type reference struct {
	whole  policy.Evaluator
	checks map[api.Level]map[string]policy.Evaluator // level -> clause -> the check alone
}

func newReference(t *testing.T) *reference {
	t.Helper()
	checks := policy.DefaultChecks()
	whole, err := policy.NewEvaluator(checks, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &reference{whole, map[api.Level]map[string]policy.Evaluator{api.LevelBaseline: {}, api.LevelRestricted: {}}}
	for _, level := range []api.Level{api.LevelBaseline, api.LevelRestricted} { // in this order: restricted replaces
		for _, c := range checks {
			clause, known := referenceChecks[c.ID]
			if !known {
				t.Fatalf("the reference has a check %s that no clause stands for", c.ID)
			}
			if c.Level != level {
				continue
			}
			one, err := policy.NewEvaluator([]policy.Check{c}, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.checks[api.LevelRestricted][clause] = one
			if level == api.LevelBaseline {
				r.checks[level][clause] = one
			}
		}
	}
	return r
}

// refused returns the clauses that the reference refuses the pod for, and whether it refuses the pod at all.
func (r *reference) refused(level api.Level, pod *corev1.Pod) (clauses []string, refuse bool) {
	at := api.LevelVersion{Level: level, Version: api.LatestVersion()}
	for clause, one := range r.checks[level] {
		if !policy.AggregateCheckResults(one.EvaluatePod(at, &pod.ObjectMeta, &pod.Spec)).Allowed {
			clauses = append(clauses, clause)
		}
	}
	slices.Sort(clauses)
	return clauses, !policy.AggregateCheckResults(r.whole.EvaluatePod(at, &pod.ObjectMeta, &pod.Spec)).Allowed
}

// broken returns the clauses of a framework whose rules hit the object, and what could not be judged.
func broken(e *rule.Engine, framework string, o *inventory.Object) (clauses, undecided []string) {
	e.Session().Object(o, nil, rule.Sink{
		Hit: func(r *rule.Rule, _ rule.Hit) { clauses = append(clauses, r.Compliance[framework]...) },
		Undecided: func(r *rule.Rule, err error) {
			if len(r.Compliance[framework]) > 0 {
				undecided = append(undecided, fmt.Sprintf("%s: %v", r.Name, err))
			}
		},
	})
	slices.Sort(clauses)
	return slices.Compact(clauses), undecided
}

// podOf returns the pod that an object holds, as the API server would pass it to admission; nil when it holds none.
func podOf(t *testing.T, c caseObject) *corev1.Pod {
	t.Helper()
	template, _ := c.object.PodTemplate()
	if template == nil {
		return nil
	}
	pod := &corev1.Pod{}
	for key, into := range map[string]any{"metadata": &pod.ObjectMeta, "spec": &pod.Spec} {
		data, err := json.Marshal(template[key])
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			t.Errorf("%s: the API would not take it: %s: %v", c.name, key, err)
			return nil
		}
	}
	for i := range pod.Spec.Volumes {
		if v := &pod.Spec.Volumes[i]; v.VolumeSource == (corev1.VolumeSource{}) {
			v.EmptyDir = &corev1.EmptyDirVolumeSource{} // the default
		}
	}
	return pod
}

// everyCase reads the objects of the cases of all rules.
func everyCase(t *testing.T, lib *rule.Library) []caseObject {
	t.Helper()
	fsys := os.DirFS("../../rules")
	var out []caseObject
	for _, r := range lib.Rules {
		files, err := fs.Glob(fsys, path.Join(r.Name, "cases", "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := fs.ReadFile(fsys, file)
			if err != nil {
				t.Fatal(err)
			}
			objects, _ := scan.ParseCase(file, data)
			for i, o := range objects {
				inventory.DropNulls(o.Content) // as the scan does
				out = append(out, caseObject{fmt.Sprintf("%s #%d", file, i), o})
			}
		}
	}
	return out
}

// TestPodSecurity holds the clauses of pss-baseline and pss-restricted to the reference implementation: the same pods,
// refused for the same clauses. Every clause must have been put to both verdicts.
func TestPodSecurity(t *testing.T) {
	lib := library(t)
	engine := rule.NewEngine(lib)
	ref := newReference(t)
	inputs := append(everyCase(t, lib), podSecurityCases(t)...)
	type verdict struct {
		clause  string
		refused bool
	}
	for _, level := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
		t.Run(string(level), func(t *testing.T) {
			pods, refusedPods := 0, 0
			seen := map[verdict]bool{}
			for _, c := range inputs {
				pod := podOf(t, c)
				if pod == nil {
					continue
				}
				pods++
				want, refuse := ref.refused(level, pod)
				got, undecided := broken(engine, "pss-"+string(level), c.object)
				if len(undecided) > 0 {
					t.Errorf("%s: %s", c.name, strings.Join(undecided, "; "))
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s: we refuse it for %v, Kubernetes for %v", c.name, got, want)
				}
				if refuse != (len(got) > 0) {
					t.Errorf("%s: refused by Kubernetes: %v, by us: %v", c.name, refuse, got)
				}
				if refuse {
					refusedPods++
				}
				for clause := range ref.checks[level] {
					seen[verdict{clause, slices.Contains(want, clause)}] = true
				}
			}
			for clause := range ref.checks[level] {
				for _, refused := range []bool{true, false} {
					if !seen[verdict{clause, refused}] {
						t.Errorf("%s: no pod where the verdict is refused=%v", clause, refused)
					}
				}
			}
			t.Logf("%d pods, %d refused, %d clauses", pods, refusedPods, len(ref.checks[level]))
		})
	}
}
