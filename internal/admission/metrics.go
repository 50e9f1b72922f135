package admission

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what Prometheus may read of the room.
type metrics struct {
	requests *prometheus.CounterVec
	left     prometheus.Counter
	lost     prometheus.Counter
	unkept   prometheus.Counter
	batches  prometheus.Histogram
}

func newMetrics() *metrics {
	return &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stockade_admissions_total", Help: "Admission requests that were taken into the log."}, []string{"outcome"}),
		left:     prometheus.NewCounter(prometheus.CounterOpts{Name: "stockade_admissions_left_total", Help: "Dry runs and self-tests, which are not kept."}),
		lost:     prometheus.NewCounter(prometheus.CounterOpts{Name: "stockade_admissions_lost_total", Help: "Requests that providers could not record."}),
		unkept:   prometheus.NewCounter(prometheus.CounterOpts{Name: "stockade_admissions_without_object_total", Help: "Requests whose object was too large, or for which there was no room."}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "stockade_admission_batch_seconds", Help: "Time to take a batch of admissions.",
			Buckets: []float64{.005, .02, .05, .1, .25, 1, 5, 30}}),
	}
}

func (m *metrics) took(d *drafts, lost int, took time.Duration) {
	counts := map[Outcome]int{}
	for i := range d.list {
		counts[d.list[i].outcome]++
	}
	for o, n := range counts {
		m.requests.WithLabelValues(o.String()).Add(float64(n))
	}
	m.left.Add(float64(d.left))
	m.lost.Add(float64(max(0, lost)))
	m.unkept.Add(float64(d.large))
	m.batches.Observe(took.Seconds())
}

// Metrics are collectors for the server's registry.
func (s *Service) Metrics() []prometheus.Collector {
	return []prometheus.Collector{s.metrics.requests, s.metrics.left, s.metrics.lost, s.metrics.unkept, s.metrics.batches}
}
