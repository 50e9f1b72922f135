// Package identity says who people and programs are and what they may do: users, passwords, OIDC, tokens, sessions, roles.
package identity

import (
	"context"
	"slices"
)

// Role is a set of actions.
type Role string

// The roles. A grant gives one of them, everywhere or in one target, or in one namespace of it.
const (
	Administrator Role = "administrator" // everything
	Approver      Role = "approver"      // what operators may, and decide on exceptions
	Operator      Role = "operator"      // scan, handle findings, ask for exceptions, protect clusters
	Auditor       Role = "auditor"       // read everything, the audit log too
	Viewer        Role = "viewer"        // read findings
)

// Roles lists all.
var Roles = []Role{Administrator, Approver, Operator, Auditor, Viewer}

// Action is something that may be allowed.
type Action string

// The actions. Every route of the API names one.
const (
	Anyone          Action = "anyone"           // no sign-in needed
	Self            Action = "self"             // any signed-in principal: its own profile, sessions, tokens
	Read            Action = "read"             // findings, assets, tasks, clusters
	Handle          Action = "handle"           // ignore, mark, assign, comment, verify
	Scan            Action = "scan"             // start and cancel tasks, upload files
	Except          Action = "except"           // ask for exceptions
	Approve         Action = "approve"          // decide on exceptions
	ManageClusters  Action = "manage-clusters"  // add, change, remove; their credentials
	Protect         Action = "manage-policies"  // protection of clusters: policies, images, what is let in
	ManageSchedules Action = "manage-schedules" // scan schedules, reports, notifications
	ManagePeople    Action = "manage-people"    // users, grants, OIDC
	ManageSettings  Action = "manage-settings"  // of the server
	ReadAudit       Action = "read-audit"
)

// Actions lists all but Anyone.
var Actions = []Action{Self, Read, Handle, Scan, Except, Approve, ManageClusters, Protect, ManageSchedules, ManagePeople, ManageSettings, ReadAudit}

var actions = map[Role][]Action{
	Administrator: {Self, Read, Handle, Scan, Except, Approve, ManageClusters, Protect, ManageSchedules, ManagePeople, ManageSettings, ReadAudit},
	Approver:      {Self, Read, Handle, Scan, Except, Approve, Protect, ManageSchedules},
	Operator:      {Self, Read, Handle, Scan, Except, Protect, ManageSchedules},
	Auditor:       {Self, Read, ReadAudit},
	Viewer:        {Self, Read},
}

// global are the actions that are of the whole server: a grant for one target does not give them.
var global = []Action{ManageSettings, ManagePeople, ReadAudit}

// May reports whether the role allows the action somewhere.
func (r Role) May(a Action) bool { return slices.Contains(actions[r], a) }

// Grant gives a role: everywhere (Target 0), in one target, or in one namespace of it.
type Grant struct {
	Role      Role   `json:"role" enum:"administrator,approver,operator,auditor,viewer"`
	Target    int64  `json:"targetId,string,omitempty" doc:"id of a cluster or project; 0 or absent for all"`
	Namespace string `json:"namespace,omitempty" doc:"one namespace of the target; empty for all"`
}

// Principal is who a request comes from.
type Principal struct {
	UserID  int64
	Name    string
	Grants  []Grant
	Via     string   // "session", "token", "connector", "agent", "system"
	Only    []Action // of a token: it may do just these; nil is all that the grants allow
	Session string   // id of the session or token, for revoking
}

// System is the server itself: schedules, expiries.
var System = &Principal{Name: "system", Via: "system", Grants: []Grant{{Role: Administrator}}}

// allowed reports whether a token's scope lets the action through.
func (p *Principal) allowed(a Action) bool {
	return p != nil && (p.Only == nil || a == Self || slices.Contains(p.Only, a))
}

// May reports whether p may do a anywhere at all: what a route asks before its handler looks at the target.
func (p *Principal) May(a Action) bool {
	if a == Anyone {
		return true
	}
	if !p.allowed(a) {
		return false
	}
	if a == Self {
		return true
	}
	return slices.ContainsFunc(p.Grants, func(g Grant) bool {
		return g.Role.May(a) && (g.Target == 0 || !slices.Contains(global, a))
	})
}

// Can reports whether p may do a on a namespace of a target. Target 0 stands for the whole server, namespace "" for the whole
// target: a grant for one namespace does not cover it.
func (p *Principal) Can(a Action, target int64, namespace string) bool {
	return p.allowed(a) && slices.ContainsFunc(p.Grants, func(g Grant) bool {
		if !g.Role.May(a) || target == 0 && g.Target != 0 {
			return false
		}
		return g.Target == 0 || g.Target == target && (g.Namespace == "" || g.Namespace == namespace && namespace != "")
	})
}

// Visible is what of all targets an action reaches, for lists.
type Visible struct {
	All        bool               // every target
	Targets    []int64            // whole targets, sorted
	Namespaces map[int64][]string // single namespaces of others
}

// Visible gathers where p may do a.
func (p *Principal) Visible(a Action) Visible {
	v := Visible{Namespaces: map[int64][]string{}}
	if !p.allowed(a) {
		return v
	}
	for _, g := range p.Grants {
		switch {
		case !g.Role.May(a):
		case g.Target == 0:
			return Visible{All: true}
		case g.Namespace == "":
			if !slices.Contains(v.Targets, g.Target) {
				v.Targets = append(v.Targets, g.Target)
			}
		case !slices.Contains(v.Namespaces[g.Target], g.Namespace):
			v.Namespaces[g.Target] = append(v.Namespaces[g.Target], g.Namespace)
		}
	}
	slices.Sort(v.Targets)
	for _, t := range v.Targets {
		delete(v.Namespaces, t)
	}
	return v
}

// Sees reports whether anything of the target is visible.
func (v Visible) Sees(target int64) bool {
	return v.All || slices.Contains(v.Targets, target) || len(v.Namespaces[target]) > 0
}

// Whole reports whether the whole target is visible.
func (v Visible) Whole(target int64) bool { return v.All || slices.Contains(v.Targets, target) }

type contextKey struct{}

// With puts the principal into the context.
func With(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From takes the principal out of the context; nil when nobody signed in.
func From(ctx context.Context) *Principal {
	p, _ := ctx.Value(contextKey{}).(*Principal)
	return p
}
