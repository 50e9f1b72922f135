package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/notify"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// notifyUsers are who calls: by name, with their ids and grants.
var notifyUsers = map[string]*identity.Principal{
	"admin":    {UserID: 1, Via: "session", Grants: []identity.Grant{{Role: identity.Administrator}}},
	"operator": {UserID: 2, Via: "session", Grants: []identity.Grant{{Role: identity.Operator}}},
	"ann":      {UserID: 3, Via: "session", Grants: []identity.Grant{{Role: identity.Operator, Target: 1}}},
	"bob":      {UserID: 4, Via: "session", Grants: []identity.Grant{{Role: identity.Administrator, Target: 2}}},
	"viewer":   {UserID: 5, Via: "session", Grants: []identity.Grant{{Role: identity.Viewer}}},
}

type notifyOwners struct{}

func (notifyOwners) Principal(_ context.Context, user int64) (*identity.Principal, error) {
	for _, p := range notifyUsers {
		if p.UserID == user {
			return p, nil
		}
	}
	return nil, store.ErrNotFound
}

type notifyFindings struct{}

func (notifyFindings) Select(_ context.Context, v identity.Visible, _ browse.Filter, _ string, yield func(*browse.Full) error) error {
	for target, name := range map[int64]string{1: "shop", 2: "bank"} {
		if !v.Sees(target) {
			continue
		}
		err := yield(&browse.Full{Finding: &finding.Finding{Rule: "r", Severity: finding.High, Status: finding.Open, Message: finding.Text{EN: "<script>alert('" + name + "')</script>"}}})
		if err != nil {
			return err
		}
	}
	return nil
}

// notifyBench calls the routes as somebody.
type notifyBench struct {
	t *testing.T
	n *notify.Notifier
	h http.Handler
}

func newNotifyBench(t *testing.T, db *store.DB) *notifyBench {
	keys, err := seal.Load(filepath.Join(t.TempDir(), "keys"), "")
	if err != nil {
		t.Fatal(err)
	}
	n, err := notify.New(db, notifyFindings{}, notify.Options{Keys: keys, Owners: notifyOwners{}, Allow: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	a := api.New(mux, "test")
	api.Notifications(a, n)
	api.Reports(a, n)
	return &notifyBench{t, n, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := notifyUsers[r.Header.Get("Who")]; p != nil {
			r = r.WithContext(identity.With(r.Context(), p))
		}
		mux.ServeHTTP(w, r)
	})}
}

func (b *notifyBench) call(who, method, path, body string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
	r.Header.Set("Who", who)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	if strings.Contains(w.Body.String(), "hunter22") {
		b.t.Errorf("%s %s %s gives a secret: %s", who, method, path, w.Body)
	}
	return w
}

const hookChannel = `{"name": %q, "kind": "webhook", "shared": %v, "settings": {"webhook": {"url": %q, "plainHttp": true}}, "secrets": {"authorization": "Bearer hunter22"}}`

// TestChannelRoutes calls every route as everybody.
func TestChannelRoutes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newNotifyBench(t, db)
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "you sent "+r.Header.Get("Authorization"))
		}))
		defer receiver.Close()
		for i, shared := range []bool{true, false} {
			w := b.call("admin", "POST", "/channels", fmt.Sprintf(hookChannel, fmt.Sprint("channel", i), shared, receiver.URL))
			if w.Code != 201 || !strings.Contains(w.Body.String(), `"secrets":["authorization"]`) {
				t.Fatal(w.Code, w.Body)
			}
		}
		change := fmt.Sprintf(hookChannel, "changed", true, receiver.URL)
		for _, c := range []struct {
			method, path, body string
			want               map[string]int // admin, operator of all, operator and administrator of one, viewer, nobody
		}{
			{"GET", "/channels", "", map[string]int{"admin": 200, "operator": 200, "ann": 200, "bob": 200, "viewer": 403, "": 401}},
			{"GET", "/channels/1", "", map[string]int{"admin": 200, "operator": 200, "ann": 200, "bob": 200, "viewer": 403, "": 401}},
			{"GET", "/channels/2", "", map[string]int{"admin": 200, "operator": 200, "ann": 404, "bob": 404, "viewer": 403, "": 401}},
			{"POST", "/channels", change, map[string]int{"operator": 403, "ann": 403, "bob": 403, "viewer": 403, "": 401}},
			{"PUT", "/channels/1", change, map[string]int{"operator": 403, "ann": 403, "bob": 403, "viewer": 403, "": 401, "admin": 200}},
			{"POST", "/channels/preview", change, map[string]int{"operator": 403, "ann": 403, "bob": 403, "viewer": 403, "": 401, "admin": 200}},
			{"POST", "/channels/1/test", "", map[string]int{"operator": 403, "ann": 403, "bob": 403, "viewer": 403, "": 401, "admin": 200}},
			{"GET", "/deliveries", "", map[string]int{"operator": 200, "ann": 403, "bob": 403, "viewer": 403, "": 401, "admin": 200}},
			{"POST", "/deliveries/1/retry", "", map[string]int{"operator": 403, "ann": 403, "bob": 403, "viewer": 403, "": 401, "admin": 404}},
			{"DELETE", "/channels/2", "", map[string]int{"operator": 403, "ann": 403, "bob": 403, "viewer": 403, "": 401}},
		} {
			for who, want := range c.want {
				if w := b.call(who, c.method, c.path, c.body); w.Code != want {
					t.Errorf("%s %s as %q: %d, want %d: %s", c.method, c.path, who, w.Code, want, w.Body)
				}
			}
		}
		if body := b.call("ann", "GET", "/channels", "").Body.String(); strings.Contains(body, "channel1") || strings.Contains(body, receiver.URL) || !strings.Contains(body, "changed") {
			t.Error(body)
		}
		if body := b.call("operator", "GET", "/channels", "").Body.String(); !strings.Contains(body, "channel1") || strings.Contains(body, receiver.URL) {
			t.Error(body)
		}
		if body := b.call("admin", "POST", "/channels/1/test", "").Body.String(); !strings.Contains(body, "you sent Bearer REDACTED") && !strings.Contains(body, "you sent REDACTED") {
			t.Error(body)
		}
		for _, body := range []string{`{}`, fmt.Sprintf(hookChannel, "x", false, "https://169.254.169.254/latest/meta-data/"), fmt.Sprintf(hookChannel, "x", false, "https://[::ffff:a00:1]/"),
			`{"name": "x", "kind": "template", "settings": {"webhook": {"url": "https://jira.example.com/", "template": "{{.nothing}}"}}}`} {
			if w := b.call("admin", "POST", "/channels", body); w.Code != 422 {
				t.Errorf("%s: %d %s", body, w.Code, w.Body)
			}
		}
		if w := b.call("admin", "POST", "/channels", fmt.Sprintf(hookChannel, "changed", false, receiver.URL)); w.Code != 409 {
			t.Error(w.Code, w.Body)
		}
		if w := b.call("admin", "DELETE", "/channels/2", ""); w.Code != 204 {
			t.Error(w.Code, w.Body)
		}
	})
}

