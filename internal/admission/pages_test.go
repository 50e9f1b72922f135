package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// BenchmarkPages takes in admissions until 10,000 events happened 1,000,000 times, and then reads pages of events. Its figures are the
// tables that it prints; with -short it is a twentieth.
func BenchmarkPages(b *testing.B) {
	const size, workloads, rules = 500, 1000, 10
	total := 1_000_000
	if testing.Short() {
		total = 50_000
	}
	intake := "\n| database | admissions | batches a second | admissions a second | batch p50 ms | batch p99 ms | admissions a CPU second of the program | bytes of the log an admission |\n|---|---:|---:|---:|---:|---:|---:|---:|\n"
	pages := "\n| database | events | happened | page | pages | p50 ms | p99 ms | slowest ms |\n|---|---:|---:|---|---:|---:|---:|---:|\n"
	for _, kind := range []string{"sqlite", "postgres"} {
		db := storetest.Open(b, kind)
		s, st, target := room(b, db)
		texts := make([]json.RawMessage, workloads)
		for i := range texts {
			texts[i] = podText(i, i)
		}
		var took []time.Duration
		began := cpu(b)
		for n := 0; n < total; n += size {
			batch := protocol.Batch{ID: fmt.Sprint("pages-", n), Replica: "a"}
			for i := n; i < n+size; i++ {
				w := i % workloads
				v := privileged(policy.Block)
				v.Rule = fmt.Sprint("workload/rule-", i/workloads%rules)
				batch.Admissions = append(batch.Admissions, protocol.Admission{At: start.Add(-time.Duration(total-i) * 500 * time.Millisecond), UID: fmt.Sprintf("%08d-0000-4000-8000-%012d", w, i), Generation: 1,
					APIVersion: "v1", Kind: "Pod", Namespace: fmt.Sprint("team", w%20), Name: fmt.Sprintf("app%d-6d4f5b7c9-%05d", w, i%100000), OwnerKind: "Deployment", OwnerName: fmt.Sprint("app", w),
					Operation: "CREATE", User: "system:serviceaccount:kube-system:replicaset-controller", Groups: []string{"system:serviceaccounts", "system:authenticated"}, Outcome: "blocked",
					Violations: []policy.Violation{v}, Object: texts[w]})
			}
			since := time.Now()
			if err := s.Take(context.Background(), target, batch); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(since))
		}
		spent, wall := cpu(b)-began, time.Duration(0)
		for _, d := range took {
			wall += d
		}
		slices.Sort(took)
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		intake += fmt.Sprintf("| %s | %d | %.1f | %.0f | %.1f | %.1f | %.0f | %d |\n", kind, total, float64(len(took))/wall.Seconds(), float64(total)/wall.Seconds(), ms(took[len(took)/2]), ms(took[len(took)*99/100]),
			float64(total)/spent.Seconds(), number(b, db, "SELECT entry_bytes + part_bytes FROM admission_logs")/int64(total))
		st.pass(time.Minute)
		events, happened := number(b, db, "SELECT count(*) FROM admission_events"), number(b, db, "SELECT sum(hits) FROM admission_events")
		for _, q := range []struct {
			name string
			of   func(i int) Filter
		}{{"all", func(int) Filter { return Filter{} }}, {"of a rule", func(i int) Filter { return Filter{Rules: []string{fmt.Sprint("workload/rule-", i%rules)}} }},
			{"of a namespace", func(i int) Filter {
				return Filter{Targets: []int64{target}, Namespaces: []string{fmt.Sprint("team", i%20)}}
			}},
			{"search for a workload", func(i int) Filter { return Filter{Q: fmt.Sprint("app", i)} }}, {"of the last hour", func(int) Filter { return Filter{Since: start.Add(-time.Hour)} }},
			{"handled ones", func(int) Filter { return Filter{States: []State{Handled}} }}} {
			took = took[:0]
			for i := range 100 {
				page := store.Page{Limit: 50}
				for range 2 { // and the page after it
					since := time.Now()
					l, err := s.Events(context.Background(), everything, q.of(i), "-lastSeen", page)
					if err != nil {
						b.Fatal(err)
					}
					took = append(took, time.Since(since))
					if page.After = l.Next; page.After == "" {
						break
					}
				}
			}
			slices.Sort(took)
			pages += fmt.Sprintf("| %s | %d | %d | %s | %d | %.2f | **%.2f** | %.2f |\n", kind, events, happened, q.name, len(took), ms(took[len(took)/2]), ms(took[len(took)*99/100]), ms(took[len(took)-1]))
		}
	}
	fmt.Println(intake + pages)
}
