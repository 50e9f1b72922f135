package verdict

import (
	"fmt"
	"testing"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store/storetest"
)

// fill makes n images with 30 vulnerabilities each, and asks about them all.
func fill(b *testing.B, n int) (*world, protocol.ImagesRequest) {
	b.Helper()
	w := newWorld(b, storetest.Open(b, "sqlite"))
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
	w, req := fill(b, protocol.MaxImages)
	for b.Loop() {
		if _, err := w.s.Images(b.Context(), w.target, req); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRejudge: all verdicts of a cluster with 2,000 images after its policies changed; every one is another.
func BenchmarkRejudge(b *testing.B) {
	const images = 2000
	w, _ := fill(b, images)
	n := 0
	for b.Loop() {
		n++
		sev := []finding.Severity{finding.High, finding.Medium}[n%2]
		w.policies(policy.Policy{ID: 1, Name: "x", Action: policy.Block, Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities, Severity: sev}}})
		clear(w.s.cache)
		if err := w.s.Keep(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(images*b.N)/b.Elapsed().Seconds(), "images/s")
}
