package exception

import (
	"context"
	"errors"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestRoles: who may ask for what, see it, decide it, cancel it.
func TestRoles(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		ids := stored(h)
		grant := func(role identity.Role, target int64, namespace string) identity.Grant {
			return identity.Grant{Role: role, Target: target, Namespace: namespace}
		}
		people := map[string]context.Context{
			"admin": h.admin(), "approver": h.approver(), "operator": as("Dan", 4, grant(identity.Operator, 0, "")),
			"operator of eu": h.operator(), "operator of us": as("Eve", 5, grant(identity.Operator, h.us, "")),
			"operator of eu/shop": as("Fay", 6, grant(identity.Operator, h.eu, "shop")), "approver of eu/shop": as("Gil", 7, grant(identity.Approver, h.eu, "shop")),
			"approver of eu": as("Hal", 8, grant(identity.Approver, h.eu, "")), "viewer": as("Ivy", 9, grant(identity.Viewer, 0, "")),
			"auditor": as("Jon", 10, grant(identity.Auditor, 0, "")),
			"token":   identity.With(context.Background(), &identity.Principal{UserID: 11, Name: "ci", Grants: []identity.Grant{grant(identity.Administrator, 0, "")}, Only: []identity.Action{identity.Read}}),
			"nobody":  context.Background(),
		}
		words := map[error]string{nil: "yes", ErrForbidden: "no", store.ErrNotFound: "unseen", ErrConflict: "conflict"}
		word := func(err error) string {
			for e, w := range words {
				if e != nil && errors.Is(err, e) {
					return w
				}
			}
			if err != nil {
				return err.Error()
			}
			return "yes"
		}
		all := Request{Draft: Draft{Scope: Scope{Rule: "a/b"}}, Reason: "why", Category: Mitigated, Expires: "2027-01-01"}
		eu, shop, pattern := all, all, all
		eu.TargetID = h.eu
		shop.TargetID, shop.Scope.Namespace = h.eu, "shop"
		pattern.TargetID, pattern.Scope.Namespace = h.eu, "shop*"
		finding, image := all, all
		finding.FindingID, finding.Scope = ids["deployment"], Scope{}
		image.FindingID, image.Scope = ids["image"], Scope{}
		gone := all
		gone.TargetID = 999
		for _, tt := range []struct{ who, all, eu, shop, pattern, finding, image, gone string }{
			{"admin", "yes", "yes", "yes", "yes", "yes", "yes", "unseen"},
			{"approver", "yes", "yes", "yes", "yes", "yes", "yes", "unseen"},
			{"operator", "yes", "yes", "yes", "yes", "yes", "yes", "unseen"},
			{"operator of eu", "no", "yes", "yes", "yes", "yes", "yes", "unseen"},
			{"operator of us", "no", "unseen", "unseen", "unseen", "unseen", "unseen", "unseen"},
			{"operator of eu/shop", "no", "no", "yes", "no", "yes", "unseen", "unseen"},
			{"approver of eu/shop", "no", "no", "yes", "no", "yes", "unseen", "unseen"},
			{"viewer", "no", "no", "no", "no", "no", "no", "no"},
			{"auditor", "no", "no", "no", "no", "no", "no", "no"},
			{"token", "no", "no", "no", "no", "no", "no", "no"},
			{"nobody", "no", "unseen", "unseen", "unseen", "unseen", "unseen", "unseen"},
		} {
			for _, c := range []struct {
				what string
				q    Request
				want string
			}{{"all", all, tt.all}, {"eu", eu, tt.eu}, {"shop", shop, tt.shop}, {"pattern", pattern, tt.pattern}, {"finding", finding, tt.finding}, {"image", image, tt.image}, {"gone", gone, tt.gone}} {
				_, asked := h.book.Ask(people[tt.who], c.q)
				_, previewed := h.book.Preview(people[tt.who], c.q)
				if word(asked) != c.want || word(previewed) != c.want {
					t.Errorf("%s asks for %s: %s, previews: %s, want %s", tt.who, c.what, word(asked), word(previewed), c.want)
				}
			}
		}
		for _, tt := range []struct {
			who                     string
			q                       Request
			see, approve, cancel, c string
		}{
			{"admin", all, "yes", "yes", "yes", "yes"}, {"approver", all, "yes", "yes", "yes", "yes"}, {"operator", all, "yes", "no", "no", "yes"},
			{"operator of eu", all, "unseen", "unseen", "unseen", "unseen"}, {"operator of eu", eu, "yes", "no", "no", "yes"},
			{"operator of us", eu, "unseen", "unseen", "unseen", "unseen"}, {"operator of eu/shop", eu, "unseen", "unseen", "unseen", "unseen"},
			{"operator of eu/shop", shop, "yes", "no", "no", "yes"}, {"approver of eu/shop", shop, "yes", "yes", "yes", "yes"},
			{"operator of eu/shop", pattern, "unseen", "unseen", "unseen", "unseen"}, {"approver of eu", pattern, "yes", "yes", "yes", "yes"},
			{"approver of eu", all, "unseen", "unseen", "unseen", "unseen"}, {"viewer", shop, "yes", "no", "no", "no"}, {"auditor", all, "yes", "no", "no", "no"},
			{"token", all, "yes", "no", "no", "no"}, {"nobody", all, "unseen", "unseen", "unseen", "unseen"},
		} {
			ctx := people[tt.who]
			fresh := func() int64 {
				r, err := h.book.Ask(as("Zoe", 99, grant(identity.Administrator, 0, "")), tt.q)
				h.must(err)
				return r.ID
			}
			id := fresh()
			v := identity.Visible{}
			if p := identity.From(ctx); p != nil {
				v = p.Visible(identity.Read)
			}
			_, see := h.book.Get(ctx, v, id)
			listed, _, err := h.book.List(ctx, v, Filter{}, "", store.Page{Limit: 1})
			h.must(err)
			if got := len(listed) == 1 && listed[0].ID == id; got != (tt.see == "yes") {
				t.Errorf("%s lists it: %v", tt.who, got)
			}
			_, comment := h.book.Comment(ctx, id, "well")
			edit := "other words"
			_, edited := h.book.Edit(ctx, id, Change{Reason: &edit}, 0)
			_, approve := h.book.Decide(ctx, id, true, "", 0)
			_, deny := h.book.Decide(ctx, fresh(), false, "", 0)
			_, cancel := h.book.Cancel(ctx, fresh(), "", 0)
			if word(see) != tt.see || word(approve) != tt.approve || word(deny) != tt.approve || word(cancel) != tt.cancel || word(comment) != tt.c || word(edited) != map[bool]string{true: "no", false: tt.c}[tt.c == "yes"] {
				t.Errorf("%s: sees %s, approves %s, denies %s, cancels %s, comments %s, edits %s", tt.who, word(see), word(approve), word(deny), word(cancel), word(comment), word(edited))
			}
		}
	})
}

