package browse_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/browse/browsetest"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// BenchmarkFacets measures, on a million findings, the counts beside a list and the lists of risks and of assets, each with the
// common filters. It prints tables in Markdown.
func BenchmarkFacets(b *testing.B) {
	part := identity.Visible{Namespaces: map[int64][]string{12: {"team-3", "team-4"}}}
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			ctx := context.Background()
			db := storetest.Open(b, kind)
			if err := browsetest.Seed(ctx, db, browsetest.Large); err != nil {
				b.Fatal(err)
			}
			br := browse.New(db)
			br.SetClock(func() time.Time { return browsetest.Now })
			for what, do := range map[string]func(v identity.Visible, f browse.Filter) error{
				"facets": func(v identity.Visible, f browse.Filter) error {
					_, err := br.Facets(ctx, v, f, browse.FacetNames)
					return err
				},
				"risks": func(v identity.Visible, f browse.Filter) error {
					_, _, _, err := br.RisksOf(ctx, v, f, "severity", store.Page{})
					return err
				},
				"workloads": func(v identity.Visible, f browse.Filter) error {
					_, _, _, err := br.AssetsOf(ctx, v, ledger.AssetWorkload, f, "score", store.Page{})
					return err
				},
				"namespaces": func(v identity.Visible, f browse.Filter) error {
					_, _, _, err := br.AssetsOf(ctx, v, ledger.AssetNamespace, f, "score", store.Page{})
					return err
				},
			} {
				var took []time.Duration
				var slow []string
				for who, v := range map[string]identity.Visible{"": everything, " of a team": part} {
					for name, f := range commonFilters() {
						for range 2 { // the first warms the cache
							start := time.Now()
							if err := do(v, f); err != nil {
								b.Fatalf("%s%s of %s: %v", what, who, name, err)
							}
							if d := time.Since(start); len(took)%2 == 1 && d > 300*time.Millisecond {
								slow = append(slow, fmt.Sprintf("%s%s %d ms", name, who, d.Milliseconds()))
							}
							took = append(took, time.Since(start))
						}
					}
				}
				slices.Sort(took)
				slices.Sort(slow)
				fmt.Fprintf(os.Stderr, "| %s, %s | %d | p50 %d ms | p95 %d ms | max %d ms | %v |\n", kind, what, len(took), took[len(took)/2].Milliseconds(),
					took[len(took)*95/100].Milliseconds(), took[len(took)-1].Milliseconds(), slow)
			}
		})
	}
}
