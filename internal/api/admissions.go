package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"stockade.dev/stockade/internal/admission"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
)

// AdmissionEvent is what happened at the door with the same policy, rule, owner, image and action.
type AdmissionEvent struct {
	admission.Event
	Action  string `json:"action" enum:"audit,warn,block" doc:"what the policy does with it"`
	Cluster string `json:"cluster" doc:"name"`
	Title   string `json:"title"`
	Message string `json:"message" doc:"of the last one"`
}

// AdmissionEventPage is an event with everything that is known of it.
type AdmissionEventPage struct {
	AdmissionEvent
	Fix         string                `json:"fix,omitempty"`
	Container   string                `json:"container,omitempty"`
	Path        string                `json:"path,omitempty" doc:"in the object"`
	Found       any                   `json:"found,omitempty"`
	Want        any                   `json:"want,omitempty"`
	Items       []string              `json:"items,omitempty" doc:"of image checks: what was found, the first few"`
	Object      ObjectView            `json:"object" doc:"as it was recorded, with the faulty lines"`
	Diff        string                `json:"diff,omitempty" doc:"of an update: what differs from the object as it was recorded before"`
	Occurrences []AdmissionOccurrence `json:"occurrences" doc:"the latest first"`
	Hours       []AdmissionHour       `json:"hours" doc:"how often, by hour; the latest 14 days"`
}

// AdmissionOccurrence is one request of an event.
type AdmissionOccurrence struct {
	ID          string    `json:"id" doc:"give as occurrence to see its object"`
	At          time.Time `json:"at" format:"date-time"`
	User        string    `json:"user,omitempty"`
	Groups      []string  `json:"groups,omitempty"`
	Operation   string    `json:"operation,omitempty"`
	SubResource string    `json:"subResource,omitempty"`
	APIVersion  string    `json:"apiVersion"`
	Kind        string    `json:"kind"`
	Name        string    `json:"name"`
	UID         string    `json:"uid,omitempty"`
	Recorded    bool      `json:"recorded" doc:"the object is kept"`
}

// AdmissionHour is how often something happened in an hour.
type AdmissionHour struct {
	At    time.Time `json:"at" format:"date-time" doc:"begin of the hour"`
	Count int64     `json:"count"`
}

// AdmissionFilter is the part of the inputs that says which events are meant.
type AdmissionFilter struct {
	Target    []int64   `query:"target" maxItems:"1000" doc:"ids of clusters"`
	Namespace []string  `query:"namespace" maxItems:"1000"`
	Policy    []int64   `query:"policy" maxItems:"1000" doc:"ids of policies"`
	Rule      []string  `query:"rule" maxItems:"100" doc:"names"`
	Action    []string  `query:"action" enum:"audit,warn,block"`
	State     []string  `query:"state" enum:"unhandled,ignored,handled"`
	Kind      []string  `query:"kind" enum:"blocked,warned,audited,turned,existing,unchecked"`
	OwnerKind string    `query:"ownerKind" maxLength:"100"`
	Owner     string    `query:"owner" maxLength:"300" doc:"name"`
	Digest    string    `query:"digest" maxLength:"200" doc:"of the image"`
	Since     time.Time `query:"since" doc:"happened at this time and later"`
	Q         string    `query:"q" maxLength:"1000" doc:"words, each the beginning of a word in the rule, title, namespace, owner or image"`
}

func (in AdmissionFilter) filter() (admission.Filter, error) {
	f := admission.Filter{Targets: in.Target, Namespaces: in.Namespace, Policies: in.Policy, Rules: in.Rule, Actions: in.Action, OwnerKind: in.OwnerKind, Owner: in.Owner,
		Digest: in.Digest, Since: in.Since, Q: in.Q}
	return f, errors.Join(parseAll(&f.States, in.State), parseAll(&f.Kinds, in.Kind))
}

