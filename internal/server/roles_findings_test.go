package server

import (
	"context"
	"fmt"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/triage"
)

// place is a workload with a finding, a secret in its name for those who may not see it.
type place struct{ namespace, name string }

// look is a full scan of a cluster that finds the same in each place.
func (w *world) look(target int64, cluster string, places ...place) {
	w.t.Helper()
	in, err := w.rooms.triage.Ingest(context.Background(), triage.Run{Target: target, Kind: triage.Full})
	if err != nil {
		w.t.Fatal(err)
	}
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	about := finding.Target{Kind: "cluster", Name: cluster}
	must(in.Begin(finding.Header{Target: about, StartedAt: w.clock()}))
	must(in.Asset(finding.Asset{Kind: "cluster", Name: cluster}))
	for _, p := range places {
		must(in.Asset(finding.Asset{Kind: "namespace", Name: p.namespace}))
		must(in.Asset(finding.Asset{Kind: "workload", GroupKind: "Deployment.apps", Namespace: p.namespace, Name: p.name}))
		r := finding.Resource{Cluster: cluster, APIVersion: "apps/v1", Kind: "Deployment", Namespace: p.namespace, Name: p.name}
		must(in.Finding(&finding.Finding{Fingerprint: fmt.Sprintf("%032x", 1+w.next()), Kind: finding.Configuration, Rule: "workload/privileged-container", Severity: finding.High,
			Status: finding.Open, Title: finding.Text{EN: "Privileged"}, Message: finding.Text{EN: p.name + " is privileged"}, Resource: r,
			Compliance: []finding.ClauseRef{{Framework: "cis", Clause: "1"}}}))
	}
	must(in.NotScanned(finding.NotScanned{Target: "image of " + cluster, What: "image", Reason: "silent", Code: "unreachable"}))
	must(in.End(w.clock(), about, finding.Stats{}))
}

// findingIn is the finding of a namespace of alpha.
func findingIn(namespace string) func(*world) string {
	return func(w *world) string { return fmt.Sprint("id=", w.idOf("findings", namespace)) }
}

func assetIn(namespace string) func(*world) string {
	return func(w *world) string { return fmt.Sprint("id=", w.idOf("assets", namespace)) }
}

// idOf is the row of a table in a namespace of alpha.
func (w *world) idOf(table, namespace string) (id int64) {
	w.t.Helper()
	if err := w.db.R.NewSelect().Table(table).Column("id").Where("target_id = ? AND namespace = ?", w.alpha, namespace).OrderExpr("id DESC").Limit(1).Scan(context.Background(), &id); err != nil {
		w.t.Fatal(err)
	}
	return id
}

func comment(w *world, _ string) string {
	return fmt.Sprintf(`{"action":"comment","note":"comment %d"}`, w.next())
}

var findingNoun = noun{
	fill: func(w *world) {
		w.look(w.alpha, markAlpha, place{"shop", "till-" + markAlpha}, place{"bank", "vault-" + markAlpha + "-" + markBank})
		w.look(w.beta, markBeta, place{"shop", "till-" + markBeta})
	},
	rows: map[string]row{
		"list-findings":       {want: forSignedIn, shows: markAlpha},
		"list-findings/alpha": {want: forSignedIn, shows: markAlpha, query: "q=till&status=open"},
		"get-finding/shop":    {want: "401 200 200 404 200 200 200 404 200", shows: markAlpha, path: findingIn("shop")},
		"get-finding/bank":    {want: readAlpha, shows: markAlpha, path: findingIn("bank")},
		"export-findings":     {want: forSignedIn, shows: markAlpha, query: "form=jsonl"},
		"handle-finding/shop": {want: "401 403 200 404 200 403 200 404 200", path: findingIn("shop"), body: comment},
		"handle-finding/bank": {want: "401 403 200 404 404 403 200 404 200", path: findingIn("bank"), body: comment},
		"handle-findings/ids": {want: "401 403 200 200 200 403 200 200 200", quiet: "who sees none of them does nothing", body: func(w *world, _ string) string {
			return fmt.Sprintf(`{"action":"comment","note":"many %d","ids":["%d","%d"]}`, w.next(), w.idOf("findings", "shop"), w.idOf("findings", "bank"))
		}},
		"list-risks":           {want: forSignedIn},
		"count-findings":       {want: forSignedIn, shows: markAlpha, query: "facets=target,namespace,severity"},
		"list-affected-assets": {want: forSignedIn, shows: markAlpha, query: "by=workload&severity=high"},
		"list-assets":          {want: forSignedIn, shows: markAlpha, query: "kind=workload"},
		"list-assets/all":      {want: forSignedIn, shows: markAlpha, query: "kind=cluster"},
		"get-asset/shop":       {want: "401 200 200 404 200 200 200 404 200", shows: markAlpha, path: assetIn("shop")},
		"get-asset/bank":       {want: readAlpha, path: assetIn("bank")},
		"get-overview":         {want: forSignedIn, shows: markAlpha},
		"list-gaps":            {want: forSignedIn, shows: markAlpha},
		"events":               {want: forSignedIn, stream: true},
	},
}
