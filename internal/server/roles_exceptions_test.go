package server

import (
	"context"
	"fmt"
	"time"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/identity"
)

// exceptionNoun has exceptions of alpha, of shop and bank in it, of beta, and for all.
var exceptionNoun = noun{
	fill: func(w *world) {
		for _, target := range []int64{w.alpha, w.beta} {
			mark := map[int64]string{w.alpha: markAlpha, w.beta: markBeta}[target]
			exceptionOf(w, target, "", mark)
		}
		exceptionOf(w, w.alpha, "bank", markBank)
	},
	rows: map[string]row{
		"list-exceptions":      {want: forSignedIn, shows: markAlpha},
		"count-exceptions":     {want: forSignedIn},
		"get-exception":        {want: "401 200 200 404 404 200 200 404 200", shows: markAlpha, path: askedInAlpha},
		"get-exception-effect": {want: "401 200 200 404 404 200 200 404 200", path: askedInAlpha},
		"ask-exception": {want: "401 403 201 404 403 403 201 404 201", body: func(w *world, _ string) string {
			return fmt.Sprintf(`{"targetId":"%d","scope":{"rule":"a/b"},"reason":"why","category":"other","expires":%q}`, w.alpha, w.soon())
		}},
		"preview-exception": {want: "401 403 200 404 403 403 200 404 200", quiet: "it only counts",
			body: func(w *world, _ string) string {
				return fmt.Sprintf(`{"targetId":"%d","scope":{"rule":"a/b"}}`, w.alpha)
			}},
		"edit-exception":         {want: "401 403 403 404 404 403 403 404 403", path: askedInAlpha, body: text(`{"reason":"by another"}`)},
		"approve-exception":      {want: "401 403 403 403 403 403 200 404 200", path: askedInAlpha, body: text(`{"revision":1,"note":"fine"}`)},
		"deny-exception":         {want: "401 403 403 403 403 403 200 404 200", path: askedInAlpha, body: text(`{}`)},
		"cancel-exception":       {want: "401 403 403 404 404 403 200 404 200", path: askedInAlpha, body: text(`{"note":"moved"}`)},
		"comment-exception":      {want: "401 403 200 404 404 403 200 404 200", path: askedInAlpha, body: text(`{"text":"well"}`)},
		"get-exception-settings": {want: forSignedIn},
		"set-exception-settings": {want: forManagers, body: text(`{"maxDays":365,"allowUnlimited":false,"selfApproval":false,"approveVEX":false,"unusedDays":90,"remindDays":7}`)},
		"get-exception-file":     {want: "401 200 200 404 200 200 200 404 200", query: "cluster=" + markAlpha},
		"get-exception-vex":      {want: forSignedIn},
		"import-exception-vex": {want: "401 403 403 403 403 403 403 403 200", body: func(w *world, _ string) string {
			return fmt.Sprintf(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"Shop","timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[
				{"vulnerability":{"name":"CVE-2026-%d"},"products":[{"@id":"pkg:oci/till"}],"status":"not_affected","justification":"component_not_present"}]}`, w.next())
		}},
	},
}

// soon is an end that may be asked for.
func (w *world) soon() string { return w.clock().Add(30 * 24 * time.Hour).Format(time.DateOnly) }

func exceptionOf(w *world, target int64, namespace, reason string) int64 {
	w.t.Helper()
	ctx := identity.With(context.Background(), &identity.Principal{UserID: 999_999, Name: "somebody", Grants: grant(identity.Administrator, 0, "")})
	r, err := w.rooms.book.Ask(ctx, exception.Request{Draft: exception.Draft{TargetID: target, Scope: exception.Scope{Rule: "a/b", Namespace: namespace}},
		Reason: reason, Category: exception.Other, Expires: w.soon()})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.ID
}

// askedInAlpha is a pending exception of alpha, asked for by somebody who is none of the columns.
func askedInAlpha(w *world) string {
	return fmt.Sprint("id=", exceptionOf(w, w.alpha, "", markAlpha))
}
