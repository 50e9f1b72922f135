package identity

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// Places that the table asks for: the server, cluster 1 whole, its namespaces shop and bank, cluster 2 whole and its shop.
var places = []struct {
	name      string
	target    int64
	namespace string
}{{"server", 0, ""}, {"1", 1, ""}, {"1/shop", 1, "shop"}, {"1/bank", 1, "bank"}, {"2", 2, ""}, {"2/shop", 2, "shop"}}

// may holds which role may do what, written down by hand and apart from the code: a change of rights must be made twice.
//
//	administrator approver operator auditor viewer
var may = map[Action]string{
	Self:            "yes yes yes yes yes",
	Read:            "yes yes yes yes yes",
	Handle:          "yes yes yes no no",
	Scan:            "yes yes yes no no",
	Except:          "yes yes yes no no",
	Approve:         "yes yes no no no",
	ManageClusters:  "yes no no no no",
	Protect:         "yes yes yes no no",
	ManageSchedules: "yes yes yes no no",
	ManagePeople:    "yes no no no no",
	ManageSettings:  "yes no no no no",
	ReadAudit:       "yes no no yes no",
}

// reach is which places a grant of each scope covers.
var reach = map[string]struct {
	grant Grant
	in    string
}{
	"everywhere":      {Grant{}, "server 1 1/shop 1/bank 2 2/shop"},
	"a cluster":       {Grant{Target: 1}, "1 1/shop 1/bank"},
	"a namespace":     {Grant{Target: 1, Namespace: "shop"}, "1/shop"},
	"another cluster": {Grant{Target: 2}, "2 2/shop"},
}

// TestTable: every role, action, scope of the grant and place.
func TestTable(t *testing.T) {
	if len(may) != len(Actions) {
		t.Fatalf("the table has %d actions of %d", len(may), len(Actions))
	}
	checked := 0
	for _, action := range Actions {
		columns := strings.Fields(may[action])
		for i, role := range Roles {
			allowed := columns[i] == "yes"
			if role.May(action) != allowed {
				t.Errorf("%s may %s: %v", role, action, !allowed)
			}
			for scope, r := range reach {
				g := r.grant
				g.Role = role
				p := &Principal{UserID: 1, Grants: []Grant{g}}
				// The server's own things are for those who have the role everywhere.
				somewhere := allowed && (g.Target == 0 || !slices.Contains([]Action{ManagePeople, ManageSettings, ReadAudit}, action)) || action == Self
				if got := p.May(action); got != somewhere {
					t.Errorf("%s of %s may %s at all: %v", role, scope, action, got)
				}
				v := p.Visible(action)
				for _, place := range places {
					checked++
					want := allowed && slices.Contains(strings.Fields(r.in), place.name)
					if got := p.Can(action, place.target, place.namespace); got != want {
						t.Errorf("%s of %s can %s in %s: %v", role, scope, action, place.name, got)
					}
					// Lists and single questions agree.
					if place.target == 0 {
						continue
					}
					listed := v.Whole(place.target) || place.namespace != "" && slices.Contains(v.Namespaces[place.target], place.namespace)
					if listed != want {
						t.Errorf("%s of %s sees %s in lists for %s: %v", role, scope, place.name, action, listed)
					}
					if v.Sees(place.target) != (allowed && (g.Target == 0 || g.Target == place.target)) {
						t.Errorf("%s of %s sees something of %s for %s: %v", role, scope, place.name, action, v.Sees(place.target))
					}
				}
			}
		}
	}
	if want := len(Actions) * len(Roles) * len(reach) * len(places); checked != want {
		t.Errorf("%d of %d were checked", checked, want)
	}
}

// TestGrants add up, and only for what each gives.
func TestGrants(t *testing.T) {
	p := &Principal{Grants: []Grant{{Role: Viewer}, {Role: Operator, Target: 1, Namespace: "shop"}, {Role: Operator, Target: 1, Namespace: "shop"}, {Role: Approver, Target: 2}, {Role: Operator, Target: 2, Namespace: "x"}}}
	for _, tc := range []struct {
		action Action
		target int64
		ns     string
		want   bool
	}{
		{Read, 3, "any", true}, {Handle, 3, "any", false}, {Handle, 1, "shop", true}, {Handle, 1, "", false}, {Approve, 1, "shop", false}, {Approve, 2, "any", true}, {ManagePeople, 0, "", false},
	} {
		if got := p.Can(tc.action, tc.target, tc.ns); got != tc.want {
			t.Errorf("%s %d %q: %v", tc.action, tc.target, tc.ns, got)
		}
	}
	v := p.Visible(Handle)
	if v.All || !slices.Equal(v.Targets, []int64{2}) || len(v.Namespaces) != 1 || !slices.Equal(v.Namespaces[1], []string{"shop"}) {
		t.Errorf("%+v", v)
	}
}

// TestOnly: a token's actions only ever take away.
func TestOnly(t *testing.T) {
	p := &Principal{Grants: []Grant{{Role: Administrator}}, Only: []Action{Read, Scan}}
	for _, a := range Actions {
		want := a == Read || a == Scan
		if p.Can(a, 1, "shop") != want && a != Self || p.May(a) != (want || a == Self) || p.Visible(a).All != want && a != Self {
			t.Errorf("%s: %v %v", a, p.Can(a, 1, "shop"), p.May(a))
		}
	}
	p.Grants = []Grant{{Role: Viewer, Target: 1}}
	if p.May(Scan) || p.Can(Scan, 1, "") {
		t.Error("a token may more than its user")
	}
}

// TestNobody may nothing, and is no crash.
func TestNobody(t *testing.T) {
	p := From(context.Background())
	if !p.May(Anyone) {
		t.Error("what is for anyone is not for nobody")
	}
	for _, a := range Actions {
		if p.May(a) || p.allowed(a) {
			t.Errorf("nobody may %s", a)
		}
	}
	none := &Principal{UserID: 1}
	for _, a := range Actions {
		if none.May(a) != (a == Self) || none.Can(a, 0, "") || none.Visible(a).All {
			t.Errorf("a user without grants may %s", a)
		}
	}
	if got := From(With(context.Background(), none)); got != none {
		t.Error(got)
	}
}
