package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sort"

	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/emergency/check"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
	"stockade.dev/stockade/internal/urgent"
)

// EmergencyLine is an emergency vulnerability in lists.
type EmergencyLine struct {
	ID        string                   `json:"id"`
	Name      string                   `json:"name"`
	Aliases   []string                 `json:"aliases"`
	Title     string                   `json:"title"`
	Severity  finding.Severity         `json:"severity" enum:"critical,high,medium,low"`
	Published string                   `json:"published,omitempty" doc:"day of the disclosure"`
	KEV       bool                     `json:"kev" doc:"known to be exploited"`
	Retired   bool                     `json:"retired,omitempty" doc:"no fix will come"`
	Where     []string                 `json:"where" doc:"what it can be in: node, image, cluster"`
	Counts    map[string]urgent.Counts `json:"counts" doc:"by what it can be in"`
	LastScan  urgent.LastScan          `json:"lastScan,omitzero" doc:"of a whole cluster"`
}

// EmergencyFull is an emergency with all its texts.
type EmergencyFull struct {
	EmergencyLine
	Revision      int                `json:"revision"`
	What          string             `json:"what"`
	Fix           string             `json:"fix"`
	Traps         string             `json:"traps,omitempty" doc:"what makes other scanners match falsely"`
	Configuration bool               `json:"configuration,omitempty" doc:"no version decides"`
	Affected      []string           `json:"affected"`
	Fixed         []string           `json:"fixed"`
	Sources       []emergency.Source `json:"sources"`
	Checks        []EmergencyCheck   `json:"checks"`
}

// EmergencyCheck is a step of the verification.
type EmergencyCheck struct {
	Check string   `json:"check"`
	Class string   `json:"class" enum:"read,process,request,private" doc:"how much it touches"`
	Role  string   `json:"role" enum:"precondition,proof" doc:"of a danger, or of a fix"`
	Where []string `json:"where" doc:"only there; empty: everywhere"`
	Says  string   `json:"says"`
}

// EmergencyResult is what was seen of an emergency on one node, in one image, or of a workload that runs the image.
type EmergencyResult struct {
	Target    int64                `json:"targetId,string"`
	Cluster   string               `json:"cluster"`
	Kind      string               `json:"kind" enum:"node,image,cluster,workload"`
	Name      string               `json:"name" doc:"of the node; digest of the image"`
	Image     string               `json:"image,omitempty"`
	Workload  *finding.WorkloadRef `json:"workload,omitempty"`
	Verdict   emergency.Verdict    `json:"verdict" enum:"exposed,unknown,version-only,fixed-by-backport,fixed,not-present"`
	Component string               `json:"component,omitempty"`
	Version   string               `json:"version,omitempty"`
	Path      string               `json:"path,omitempty"`
	Container string               `json:"container,omitempty"`
	Note      string               `json:"note,omitempty"`
	NotRead   string               `json:"notRead,omitempty"`
	Checks    []EmergencyOutcome   `json:"checks"`
	Instances []emergency.Instance `json:"instances" doc:"all places of the component, the decisive one first"`
	Since     store.Time           `json:"since,omitzero" format:"date-time" doc:"of this verdict"`
	At        store.Time           `json:"at" format:"date-time" doc:"when it was looked at, to some hours"`
}

