package task

import (
	"fmt"
	"testing"
	"time"

	"stockade.dev/stockade/internal/store/storetest"
)

// BenchmarkImages reads 1,000 images by 1, 2 and 4 worker processes of four workers each on PostgreSQL: images that take processor
// time (20 ms of one core on the machine of bench/RESULTS.md), and images that wait for a registry (100 ms).
func BenchmarkImages(b *testing.B) {
	const images = 1000
	for _, kind := range []struct {
		name string
		cost time.Duration
		more []string
	}{{"cpu", 20 * time.Millisecond, []string{"STOCKADE_TEST_BURN=1"}}, {"wait", 100 * time.Millisecond, nil}} {
		for _, processes := range []int{1, 2, 4} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, processes), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					url := storetest.Postgres(b)
					r := boss(b, url, images, time.Minute)
					id := r.cluster("a")
					for range processes {
						startWorker(b, url, images, 4, kind.cost, kind.more...)
					}
					b.StartTimer()
					began := time.Now()
					task := r.create(Request{Scope: Scope{Targets: []int64{id}}})
					if got := r.await(task.ID); got.Status != Finished {
						b.Fatalf("%+v\n%s", got, r.dump(task.ID))
					}
					b.ReportMetric(images/time.Since(began).Seconds(), "images/s")
					if n := r.count("SELECT count(*) FROM reads"); n != images {
						b.Errorf("%d readings", n)
					}
				}
			})
		}
	}
}

// BenchmarkOverhead is what the books cost for 1,000 images that cost nothing, in one process.
func BenchmarkOverhead(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				r := newRig(b, storetest.Open(b, kind), 1000)
				id := r.cluster("a")
				b.StartTimer()
				began := time.Now()
				if got := r.await(r.create(Request{Scope: Scope{Targets: []int64{id}}}).ID); got.Status != Finished {
					b.Fatalf("%+v", got)
				}
				b.ReportMetric(1000/time.Since(began).Seconds(), "images/s")
				began = time.Now()
				if got := r.await(r.create(Request{Scope: Scope{Targets: []int64{id}}}).ID); got.Status != Finished {
					b.Fatalf("%+v", got)
				}
				b.ReportMetric(1000/time.Since(began).Seconds(), "known-images/s")
				r.stop()
			}
		})
	}
}