// TestOwn: nobody approves what he asked for, but an administrator where the settings let him.
func TestOwn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		q := Request{Draft: Draft{Scope: Scope{Rule: "a/b"}}, Reason: "why", Category: Other, Expires: "2027-01-01"}
		try := func(ctx context.Context) error {
			r, err := h.book.Ask(ctx, q)
			h.must(err)
			_, err = h.book.Decide(ctx, r.ID, true, "", 0)
			return err
		}
		if err := try(h.admin()); !errors.Is(err, ErrForbidden) {
			t.Errorf("administrator: %v", err)
		}
		s := DefaultSettings
		s.SelfApproval = true
		h.must(h.book.SetSettings(h.admin(), s))
		if err := try(h.admin()); err != nil {
			t.Errorf("administrator, allowed: %v", err)
		}
		if err := try(h.approver()); !errors.Is(err, ErrForbidden) {
			t.Errorf("approver: %v", err)
		}
	})
}

// TestLife: what may be changed when, and that every step is in the audit log.
func TestLife(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		conflict := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, ErrConflict) {
				t.Errorf("%s: %v", what, err)
			}
		}
		q := Request{Draft: Draft{Scope: Scope{CVE: " cve-2026-1 "}}, Reason: " why ", Category: Other, Expires: "2027-01-01"}
		r, err := h.book.Ask(h.operatorOfAll(), q)
		h.must(err)
		if r.Scope.CVE != "CVE-2026-1" || r.Reason != "why" {
			t.Errorf("%+v", r)
		}
		scope, later, sooner, yes := Scope{Rule: "c/d"}, "2027-02-01", "2026-12-24", true
		r, err = h.book.Edit(h.operatorOfAll(), r.ID, Change{Scope: &scope, Expires: &later}, r.Revision)
		h.must(err)
		_, err = h.book.Edit(h.operatorOfAll(), r.ID, Change{Scope: &scope}, 1)
		conflict("an old revision", err)
		_, err = h.book.Decide(h.approver(), r.ID, true, "fine", r.Revision)
		h.must(err)
		_, err = h.book.Decide(h.approver(), r.ID, false, "", 0)
		conflict("decided twice", err)
		end := "2027-03-01"
		_, err = h.book.Edit(h.operatorOfAll(), r.ID, Change{Expires: &end}, 0)
		conflict("a later end", err)
		other := Scope{Rule: "e/f"}
		_, err = h.book.Edit(h.operatorOfAll(), r.ID, Change{Scope: &other}, 0)
		conflict("another scope", err)
		if _, err = h.book.Edit(h.operatorOfAll(), r.ID, Change{UntilFix: &yes}, 0); !errors.Is(err, ErrInvalid) {
			t.Errorf("until a fix of a rule: %v", err)
		}
		got, err := h.book.Edit(h.operatorOfAll(), r.ID, Change{Expires: &sooner}, 0)
		h.must(err)
		if got.Expires != sooner || got.Approver != "Bob" || got.Note != "fine" {
			t.Errorf("%+v", got)
		}
		_, err = h.book.Comment(h.operatorOfAll(), r.ID, "not needed any more")
		h.must(err)
		_, err = h.book.Cancel(h.operatorOfAll(), r.ID, "moved", 0)
		h.must(err)
		_, err = h.book.Cancel(h.operatorOfAll(), r.ID, "", 0)
		conflict("canceled twice", err)
		got, err = h.book.Get(context.Background(), identity.Visible{All: true}, r.ID)
		h.must(err)
		if got.Status != Canceled || len(got.Comments) != 2 || got.Comments[1].Body != "moved" || got.Comments[0].Name != "Dan" {
			t.Errorf("%+v", got)
		}
		var actions []string
		h.must(db.R.NewSelect().Table("audit").ColumnExpr("action || ' ' || actor").OrderExpr("id").Scan(context.Background(), &actions))
		if got := strings.Join(actions, ", "); got != "exception.ask Dan, exception.edit Dan, exception.approve Bob, exception.edit Dan, exception.comment Dan, exception.cancel Dan" {
			t.Error(got)
		}
		for topic, want := range map[string]int{"exception.asked": 1, "exception.decided": 1, "exception.ended": 1} {
			if m := h.messages(topic); len(m) != want {
				t.Errorf("%s: %v", topic, m)
			}
		}
	})
}