// TestReportRoutes keeps people to their own reports.
func TestReportRoutes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newNotifyBench(t, db)
		const body = `{"name": "weekly", "form": "html", "cron": "0 6 * * 1", "zone": "Asia/Shanghai", "filter": {"severities": ["critical", "high"], "kinds": ["secret"]}}`
		w := b.call("ann", "POST", "/reports", body)
		if w.Code != 201 || !strings.Contains(w.Body.String(), `"severities":["critical","high"]`) || !strings.Contains(w.Body.String(), `"ownerId":"3"`) {
			t.Fatal(w.Code, w.Body)
		}
		if w := b.call("ann", "POST", "/reports/1/run", ""); w.Code != 202 && w.Code != 204 {
			t.Fatal(w.Code, w.Body)
		}
		if err := b.n.RunReports(context.Background()); err != nil {
			t.Fatal(err)
		}
		others := map[string]int{"bob": 404, "viewer": 404, "": 401}
		for _, c := range []struct {
			method, path, body string
			ok                 int
		}{{"GET", "/reports/1", "", 200}, {"GET", "/reports/1/results", "", 200}, {"GET", "/reports/1/results/1/file", "", 200}, {"PUT", "/reports/1", body, 200}, {"POST", "/reports/1/run", "", 202}, {"DELETE", "/reports/1", "", 204}} {
			for who, want := range others {
				if who == "viewer" && c.method != "GET" {
					want = 403
				}
				if w := b.call(who, c.method, c.path, c.body); w.Code != want {
					t.Errorf("%s %s as %q: %d %s", c.method, c.path, who, w.Code, w.Body)
				}
			}
			for _, who := range []string{"operator", "ann"} {
				if who == "operator" && c.method == "DELETE" {
					continue
				}
				w := b.call(who, c.method, c.path, c.body)
				if w.Code != c.ok {
					t.Errorf("%s %s as %q: %d %s", c.method, c.path, who, w.Code, w.Body)
				}
				if strings.HasSuffix(c.path, "/file") {
					h := w.Header()
					if !strings.HasPrefix(h.Get("Content-Disposition"), "attachment; filename=weekly-") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") != "sandbox" ||
						!strings.Contains(w.Body.String(), "shop") || strings.Contains(w.Body.String(), "bank") || strings.Contains(w.Body.String(), "<script>alert") {
						t.Error(h, w.Body.Len())
					}
				}
			}
		}
		if body := b.call("bob", "GET", "/reports", "").Body.String(); strings.Contains(body, "weekly") {
			t.Error(body)
		}
		for _, bad := range []string{`{}`, `{"name": "x", "form": "xlsx"}`, `{"name": "x", "form": "csv", "cron": "x"}`, `{"name": "x", "form": "csv", "channels": ["1"]}`,
			`{"name": "x", "form": "csv", "filter": {"framework": "cis"}}`, `{"name": "x", "form": "csv", "filter": {"severities": ["awful"]}}`} {
			if w := b.call("ann", "POST", "/reports", bad); w.Code != 422 && !strings.Contains(bad, "framework") { // the fake does not look at filters
				t.Errorf("%s: %d %s", bad, w.Code, w.Body)
			}
		}
	})
}
