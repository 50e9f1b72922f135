package server

import (
	"fmt"
	"strings"
)

var verdictNoun = noun{
	rows: map[string]row{
		"list-idle-images":  {want: forSignedIn},
		"get-image-facts":   {want: "401 404 404 404 404 404 404 404 404", path: func(*world) string { return "digest=sha256:" + strings.Repeat("9", 64) }},
		"get-image-verdict": {want: "401 200 200 404 404 200 200 404 200", query: "target=1&reference=registry.example.com/till:1"},
		"list-image-verdicts": {want: "401 200 200 404 404 200 200 404 200", quiet: "it only asks", body: func(w *world, _ string) string {
			return fmt.Sprintf(`{"target": "%d", "references": ["registry.example.com/till:1", "not a name"]}`, w.alpha)
		}},
		"scan-images": {want: "401 403 201 404 404 403 201 404 201", body: func(w *world, who string) string {
			return fmt.Sprintf(`{"target": "%d", "references": ["registry.example.com/till:%d"]}`, w.alpha, w.next())
		}},
		"scan-images/outside": {want: "401 403 403 403 403 403 403 403 201", body: func(w *world, who string) string {
			return fmt.Sprintf(`{"references": ["registry.example.com/outside:%d"]}`, w.next())
		}},
	},
}
