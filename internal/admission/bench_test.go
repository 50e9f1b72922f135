package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// podText is a pod of some 4 KB, as deployments make them.
func podText(workload, pod int) json.RawMessage {
	env := []any{}
	for i := range 20 {
		env = append(env, m{"name": fmt.Sprint("SETTING_", i), "value": fmt.Sprint("value of the setting ", i, " of workload ", workload)})
	}
	container := m{"name": "web", "image": fmt.Sprintf("registry.example.com/team%d/app%d:1.%d", workload%20, workload, workload%7), "env": env,
		"resources":       m{"limits": m{"cpu": "500m", "memory": "256Mi"}, "requests": m{"cpu": "100m", "memory": "128Mi"}},
		"securityContext": m{"allowPrivilegeEscalation": false, "capabilities": m{"drop": []any{"ALL"}}, "runAsNonRoot": true},
		"volumeMounts":    []any{m{"name": fmt.Sprintf("kube-api-access-%05d", pod%100000), "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}}}
	o := m{"apiVersion": "v1", "kind": "Pod", "metadata": m{"generateName": fmt.Sprintf("app%d-6d4f5b7c9-", workload), "namespace": fmt.Sprint("team", workload%20),
		"labels":          m{"app": fmt.Sprint("app", workload), "pod-template-hash": "6d4f5b7c9"},
		"ownerReferences": []any{m{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": fmt.Sprintf("app%d-6d4f5b7c9", workload), "uid": fmt.Sprint("rs", workload), "controller": true}}},
		"spec": m{"containers": []any{container}, "serviceAccountName": "default", "restartPolicy": "Always", "volumes": []any{m{"name": fmt.Sprintf("kube-api-access-%05d", pod%100000), "projected": m{"defaultMode": 420}}}}}
	text, _ := json.Marshal(o)
	return text
}

// flow is batches of a busy cluster: 2,000 workloads, of which one in ten violates something.
func flow(batches, size int, from time.Time) []protocol.Batch {
	var out []protocol.Batch
	n := 0
	for i := range batches {
		b := protocol.Batch{ID: fmt.Sprint("flow-", from.UnixNano(), "-", i), Replica: "a"}
		for range size {
			n++
			w := n * 7 % 2000
			a := protocol.Admission{At: from.Add(time.Duration(n) * time.Millisecond), UID: fmt.Sprintf("%08d-0000-4000-8000-%012d", i, n), Generation: 1, APIVersion: "v1", Kind: "Pod",
				Namespace: fmt.Sprint("team", w%20), Name: fmt.Sprintf("app%d-6d4f5b7c9-%05d", w, n%100000), OwnerKind: "Deployment", OwnerName: fmt.Sprint("app", w), Operation: "CREATE",
				User: "system:serviceaccount:kube-system:replicaset-controller", Groups: []string{"system:serviceaccounts", "system:authenticated"}, Generated: "0123456789abcdef", Outcome: "allowed",
				Object: podText(w, n)}
			if w%10 == 0 {
				a.Outcome, a.Violations = "blocked", []policy.Violation{privileged(policy.Block)}
			}
			b.Admissions = append(b.Admissions, a)
		}
		out = append(out, b)
	}
	return out
}

// cpu is the time of processors that this process took.
func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkTake takes batches of 500 admissions: the figure is admissions a second.
func BenchmarkTake(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			s, _, target := room(b, storetest.Open(b, kind))
			list := flow(b.N, 500, start.Add(-time.Hour))
			b.ResetTimer()
			began := cpu(b)
			for i := range list {
				if err := s.Take(context.Background(), target, list[i]); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N*500)/(cpu(b)-began).Seconds(), "admissions/cpu-s")
			b.ReportMetric(float64(b.N*500)/b.Elapsed().Seconds(), "admissions/s")
			b.ReportMetric(float64(number(b, s.db, "SELECT entry_bytes + part_bytes FROM admission_logs"))/float64(b.N*500), "bytes/admission")
		})
	}
}

// BenchmarkRecorded reads 100,000 admissions with their objects.
func BenchmarkRecorded(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			s, _, target := room(b, storetest.Open(b, kind))
			for i := range 20 {
				for _, batch := range flow(10, 500, start.Add(-time.Hour+time.Duration(i)*10*time.Second)) {
					if err := s.Take(context.Background(), target, batch); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(number(b, s.db, "SELECT entry_bytes + part_bytes FROM admission_logs"))/100_000, "bytes/admission")
			b.ResetTimer()
			began := cpu(b)
			for range b.N {
				n, size := 0, 0
				err := s.Recorded(context.Background(), target, start.Add(-2*time.Hour), start.Add(time.Hour), func(a protocol.Admission) error {
					n++
					size += len(a.Object)
					return nil
				})
				if err != nil || n != 100_000 || size < 100_000*1000 {
					b.Fatal(err, n, size)
				}
			}
			b.ReportMetric((cpu(b)-began).Seconds()/float64(b.N), "cpu-s/op")
		})
	}
}

// BenchmarkEvents lists among a million events.
func BenchmarkEvents(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			s, st, target := room(b, storetest.Open(b, kind))
			const million = 1_000_000
			for i := 0; i < million; i += 5000 {
				var list []protocol.Admission
				for j := range 5000 {
					n := i + j
					v := privileged(policy.Block)
					v.Rule = fmt.Sprint("workload/rule-", n%97)
					list = append(list, protocol.Admission{At: start.Add(-time.Duration(million-n) * time.Second), Kind: "Pod", APIVersion: "v1", Namespace: fmt.Sprint("ns", n%500), OwnerKind: "Deployment",
						OwnerName: fmt.Sprint("app", n), Name: "x", Operation: "CREATE", Outcome: "blocked", Violations: []policy.Violation{v}})
				}
				take(b, s, target, list...)
			}
			st.pass(time.Minute)
			for name, f := range map[string]Filter{"all": {}, "rule": {Rules: []string{"workload/rule-5"}}, "place": {Targets: []int64{target}, Namespaces: []string{"ns7"}}, "rare": {Rules: []string{"workload/rule-5"}, Namespaces: []string{"ns7"}},
				"search": {Q: "app12345"}, "wide search": {Q: "workload"}, "since": {Since: start.Add(-time.Hour)}, "none": {States: []State{Handled}}} {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						began := time.Now()
						if _, err := s.Events(context.Background(), everything, f, "-lastSeen", store.Page{Limit: 50}); err != nil {
							b.Fatal(err)
						}
						b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "ms")
					}
				})
			}
			b.Run("summary", func(b *testing.B) {
				for b.Loop() {
					if _, err := s.Summary(context.Background(), everything, Filter{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
