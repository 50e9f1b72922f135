package server

import (
	"context"
	"fmt"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/triage"
)

// vulnerable is a look at one workload that finds a vulnerability in it.
func (w *world) vulnerable(target int64, cluster, id string, p place) {
	w.t.Helper()
	ref := inventory.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: p.namespace, Name: p.name}
	in, err := w.rooms.triage.Ingest(context.Background(), triage.Run{Target: target, Kind: triage.Part, Refs: []inventory.Ref{ref}, Kinds: []ledger.Kind{ledger.SystemVulnerability}})
	if err != nil {
		w.t.Fatal(err)
	}
	about := finding.Target{Kind: "cluster", Name: cluster}
	for _, err := range []error{
		in.Begin(finding.Header{Target: about, StartedAt: w.clock()}),
		in.Asset(finding.Asset{Kind: "workload", GroupKind: "Deployment.apps", Namespace: p.namespace, Name: p.name}),
		in.Finding(&finding.Finding{Fingerprint: fmt.Sprintf("%032x", 1+w.next()), Kind: finding.Vulnerability, Rule: id, Severity: finding.High, Status: finding.Open,
			Title:    finding.Text{EN: id + ": hole of " + p.name},
			Resource: finding.Resource{Cluster: cluster, APIVersion: ref.APIVersion, Kind: ref.Kind, Namespace: p.namespace, Name: p.name},
			Vulnerability: &finding.Vulnerable{ID: id, Package: "openssl", Version: "1", FixedVersion: "2", Type: "system", PURL: "pkg:deb/debian/openssl@1?distro=debian-12",
				State: "fixed"}}),
		in.End(w.clock(), about, finding.Stats{}),
	} {
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

var evidenceNoun = noun{
	fill: func(w *world) {
		w.vulnerable(w.alpha, markAlpha, "CVE-2099-0001", place{"bank", "vault-" + markAlpha + "-" + markBank})
		w.vulnerable(w.beta, markBeta, "CVE-2099-0002", place{"shop", "till-" + markBeta})
	},
	rows: map[string]row{
		"get-finding-object/shop": {want: "401 200 200 404 200 200 200 404 200", shows: markAlpha, path: findingIn("shop")},
		"get-finding-object/bank": {want: readAlpha, shows: markAlpha, path: findingIn("bank")},
		"get-finding-fix/shop":    {want: "401 200 200 404 200 200 200 404 200", path: findingIn("shop")},
		"get-finding-fix/bank":    {want: readAlpha, path: findingIn("bank")},
		"list-rules":              {want: forSignedIn},
		"get-rule":                {want: "401 404 404 404 404 404 404 404 404", path: func(*world) string { return "family=workload&rule=none" }},
		"get-vulnerability/alpha": {want: readAlpha, path: func(*world) string { return "id=CVE-2099-0001" }},
		"get-vulnerability/none":  {want: "401 404 404 404 404 404 404 404 404", path: func(*world) string { return "id=CVE-2099-9999" }},
		"search":                  {want: forSignedIn, shows: markAlpha, query: "q=only"},
		"search/id":               {want: forSignedIn, shows: markAlpha, query: "q=CVE-2099"},
		"search/words":            {want: forSignedIn, shows: markAlpha, query: "q=hole"},
	},
}