func (h *house) operatorOfAll() context.Context {
	return as("Dan", 4, identity.Grant{Role: identity.Operator})
}

// TestEnds: which ends the settings let through.
func TestEnds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		for _, tt := range []struct {
			settings Settings
			expires  string
			fix      bool
			want     string
		}{
			{DefaultSettings, "2027-11-21", false, ""},
			{DefaultSettings, "2027-11-23", false, "at most 365 days"},
			{DefaultSettings, "2026-11-20", false, "that is over"},
			{DefaultSettings, "2026-11-21", false, ""},
			{DefaultSettings, "", false, "it needs an end"},
			{DefaultSettings, "", true, ""},
			{DefaultSettings, "2027-01-01", true, ""},
			{DefaultSettings, "tomorrow", false, "want a date"},
			{Settings{MaxDays: 30, UnusedDays: 1}, "2027-01-01", false, "at most 30 days"},
			{Settings{MaxDays: 30, UnusedDays: 1, AllowUnlimited: true}, "", false, ""},
		} {
			h.must(h.book.SetSettings(h.admin(), tt.settings))
			_, err := h.book.Ask(h.admin(), Request{Draft: Draft{Scope: Scope{CVE: "CVE-1"}, UntilFix: tt.fix}, Reason: "r", Category: Other, Expires: tt.expires})
			if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || !errors.Is(err, ErrInvalid)) {
				t.Errorf("%+v: %v", tt, err)
			}
		}
		for _, q := range []Request{Request{}, Request{Draft: Draft{Scope: Scope{Rule: "a"}}}, Request{Draft: Draft{Scope: Scope{Rule: "["}}, Reason: "r", Category: Other}, Request{Draft: Draft{Scope: Scope{Rule: "a", Cluster: "b"}}, Reason: "r", Category: Other},
			Request{Draft: Draft{Scope: Scope{Rule: "a"}}, Reason: "r", Category: "nice"}, Request{Draft: Draft{Scope: Scope{Namespace: "a"}}, Reason: "r", Category: Other}, Request{Draft: Draft{Scope: Scope{Rule: "a"}}, Reason: strings.Repeat("x", 5000), Category: Other}} {
			q.Expires = "2026-12-01"
			if _, err := h.book.Ask(h.admin(), q); !errors.Is(err, ErrInvalid) {
				t.Errorf("%+v: %v", q, err)
			}
		}
		if err := h.book.SetSettings(h.admin(), Settings{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("settings: %v", err)
		}
	})
}

