package api_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/browse/browsetest"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/internal/triage"
)

// looker stands for the task that verifies.
type looker struct{ asked []ledger.Row }

func (l *looker) Verify(_ context.Context, rows []ledger.Row) (int64, error) {
	l.asked = rows
	return 77, nil
}

// findingsBench calls the routes of findings on a seeded database.
type findingsBench struct {
	t    *testing.T
	db   *store.DB
	mux  *http.ServeMux
	look *looker
}

func newFindingsBench(t *testing.T, db *store.DB) *findingsBench {
	t.Helper()
	if err := browsetest.Seed(context.Background(), db, browsetest.Small); err != nil {
		t.Fatal(err)
	}
	f := &findingsBench{t: t, db: db, mux: http.NewServeMux(), look: &looker{}}
	b := browse.New(db)
	b.SetClock(func() time.Time { return browsetest.Now })
	a := api.New(f.mux, "test")
	api.Findings(a, db, b, triage.New(db, nil, nil), f.look)
	api.Assets(a, b)
	api.Overview(a, b)
	api.Compliance(a, b, nil, "test")
	api.Gaps(a, b)
	return f
}

func (f *findingsBench) call(p *identity.Principal, method, path, body string, want int) string {
	f.t.Helper()
	r := httptest.NewRequest(method, "https://stockade.example.com/api/v1"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r.WithContext(identity.With(r.Context(), p)))
	if w.Code != want {
		f.t.Errorf("%s %s %s: %d, want %d: %s", method, path, body, w.Code, want, w.Body)
	}
	return w.Body.String()
}

func (f *findingsBench) number(query string, args ...any) int64 {
	f.t.Helper()
	var n int64
	if err := f.db.R.NewRaw(query, args...).Scan(context.Background(), &n); err != nil {
		f.t.Fatalf("%s: %v", query, err)
	}
	return n
}

func person(g ...identity.Grant) *identity.Principal {
	return &identity.Principal{UserID: 9, Name: "Ada", Grants: g}
}

// TestFindingRoutes reads and handles findings over HTTP, as people with different roles.
func TestFindingRoutes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFindingsBench(t, db)
		all, two := person(identity.Grant{Role: identity.Operator}), person(identity.Grant{Role: identity.Operator, Target: 2})
		team := person(identity.Grant{Role: identity.Operator, Target: 2, Namespace: "team-1"})
		viewer := person(identity.Grant{Role: identity.Viewer, Target: 2})
		mine := f.number("SELECT min(id) FROM findings WHERE target_id = 2 AND namespace = 'team-1' AND status = 1")
		other := f.number("SELECT min(id) FROM findings WHERE target_id = 3 AND status = 1")
		image := f.number("SELECT min(f.id) FROM findings f JOIN asset_uses u ON u.image_id = f.asset_id WHERE u.target_id = 2 AND u.namespace = 'team-1' AND f.status = 1")

		var list struct {
			Items []struct{ ID, Title, Target, TargetID string }
			Total int
			Next  string
		}
		body := f.call(two, "GET", "/findings?limit=5&lang=zh&sort=-severity&status=open", "", 200)
		if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Items) != 5 || list.Next == "" || list.Total == 0 || !strings.ContainsAny(list.Items[0].Title, "漏规") {
			t.Errorf("%v: %s", err, body)
		}
		if n := f.number("SELECT count(*) FROM findings WHERE target_id = 2 AND status = 1"); int64(list.Total) != n {
			t.Errorf("the total is %d, want %d", list.Total, n)
		}
		f.call(two, "GET", "/findings?sort=colour", "", 422)
		f.call(two, "GET", "/findings?after=nonsense", "", 400)
		f.call(two, "GET", "/findings?severitty=high", "", 422)
		if got := f.call(two, "GET", fmt.Sprint("/findings/", mine, "?lang=all"), "", 200); !strings.Contains(got, `"translation":{"lang":"zh"`) || !strings.Contains(got, `"document"`) {
			t.Error(got)
		}
		for _, p := range []*identity.Principal{two, team} {
			f.call(p, "GET", fmt.Sprint("/findings/", other), "", 404)
			f.call(p, "POST", fmt.Sprint("/findings/", other, "/actions"), `{"action":"ignore"}`, 404)
		}
		f.call(viewer, "POST", fmt.Sprint("/findings/", mine, "/actions"), `{"action":"ignore"}`, 403)
		f.call(team, "GET", fmt.Sprint("/findings/", image), "", 200)
		f.call(team, "POST", fmt.Sprint("/findings/", image, "/actions"), `{"action":"ignore"}`, 403)

		f.call(team, "POST", fmt.Sprint("/findings/", mine, "/actions"), `{"action":"ignore","note":"known","dryRun":true}`, 200)
		if s := f.number("SELECT status FROM findings WHERE id = ?", mine); s != int64(ledger.StatusOpen) {
			t.Errorf("a dry run left status %d", s)
		}
		f.call(team, "POST", fmt.Sprint("/findings/", mine, "/actions"), `{"action":"ignore","note":"known"}`, 200)
		if s := f.number("SELECT status FROM findings WHERE id = ?", mine); s != int64(ledger.StatusIgnored) {
			t.Errorf("ignored, the status is %d", s)
		}
		f.call(all, "POST", fmt.Sprint("/findings/", mine, "/actions"), `{"action":"accept"}`, 422)
		f.call(all, "POST", fmt.Sprint("/findings/", mine, "/actions"), `{"action":"comment"}`, 422)
		f.call(all, "POST", fmt.Sprint("/findings/", mine, "/actions"), `{"action":"assign","assigneeId":"404"}`, 422)

		before := f.number("SELECT count(*) FROM findings WHERE status = 4 AND target_id <> 2")
		bulk := f.call(two, "POST", "/findings/actions", `{"action":"ignore","filter":{"severities":["critical"]}}`, 200)
		if n := f.number("SELECT count(*) FROM findings WHERE status <= 3 AND severity = 4 AND target_id = 2"); n != 0 {
			t.Errorf("%d are not ignored: %s", n, bulk)
		}
		if after := f.number("SELECT count(*) FROM findings WHERE status = 4 AND target_id <> 2"); after != before {
			t.Errorf("%d findings of others were ignored", after-before)
		}
		f.call(two, "POST", "/findings/actions", fmt.Sprintf(`{"action":"ignore","ids":["%d"]}`, other), 200)
		if s := f.number("SELECT status FROM findings WHERE id = ?", other); s != int64(ledger.StatusOpen) {
			t.Errorf("a finding of another's has status %d", s)
		}
		f.call(two, "POST", "/findings/actions", `{"action":"ignore"}`, 422)
		f.call(two, "POST", "/findings/actions", `{"action":"ignore","ids":["1 OR 1=1"]}`, 422)
		f.call(two, "POST", "/findings/actions", fmt.Sprintf(`{"action":"verify","ids":["%d"]}`, mine), 200)
		if len(f.look.asked) != 1 || f.look.asked[0].ID != mine {
			t.Errorf("%d findings were looked at again", len(f.look.asked))
		}
		if n := f.number("SELECT count(*) FROM audit WHERE actor = 'Ada' AND action LIKE 'finding.%'"); n != 3 {
			t.Errorf("%d entries in the audit log, want 3", n)
		}
		for _, path := range []string{"/risks?sort=-active", "/risks?q=redis&kev=true", "/assets?kind=image&sort=cluster", "/overview?days=7", "/compliance", "/compliance/cis", "/gaps"} {
			f.call(team, "GET", path, "", 200)
			f.call(all, "GET", path, "", 200)
		}
		foreign := f.number("SELECT min(id) FROM assets WHERE target_id = 3")
		f.call(two, "GET", fmt.Sprint("/assets/", foreign), "", 404)
	})
}