// EmergencyOutcome is what one check saw.
type EmergencyOutcome struct {
	Check    string `json:"check"`
	Class    string `json:"class"`
	Says     string `json:"says"`
	Holds    string `json:"holds" enum:"yes,no,unknown"`
	Proof    bool   `json:"proof,omitempty"`
	Evidence string `json:"evidence,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Unseen is something that was not looked at for an emergency.
type Unseen struct {
	Target  int64        `json:"targetId,string"`
	Cluster string       `json:"cluster"`
	Kind    string       `json:"kind" enum:"node,image"`
	Name    string       `json:"name" doc:"of the node; reference of the image"`
	Digest  string       `json:"digest,omitempty"`
	Code    finding.Code `json:"code"`
	Reason  string       `json:"reason"`
}

// EmergencyClasses are the checks that may run on a cluster.
type EmergencyClasses struct {
	Classes []emergency.Class `json:"classes" enum:"read,process,request,private" maxItems:"4" doc:"read: files and facts; process: /proc; request: one harmless request to a local port; private: a file in a private temporary folder"`
}

// ByEmergency is the input of routes of one emergency.
type ByEmergency struct {
	ID string `path:"emergency" maxLength:"40" doc:"CVE-2024-21626"`
}

// newEmergencyScan is the body that looks for an emergency now.
type newEmergencyScan struct {
	All      bool     `json:"allClusters,omitempty" doc:"every cluster that there is; so it is when no cluster is named"`
	Clusters []string `json:"clusterIds,omitempty" maxItems:"10000" doc:"or these"`
}

// emergencyError gives what the room of emergencies refuses its status.
func emergencyError(err error) error {
	if errors.Is(err, urgent.ErrInvalid) {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return taskError(err)
}

// Emergencies adds the routes of emergency vulnerabilities.
func Emergencies(a *API, s *urgent.Service) {
	Add(a, Route{Method: http.MethodGet, Path: "/emergencies", ID: "list-emergencies", Tag: "Emergencies", Summary: "List emergency vulnerabilities with how it stands with each", Action: identity.Read,
		Description: "Counts are of clusters that may be seen as a whole."},
		func(ctx context.Context, in *struct {
			InLang
			Limit  int     `query:"limit" minimum:"1" maximum:"500" default:"500" doc:"rows of a page"`
			After  string  `query:"after" doc:"next of the page before"`
			Target []int64 `query:"target" maxItems:"1000" doc:"ids of clusters"`
		}) (*List[EmergencyLine], error) {
			lines, err := s.Lines(ctx, identity.From(ctx).Visible(identity.Read), in.Target)
			if err != nil {
				return nil, err
			}
			next := ""
			if in.After != "" {
				var id string
				if err := store.ReadCursor(in.After, &id); err != nil {
					return nil, err
				}
				lines = lines[sort.Search(len(lines), func(i int) bool { return lines[i].ID > id }):] // they are by id
			}
			if len(lines) > in.Limit {
				lines = lines[:in.Limit]
				next = store.Cursor(lines[in.Limit-1].ID)
			}
			lang, _ := in.in(ctx)
			out := make([]EmergencyLine, len(lines))
			for i := range lines {
				out[i] = emergencyLine(&lines[i], lang)
			}
			return Listed(out, next), nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/emergencies/{emergency}", ID: "get-emergency", Tag: "Emergencies", Summary: "Show an emergency vulnerability", Action: identity.Read},
		func(ctx context.Context, in *struct {
			InLang
			ByEmergency
			Target []int64 `query:"target" maxItems:"1000" doc:"ids of clusters"`
		}) (*One[EmergencyFull], error) {
			l, err := s.Line(ctx, in.ID, identity.From(ctx).Visible(identity.Read), in.Target)
			if err != nil {
				return nil, err
			}
			lang, _ := in.in(ctx)
			return &One[EmergencyFull]{emergencyFull(l, lang)}, nil
		})
	Add(a, Route{Method: http.MethodPost, Path: "/emergencies/{emergency}/scan", ID: "scan-emergency", Tag: "Emergencies", Summary: "Look for an emergency now, everywhere", Action: identity.Scan, Status: http.StatusCreated,
		Description: "Agents verify it at their next contact, images are judged by what is known of them, nothing is pulled. The answer is a task; what could not be looked at stands in its items and in not-looked."},
		func(ctx context.Context, in *struct {
			ByEmergency
			Body *newEmergencyScan
		}) (*One[*task.Task], error) {
			if l, err := s.List(); err != nil || l.Find(in.ID) == nil {
				return nil, errors.Join(err, store.ErrNotFound)
			}
			b := TaskScope{All: true}
			if in.Body != nil {
				b = TaskScope{All: in.Body.All || len(in.Body.Clusters) == 0, Clusters: in.Body.Clusters}
			}
			scope, err := b.scope(ctx, identity.Scan)
			if err != nil {
				return nil, err
			}
			t, err := s.Scan(ctx, urgent.Request{IDs: []string{in.ID}, Scope: scope})
			if err != nil {
				return nil, emergencyError(err)
			}
			return &One[*task.Task]{t}, nil
		})
	emergencyResults(a, s)
	emergencyClasses(a, s)
}

// emergencyResults adds the routes of what was seen of an emergency.
func emergencyResults(a *API, s *urgent.Service) {
	type resultList struct {
		InLang
		ByEmergency
		Paging
		Verdict []emergency.Verdict `query:"verdict" enum:"exposed,unknown,version-only,fixed-by-backport,fixed,not-present" doc:"default: all but not-present, which is asked for alone"`
		Target  []int64             `query:"target" maxItems:"1000" doc:"ids of clusters"`
		Kind    string              `query:"kind" enum:"node,image,cluster,workload" doc:"workload: what runs the images; default: all but that"`
		Q       string              `query:"q" maxLength:"253" doc:"part of the name"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/emergencies/{emergency}/results", ID: "list-emergency-results", Tag: "Emergencies", Action: identity.Read,
		Summary: "List where an emergency was seen, the worst first"},
		func(ctx context.Context, in *resultList) (*List[EmergencyResult], error) {
			seen, next, err := s.Results(ctx, identity.From(ctx).Visible(identity.Read), in.ID, urgent.Filter{Verdicts: in.Verdict, Targets: in.Target, Kind: in.Kind, Q: in.Q}, in.Page())
			if err != nil {
				return nil, emergencyError(err)
			}
			lang, _ := in.in(ctx)
			out := make([]EmergencyResult, len(seen))
			for i := range seen {
				out[i] = emergencyResult(&seen[i], lang)
			}
			return Listed(out, next), nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/emergencies/{emergency}/not-looked", ID: "list-emergency-not-looked", Tag: "Emergencies", Action: identity.Read,
		Summary: "List nodes or images that were not looked at for an emergency, with the reasons"},
		func(ctx context.Context, in *struct {
			InLang
			ByEmergency
			Paging
			Kind   string  `query:"kind" enum:"node,image" default:"node"`
			Target []int64 `query:"target" maxItems:"1000" doc:"ids of clusters"`
		}) (*List[Unseen], error) {
			rows, next, err := s.NotLooked(ctx, identity.From(ctx).Visible(identity.Read), in.ID, in.Kind, in.Target, in.Page())
			if err != nil {
				return nil, emergencyError(err)
			}
			lang, _ := in.in(ctx)
			out := make([]Unseen, len(rows))
			for i, r := range rows {
				out[i] = Unseen{Target: r.Target, Cluster: r.Cluster, Kind: r.Kind, Name: r.Name, Digest: r.Digest, Code: r.Code, Reason: r.Reason.In(lang)}
			}
			return Listed(out, next), nil
		})
}

