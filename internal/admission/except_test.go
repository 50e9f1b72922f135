package admission

import (
	"context"
	"errors"
	"testing"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestExcept asks for exceptions of the same kind as findings have: one for each rule and owner, with an end.
func TestExcept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, st, target := room(t, db)
		book, err := exception.Open(context.Background(), db, func(context.Context, bun.Tx, exception.Handling) (int, error) { return 0, nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		book.Now, s.o.Exceptions = st.now, book
		take(t, s, target, seen(start, "a", "blocked", privileged(policy.Block), vulnerable(policy.Block)), seen(start, "b", "audited", privileged(policy.Audit)))
		h := Handling{Filter: &Filter{}, Action: Except, Note: "a driver needs it", Until: "2026-12-31", DryRun: true}
		got, err := s.Handle(root(), h)
		if err != nil || got.Changed != 3 || len(got.Exceptions) != 2 || got.Exceptions[0].ID != 0 {
			t.Fatalf("%v %+v", err, got)
		}
		if n := number(t, db, "SELECT count(*) FROM exceptions"); n != 0 {
			t.Errorf("a dry run asked for %d", n)
		}
		viewer := identity.With(context.Background(), &identity.Principal{UserID: 3, Name: "vic", Grants: []identity.Grant{{Role: identity.Viewer}}})
		h.DryRun = false
		if got, err := s.Handle(viewer, h); err != nil || got.NotAllowed != 3 || len(got.Exceptions) != 0 {
			t.Errorf("%v %+v", err, got)
		}
		for _, bad := range []Handling{{Filter: &Filter{}, Action: Except}, {Filter: &Filter{}, Action: Except, Note: "x", Until: "soon"}} {
			if _, err := s.Handle(root(), bad); !errors.Is(err, ErrInvalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		if got, err = s.Handle(root(), h); err != nil || got.Changed != 3 || len(got.Exceptions) != 2 {
			t.Fatalf("%v %+v", err, got)
		}
		sound(t, s)
		for _, e := range events(t, s, Filter{}) {
			r, err := book.Get(context.Background(), everything, e.ExceptionID)
			if err != nil {
				t.Fatal(err)
			}
			if e.State != Handled || r.Scope.Rule != e.Rule || r.Scope.Namespace != "shop" || r.Scope.Kind != "Deployment" || r.Scope.Name != "till" || r.TargetID != target || r.Expires != "2026-12-31" ||
				imageRule(e.Rule) != (r.Scope.Digest == digest) {
				t.Errorf("%+v %+v", e.Event, r)
			}
		}
	})
}

// TestExceptOneOwner: an owner or image that a request calls * does not become an exception for all.
func TestExceptOneOwner(t *testing.T) {
	s, st, target := room(t, storetest.Open(t, "sqlite"))
	book, err := exception.Open(context.Background(), s.db, func(context.Context, bun.Tx, exception.Handling) (int, error) { return 0, nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	book.Now, s.o.Exceptions = st.now, book
	v := vulnerable(policy.Block)
	v.Image, v.Digest = "*", ""
	take(t, s, target, of(start, "shop", "*", "*", "workload/x"), of(start, "shop", "Pod", "job-*", "workload/x"), seen(start, "b", "blocked", v))
	got, err := s.Handle(root(), Handling{Filter: &Filter{}, Action: Except, Note: "x", Until: "2026-12-31"})
	if err != nil || len(got.Exceptions) != 3 {
		t.Fatalf("%v %+v", err, got)
	}
	for _, e := range got.Exceptions {
		r, err := book.Get(context.Background(), everything, e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if r.Scope.Kind == "*" || r.Scope.Name == "*" || r.Scope.Image == "*" || r.Scope.Kind == "Pod" && r.Scope.Name != "job-*" {
			t.Errorf("%+v", r.Scope)
		}
	}
}
