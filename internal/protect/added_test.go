package protect

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"k8s.io/client-go/rest"

	"stockade.dev/stockade/internal/store/storetest"
)

// asked is an API server that has some objects, by path, and notes what it is asked to change.
type asked struct {
	mu      sync.Mutex
	objects map[string][]m // by collection
	changes []string       // method, content type, path, body
}

func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodGet {
		items := a.objects[r.URL.Path]
		if items == nil {
			items = []m{}
		}
		_ = json.NewEncoder(w).Encode(m{"kind": "List", "apiVersion": "v1", "metadata": m{}, "items": items})
		return
	}
	a.changes = append(a.changes, strings.Join([]string{r.Method, r.Header.Get("Content-Type"), r.URL.Path, string(body)}, " "))
	_, _ = w.Write([]byte(`{"apiVersion":"v1","kind":"X","metadata":{"name":"x"}}`))
}

// passOver is a pass over a protected cluster.
func passOver(t *testing.T, a *asked) *pass {
	t.Helper()
	db := storetest.Open(t, "sqlite")
	err := db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("INSERT INTO targets (id, kind, name, created_at) VALUES (1, 'cluster', 'shop', 1)").Exec(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	c, err := newClient(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{db: db, o: Options{Now: time.Now}, log: slog.New(slog.DiscardHandler)}
	return &pass{s: s, r: &row{TargetID: 1, State: Protected, Gatekeeper: &Gatekeeper{Ours: true}}, c: c, ctx: context.Background(),
		made: map[string]*madeRow{}, live: map[string]map[string]*object{}, wanted: map[string]bool{}}
}

func blocking() *object {
	return made(m{"apiVersion": constraintGroup + "/v1beta1", "kind": "StockadePods", "metadata": m{"name": "p1-block"},
		"spec": m{"enforcementAction": "deny", "match": m{"kinds": l{m{"apiGroups": l{""}, "kinds": l{"Pod"}}}, "excludedNamespaces": l{"kube-system"}}, "parameters": m{"rules": l{"STK-W-0001"}}}})
}

// TestAdded: what somebody adds to an object of ours, which applying it leaves there, is found, told and taken away.
func TestAdded(t *testing.T) {
	hooks := recorder(workloads, []string{"kube-system"}, []byte("ca"))
	for _, tt := range []struct {
		name string
		want *object
		edit func(o m)
		at   string
		undo string
	}{
		{"nothing", blocking(), func(m) {}, "", "{}"},
		{"what means nothing", blocking(), func(o m) { nested(o, "spec", "match").(m)["namespaceSelector"] = m{} }, "", "{}"},
		{"selector that nothing has", blocking(), func(o m) { nested(o, "spec", "match").(m)["labelSelector"] = m{"matchLabels": m{"a": "b"}} },
			"spec.match.labelSelector", `{"spec":{"match":{"labelSelector":null}}}`},
		{"exempted user", blocking(), func(o m) { nested(o, "spec", "parameters").(m)["users"] = l{"eve"} }, "spec.parameters.users", `{"spec":{"parameters":{"users":null}}}`},
		{"condition of a webhook", hooks, func(o m) { o["webhooks"].(l)[0].(m)["matchConditions"] = l{m{"name": "no", "expression": "false"}} },
			"webhooks[0].matchConditions", jsonText(m{"webhooks": hooks.Object["webhooks"]})},
		{"labels beside names", hooks, func(o m) { nested(o["webhooks"].(l)[0].(m), "namespaceSelector").(m)["matchLabels"] = m{"a": "b"} },
			"webhooks[0].namespaceSelector.matchLabels", jsonText(m{"webhooks": hooks.Object["webhooks"]})},
		{"what the API server fills in", hooks, func(o m) { o["webhooks"].(l)[0].(m)["objectSelector"] = m{} }, "", "{}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			live := copied(tt.want)
			tt.edit(live.Object)
			at, undo := added(tt.want.Object, live.Object)
			if at != tt.at || jsonText(undo) != tt.undo {
				t.Fatalf("at %q, undo %s; want %q, %s", at, jsonText(undo), tt.at, tt.undo)
			}
			a := &asked{}
			w := passOver(t, a)
			r := refOf(tt.want)
			w.live[r.collection()] = map[string]*object{r.Name: live}
			w.made[r.String()] = &madeRow{Hash: hashOf(tt.want)}
			if err := w.one("policy", tt.want); err != nil {
				t.Fatal(err)
			}
			if tt.at == "" {
				if len(a.changes) > 0 || len(w.drift) > 0 {
					t.Fatalf("%q, drift %+v", a.changes, w.drift)
				}
				return
			}
			if len(a.changes) != 2 || a.changes[0] != "PATCH application/merge-patch+json "+r.path()+" "+tt.undo || !strings.HasPrefix(a.changes[1], "PATCH application/apply-patch+yaml "+r.path()) {
				t.Errorf("asked for %q", a.changes)
			}
			if len(w.drift) != 1 || w.drift[0].Change != tt.at+" was added" {
				t.Errorf("drift %+v", w.drift)
			}
		})
	}
}

// TestPruneOtherVersion: a user's template of the API's other version is one and the same as lists of ours show it.
func TestPruneOtherVersion(t *testing.T) {
	a := &asked{objects: map[string][]m{templates: {m{"apiVersion": templateGroup + "/v1", "kind": "ConstraintTemplate",
		"metadata": m{"name": "mine", "labels": m{managedLabel: managedBy}}, "spec": m{"crd": m{"spec": m{"names": m{"kind": "Mine"}}}}}}}}
	w := passOver(t, a)
	w.wanted[ref{templateGroup + "/v1beta1", "ConstraintTemplate", "", "mine"}.String()] = true
	if err := w.leftovers(); err != nil {
		t.Fatal(err)
	}
	w.prune()
	if len(a.changes) > 0 {
		t.Errorf("a template that is wanted is taken away: %q", a.changes)
	}
	w.wanted = map[string]bool{}
	w.prune()
	if len(a.changes) != 1 || !strings.HasPrefix(a.changes[0], "DELETE ") {
		t.Errorf("one that is not wanted stays: %q", a.changes)
	}
}

// TestForeign: what others made in our Gatekeeper stops its removal, whatever kind it is of.
func TestForeign(t *testing.T) {
	for _, collection := range []string{templates, "/apis/" + mutationGroup + "/v1/assign", "/apis/" + providerGroup + "/v1beta1/providers"} {
		w := passOver(t, &asked{objects: map[string][]m{collection: {m{"metadata": m{"name": "theirs"}}}}})
		if err := w.foreign(); err == nil || !strings.Contains(err.Error(), "theirs") {
			t.Errorf("%s: %v", collection, err)
		}
		w.r.ForeignToo = true
		if err := w.foreign(); err != nil {
			t.Errorf("%s: %v", collection, err)
		}
	}
	if err := passOver(t, &asked{}).foreign(); err != nil {
		t.Error(err)
	}
}