// TestFindingExport exports what a list shows, and names from clusters stay text in it.
func TestFindingExport(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFindingsBench(t, db)
		two := person(identity.Grant{Role: identity.Viewer, Target: 2})
		id := f.number("SELECT min(id) FROM findings WHERE target_id = 2 AND status = 1 AND kind = 4")
		const evil, formula = "<script>alert(1)</script>", `=HYPERLINK("https://evil.example.com")`
		err := db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
			d := ledger.Detail{Kind: "configuration"}
			d.Message.EN, d.Resource.Name = evil, formula
			body, err := d.Pack()
			if err != nil {
				return err
			}
			if _, err := tx.NewRaw("UPDATE details SET body = ? WHERE finding_id = ?", body, id).Exec(ctx); err != nil {
				return err
			}
			_, err = tx.NewRaw("UPDATE findings SET resource = ? WHERE id = ?", evil, id).Exec(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want := f.number("SELECT count(*) FROM findings WHERE target_id = 2 AND status <= 3 AND severity >= 1")
		rows, err := csv.NewReader(strings.NewReader(f.call(two, "GET", "/findings/export?form=csv&severity=critical,high,medium,low&sort=rule", "", 200))).ReadAll()
		if err != nil || int64(len(rows)-1) != want {
			t.Errorf("%d rows, want %d: %v", len(rows)-1, want, err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if strings.HasPrefix(cell, "=") {
					t.Errorf("a spreadsheet would run %q", cell)
				}
			}
		}
		for _, form := range []string{"json", "jsonl", "html", "sarif", "markdown", "junit", "openvex"} {
			got := f.call(two, "GET", "/findings/export?form="+form, "", 200)
			if form == "html" && strings.Contains(got, evil) {
				t.Error("the page holds a script of a name")
			}
			if form == "json" && (!json.Valid([]byte(got)) || !strings.Contains(got, "sorted by -priority")) {
				t.Errorf("the document is broken or does not name its filter: %.300s", got)
			}
		}
		if got := f.call(two, "GET", fmt.Sprint("/findings/", id), "", 200); !json.Valid([]byte(got)) || !strings.Contains(got, "alert(1)") {
			t.Errorf("the name did not survive: %.300s", got)
		}
		f.call(two, "GET", "/findings/export?form=exe", "", 422)
	})
}