// TestUndecided: a request whose end comes first is over, and cannot be approved after it.
func TestUndecided(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		r, err := h.book.Ask(h.admin(), Request{Draft: Draft{Scope: Scope{Rule: "a/b"}}, Reason: "r", Category: Other, Expires: "2026-11-22"})
		h.must(err)
		h.now = h.now.AddDate(0, 0, 2)
		if _, err := h.book.Decide(h.approver(), r.ID, true, "", 0); !errors.Is(err, ErrConflict) {
			t.Error(err)
		}
		h.sweep()
		if h.status(r.ID) != Expired || len(h.messages("exception.ended")) != 0 {
			t.Error(h.status(r.ID))
		}
	})
}

// TestPreview counts by cluster and severity what would be accepted, and changes nothing.
func TestPreview(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		stored(h)
		us := samples()["deployment"]
		us.Kind, us.Severity = "configuration", "critical"
		h.add(h.us, us)
		e, err := h.book.Preview(h.admin(), Request{Draft: Draft{Scope: Scope{Rule: "workload/*"}}})
		h.must(err)
		if e.Findings != 3 || e.Severity[ledger.SeverityOf("high")] != 2 || e.Severity[ledger.SeverityOf("critical")] != 1 || !e.Complete ||
			len(e.Targets) != 2 || e.Targets[0].Name != "prod-eu" || e.Targets[0].Findings != 2 || e.Targets[1].TargetID != h.us {
			t.Errorf("%+v", e)
		}
		if e, err = h.book.Preview(h.operator(), Request{Draft: Draft{TargetID: h.eu, Scope: Scope{Rule: "workload/*"}}}); err != nil || e.Findings != 2 {
			t.Errorf("%+v %v", e, err)
		}
		if len(h.handled) != 0 {
			t.Error("something was changed")
		}
		r := h.ask(Request{Draft: Draft{TargetID: h.us, Scope: Scope{Rule: "workload/*"}}})
		if e, err = h.book.EffectOf(context.Background(), identity.Visible{Targets: []int64{h.us}}, r.ID); err != nil || e.Findings != 0 {
			t.Errorf("what is accepted already: %+v %v", e, err)
		}
		if _, err = h.book.EffectOf(context.Background(), identity.Visible{Targets: []int64{h.eu}}, r.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("of another cluster: %v", err)
		}
	})
}

// TestPages walks a list in both orders.
func TestPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		for _, q := range []Request{Request{Draft: Draft{TargetID: h.eu, Scope: Scope{CVE: "CVE-1"}}, Expires: "2027-01-03"}, Request{Draft: Draft{TargetID: h.us, Scope: Scope{CVE: "CVE-2", Image: "shop/Till_1"}}, Expires: "2027-01-01"},
			Request{Draft: Draft{Scope: Scope{Rule: "a/b"}}, Expires: "2027-01-02"}, Request{Draft: Draft{TargetID: h.eu, Scope: Scope{CVE: "CVE-3"}, UntilFix: true}}} {
			q.Reason, q.Category = "because", Other
			_, err := h.book.Ask(h.admin(), q)
			h.must(err)
		}
		walk := func(v identity.Visible, f Filter, sort string) string {
			var out []string
			for page := (store.Page{Limit: 1}); ; {
				list, next, err := h.book.List(context.Background(), v, f, sort, page)
				h.must(err)
				for _, r := range list {
					out = append(out, r.CVE+r.Rule)
				}
				if page.After = next; next == "" {
					return strings.Join(out, " ")
				}
			}
		}
		all := identity.Visible{All: true}
		for _, tt := range []struct {
			v          identity.Visible
			f          Filter
			sort, want string
		}{
			{all, Filter{}, "", "CVE-3 a/b CVE-2 CVE-1"}, {all, Filter{}, "end", "CVE-2 a/b CVE-1"},
			{identity.Visible{Targets: []int64{h.eu}}, Filter{}, "", "CVE-3 CVE-1"}, {identity.Visible{}, Filter{}, "", ""},
			{all, Filter{Target: h.us}, "", "CVE-2"}, {all, Filter{Query: "TILL_1"}, "", "CVE-2"}, {all, Filter{Query: "till%1"}, "", ""}, {all, Filter{Query: "because"}, "end", "CVE-2 a/b CVE-1"},
			{all, Filter{Status: []Status{Approved}}, "", ""}, {all, Filter{CVE: "CVE-1"}, "", "CVE-1"}, {all, Filter{Rule: "a/b", Requester: 1}, "", "a/b"}, {all, Filter{Requester: 2}, "", ""},
		} {
			if got := walk(tt.v, tt.f, tt.sort); got != tt.want {
				t.Errorf("%+v: %s", tt, got)
			}
		}
		if _, _, err := h.book.List(context.Background(), all, Filter{}, "", store.Page{After: "x"}); !errors.Is(err, store.ErrCursor) {
			t.Error(err)
		}
	})
}
