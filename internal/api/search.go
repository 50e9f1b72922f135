package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/task"
)

// SearchGroup is what was found of one kind.
type SearchGroup struct {
	Kind  string       `json:"kind" enum:"cluster,namespace,workload,image,node,vulnerability,rule,project"`
	Items []SearchItem `json:"items"`
}

// SearchItem is one thing that was found.
type SearchItem struct {
	ID       string `json:"id" doc:"of a cluster its target's id, of other assets the asset's id, of a vulnerability CVE-..., of a rule its name, of a project its name"`
	Title    string `json:"title"`
	Subtitle string `json:"subtitle,omitempty"`
	TargetID string `json:"targetId,omitempty"`
	Digest   string `json:"digest,omitempty" doc:"of an image"`
	Severity string `json:"severity,omitempty" enum:"critical,high,medium,low,info"`
	Active   int    `json:"active,omitempty" doc:"active findings, where they are counted"`
	Presence string `json:"presence,omitempty" enum:"present,not-present,unknown" doc:"of a vulnerability: not-present was not found in what was scanned; unknown stands in no advisory of this server"`
}

// SearchAnswer is everything that was found.
type SearchAnswer struct {
	Body struct {
		Groups []SearchGroup `json:"groups"`
		Cut    bool          `json:"searchCut,omitempty" doc:"the words are in too many names: some of them were not looked at"`
	}
}

// Search adds the one search box.
func Search(a *API, b *browse.Browser, s *task.Service, book RuleBook) {
	type input struct {
		Q     string `query:"q" required:"true" maxLength:"200" doc:"words, each the beginning of a word of a name; or the beginning of an id"`
		Limit int    `query:"limit" minimum:"1" maximum:"50" default:"6" doc:"of each kind"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/search", ID: "search", Tag: "Search", Summary: "Look for anything by name", Action: identity.Read},
		func(ctx context.Context, in *input) (*SearchAnswer, error) {
			out := &SearchAnswer{}
			out.Body.Groups = []SearchGroup{}
			found, err := b.Search(ctx, identity.From(ctx).Visible(identity.Read), in.Q, in.Limit)
			if err != nil {
				return nil, browsed(err)
			}
			out.Body.Cut = found.Cut
			lang := Lang(ctx)
			put := func(kind string, items []SearchItem) {
				if len(items) > 0 {
					out.Body.Groups = append(out.Body.Groups, SearchGroup{Kind: kind, Items: items})
				}
			}
			vulnerabilities, err := searchedRisks(s, found, in.Q, lang)
			if err != nil {
				return nil, err
			}
			exact := strings.Contains(in.Q, "-") && len(vulnerabilities) > 0
			if exact {
				put("vulnerability", vulnerabilities)
			}
			put("cluster", searchedTargets(found.Clusters))
			for _, k := range []ledger.AssetKind{ledger.AssetNamespace, ledger.AssetWorkload, ledger.AssetImage, ledger.AssetNode} {
				put(k.String(), searchedAssets(found.Assets[k]))
			}
			if !exact {
				put("vulnerability", vulnerabilities)
			}
			put("rule", searchedRules(book, in.Q, lang, in.Limit))
			put("project", searchedTargets(found.Projects))
			return out, nil
		})
}

func searchedTargets(list []ledger.Target) []SearchItem {
	var out []SearchItem
	for _, t := range list {
		id := strconv.FormatInt(t.ID, 10)
		item := SearchItem{ID: id, Title: t.Name, TargetID: id}
		if t.Kind == "project" {
			item.ID = t.Name
		}
		out = append(out, item)
	}
	return out
}

func searchedAssets(list []browse.Asset) []SearchItem {
	var out []SearchItem
	for _, x := range list {
		item := SearchItem{ID: strconv.FormatInt(x.ID, 10), Title: x.Name, TargetID: strconv.FormatInt(x.TargetID, 10), Digest: x.Digest,
			Active: x.Critical + x.High + x.Medium + x.Low + x.Info}
		place := []string{x.Target}
		if x.Kind == ledger.AssetWorkload {
			kind, _, _ := strings.Cut(x.GroupKind, ".")
			place = []string{kind, x.Target + " / " + x.Namespace}
		}
		item.Subtitle = strings.Join(place, " · ")
		out = append(out, item)
	}
	return out
}

// searchedRisks are the vulnerabilities that were found, and one that is asked for by its whole id and was not.
func searchedRisks(s *task.Service, found *browse.Found, q, lang string) ([]SearchItem, error) {
	var out []SearchItem
	for _, r := range found.Vulnerabilities {
		item := SearchItem{ID: r.Rule, Title: r.Rule, Severity: r.Severity.String(), Active: r.Active, Presence: "present", Subtitle: r.TitleEN}
		if lang == "zh" && r.TitleZH != "" {
			item.Subtitle = r.TitleZH
		}
		if r.Active == 0 {
			item.Presence = "not-present"
		}
		out = append(out, item)
	}
	id := strings.ToUpper(strings.TrimSpace(q))
	if !browse.IsAdvisoryID(id) || slices.ContainsFunc(out, func(i SearchItem) bool { return strings.EqualFold(i.ID, id) }) {
		return out, nil
	}
	known, err := s.Vulnerability(id)
	if err != nil {
		return nil, err
	}
	item := SearchItem{ID: known.ID, Title: known.ID, Presence: "unknown"}
	if known.Known {
		item.Presence, item.Subtitle, item.Severity = "not-present", known.Vulnerability.Title, known.Vulnerability.Severity
	}
	return append([]SearchItem{item}, out...), nil
}

func searchedRules(book RuleBook, q, lang string, limit int) []SearchItem {
	var out, rest []SearchItem
	for _, r := range book.rules() {
		if !r.Says(q) {
			continue
		}
		item := SearchItem{ID: r.Name, Title: r.Title.In(lang), Subtitle: r.Name + " · " + r.ID, Severity: string(r.Severity)}
		if r.Named(strings.TrimSpace(q)) {
			out = append(out, item)
		} else {
			rest = append(rest, item)
		}
	}
	out = append(out, rest...)
	return out[:min(len(out), limit)]
}
