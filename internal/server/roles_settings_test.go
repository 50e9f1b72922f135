package server

import (
	"fmt"

	"stockade.dev/stockade/internal/registries"
)

// registryOf is the body of a registry on this machine: it is never asked.
func registryOf(w *world, _ string) string {
	n := w.next()
	return fmt.Sprintf(`{"name":"registry %d","address":"registry-%d.example.com","username":"robot","password":"not to be seen"}`, n, n)
}

func registryID(w *world) string {
	w.t.Helper()
	n := w.next()
	secret := "not to be seen"
	r, err := w.rooms.registries.Add(w.asRoot(), registries.Input{Name: fmt.Sprint(markAlpha, markBeta, n), Address: fmt.Sprintf("r%d.registry.invalid", n), Password: &secret})
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint("id=", r.ID)
}

var settingsNoun = noun{rows: map[string]row{
	"list-registries": {want: forManagers},
	"add-registry":    {want: "401 403 403 403 403 403 403 403 201", body: registryOf},
	"try-registry":    {want: "401 403 403 403 403 403 403 403 422", body: text(`{"name":"x","address":"127.0.0.1:5000"}`)},
	"get-registry":    {want: forManagers, path: registryID},
	"change-registry": {want: forManagers, path: registryID, body: registryOf},
	"remove-registry": {want: "401 403 403 403 403 403 403 403 204", path: registryID},

	"get-advisories":      {want: forSignedIn},
	"import-advisories":   {want: "401 403 403 403 403 403 403 403 409", body: text(`{}`)}, // without a folder
	"pull-advisories":     {want: "401 403 403 403 403 403 403 403 422", body: text(`{}`)},
	"get-advisory-source": {want: forManagers},
	"set-advisory-source": {want: forManagers, body: text(`{"reference":"registry.example.com/security/db:latest","everyHours":24}`)},

	"get-system":      {want: forManagers},
	"get-diagnostics": {want: forManagers},

	"check-registry": {want: forManagers, path: registryID, quiet: "it notes what it saw"},
}}
