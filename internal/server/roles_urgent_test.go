package server

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/finding"
)

// smallEmergencies is a list of one.
var smallEmergencies = []*emergency.Emergency{{ID: "CVE-2024-21626", Revision: 1, Name: "Leaky Vessels", Title: finding.Text{EN: "A container reaches the host", ZH: "容器可访问主机"},
	What: finding.Text{EN: "What", ZH: "描述"}, Fix: finding.Text{EN: "Update", ZH: "升级"}, Severity: finding.High, Where: []string{"node", "image"},
	Affected: []emergency.Range{{Component: "runc", Scheme: "semver", Spans: []emergency.Span{{Introduced: "0", Fixed: "1.1.12"}}}},
	Sources:  []emergency.Source{{Name: "NVD", URL: "https://nvd.nist.gov/vuln/detail/CVE-2024-21626"}}}}

func leaky(*world) string { return "emergency=CVE-2024-21626" }

// seenEmergencies puts a node that was looked at, and one that was not, into alpha.
func seenEmergencies(w *world) {
	nodeOfAlpha(w)
	id := w.insert("INSERT INTO emergency_sets (hash, ids) VALUES ('x', '[\"CVE-2024-21626\"]')")
	sub := w.insert("INSERT INTO emergency_subjects (target_id, kind, name, shown, set_id, at) VALUES (?, 1, ?, ?, ?, 1)", w.alpha, markAlpha+"-seen", markAlpha+"-seen", id)
	err := w.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("INSERT INTO emergency_results (subject_id, emergency, target_id, kind, verdict, since, hash, body) VALUES (?, 'CVE-2024-21626', ?, 1, 5, 1, 'h', ?)", sub, w.alpha,
			`{"emergency":"CVE-2024-21626","subject":"","verdict":"exposed"}`).Exec(ctx)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

var urgentNoun = noun{fill: seenEmergencies, rows: map[string]row{
	"list-emergencies":          {want: forSignedIn},
	"get-emergency":             {want: forSignedIn, path: leaky},
	"get-emergency/none":        {want: "401 404 404 404 404 404 404 404 404", path: func(*world) string { return "emergency=CVE-1999-0001" }},
	"list-emergency-results":    {want: forSignedIn, path: leaky, shows: markAlpha},
	"list-emergency-not-looked": {want: forSignedIn, path: leaky, shows: markAlpha},
	"scan-emergency":            {want: "401 403 201 404 404 403 201 404 201", path: leaky, body: func(w *world, _ string) string { return fmt.Sprintf(`{"clusterIds":["%d"]}`, w.alpha) }},
	"scan-emergency/everywhere": {want: "401 403 403 403 403 403 403 403 201", path: leaky},
	"get-emergency-checks":      {want: readAlpha, path: alphaID},
	"set-emergency-checks":      {want: manageAlpha, path: alphaID, body: text(`{"classes":["read"]}`)},
}}