// admitted gives errors of the room admission their status.
func admitted(err error) error {
	switch {
	case errors.Is(err, admission.ErrInvalid):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	case errors.Is(err, admission.ErrForbidden):
		return fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	return err
}

func admissionEvent(e *admission.Listed, lang string) AdmissionEvent {
	return AdmissionEvent{Event: e.Event, Action: string(e.Action()), Cluster: e.Cluster, Title: e.Title().In(lang), Message: e.Message().In(lang)}
}

// Admissions adds the routes of what was seen at the door of clusters: events, and what came in unchecked.
func Admissions(a *API, s *admission.Service) {
	admissionLists(a, s)
	admissionHandling(a, s)
	uncheckedLists(a, s)
}

func admissionLists(a *API, s *admission.Service) {
	type listInput struct {
		Paging
		AdmissionFilter
		InLang
		Sort string `query:"sort" default:"-lastSeen" enum:"lastSeen,firstSeen,count,-lastSeen,-firstSeen,-count"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/admission-events", ID: "list-admission-events", Tag: "Admissions", Action: identity.Read, Summary: "What policies refused, warned of and recorded",
		Description: "Requests of the same policy, rule, owner, image and action are one event, with a count."},
		func(ctx context.Context, in *listInput) (*Counted[AdmissionEvent], error) {
			f, err := in.filter()
			if err != nil {
				return nil, admitted(err)
			}
			l, err := s.Events(ctx, identity.From(ctx).Visible(identity.Read), f, in.Sort, in.Page())
			if err != nil {
				return nil, admitted(err)
			}
			lang, _ := in.in(ctx)
			items := make([]AdmissionEvent, len(l.Items))
			for i := range l.Items {
				items[i] = admissionEvent(&l.Items[i], lang)
			}
			return counted(items, l.Next, browse.Total{N: l.Total, AtLeast: l.AtLeast, Cut: l.Cut}), nil
		})
	type oneInput struct {
		ByID
		InLang
		Occurrence string `query:"occurrence" maxLength:"20" doc:"id of one of its occurrences, to see the object of that request; absent: the last"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/admission-events/{id}", ID: "get-admission-event", Tag: "Admissions", Summary: "One event with the object", Action: identity.Read,
		Description: "The object as the last request had it, with the faulty lines, and what differs from the object before it."},
		func(ctx context.Context, in *oneInput) (*One[AdmissionEventPage], error) {
			p, err := s.Event(ctx, identity.From(ctx).Visible(identity.Read), in.ID, in.Occurrence)
			if err != nil {
				return nil, admitted(err)
			}
			lang, _ := in.in(ctx)
			return &One[AdmissionEventPage]{Body: admissionPage(p, lang)}, nil
		})
	type summaryInput struct {
		Target    []int64  `query:"target" maxItems:"1000" doc:"ids of clusters"`
		Namespace []string `query:"namespace" maxItems:"1000"`
		InLang
	}
	Add(a, Route{Method: http.MethodGet, Path: "/admission-events/summary", ID: "count-admission-events", Tag: "Admissions", Summary: "How many events there are, by what and when", Action: identity.Read},
		func(ctx context.Context, in *summaryInput) (*One[AdmissionSummary], error) {
			sum, err := s.Summary(ctx, identity.From(ctx).Visible(identity.Read), admission.Filter{Targets: in.Target, Namespaces: in.Namespace})
			if err != nil {
				return nil, admitted(err)
			}
			lang, _ := in.in(ctx)
			return &One[AdmissionSummary]{Body: admissionSummary(sum, lang)}, nil
		})
}

func admissionPage(p *admission.Page, lang string) AdmissionEventPage {
	v := p.Violation()
	out := AdmissionEventPage{AdmissionEvent: admissionEvent(&p.Listed, lang), Fix: v.Fix.In(lang), Container: v.Container, Path: v.Path, Found: v.Found, Want: v.Want, Items: v.Items,
		Object: objectView(p.Object, lang), Diff: p.Diff, Occurrences: []AdmissionOccurrence{}, Hours: admissionHours(p.Hours)}
	for _, o := range p.Occurrences {
		out.Occurrences = append(out.Occurrences, AdmissionOccurrence{ID: o.ID, At: o.At.UTC(), User: o.User, Groups: o.Groups, Operation: o.Operation, SubResource: o.SubResource,
			APIVersion: o.APIVersion, Kind: o.Kind, Name: o.Name, UID: o.UID, Recorded: o.Recorded})
	}
	return out
}

func admissionHours(list []admission.Hour) []AdmissionHour {
	out := []AdmissionHour{}
	for _, h := range list {
		out = append(out, AdmissionHour{At: h.At.UTC(), Count: h.Count})
	}
	return out
}

