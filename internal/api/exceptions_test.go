package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestExceptions walks through the life of an exception over HTTP.
func TestExceptions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		book, err := exception.Open(context.Background(), db, func(context.Context, bun.Tx, exception.Handling) (int, error) { return 0, nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		book.Now = func() time.Time { return now }
		var target int64
		err = db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
			row, err := ledger.AddTarget(ctx, tx, "cluster", "prod-eu", now)
			if err == nil {
				target = row.ID
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		a := api.New(mux, "test")
		api.Exceptions(a, book, db)
		asker := &identity.Principal{UserID: 1, Name: "Cem", Grants: []identity.Grant{{Role: identity.Operator, Target: target}}}
		approver := &identity.Principal{UserID: 2, Name: "Ada", Grants: []identity.Grant{{Role: identity.Administrator}}}
		call := func(p *identity.Principal, method, path, body string, want int) string {
			t.Helper()
			r := httptest.NewRequest(method, "https://stockade.example.com/api/v1"+path, strings.NewReader(body))
			if body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			answer := httptest.NewRecorder()
			mux.ServeHTTP(answer, r.WithContext(identity.With(r.Context(), p)))
			if answer.Code != want {
				t.Errorf("%s %s: %d, want %d: %s", method, path, answer.Code, want, answer.Body)
			}
			return answer.Body.String()
		}
		var got exception.Record
		read := func(text string) {
			t.Helper()
			got = exception.Record{}
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err, text)
			}
		}
		ask := fmt.Sprintf(`{"targetId":"%d","scope":{"cve":"CVE-2021-44228","image":"*/till"},"reason":"class removed","category":"false-positive","expires":"2027-03-31","untilFix":true}`, target)
		read(call(asker, "POST", "/exceptions", ask, 201))
		if got.ID == 0 || got.TargetID != target || got.Scope.Image != "*/till" || got.Expires != "2027-03-31" || got.Status != exception.Pending || !got.UntilFix {
			t.Errorf("%+v", got)
		}
		path := fmt.Sprint("/exceptions/", got.ID)
		call(asker, "POST", path+"/approve", `{"revision":1}`, 403)
		call(asker, "PATCH", path, `{"reason":"the class was removed","revision":7}`, 409)
		read(call(asker, "PATCH", path, `{"reason":"the class was removed","revision":1}`, 200))
		call(approver, "POST", path+"/approve", `{"revision":1}`, 409)
		call(approver, "POST", path+"/approve", `{}`, 422)
		read(call(approver, "POST", path+"/approve", fmt.Sprintf(`{"revision":%d,"note":"fine"}`, got.Revision), 200))
		if got.Status != exception.Approved || got.Approver != "Ada" {
			t.Errorf("%+v", got)
		}
		if list := call(asker, "GET", "/exceptions?status=approved&ending=365&q=till&sort=end", "", 200); !strings.Contains(list, fmt.Sprintf(`"id":"%d"`, got.ID)) {
			t.Error(list)
		}
		call(asker, "GET", "/exceptions?state=approved", "", 422)
		if s := call(asker, "GET", "/exceptions/summary", "", 200); !strings.Contains(s, `"approved":1`) {
			t.Error(s)
		}
		if e := call(asker, "GET", path+"/effect", "", 200); !strings.Contains(e, `"complete":true`) {
			t.Error(e)
		}
		if e := call(asker, "POST", "/exceptions/preview", fmt.Sprintf(`{"targetId":"%d","scope":{"rule":"a/b"}}`, target), 200); !strings.Contains(e, `"findings":0`) {
			t.Error(e)
		}
		file := call(asker, "GET", "/exceptions/file?cluster=prod-eu", "", 200)
		if list, err := exception.Read([]byte(file)); err != nil || len(list) != 1 || list[0].CVE != "CVE-2021-44228" {
			t.Errorf("%v %s", err, file)
		}
		call(asker, "GET", "/exceptions/file?cluster=other", "", 404)
		if byID := call(asker, "GET", fmt.Sprint("/exceptions/file?cluster=", target), "", 200); byID != file {
			t.Error(byID)
		}
		vex := `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"Shop","timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[
			{"vulnerability":{"name":"CVE-2026-1"},"products":[{"@id":"pkg:oci/till"}],"status":"not_affected","justification":"component_not_present"}]}`
		if v := call(asker, "POST", fmt.Sprint("/exceptions/vex?namespace=shop&target=", target), vex, 200); !strings.Contains(v, `"statements":1`) {
			t.Error(v)
		}
		call(asker, "POST", "/exceptions/vex", vex, 403)
		call(asker, "POST", fmt.Sprint("/exceptions/vex?target=", target), `{"a":1}`, 422)
		if v := call(asker, "GET", fmt.Sprint("/exceptions/vex?target=", target), "", 200); !strings.Contains(v, "openvex.dev") {
			t.Error(v)
		}
		call(asker, "POST", path+"/comments", `{"text":"not needed any more"}`, 200)
		read(call(asker, "POST", path+"/cancel", `{"note":"moved"}`, 200))
		read(call(asker, "GET", path, "", 200))
		if got.Status != exception.Canceled || len(got.Comments) != 2 {
			t.Errorf("%+v", got)
		}
		call(asker, "PUT", "/exceptions/settings", `{"maxDays":1,"allowUnlimited":false,"selfApproval":false,"approveVEX":false,"unusedDays":1,"remindDays":0}`, 403)
		call(approver, "PUT", "/exceptions/settings", `{"maxDays":30,"allowUnlimited":false,"selfApproval":false,"approveVEX":false,"unusedDays":9,"remindDays":0}`, 200)
		call(asker, "POST", "/exceptions", ask, 422)
		if s := call(asker, "GET", "/exceptions/settings", "", 200); !strings.Contains(s, `"maxDays":30`) {
			t.Error(s)
		}
		call(asker, "GET", "/exceptions/99", "", 404)
	})
}
