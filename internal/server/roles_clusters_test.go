package server

import (
	"fmt"
	"testing/fstest"

	"stockade.dev/stockade/internal/fleet"
)

// addCluster makes a cluster that waits for its connector.
func (w *world) addCluster(name string) int64 {
	w.t.Helper()
	c, _, err := w.rooms.fleet.Add(w.asSystem(), fleet.Added{Name: name, Kind: "connector"})
	if err != nil {
		w.t.Fatal(err)
	}
	return c.TargetID
}

// smallDemo is a demo of one object.
var smallDemo = Demo{Name: "small", FS: fstest.MapFS{"small/all.yaml": {Data: []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")}}}

// another is a cluster that only those who have a role everywhere see.
func another(w *world) string {
	return fmt.Sprint("id=", w.addCluster(fmt.Sprint(markAlpha, markBeta, w.next())))
}

func alphaID(w *world) string { return fmt.Sprint("id=", w.alpha) }

// Rows that several nouns have: of alpha.
const (
	readAlpha   = "401 200 200 404 404 200 200 404 200" // whole things of it
	manageAlpha = "401 403 403 403 403 403 403 404 200"
)

var clusterNoun = noun{rows: map[string]row{
	"list-clusters":          {want: forSignedIn, shows: markAlpha},
	"get-cluster":            {want: "401 200 200 404 200 200 200 404 200", shows: markAlpha, path: alphaID},
	"get-cluster-watch":      {want: "401 200 200 404 200 200 200 404 200", path: alphaID},
	"add-cluster":            {want: "401 403 403 403 403 403 403 403 201", body: func(w *world, _ string) string { return fmt.Sprintf(`{"name":"new-%d","kind":"connector"}`, w.next()) }},
	"check-new-cluster":      {want: "401 403 403 403 403 403 403 403 422", body: text(`{"kind":"kubeconfig","kubeconfig":"none"}`)},
	"change-cluster":         {want: manageAlpha, path: another, body: func(w *world, _ string) string { return fmt.Sprintf(`{"name":"other-%d"}`, w.next()) }},
	"remove-cluster":         {want: "401 403 403 403 403 403 403 404 204", path: another},
	"check-cluster":          {want: "401 403 200 404 403 403 200 404 200", path: alphaID},
	"show-connector":         {want: manageAlpha, path: alphaID},
	"enrol-connector":        {want: "401 403 403 403 403 403 403 404 201", path: alphaID},
	"add-demo-cluster":       {want: "401 403 403 403 403 403 403 403 200", quiet: "the demo is there from the first call on"},
	"list-cluster-summaries": {want: forSignedIn, query: "target=1,2"},
	"revoke-connector":       {want: "401 403 403 403 403 403 403 404 204", path: alphaID},
}}
