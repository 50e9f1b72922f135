package provider

import (
	"math"
	"sync"
	"time"

	"stockade.dev/stockade/internal/provider/protocol"
)

// window counts answers of the last five minutes, in slices of ten seconds, with a histogram of how long they took.
type window struct {
	now func() time.Time

	mu     sync.Mutex
	slices [windowSlices]slice
	last   time.Time
}

const (
	windowSlices = 30
	sliceSeconds = 10
	steps        = 64 // of the histogram: from 10 µs on, each a quarter longer, to about 10 s
)

type slice struct {
	at            int64 // which ten seconds
	count, errors int64
	took          [steps]uint32
}

func step(d time.Duration) int {
	if d <= 10*time.Microsecond {
		return 0
	}
	return min(int(math.Log(float64(d)/float64(10*time.Microsecond))/math.Log(1.25))+1, steps-1)
}

// upper is the longest of a step, in milliseconds.
func upper(i int) float64 { return 0.01 * math.Pow(1.25, float64(i)) }

func (w *window) add(took time.Duration, failed bool) {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = now
	at := now.Unix() / sliceSeconds
	s := &w.slices[((at%windowSlices)+windowSlices)%windowSlices]
	if s.at != at {
		*s = slice{at: at}
	}
	s.count++
	if failed {
		s.errors++
	}
	s.took[step(took)]++
}

// service sums up.
func (w *window) service() protocol.Service {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := protocol.Service{Last: w.last.UTC()}
	if w.last.IsZero() {
		out.Last = time.Time{}
	}
	at := w.now().Unix() / sliceSeconds
	var took [steps]int64
	for i := range w.slices {
		s := &w.slices[i]
		if s.at <= at-windowSlices || s.at > at { // over, or from before the clock was set back
			continue
		}
		out.Count += s.count
		out.Errors += s.errors
		for j, n := range s.took {
			took[j] += int64(n)
		}
	}
	out.P50, out.P99 = quantile(&took, out.Count, 0.50), quantile(&took, out.Count, 0.99)
	return out
}

func quantile(took *[steps]int64, count int64, q float64) float64 {
	if count == 0 {
		return 0
	}
	rank, seen := int64(math.Ceil(q*float64(count))), int64(0)
	for i, n := range took {
		if seen += n; seen >= rank {
			return math.Round(upper(i)*1000) / 1000
		}
	}
	return upper(steps - 1)
}