// emergencyClasses adds the routes of which checks may run on a cluster.
func emergencyClasses(a *API, s *urgent.Service) {
	Add(a, Route{Method: http.MethodGet, Path: "/clusters/{id}/emergency-checks", ID: "get-emergency-checks", Tag: "Emergencies", Action: identity.Read,
		Summary: "Show which classes of emergency checks may run on a cluster", Description: "read and process where nobody said otherwise."},
		func(ctx context.Context, in *ByID) (*One[EmergencyClasses], error) {
			if !identity.From(ctx).Visible(identity.Read).Whole(in.ID) {
				return nil, store.ErrNotFound
			}
			c, err := s.Allowed(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return &One[EmergencyClasses]{EmergencyClasses{c}}, nil
		})
	Add(a, Route{Method: http.MethodPut, Path: "/clusters/{id}/emergency-checks", ID: "set-emergency-checks", Tag: "Emergencies", Action: identity.ManageClusters,
		Summary: "Set which classes of emergency checks may run on a cluster", Description: "Agents heed it at their next contact; what a node's own settings forbid stays forbidden. A check that may not run leaves its precondition unknown."},
		func(ctx context.Context, in *struct {
			ByID
			Body EmergencyClasses
		}) (*One[EmergencyClasses], error) {
			if err := manages(ctx, in.ID); err != nil {
				return nil, err
			}
			if err := s.Allow(ctx, in.ID, in.Body.Classes); err != nil {
				return nil, emergencyError(err)
			}
			c, err := s.Allowed(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return &One[EmergencyClasses]{EmergencyClasses{c}}, nil
		})
}

func emergencyLine(l *urgent.Line, lang string) EmergencyLine {
	e := l.Emergency
	out := EmergencyLine{ID: e.ID, Name: e.Name, Aliases: some(e.Aliases), Title: e.Title.In(lang), Severity: e.Severity, Published: e.Published, KEV: e.KEV, Retired: e.Retired,
		Where: some(e.Where), Counts: map[string]urgent.Counts{}, LastScan: l.Last}
	for k, c := range l.Counts {
		out.Counts[urgent.Kinds[k]] = *c
	}
	return out
}

func emergencyFull(l *urgent.Line, lang string) EmergencyFull {
	e := l.Emergency
	out := EmergencyFull{EmergencyLine: emergencyLine(l, lang), Revision: e.Revision, What: e.What.In(lang), Fix: e.Fix.In(lang), Traps: e.Traps.In(lang), Configuration: e.Configuration,
		Affected: []string{}, Fixed: some(e.Fixes()), Sources: some(e.Sources), Checks: []EmergencyCheck{}}
	for i := range e.Affected {
		out.Affected = append(out.Affected, e.Affected[i].String())
	}
	add := func(role string, steps []emergency.Step) {
		for _, step := range steps {
			one := EmergencyCheck{Check: step.Check, Role: role, Where: some(step.Where), Says: step.Says.In(lang)}
			if c, ok := check.Find(step.Check); ok {
				one.Class = string(c.Class)
			}
			out.Checks = append(out.Checks, one)
		}
	}
	add("precondition", e.Preconditions)
	add("proof", e.Proofs)
	return out
}

func emergencyResult(s *urgent.Seen, lang string) EmergencyResult {
	r := &s.Result
	out := EmergencyResult{Target: s.Target, Cluster: s.Cluster, Kind: s.Kind, Name: s.Name, Image: s.Image, Workload: s.Workload, Verdict: r.Verdict, Component: r.Component,
		Version: r.Version, Path: r.Path, Container: r.Container, Note: r.Note.In(lang), NotRead: r.Unread().In(lang), Checks: []EmergencyOutcome{}, Instances: some(r.Instances), Since: s.Since, At: s.At}
	for i := range r.Checks {
		o := &r.Checks[i]
		one := EmergencyOutcome{Check: o.Check, Class: string(o.Class), Says: o.Says.In(lang), Holds: string(o.Holds), Proof: o.Proof}
		if o.Evidence != "" {
			one.Evidence = o.Said().In(lang)
		} else {
			one.Reason = o.Said().In(lang)
		}
		out.Checks = append(out.Checks, one)
	}
	return out
}
