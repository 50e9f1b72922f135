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

// BenchmarkLists measures every list, in every order and with the common filters, on a million findings: alone, and with twenty
// users who ask one page after the other. It prints the slowest.
func BenchmarkLists(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			ctx := context.Background()
			db := storetest.Open(b, kind)
			start := time.Now()
			o := browsetest.Large
			if err := browsetest.Seed(ctx, db, o); err != nil {
				b.Fatal(err)
			}
			b.Logf("%d findings in %.0f s", o.Findings, time.Since(start).Seconds())
			br := browse.New(db)
			br.SetClock(func() time.Time { return browsetest.Now })
			all := requests()
			alone(b, br, all)
			report(b, "alone", all, 40)
			for _, r := range all {
				r.took = nil
			}
			b.ResetTimer()
			together(b, br, all, 20)
			report(b, "20 users", all, 25)
		})
	}
}

func alone(b *testing.B, br *browse.Browser, all []*request) {
	for range 2 {
		for _, r := range all {
			start := time.Now()
			if err := r.do(context.Background(), br); err != nil {
				b.Fatalf("%s: %v", r.name, err)
			}
			r.took = append(r.took, time.Since(start))
		}
	}
	for _, r := range all {
		r.took = r.took[1:] // the first one warms the cache
	}
}

func together(b *testing.B, br *browse.Browser, all []*request, users int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	order := rand.New(rand.NewPCG(1, 2)).Perm(3 * len(all))
	next := 0
	for range users {
		wg.Go(func() {
			for {
				mu.Lock()
				if next == len(order) {
					mu.Unlock()
					return
				}
				r := all[order[next]%len(all)]
				next++
				mu.Unlock()
				start := time.Now()
				err := r.do(context.Background(), br)
				took := time.Since(start)
				mu.Lock()
				if err != nil {
					b.Errorf("%s: %v", r.name, err)
				}
				r.took = append(r.took, took)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func report(b *testing.B, what string, all []*request, top int) {
	var took []time.Duration
	for _, r := range all {
		took = append(took, r.took...)
	}
	slices.Sort(took)
	at := func(p float64) float64 { return float64(took[int(p*float64(len(took)-1))].Microseconds()) / 1000 }
	b.ReportMetric(at(0.5), "p50-ms/"+strings.ReplaceAll(what, " ", "-"))
	b.ReportMetric(at(0.99), "p99-ms/"+strings.ReplaceAll(what, " ", "-"))
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %d requests, p50 %.1f ms, p90 %.1f ms, p99 %.1f ms, max %.1f ms\n", what, len(took), at(0.5), at(0.9), at(0.99), at(1))
	slow := slices.Clone(all)
	slices.SortFunc(slow, func(x, y *request) int { return int(slices.Max(y.took) - slices.Max(x.took)) })
	for _, r := range slow[:min(top, len(slow))] {
		fmt.Fprintf(&out, "  %7.1f ms  %s\n", float64(slices.Max(r.took).Microseconds())/1000, r.name)
	}
	b.Log(out.String())
	_, _ = fmt.Fprint(os.Stderr, out.String())
}
