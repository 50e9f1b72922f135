package gatekeeper

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/types"
)

// TestKeysStayShort: pull secrets that a pod names cannot make the question about its image longer than the provider takes.
func TestKeysStayShort(t *testing.T) {
	text, err := os.ReadFile("../constraint/image.rego")
	if err != nil {
		t.Fatal(err)
	}
	var secrets []any
	for i := range 500 {
		secrets = append(secrets, map[string]any{"name": fmt.Sprintf("%03d-%s", i, strings.Repeat("x", 249))})
	}
	input := map[string]any{"review": map[string]any{"operation": "CREATE", "namespace": "shop", "kind": map[string]any{"group": "", "kind": "Pod"}, "object": map[string]any{
		"spec": map[string]any{"imagePullSecrets": secrets, "containers": []any{map[string]any{"name": "a", "image": "registry.example.com/" + strings.Repeat("a", 500)}}}}},
		"parameters": map[string]any{"pairs": []any{map[string]any{"policy": "1", "action": "block"}}}}
	asked := rego.Function1(&rego.Function{Name: "external_data", Decl: types.NewFunction(types.Args(types.A), types.A)},
		func(rego.BuiltinContext, *ast.Term) (*ast.Term, error) { return ast.ObjectTerm(), nil })
	got, err := rego.New(rego.Query("data.stockade.image.keys"), rego.Module("image.rego", string(text)), rego.Input(input), asked).Eval(t.Context())
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	keys, _ := got[0].Expressions[0].Value.([]any)
	if len(keys) != 1 || len(keys[0].(string)) > 8<<10 {
		t.Errorf("%d keys, of %d bytes", len(keys), len(fmt.Sprint(keys...)))
	}
}
