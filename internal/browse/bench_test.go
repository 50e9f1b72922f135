package browse_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/browse/browsetest"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// request is one page that a user asks for.
type request struct {
	name string
	do   func(ctx context.Context, b *browse.Browser) error
	took []time.Duration
}

// commonFilters are what the console offers at a click, on the data of browsetest.Large.
func commonFilters() map[string]browse.Filter {
	vulnerabilities := []ledger.Kind{ledger.SystemVulnerability}
	return map[string]browse.Filter{
		"all":              {},
		"any status":       {Statuses: ledger.Statuses},
		"fixed":            {Statuses: []ledger.Status{ledger.StatusFixed}},
		"reopened":         {Statuses: []ledger.Status{ledger.StatusReopened}},
		"kind system":      {Kinds: vulnerabilities},
		"kind config":      {Kinds: []ledger.Kind{ledger.Configuration}},
		"kind malware":     {Kinds: []ledger.Kind{ledger.Malware}},
		"critical":         {Severities: []ledger.Severity{4}},
		"low":              {Severities: []ledger.Severity{1}},
		"critical+high":    {Severities: []ledger.Severity{4, 3}},
		"config critical":  {Kinds: []ledger.Kind{ledger.Configuration}, Severities: []ledger.Severity{4}},
		"system fixable":   {Kinds: vulnerabilities, Severities: []ledger.Severity{4, 3}, Fixable: ptr(true)},
		"kev":              {KEV: ptr(true)},
		"cluster":          {Targets: []int64{7}},
		"cluster critical": {Targets: []int64{7}, Severities: []ledger.Severity{4}},
		"cluster config":   {Targets: []int64{93}, Kinds: []ledger.Kind{ledger.Configuration}},
		"3 clusters":       {Targets: []int64{7, 40, 93}},
		"cluster space":    {Targets: []int64{7}, Namespaces: []string{"team-3"}},
		"kube-system":      {Namespaces: []string{"kube-system"}},
		"frequent rule":    {Rule: "workload/rule-nginx-0"},
		"rare cve":         {Rule: "CVE-2019-2001"},
		"package":          {Package: "libnginx-0"},
		"image":            {Image: "registry.example.com/nginx/app-0:1.0"},
		"workload":         {Asset: 5000},
		"node":             {Node: "node-1"},
		"assignee":         {Assignee: 2},
		"last day":         {FirstSince: browsetest.Now.Add(-24 * time.Hour)},
		"changed 2 h":      {Changed: browsetest.Now.Add(-2 * time.Hour), Statuses: ledger.Statuses},
		"priority 70":      {Priority: 70},
		"q cve":            {Q: "CVE-2019-2001"},
		"q package":        {Q: "libredis"},
		"q workload":       {Q: "payment-117"},
		"q common":         {Q: "nginx"},
		"q chinese":        {Q: "溢出漏洞"},
	}
}

func requests() []*request {
	var out []*request
	add := func(name string, do func(ctx context.Context, b *browse.Browser) error) {
		out = append(out, &request{name: name, do: do})
	}
	list := func(who string, v identity.Visible, f browse.Filter, name, sort string) {
		var next string
		var once sync.Once
		add(fmt.Sprintf("findings %s%s by %s", who, name, sort), func(ctx context.Context, b *browse.Browser) error {
			l, err := b.Findings(ctx, v, f, sort, store.Page{})
			once.Do(func() { next = l.Next })
			return err
		})
		add(fmt.Sprintf("findings %s%s by %s, page 2", who, name, sort), func(ctx context.Context, b *browse.Browser) error {
			_, err := b.Findings(ctx, v, f, sort, store.Page{After: next})
			return err
		})
	}
	one := identity.Visible{Targets: []int64{12}}
	part := identity.Visible{Namespaces: map[int64][]string{12: {"team-3", "team-4"}}}
	for _, sort := range browse.Sorts {
		for _, sort := range []string{sort, "-" + sort} {
			for name, f := range commonFilters() {
				list("", everything, f, name, sort)
			}
			for _, name := range []string{"all", "critical", "kind config", "q package"} {
				list("of an operator: ", one, commonFilters()[name], name, sort)
				list("of a team: ", part, commonFilters()[name], name, sort)
			}
		}
	}
	for who, v := range map[string]identity.Visible{"": everything, "of an operator: ": one, "of a team: ": part} {
		for name, f := range map[string]browse.RiskFilter{"all": {}, "config": {Kinds: []ledger.Kind{ledger.Configuration}}, "cluster": {Targets: []int64{12}},
			"3 clusters": {Targets: []int64{7, 12, 93}}, "kev": {KEV: ptr(true)}, "q": {Q: "redis"}} {
			for _, sort := range browse.RiskSorts {
				add("risks "+who+name+" by "+sort, func(ctx context.Context, b *browse.Browser) error {
					_, _, _, err := b.Risks(ctx, v, f, sort, store.Page{})
					return err
				})
			}
		}
		for _, kind := range ledger.AssetKinds {
			for name, f := range map[string]browse.AssetFilter{"all": {}, "risky": {Risky: true}, "cluster": {Targets: []int64{12}}, "space": {Namespaces: []string{"team-3"}}, "q": {Q: "payment"}} {
				f.Kind = kind
				for _, sort := range browse.AssetSorts {
					add("assets "+who+kind.String()+" "+name+" by "+sort, func(ctx context.Context, b *browse.Browser) error {
						_, _, _, err := b.Assets(ctx, v, f, sort, store.Page{})
						return err
					})
				}
			}
		}
		for _, targets := range [][]int64{nil, {12}} {
			add(fmt.Sprint("overview ", who, targets), func(ctx context.Context, b *browse.Browser) error {
				_, err := b.Overview(ctx, v, browse.OverviewFilter{Targets: targets, Days: 90})
				return err
			})
		}
		add("finding "+who, func(ctx context.Context, b *browse.Browser) error {
			_, err := b.Finding(ctx, v, 100)
			if who != "" {
				return nil
			}
			return err
		})
	}
	return out
}

