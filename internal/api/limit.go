package api

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"stockade.dev/stockade/internal/identity"
)

// Rates bound how many requests a second are taken; the bursts are eight times as large. 0 is the default.
type Rates struct {
	Address float64 // of one address (of IPv6, one /64): default 100
	Person  float64 // of one user or program: default 50
}

// remembered is how many addresses and people the limiter knows at a time.
const remembered = 10_000

type limiter struct {
	rates Rates
	now   func() time.Time
	known *otter.Cache[string, *rate.Limiter]
}

func newLimiter(r Rates, now func() time.Time) *limiter {
	if r.Address == 0 {
		r.Address = 100
	}
	if r.Person == 0 {
		r.Person = 50
	}
	return &limiter{rates: r, now: now, known: otter.Must(&otter.Options[string, *rate.Limiter]{MaximumSize: remembered})}
}

func (l *limiter) addresses(remote func(*http.Request) netip.Addr, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr := remote(r)
		key := addr.String()
		if addr.Is6() {
			if p, err := addr.Prefix(64); err == nil {
				key = p.String()
			}
		}
		if l.allow(w, r, "address "+key, l.rates.Address) {
			next.ServeHTTP(w, r)
		}
	})
}

func (l *limiter) people(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := identity.From(r.Context())
		if q := RequestOf(r.Context()); q != nil && p != nil {
			q.Who = p.Name
		}
		who := owner(p)
		if who == "" || l.allow(w, r, who, l.rates.Person) {
			next.ServeHTTP(w, r)
		}
	})
}

func (l *limiter) allow(w http.ResponseWriter, r *http.Request, key string, perSecond float64) bool {
	bucket, ok := l.known.GetIfPresent(key)
	if !ok {
		bucket, _ = l.known.SetIfAbsent(key, rate.NewLimiter(rate.Limit(perSecond), int(8*perSecond)+1))
	}
	now := l.now()
	if bucket.AllowN(now, 1) {
		return true
	}
	wait := (1 - bucket.TokensAt(now)) / perSecond
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(wait)))))
	WriteProblem(w, r, http.StatusTooManyRequests, "too many requests: wait and try again")
	return false
}
