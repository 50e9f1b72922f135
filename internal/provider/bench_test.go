package provider

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/memory"
)

// benched is a provider that knows 100,000 images, and a question about fifty of them.
func benched(b *testing.B) (*world, []string) {
	b.Helper()
	w := newWorld(b)
	w.o.Now = time.Now
	cert, key := w.doors.sign(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	w.write("tls/tls.crt", cert)
	w.write("tls/tls.key", key)
	w.start()
	w.pull()
	for i := range 100_000 {
		name := fmt.Sprintf("registry.example.com/team%d/app%d:%d.0.1", i%300, i%5000, i)
		v := w.good(name)
		if i%10 == 0 {
			v = w.bad(name)
		}
		w.p.memory.Put(name, &v, memory.Origin{Epoch: w.p.epoch(), Asked: time.Now()})
	}
	keys := make([]string, 50)
	for i := range keys {
		keys[i] = policy.ImageKey{Generation: "g1", Policy: 1, Action: policy.Block, Namespace: "shop", Image: fmt.Sprintf("registry.example.com/team%d/app%d:%d.0.1", i*7%300, i*7%5000, i*7)}.String()
	}
	return w, keys
}

// BenchmarkAnswer is the provider's own work: fifty images from memory, without the short memory of answers.
func BenchmarkAnswer(b *testing.B) {
	w, keys := benched(b)
	since := cpu()
	for b.Loop() {
		w.p.memo.changed()
		encode(nil, w.p.answer(context.Background(), keys))
	}
	b.ReportMetric(float64(b.N*len(keys))/(cpu()-since).Seconds(), "images/cpu-s")
}

// BenchmarkAnswerAgain is with it.
func BenchmarkAnswerAgain(b *testing.B) {
	w, keys := benched(b)
	since := cpu()
	for b.Loop() {
		encode(nil, w.p.answer(context.Background(), keys))
	}
	b.ReportMetric(float64(b.N*len(keys))/(cpu()-since).Seconds(), "images/cpu-s")
}

// BenchmarkHandler is a request of fifty images without the network: body, certificate, answer.
func BenchmarkHandler(b *testing.B) {
	for _, again := range []bool{false, true} {
		b.Run(map[bool]string{false: "new", true: "again"}[again], func(b *testing.B) {
			w, keys := benched(b)
			body, err := json.Marshal(externaldata.NewProviderRequest(keys))
			if err != nil {
				b.Fatal(err)
			}
			pair := w.gkPair()
			state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{pair.Leaf}}
			ctx := connected(context.Background(), nil)
			h := w.p.Doors()
			took, since := make([]time.Duration, 0, 1<<20), cpu()
			for b.Loop() {
				if !again {
					w.p.memo.changed()
				}
				r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/validate", bytes.NewReader(body))
				r.TLS = state
				rec := httptest.NewRecorder()
				began := time.Now()
				h.ServeHTTP(rec, r)
				took = append(took, time.Since(began))
				if rec.Code != 200 {
					b.Fatal(rec.Body)
				}
			}
			report(b, took, since)
		})
	}
}

// BenchmarkHTTPS is the same over one kept TLS connection, client and server on the same cores.
func BenchmarkHTTPS(b *testing.B) {
	for _, n := range []int{1, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w, keys := benched(b)
			s := httptest.NewUnstartedServer(w.p.Doors())
			s.TLS = w.p.certs.config()
			s.Config.ConnContext = connected
			s.StartTLS()
			defer s.Close()
			c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, Certificates: []tls.Certificate{w.gk.pair()}}}} //nolint:gosec // a benchmark
			body, err := json.Marshal(externaldata.NewProviderRequest(keys[:n]))
			if err != nil {
				b.Fatal(err)
			}
			took, since := make([]time.Duration, 0, 1<<20), cpu()
			for b.Loop() {
				began := time.Now()
				res, err := c.Post(s.URL+"/validate", "application/json", bytes.NewReader(body)) //nolint:noctx // a benchmark
				if err != nil || res.StatusCode != 200 {
					b.Fatal(err, res)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				took = append(took, time.Since(began))
			}
			report(b, took, since)
		})
	}
}

// BenchmarkRecord is a request to the recorder from the answer to the spool.
func BenchmarkRecord(b *testing.B) {
	w, _ := benched(b)
	v := w.bad("docker.io/library/bad:1")
	w.p.memory.Put("docker.io/library/bad:1", &v, memory.Origin{Epoch: w.p.epoch(), Asked: time.Now()})
	d := newTestDecoder()
	text := reviewText("v1", "CREATE", testPod, "")
	since := cpu()
	defer func() { b.ReportMetric(float64(b.N)/(cpu()-since).Seconds(), "records/cpu-s") }()
	for b.Loop() {
		if rec := w.show(text); !strings.Contains(rec.Body.String(), "true") {
			b.Fatal(rec.Body)
		}
		w.p.rec.keep(d, <-w.p.rec.queue)
		w.p.rec.bytes.Store(0)
	}
}

// cpu is the processor time so far: on a busy machine it says more than the clock.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func report(b *testing.B, took []time.Duration, since time.Duration) {
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) }
	b.ReportMetric(at(0.5), "p50-µs")
	b.ReportMetric(at(0.99), "p99-µs")
	b.ReportMetric(float64(b.N)/(cpu()-since).Seconds(), "req/cpu-s")
}
