package provider

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what Prometheus may read.
type metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.HistogramVec
	keys       *prometheus.CounterVec
	outcomes   *prometheus.CounterVec
	unanswered prometheus.Counter
	malformed  prometheus.Counter
	panics     prometheus.Counter
}

func newMetrics(p *Provider) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "stockade_provider_" + name, Help: help})
	}
	gauge := func(name, help string, f func() float64) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "stockade_provider_" + name, Help: help}, f)
	}
	m := &metrics{registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "stockade_provider_request_seconds", Help: "Time to answer Gatekeeper and the API server.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .05, .1, .25, .5, 1, 1.5, 2, 3}}, []string{"door", "status"}),
		keys:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stockade_provider_keys_total", Help: "Keys that were answered."}, []string{"door"}),
		outcomes:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stockade_provider_admissions_total", Help: "Admission requests that were recorded, by what the policies say."}, []string{"outcome"}),
		unanswered: counter("unanswered_total", "Images without a verdict in time."),
		malformed:  counter("malformed_total", "Admission reviews that could not be read."),
		panics:     counter("panics_total", "Failures of the program that were survived."),
	}
	yes := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "stockade_provider_build_info", Help: "1, with the version.", ConstLabels: prometheus.Labels{"version": p.o.Version}})
	info.Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), m.requests, m.keys, m.outcomes, m.unanswered,
		m.malformed, m.panics, info,
		gauge("verdicts", "Verdicts on images that are kept.", func() float64 { return float64(p.memory.Len()) }),
		gauge("asked", "Images that the server is being asked about.", func() float64 { return float64(p.ask.waiting()) }),
		gauge("queue", "Admission requests that wait to be judged.", func() float64 { return float64(len(p.rec.queue)) }),
		gauge("spool_bytes", "Recorded admissions that the server has not taken yet.", func() float64 { return float64(p.spool.State().Bytes) }),
		gauge("lost", "Admission requests since the start that could not be recorded.", func() float64 { return float64(p.spool.State().Lost) }),
		gauge("server_reachable", "1 when the server answered last time.", func() float64 {
			reached, err := p.link.State()
			return yes(err == nil && !reached.IsZero())
		}),
		gauge("server_reached_seconds", "When the server answered last, in Unix time.", func() float64 {
			reached, _ := p.link.State()
			if reached.IsZero() {
				return 0
			}
			return float64(reached.Unix())
		}),
		gauge("certificate_end_seconds", "When the certificate that is served ends, in Unix time.", func() float64 {
			if k := p.certs.current(); k != nil {
				return float64(k.leaf.NotAfter.Unix())
			}
			return 0
		}),
		gauge("ready", "1 when there are policies to answer by.", func() float64 { return yes(p.notReady() == "") }))
	return m
}

// healthHandler is the plain port for the kubelet and Prometheus. It has no secrets.
func (p *Provider) healthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") }) // the kubelet has hung up
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := p.notReady(); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, strings.Join(append([]string{"ok"}, p.problems()...), "\n")) // as above
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2}))
	return mux
}

// notReady says why nobody should be sent here; "" is that they should. A server that is away is no reason: what was kept answers.
func (p *Provider) notReady() string {
	switch {
	case p.draining.Load():
		return "stopping"
	case p.force.Load() == nil:
		return "no policies yet: they come from the server, which was not reached, or from the folder of data, which has none"
	case p.certs.current() == nil:
		return "no certificate to serve with"
	}
	return ""
}