// AdmissionSummary is how many events there are.
type AdmissionSummary struct {
	Total      int64                     `json:"total"`
	Unhandled  int64                     `json:"unhandled"`
	ByKind     map[string]int64          `json:"byKind" doc:"events; of all states"`
	ByState    map[string]int64          `json:"byState"`
	ByAction   map[string]int64          `json:"byAction"`
	Namespaces []AdmissionCount          `json:"namespaces" doc:"those with most events, at most 50"`
	Policies   []AdmissionCount          `json:"policies" doc:"those with most events, at most 50"`
	Rules      []AdmissionCount          `json:"rules" doc:"those with most requests, at most 20"`
	Clusters   []AdmissionCount          `json:"clusters" doc:"those with most events, at most 50"`
	Unchecked  map[string]int64          `json:"unchecked" doc:"unchecked admissions by state"`
	Day        []AdmissionHourByOutcome  `json:"day" doc:"requests of the last 24 hours, oldest first, the current hour last"`
	Logs       []admission.LogOfACluster `json:"logs" doc:"the log of admissions of each cluster that you see whole"`
}

// AdmissionCount is how many events and requests something has.
type AdmissionCount struct {
	ID     string `json:"id" doc:"give it to the filter"`
	Name   string `json:"name,omitempty"`
	Title  string `json:"title,omitempty"`
	Events int64  `json:"events"`
	Count  int64  `json:"count" doc:"requests"`
}

// AdmissionHourByOutcome is the requests of an hour.
type AdmissionHourByOutcome struct {
	At       time.Time `json:"at" format:"date-time" doc:"begin of the hour"`
	Allowed  int64     `json:"allowed"`
	Audited  int64     `json:"audited"`
	Warned   int64     `json:"warned"`
	Blocked  int64     `json:"blocked"`
	Unjudged int64     `json:"unjudged"`
}

func admissionSummary(s *admission.Summary, lang string) AdmissionSummary {
	count := func(list []admission.Count) []AdmissionCount {
		out := []AdmissionCount{}
		for _, c := range list {
			out = append(out, AdmissionCount{ID: c.ID, Name: c.Name, Title: c.Title.In(lang), Events: c.Events, Count: c.Hits})
		}
		return out
	}
	out := AdmissionSummary{Total: s.Total, Unhandled: s.ByState["unhandled"], ByKind: s.ByKind, ByState: s.ByState, ByAction: s.ByAction, Namespaces: count(s.Namespaces),
		Policies: count(s.Policies), Rules: count(s.Rules), Clusters: count(s.Clusters), Unchecked: s.Unchecked, Day: []AdmissionHourByOutcome{}, Logs: s.Logs}
	if out.Logs == nil {
		out.Logs = []admission.LogOfACluster{}
	}
	for _, h := range s.Day {
		out.Day = append(out.Day, AdmissionHourByOutcome{At: h.At.UTC(), Allowed: h.Requests[admission.Allowed], Audited: h.Requests[admission.AuditedRequest],
			Warned: h.Requests[admission.WarnedRequest], Blocked: h.Requests[admission.BlockedRequest], Unjudged: h.Requests[admission.Unjudged]})
	}
	return out
}

// UncheckedAdmission is a request that nobody judged.
type UncheckedAdmission struct {
	admission.Entry
	Cluster    string `json:"cluster" doc:"name"`
	ReasonText string `json:"reasonText"`
}

// UncheckedInput is which unchecked admissions are judged now.
type UncheckedInput struct {
	IDs    []string `json:"ids,omitempty" maxItems:"500" doc:"ids of unchecked admissions"`
	Target int64    `json:"targetId,string,omitempty" minimum:"1" doc:"instead of ids: those of a cluster that were not judged yet, the first 500"`
}

