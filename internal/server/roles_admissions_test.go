package server

import (
	"context"
	"fmt"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
)

// refused is a request that a policy refused, and one that nobody judged.
func (w *world) refused(target int64, namespace, name string) {
	w.t.Helper()
	a := protocol.Admission{At: w.clock(), UID: fmt.Sprint("uid-", w.next()), Generation: 1, APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: name, OwnerKind: "Deployment", OwnerName: name,
		Operation: "CREATE", User: "user of " + name, Outcome: "blocked", Object: []byte(fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":%q,"namespace":%q},"spec":{}}`, name, namespace)),
		Violations: []policy.Violation{{Policy: 7, Version: 1, Name: "baseline", Rule: "workload/privileged-container", Action: policy.Block, Severity: finding.High,
			Title: finding.Text{EN: "Privileged"}, Message: finding.Text{EN: name + " is privileged"}}}}
	b := a
	b.Outcome, b.Violations = "unjudged", nil
	if err := w.rooms.admission.Take(context.Background(), target, protocol.Batch{ID: fmt.Sprint("batch ", w.next()), Replica: "a", Admissions: []protocol.Admission{a, b}}); err != nil {
		w.t.Fatal(err)
	}
}

func eventIn(namespace string) func(*world) string {
	return func(w *world) string { return fmt.Sprint("id=", w.idOf("admission_events", namespace)) }
}

var admissionNoun = noun{
	fill: func(w *world) {
		w.refused(w.alpha, "shop", "till-"+markAlpha)
		w.refused(w.alpha, "bank", "vault-"+markAlpha+"-"+markBank)
		w.refused(w.beta, "shop", "till-"+markBeta)
	},
	rows: map[string]row{
		"list-admission-events":       {want: forSignedIn, shows: markAlpha},
		"list-admission-events/q":     {want: forSignedIn, shows: markAlpha, query: "q=till&state=unhandled,ignored,handled&kind=blocked"},
		"get-admission-event/shop":    {want: "401 200 200 404 200 200 200 404 200", shows: markAlpha, path: eventIn("shop")},
		"get-admission-event/bank":    {want: readAlpha, shows: markAlpha, path: eventIn("bank")},
		"count-admission-events":      {want: forSignedIn},
		"list-unchecked-admissions":   {want: forSignedIn, shows: markAlpha},
		"handle-admission-events/ids": {want: "401 403 200 200 200 403 200 200 200", quiet: "who sees none of them does nothing", body: handleEvents},
		"judge-unchecked-admissions": {want: "401 403 200 404 200 403 200 404 200", body: func(w *world, _ string) string {
			return fmt.Sprintf(`{"targetId":"%d"}`, w.alpha)
		}},
	},
}

func handleEvents(w *world, _ string) string {
	return fmt.Sprintf(`{"action":"handled","note":"many %d","ids":["%d","%d"]}`, w.next(), w.idOf("admission_events", "shop"), w.idOf("admission_events", "bank"))
}