// BenchmarkLists measures every list, in every order and with the common filters, on a million findings: alone, with twenty users who
// look at each page for a second, and with twenty who do not, for how many pages there can be. It prints tables in Markdown.
func BenchmarkLists(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			ctx := context.Background()
			db := storetest.Open(b, kind)
			if err := browsetest.Seed(ctx, db, browsetest.Large); err != nil {
				b.Fatal(err)
			}
			br := browse.New(db)
			br.SetClock(func() time.Time { return browsetest.Now })
			all := requests()
			alone(b, br, all)
			report(b, kind+", one user", all)
			b.ResetTimer()
			together(b, br, all, len(all), time.Second)
			report(b, kind+", 20 users who look at a page for a second", all)
			n := 1500
			rate := float64(n) / together(b, br, all, n, 0).Seconds()
			report(b, fmt.Sprintf("%s, 20 users without pause: %.0f pages a second", kind, rate), all)
			b.ReportMetric(rate, "pages/s")
		})
	}
}

func alone(b *testing.B, br *browse.Browser, all []*request) {
	for _, r := range all {
		if err := r.do(context.Background(), br); err != nil { // warms the cache
			b.Fatalf("%s: %v", r.name, err)
		}
	}
	for _, r := range all {
		start := time.Now()
		if err := r.do(context.Background(), br); err != nil {
			b.Fatalf("%s: %v", r.name, err)
		}
		r.took = append(r.took, time.Since(start))
	}
}

// together lets twenty users ask n pages, with a pause between two that is about as long as given.
func together(b *testing.B, br *browse.Browser, all []*request, n int, pause time.Duration) time.Duration {
	var mu sync.Mutex
	var wg sync.WaitGroup
	r := rand.New(rand.NewPCG(1, 2))
	order := r.Perm(len(all))
	next, begin := 0, time.Now()
	for range 20 {
		wg.Go(func() {
			for {
				mu.Lock()
				if next == n {
					mu.Unlock()
					return
				}
				one := all[order[next%len(all)]]
				next++
				wait := time.Duration(float64(pause) * (0.5 + r.Float64()))
				mu.Unlock()
				time.Sleep(wait)
				start := time.Now()
				err := one.do(context.Background(), br)
				took := time.Since(start)
				mu.Lock()
				if err != nil {
					b.Errorf("%s: %v", one.name, err)
				}
				one.took = append(one.took, took)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return time.Since(begin)
}

// report prints what was measured, by the first word of the names, and the slowest, and forgets it.
func report(b *testing.B, what string, all []*request) {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	var out strings.Builder
	fmt.Fprintf(&out, "\n%s\n\n| list | pages | p50 ms | p99 ms | max ms |\n|---|---:|---:|---:|---:|\n", what)
	for _, group := range []string{"findings", "risks", "assets", "overview", "finding"} {
		var took []time.Duration
		for _, r := range all {
			if strings.HasPrefix(r.name, group+" ") {
				took = append(took, r.took...)
			}
		}
		if len(took) == 0 {
			continue
		}
		slices.Sort(took)
		at := func(p float64) float64 { return ms(took[int(p*float64(len(took)-1))]) }
		fmt.Fprintf(&out, "| %s | %d | %.1f | %.1f | %.1f |\n", group, len(took), at(0.5), at(0.99), at(1))
	}
	slow := slices.DeleteFunc(slices.Clone(all), func(r *request) bool { return len(r.took) == 0 })
	slices.SortFunc(slow, func(x, y *request) int { return int(slices.Max(y.took) - slices.Max(x.took)) })
	out.WriteString("\n| slowest | ms |\n|---|---:|\n")
	for _, r := range slow[:min(10, len(slow))] {
		fmt.Fprintf(&out, "| %s | %.1f |\n", r.name, ms(slices.Max(r.took)))
	}
	for _, r := range all {
		r.took = nil
	}
	_, _ = fmt.Fprint(os.Stderr, out.String())
}