func uncheckedLists(a *API, s *admission.Service) {
	type listInput struct {
		Paging
		InLang
		Target    []int64   `query:"target" maxItems:"1000" doc:"ids of clusters"`
		Namespace []string  `query:"namespace" maxItems:"1000"`
		State     []string  `query:"state" enum:"found,good,bad,gone"`
		Reason    []string  `query:"reason" enum:"provider-away,not-recorded,overflow,no-verdict,not-enforced,static-pod"`
		Since     time.Time `query:"since" doc:"found at this time and later"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/unchecked-admissions", ID: "list-unchecked-admissions", Tag: "Admissions", Action: identity.Read, Summary: "What was let in unchecked",
		Description: "Found by holding what lives in clusters against what was recorded, and judged afterwards. The latest first."},
		func(ctx context.Context, in *listInput) (*Counted[UncheckedAdmission], error) {
			f := admission.UncheckedFilter{Targets: in.Target, Namespaces: in.Namespace, Since: in.Since}
			if err := errors.Join(parseAll(&f.States, in.State), parseAll(&f.Reasons, in.Reason)); err != nil {
				return nil, admitted(err)
			}
			l, err := s.Unchecked(ctx, identity.From(ctx).Visible(identity.Read), f, in.Page())
			if err != nil {
				return nil, admitted(err)
			}
			lang, _ := in.in(ctx)
			items := make([]UncheckedAdmission, len(l.Items))
			for i := range l.Items {
				l.Items[i].Note = l.Items[i].NoteIn(lang)
				items[i] = UncheckedAdmission{Entry: l.Items[i].Entry, Cluster: l.Items[i].Cluster, ReasonText: l.Items[i].Reason.Text().In(lang)}
			}
			return counted(items, l.Next, browse.Total{N: l.Total, AtLeast: l.AtLeast}), nil
		})
	type judgeInput struct {
		Body UncheckedInput
	}
	Add(a, Route{Method: http.MethodPost, Path: "/unchecked-admissions/judge", ID: "judge-unchecked-admissions", Tag: "Admissions", Action: identity.Handle, Summary: "Judge unchecked admissions now",
		Description: "Reads the objects from their clusters and judges them by the policies in force. What the time of a request does not suffice for is judged in the background."},
		func(ctx context.Context, in *judgeInput) (*One[admission.Judged], error) {
			ids, err := parseIDs(in.Body.IDs)
			if err != nil {
				return nil, err
			}
			out, err := s.JudgeNow(ctx, ids, in.Body.Target)
			if err != nil {
				return nil, admitted(err)
			}
			return &One[admission.Judged]{Body: *out}, nil
		})
}

// AdmissionHandling says what to do with events.
type AdmissionHandling struct {
	IDs    []string          `json:"ids,omitempty" maxItems:"100000" doc:"ids of events"`
	Filter *admission.Filter `json:"filter,omitempty" doc:"instead of ids"`
	Action string            `json:"action" enum:"ignore,reopen,handled,except,allow-image,exclude" doc:"except asks for an exception for the owner; allow-image adds the image by its digest to those that the policy allows; exclude takes the namespace out of the policy's scope. Nothing is ever deleted in a cluster"`
	Note   string            `json:"note,omitempty" maxLength:"4000" doc:"why; of except the reason, which must be there"`
	Until  string            `json:"until,omitempty" maxLength:"40" doc:"of except and allow-image: last day (2027-03-31, UTC) or RFC 3339 time"`
	Policy int64             `json:"policyId,string,omitempty" doc:"of allow-image and exclude: the policy to change; absent: that of each event"`
	DryRun bool              `json:"dryRun,omitempty" doc:"only tell what it would do"`
}

// AdmissionEffect is what was done.
type AdmissionEffect struct{ admission.Effect }

func admissionHandling(a *API, s *admission.Service) {
	type input struct {
		Body AdmissionHandling
	}
	Add(a, Route{Method: http.MethodPost, Path: "/admission-events/handle", ID: "handle-admission-events", Tag: "Admissions", Action: identity.Handle, Summary: "Handle events",
		Description: "With dryRun nothing changes and the answer tells what would. allow-image and exclude need the right to change policies."},
		func(ctx context.Context, in *input) (*One[AdmissionEffect], error) {
			ids, err := parseIDs(in.Body.IDs)
			if err != nil {
				return nil, err
			}
			b := in.Body
			out, err := s.Handle(ctx, admission.Handling{IDs: ids, Filter: b.Filter, Action: b.Action, Note: b.Note, Until: b.Until, Policy: b.Policy, DryRun: b.DryRun})
			if err != nil {
				return nil, admitted(err)
			}
			return &One[AdmissionEffect]{Body: AdmissionEffect{*out}}, nil
		})
}
