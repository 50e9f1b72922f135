package server

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/frameworks"
	"stockade.dev/stockade/internal/compliance"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// judge writes verdicts of a framework on alpha, and what somebody found out by hand.
func (w *world) judge() {
	for _, statement := range []string{
		"INSERT INTO clauses (target_id, framework, clause, ordinal, status, findings, body, updated_at) VALUES (?, 'nsa', 'encryption', 14, 'manual', 0, '{\"reason\":{\"en\":\"" + markAlpha + "\"}}', 1000)",
		"INSERT INTO judged (target_id, framework, at, run_id, pass, fail, manual, not_applicable) VALUES (?, 'nsa', 1000, 0, 0, 0, 1, 0)",
	} {
		w.do(func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw(statement, w.alpha).Exec(ctx)
			return err
		})
	}
	all, err := compliance.Load(frameworks.FS)
	if err != nil {
		w.t.Fatal(err)
	}
	w.rooms.browse.SetCatalog(compliance.NewCatalog(all, nil))
}

func (w *world) do(change func(ctx context.Context, tx bun.Tx) error) {
	w.t.Helper()
	if err := w.db.Write(context.Background(), change); err != nil {
		w.t.Fatal(err)
	}
}

// attestationID is what somebody found out by hand of a clause of alpha.
func attestationID(w *world) string {
	w.t.Helper()
	a := &ledger.Attestation{TargetID: w.alpha, Framework: "nsa", Clause: "encryption", Verdict: "pass", Note: markAlpha, By: "x", At: store.At(time.Now()), ExpiresAt: store.At(time.Now().AddDate(1, 0, 0)), UserID: 1}
	w.do(func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(a).Exec(ctx)
		return err
	})
	return fmt.Sprint("id=", a.ID)
}

func attestation(w *world, _ string) string {
	return fmt.Sprintf(`{"targetId":"%d","verdict":"pass","note":"looked %d"}`, w.alpha, w.next())
}

func nsa(*world) string { return "framework=nsa clause=encryption" }

var complianceNoun = noun{
	fill: func(w *world) { w.judge() },
	rows: map[string]row{
		"list-frameworks":       {want: forSignedIn, shows: markAlpha},
		"list-known-frameworks": {want: forSignedIn},
		"list-clauses":          {want: forSignedIn, shows: markAlpha, path: nsa},
		"list-verdict-days":     {want: forSignedIn, path: nsa},
		"compare-clauses":       {want: forSignedIn, shows: markAlpha, path: nsa},
		"get-clause":            {want: forSignedIn, shows: markAlpha, path: nsa},
		"export-compliance":     {want: forSignedIn, shows: markAlpha, path: nsa, query: "form=csv"},
		"attest-clause":         {want: "401 403 201 404 404 403 201 404 201", path: nsa, body: attestation},
		"withdraw-attestation":  {want: "401 403 204 404 404 403 204 404 204", path: attestationID},
	},
}
