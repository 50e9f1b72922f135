package api

import (
	"context"
	"net/http"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
)

// VulnerabilityFull is what the advisory database knows of a vulnerability, and whether it is here.
type VulnerabilityFull struct {
	ID          string                 `json:"id"`
	Known       bool                   `json:"known" doc:"the advisory database knows it"`
	NoDatabase  bool                   `json:"noDatabase,omitempty" doc:"the server has no advisory database: nothing is known of any"`
	Aliases     []string               `json:"aliases"`
	Title       string                 `json:"title,omitempty"`
	Description string                 `json:"description,omitempty"`
	Severity    string                 `json:"severity,omitempty"`
	CVSS        []advisory.CVSS        `json:"cvss"`
	CWEs        []string               `json:"cwes"`
	References  []string               `json:"references"`
	Published   string                 `json:"published,omitempty"`
	Modified    string                 `json:"modified,omitempty"`
	Withdrawn   string                 `json:"withdrawn,omitempty"`
	KEV         *advisory.KEV          `json:"kev,omitempty" doc:"known to be exploited"`
	EPSS        *advisory.EPSS         `json:"epss,omitempty"`
	Packages    []task.AffectedPackage `json:"packages" doc:"affected packages by stream; at most 500"`
	Cut         bool                   `json:"packagesCut,omitempty" doc:"there are more packages"`
	Active      int                    `json:"active" doc:"active findings that you see"`
	Seen        bool                   `json:"seen" doc:"it was found here some time: with no active finding it is not present any more"`
}

// Vulnerabilities adds the route of single vulnerabilities.
func Vulnerabilities(a *API, b *browse.Browser, s *task.Service) {
	type input struct {
		ID string `path:"id" maxLength:"100" pattern:"^[A-Za-z][A-Za-z0-9]*[-:][A-Za-z0-9:._-]+$" patternDescription:"CVE-2021-44228 or another id of an advisory"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/vulnerabilities/{id}", ID: "get-vulnerability", Tag: "Vulnerabilities", Summary: "What is known of a vulnerability", Action: identity.Read,
		Description: "An id that neither the advisory database nor any finding has is not found."},
		func(ctx context.Context, in *input) (*One[VulnerabilityFull], error) {
			known, err := s.Vulnerability(in.ID)
			if err != nil {
				return nil, err
			}
			out := VulnerabilityFull{ID: known.ID, Known: known.Known, NoDatabase: known.NoDatabase, Packages: some(known.Packages), Cut: known.Cut}
			v := known.Vulnerability
			out.Aliases, out.Title, out.Description, out.Severity, out.CVSS, out.CWEs = some(v.Aliases), v.Title, v.Description, v.Severity, some(v.CVSS), some(v.CWEs)
			out.References, out.Published, out.Modified, out.Withdrawn, out.KEV, out.EPSS = some(v.References), v.Published, v.Modified, v.Withdrawn, v.KEV, v.EPSS
			sees := identity.From(ctx).Visible(identity.Read)
			active, err := b.ActiveOf(ctx, sees, []string{out.ID})
			if err != nil {
				return nil, err
			}
			n, seen := active[out.ID]
			if out.Active, out.Seen = n, seen; !seen && !known.Known {
				return nil, store.ErrNotFound
			}
			return &One[VulnerabilityFull]{Body: out}, nil
		})
}
