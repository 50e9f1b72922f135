package server

import "fmt"

func targetAlpha(w *world) string { return fmt.Sprint("target=", w.alpha) }

// Rows of the protection of alpha, whose connector is away: what is read is there, what needs the cluster is a conflict.
const (
	plansAlpha    = "401 403 200 404 404 403 200 404 200"
	protectsAlpha = "401 403 409 404 404 403 409 404 409"
)

var protectionNoun = noun{rows: map[string]row{
	"list-protection":            {want: forSignedIn, shows: markAlpha},
	"get-protection":             {want: readAlpha, path: targetAlpha, shows: markAlpha},
	"get-protection-health":      {want: readAlpha, path: targetAlpha},
	"list-protection-bypasses":   {want: readAlpha, path: targetAlpha},
	"list-protection-objects":    {want: readAlpha, path: targetAlpha},
	"plan-protection":            {want: plansAlpha, path: targetAlpha, quiet: "it looks and changes nothing"},
	"enable-protection":          {want: protectsAlpha, path: targetAlpha, body: text(`{"consent":true}`)},
	"enable-protection/unasked":  {want: "401 403 422 404 404 403 422 404 422", path: targetAlpha, body: text(`{"consent":false}`)},
	"disable-protection":         {want: protectsAlpha, path: targetAlpha},
	"repair-protection":          {want: protectsAlpha, path: targetAlpha},
	"test-protection":            {want: protectsAlpha, path: targetAlpha},
	"change-protection-settings": {want: plansAlpha, path: targetAlpha, body: func(w *world, _ string) string { return fmt.Sprintf(`{"timeoutSeconds":%d}`, 1+w.next()%9) }},
}}
