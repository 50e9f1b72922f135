package verdict

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store/storetest"
)

// fill makes n images with 30 vulnerabilities each, and asks about them all.
func fill(b *testing.B, kind string, n int) (*world, protocol.ImagesRequest) {
	b.Helper()
	w := newWorld(b, storetest.Open(b, kind))
	w.s.o.Patience = time.Hour
	var found []*finding.Finding
	for i := range 30 {
		sev := finding.Medium
		if i%10 == 0 {
			sev = finding.High
		}
		found = append(found, vulnerableTo(fmt.Sprintf("CVE-2026-%04d", i), sev))
	}
	var req protocol.ImagesRequest
	for i := range n {
		w.image(hex64(i+1), "", found...)
		req.Images = append(req.Images, protocol.Image{Reference: fmt.Sprintf("registry.example.com/app-%d@%s", i, hex64(i+1))})
	}
	for i := 0; i < n; i += protocol.MaxImages {
		if _, err := w.s.Images(b.Context(), w.target, protocol.ImagesRequest{Images: req.Images[i:min(n, i+protocol.MaxImages)]}); err != nil {
			b.Fatal(err)
		}
	}
	return w, req
}

// BenchmarkImages: a question about 1,000 images that are known.
func BenchmarkImages(b *testing.B) {
	w, req := fill(b, "sqlite", protocol.MaxImages)
	for b.Loop() {
		if _, err := w.s.Images(b.Context(), w.target, req); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRejudge: all verdicts of a cluster with 2,000 images after its policies changed; every one is another.
func BenchmarkRejudge(b *testing.B) {
	each(b, func(b *testing.B, w *world, n int) {
		sev := []finding.Severity{finding.High, finding.Medium}[n%2]
		w.policies(policy.Policy{ID: 1, Name: "x", Action: policy.Block, Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities, Severity: sev}}})
		clear(w.s.cache)
		if err := w.s.Keep(b.Context()); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkRematch: the same after another advisory database came; matching itself costs nothing here.
func BenchmarkRematch(b *testing.B) {
	each(b, func(b *testing.B, w *world, n int) {
		w.mu.Lock()
		w.stamp = fmt.Sprint("stamp ", n)
		for _, list := range w.findings {
			list[0].Severity = []finding.Severity{finding.Critical, finding.Medium}[n%2]
		}
		w.mu.Unlock()
		clear(w.s.cache)
		for more, ends := true, time.Now().Add(time.Hour); more; {
			var err error
			if more, err = w.s.keepFacts(b.Context(), ends); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// each runs f on a world of 2,000 images again and again, on both databases.
func each(b *testing.B, f func(b *testing.B, w *world, n int)) {
	const images = 2000
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			w, _ := fill(b, kind, images)
			n, began := 0, cpu()
			for b.Loop() {
				n++
				f(b, w, n)
			}
			b.ReportMetric(float64(images*b.N)/b.Elapsed().Seconds(), "images/s")
			b.ReportMetric(float64(images*b.N)/(cpu()-began).Seconds(), "images/cpu-s")
		})
	}
}

// cpu is the processor time of this process so far: on a busy machine it says more than the clock.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
