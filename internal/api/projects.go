package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
)

// projectFiles are the files of a project.
type projectFiles struct {
	Items    []task.ProjectFile `json:"items"`
	Unlisted int                `json:"unlisted,omitempty" doc:"files that were judged beyond those"`
}

// FileFinding is a finding of a file, with what a view of the file shows of it.
type FileFinding struct {
	ID          int64              `json:"id,string"`
	Line        int                `json:"line" doc:"from 1; 0 when it is about the whole file"`
	Column      int                `json:"column,omitempty"`
	Kind        ledger.Kind        `json:"kind"`
	Severity    ledger.Severity    `json:"severity"`
	Status      ledger.Status      `json:"status"`
	Rule        string             `json:"rule"`
	RuleID      string             `json:"ruleId,omitempty"`
	Title       string             `json:"title"`
	Message     string             `json:"message"`
	Remediation string             `json:"remediation,omitempty"`
	Mitigations []string           `json:"mitigations,omitempty"`
	Object      string             `json:"object,omitempty" doc:"that the line is of: Deployment shop/cart"`
	Container   string             `json:"container,omitempty"`
	Evidence    []finding.Evidence `json:"evidence"`
	References  []string           `json:"references,omitempty"`
	FirstSeen   store.Time         `json:"firstSeen" format:"date-time"`
}

// fileView is one file with its text.
type fileView struct {
	Path     string        `json:"path"`
	Type     string        `json:"type" enum:"dockerfile,k8s_yaml,helm,kustomize,other"`
	Size     int64         `json:"size"`
	Note     string        `json:"note,omitempty" enum:"large,full,binary,packed" doc:"why there is no text"`
	Text     string        `json:"text,omitempty" doc:"credentials are masked"`
	First    int           `json:"firstLine" doc:"number of the first line of the text"`
	Findings []FileFinding `json:"findings" doc:"by line; without those that are fixed or gone"`
	Cut      bool          `json:"findingsCut,omitempty" doc:"there are more findings than are told"`
}

// maxFileFindings bounds the findings that come with a file.
const maxFileFindings = 1000

// project finds a project that the principal sees as a whole.
func project(ctx context.Context, s *task.Service, name string) (int64, error) {
	id, err := s.Project(ctx, name)
	if err != nil {
		return 0, err
	}
	if id == 0 || !identity.From(ctx).Visible(identity.Read).Whole(id) {
		return 0, store.ErrNotFound
	}
	return id, nil
}

// Projects adds the routes of IaC projects and their files.
func Projects(a *API, s *task.Service, b *browse.Browser, findings task.Remover) {
	Add(a, Route{Method: http.MethodGet, Path: "/projects", ID: "list-projects", Tag: "Projects", Summary: "List IaC projects", Action: identity.Read},
		func(ctx context.Context, in *struct {
			Paging
			Search string `query:"search" maxLength:"100" doc:"part of the name"`
		}) (*List[*task.Project], error) {
			list, next, err := s.Projects(ctx, identity.From(ctx).Visible(identity.Read), in.Search, in.Page())
			if err != nil {
				return nil, err
			}
			return Listed(list, next), nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/projects/{name}", ID: "get-project", Tag: "Projects", Summary: "Show an IaC project", Action: identity.Read},
		func(ctx context.Context, in *ByProject) (*One[*task.Project], error) {
			p, err := s.ProjectOf(ctx, identity.From(ctx).Visible(identity.Read), in.Name)
			if err != nil {
				return nil, err
			}
			return &One[*task.Project]{Body: p}, nil
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/projects/{name}", ID: "remove-project", Tag: "Projects", Summary: "Remove an IaC project", Action: identity.Scan,
		Description: "Its files are forgotten and its findings count no more. A project that is being scanned is not removed."},
		func(ctx context.Context, in *ByProject) (*struct{}, error) {
			id, err := project(ctx, s, in.Name)
			if err != nil {
				return nil, err
			}
			if !identity.From(ctx).Can(identity.Scan, id, "") {
				return nil, fmt.Errorf("%w: the project is not yours to remove", ErrForbidden)
			}
			return nil, taskError(s.RemoveProject(ctx, id, findings))
		})
	Add(a, Route{Method: http.MethodGet, Path: "/projects/{name}/files", ID: "list-project-files", Tag: "Projects", Summary: "List the files of a project's last upload that were judged", Action: identity.Read},
		func(ctx context.Context, in *ByProject) (*One[projectFiles], error) {
			p, err := s.ProjectOf(ctx, identity.From(ctx).Visible(identity.Read), in.Name)
			if err != nil {
				return nil, err
			}
			files, err := s.Files(ctx, p.ID)
			if err != nil {
				return nil, err
			}
			return &One[projectFiles]{Body: projectFiles{files, p.Unlisted}}, nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/projects/{name}/file", ID: "get-project-file", Tag: "Projects", Summary: "Show a file of a project with its findings", Action: identity.Read},
		func(ctx context.Context, in *struct {
			ByProject
			InLang
			Path string `query:"path" required:"true" minLength:"1" maxLength:"1024" doc:"as in the list of files"`
		}) (*One[fileView], error) {
			id, err := project(ctx, s, in.Name)
			if err != nil {
				return nil, err
			}
			f, err := s.File(ctx, id, in.Path)
			if err != nil {
				return nil, err
			}
			lang, _ := in.in(ctx)
			out := &One[fileView]{Body: fileView{Path: f.Path, Type: f.Type, Size: f.Size, Note: f.Note, Text: f.Text, First: 1, Findings: []FileFinding{}}}
			out.Body.Findings, out.Body.Cut, err = fileFindings(ctx, b, id, f.Asset, lang)
			return out, err
		})
}

var errEnough = errors.New("enough")

// fileFindings reads the findings of a file, by line and the worst first.
func fileFindings(ctx context.Context, b *browse.Browser, target, asset int64, lang string) (out []FileFinding, cut bool, err error) {
	out = []FileFinding{}
	if asset == 0 {
		return out, false, nil
	}
	filter := browse.Filter{Targets: []int64{target}, Asset: asset, Statuses: []ledger.Status{ledger.StatusOpen, ledger.StatusReopened, ledger.StatusUnseen,
		ledger.StatusIgnored, ledger.StatusAccepted, ledger.StatusMarkedFixed}}
	err = b.Select(ctx, identity.From(ctx).Visible(identity.Read), filter, "-severity", func(f *browse.Full) error {
		if len(out) == maxFileFindings {
			cut = true
			return errEnough
		}
		out = append(out, fileFinding(f, lang))
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, false, browsed(err)
	}
	slices.SortStableFunc(out, func(x, y FileFinding) int {
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(y.Severity, x.Severity))
	})
	return out, cut, nil
}

func fileFinding(f *browse.Full, lang string) FileFinding {
	d := f.Finding
	out := FileFinding{ID: f.ID, Line: d.Resource.Line, Column: d.Resource.Column, Kind: f.Row.Kind, Severity: f.Severity, Status: f.Status, Rule: f.Rule, RuleID: d.RuleID,
		Title: d.Title.In(lang), Message: d.Message.In(lang), Remediation: d.Remediation.In(lang), Container: d.Resource.Container, Evidence: d.Evidence,
		References: d.References, FirstSeen: f.FirstSeen}
	for _, m := range d.Mitigations {
		out.Mitigations = append(out.Mitigations, m.In(lang))
	}
	if out.Evidence == nil {
		out.Evidence = []finding.Evidence{}
	}
	if r := &d.Resource; r.Kind != "" && r.Name != "" {
		out.Object = finding.WorkloadRef{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}.String()
	}
	return out
}
