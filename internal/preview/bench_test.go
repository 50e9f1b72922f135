package preview

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
)

// herd is many pods of many workloads, made one after the other as a list of the API server brings them.
type herd struct {
	pods, workloads int
	text            []string
}

func newHerd(pods, workloads int) *herd {
	h := &herd{pods: pods, workloads: workloads}
	for i := range workloads {
		h.text = append(h.text, fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"till-%[1]d-abc-NNNNN","namespace":"shop-%[2]d","uid":"u","labels":{"app":"till-%[1]d","pod-template-hash":"abc","tier":"web"},
"annotations":{"prometheus.io/scrape":"true"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"till-%[1]d-abc","controller":true}]},
"spec":{"serviceAccountName":"till","nodeName":"n","automountServiceAccountToken":%[3]v,"initContainers":[{"name":"init","image":"registry.example.com/shop/init:%[1]d","command":["sh","-c","sleep 1"]}],
"containers":[{"name":"web","image":"registry.example.com/shop/till:%[1]d","ports":[{"containerPort":8080}],"env":[{"name":"A","value":"b"},{"name":"C","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}],
"resources":{"limits":{"memory":"256Mi"},"requests":{"cpu":"100m"}},"securityContext":{"privileged":%[4]v,"runAsUser":0,"capabilities":{"drop":["ALL"]}},
"volumeMounts":[{"name":"kube-api-access-abcde","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","readOnly":true},{"name":"data","mountPath":"/data"}],"livenessProbe":{"httpGet":{"path":"/","port":8080}}},
{"name":"proxy","image":"registry.example.com/mesh/proxy:1","securityContext":{"runAsNonRoot":true,"allowPrivilegeEscalation":false}}],
"volumes":[{"name":"kube-api-access-abcde","projected":{"sources":[{"serviceAccountToken":{"path":"token"}}]}},{"name":"data","emptyDir":{}}],"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists"}]},
"status":{"phase":"Running","podIP":"10.0.0.1","containerStatuses":[{"name":"web","ready":true}]}}`, i, i%50, i%2 == 0, i%10 == 0))
	}
	return h
}

func (h *herd) Stream(_ context.Context, emit func(*inventory.Object) error, _ func(finding.NotScanned)) error {
	for i := range h.pods {
		var m map[string]any
		if err := json.Unmarshal([]byte(h.text[i%h.workloads]), &m); err != nil {
			return err
		}
		o, _ := inventory.NewObject(whole(m).(map[string]any))
		o.Name = fmt.Sprint(o.Name, i)
		if err := emit(o); err != nil {
			return err
		}
	}
	return nil
}

// thirty is a policy of thirty rules over pods with checks of images.
func thirty(b *testing.B) policy.Policy {
	lib, err := library()
	if err != nil {
		b.Fatal(err)
	}
	p := policy.Policy{ID: 7, Name: "shop", Action: policy.Block, Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities}, {Check: policy.Tag, Action: policy.Warn}}}
	for _, r := range policy.Enforceable(lib) {
		if len(p.Rules) < 30 && slices.Contains(r.Match.Kinds, "Workload") {
			p.Rules = append(p.Rules, policy.RuleUse{Rule: r.Name})
		}
	}
	return p
}

type clean struct{}

func (clean) Verdict(context.Context, string, string, []string) (*policy.ImageVerdict, error) {
	return &policy.ImageVerdict{State: policy.Known, Scanned: now}, nil
}

// BenchmarkPreview judges 10,000 pods of 500 workloads, reading their JSON included.
func BenchmarkPreview(b *testing.B) {
	lib, err := library()
	if err != nil {
		b.Fatal(err)
	}
	for _, workloads := range []int{500, 10000} {
		b.Run(fmt.Sprint(workloads, "-workloads"), func(b *testing.B) {
			h := newHerd(10_000, workloads)
			for b.Loop() {
				l, err := Files(b.Context(), lib, h, Local{Bundle: &policy.Bundle{Lang: "en", Policies: []policy.Policy{thirty(b)}, System: policy.SystemNamespaces}, Images: clean{}, At: now})
				if err != nil || l.Objects != 10_000 || l.Violating == 0 {
					b.Fatal(l, err)
				}
			}
		})
	}
}

// BenchmarkReplay judges 100,000 recorded admissions of 500 workloads.
func BenchmarkReplay(b *testing.B) {
	lib, err := library()
	if err != nil {
		b.Fatal(err)
	}
	h := newHerd(100_000, 500)
	bundle := &policy.Bundle{Target: 1, Cluster: "alpha", Lang: "en", Policies: []policy.Policy{thirty(b)}, System: policy.SystemNamespaces}
	for b.Loop() {
		judge, _, err := policy.NewJudge(b.Context(), lib, bundle, policy.Memo(clean{}))
		if err != nil {
			b.Fatal(err)
		}
		j := &judges{after: judge}
		sum := pair{after: newTally(bundle)}
		r := &replayer{judges: j, cluster: cluster{id: 1, name: "alpha"}, last: map[string]string{}}
		unread, err := r.run(b.Context(), sum, func(each func(protocol.Admission) error) error {
			for i := range h.pods {
				at := now.Add(-time.Duration(h.pods-i) * time.Second)
				err := each(protocol.Admission{At: at, UID: fmt.Sprint(i), Kind: "Pod", APIVersion: "v1", Namespace: fmt.Sprint("shop-", i%h.workloads%50), Name: fmt.Sprint("till-", i), OwnerKind: "Deployment",
					OwnerName: fmt.Sprint("till-", i%h.workloads), Operation: "CREATE", User: "system:serviceaccount:kube-system:replicaset-controller", Object: json.RawMessage(h.text[i%h.workloads]),
					ObjectHash: fmt.Sprint(i % h.workloads)})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || unread != 0 || sum.after.objects != h.pods {
			b.Fatal(unread, sum.after.objects, err)
		}
	}
}
