package browse

import (
	"strings"
	"testing"

	"stockade.dev/stockade/internal/ledger"
)

// TestPlan chooses between walking the order of the sort and starting from what the filter selects.
func TestPlan(t *testing.T) {
	world := matrix{{kind: ledger.SystemVulnerability, severity: 4, status: ledger.StatusOpen, n: 100_000}, {kind: ledger.SystemVulnerability, severity: 1, status: ledger.StatusOpen, n: 500_000},
		{kind: ledger.Configuration, severity: 1, status: ledger.StatusOpen, n: 300_000}, {kind: ledger.Malware, severity: 4, status: ledger.StatusOpen, n: 60}}
	known := func(p pred, rows int) pred { p.rows = rows; return p }
	for name, c := range map[string]struct {
		sort    string
		preds   []pred
		matches int
		walk    bool
		from    string
	}{
		"everything":        {"-priority", nil, 900_060, true, "findings_severity"},
		"a kind":            {"-priority", []pred{in("kind", []ledger.Kind{ledger.Configuration})}, 300_000, true, "findings_kind"},
		"a kind by package": {"package", []pred{in("kind", []ledger.Kind{ledger.Configuration})}, 300_000, true, "findings_kind_package"},
		"a small kind":      {"image", []pred{in("kind", []ledger.Kind{ledger.Malware})}, 60, false, "findings_kind"},
		"a rare rule":       {"-priority", []pred{known(in("rule", []string{"CVE-2024-1"}), 20)}, 20, false, "findings_rule"},
		"a rare rule by id": {"image", []pred{known(in("rule", []string{"CVE-2024-1"}), 20)}, 20, false, "findings_rule"},
		"an asset":          {"-changedAt", []pred{known(in("asset_id", []int64{5, 6}), 90)}, 90, false, "findings_asset"},
		"a common flag":     {"rule", []pred{{wants: "fixable", sqlText: text("f.fixable"), rows: 300_000}}, 300_000, true, "findings_kind_rule"},
	} {
		o, err := parseSort(c.sort)
		if err != nil {
			t.Fatal(err)
		}
		q := &question{sqlite: true, order: o, preds: c.preds, world: world, active: true, limit: 51, matches: c.matches}
		p, ok := q.choose()
		if !ok || p.walk != c.walk || !strings.HasSuffix(p.arms[0].from, " "+c.from) {
			t.Errorf("%s: walk %t from %v at %d, want %t from %s", name, p.walk, p.arms[0].from, p.cost, c.walk, c.from)
		}
	}
}
