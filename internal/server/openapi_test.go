package server

import (
	"bytes"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

var update = flag.Bool("update", false, "write internal/api/openapi.yaml")

// TestOpenAPI holds the document to the one in the repository, and every operation to its form.
func TestOpenAPI(t *testing.T) {
	a := Document("0")
	text, err := a.OpenAPI().YAML()
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("..", "api", "openapi.yaml")
	if *update {
		if err := os.WriteFile(golden, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("the API is not what %s says: look at the difference, and run go test ./internal/server -run TestOpenAPI -update", golden)
	}
	if a.OpenAPI().OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI %s", a.OpenAPI().OpenAPI)
	}
	id := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := map[string]bool{}
	for path, item := range a.OpenAPI().Paths {
		for method, o := range map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodPatch: item.Patch, http.MethodDelete: item.Delete} {
			if o == nil {
				continue
			}
			at := method + " " + path
			if !id.MatchString(o.OperationID) || seen[o.OperationID] {
				t.Errorf("%s: the id %q is taken or no list of words", at, o.OperationID)
			}
			seen[o.OperationID] = true
			if len(o.Tags) != 1 || o.Summary == "" || o.Extensions["x-action"] == "" || o.Extensions["x-action"] == nil {
				t.Errorf("%s: wants one tag, a summary and an action", at)
			}
			for _, status := range []string{"400", "422", "429", "500", "503"} {
				if r := o.Responses[status]; r == nil || r.Content["application/problem+json"] == nil {
					t.Errorf("%s: no problem for %s", at, status)
				}
			}
			if o.Extensions["x-action"] != "anyone" && (len(o.Security) == 0 || o.Responses["401"] == nil || o.Responses["403"] == nil) {
				t.Errorf("%s: does not say that it needs a sign-in", at)
			}
		}
	}
	for _, r := range a.Routes() {
		if !seen[r.ID] {
			t.Errorf("the document lacks %s", r.ID)
		}
	}
}
