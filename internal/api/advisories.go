package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/intake"
	"stockade.dev/stockade/internal/registries"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
)

// Days after which advisory data is said to be old, and very old.
const (
	databaseWarn, databaseBad = 3, 14
	sourceWarn, sourceBad     = 30, 120 // of a feed or a stream: not every vendor publishes every week
)

// AdvisoryData tells what scans know of vulnerabilities.
type AdvisoryData struct {
	Present         bool              `json:"present" doc:"without a database no vulnerability is found"`
	State           string            `json:"state" enum:"ok,warn,bad"`
	Digest          string            `json:"digest,omitempty"`
	BuiltAt         string            `json:"builtAt,omitempty" format:"date-time"`
	AgeHours        int               `json:"ageHours"`
	Rows            int               `json:"rows" doc:"statements on packages"`
	Packages        int               `json:"packages"`
	Vulnerabilities int               `json:"vulnerabilities"`
	Bytes           int64             `json:"bytes"`
	Signature       AdvisorySignature `json:"signature"`
	Texts           bool              `json:"texts" doc:"titles and descriptions are there"`
	Problem         string            `json:"problem,omitempty" doc:"why the database in the folder is not the one in use, or cannot be used"`
	Feeds           []AdvisoryFeed    `json:"feeds"`
	Streams         []AdvisoryStream  `json:"streams" doc:"systems and ecosystems"`
	Folder          intake.Folder     `json:"folder"`
	Busy            *intake.Busy      `json:"busy,omitempty" doc:"a database on its way in this process"`
	Updates         []intake.Update   `json:"updates" doc:"what became of the last databases that were brought, newest first"`
}

// AdvisorySignature is who vouches for a database.
type AdvisorySignature struct {
	State   string   `json:"state" enum:"trusted,unchecked,unsigned,none" doc:"unchecked: signed, but the server was given no keys to check it with"`
	Key     string   `json:"key,omitempty"`
	Trusted []string `json:"trustedKeys" doc:"ids of the keys that the server trusts; with any, others' databases are refused"`
}

// AdvisoryFeed is what one publisher gave.
type AdvisoryFeed struct {
	Name            string         `json:"name"`
	Records         int            `json:"records"`
	Rows            int            `json:"rows"`
	Vulnerabilities int            `json:"vulnerabilities"`
	Refused         int            `json:"refused" doc:"records that could not be read"`
	Reasons         map[string]int `json:"reasons,omitempty"`
	Date            string         `json:"date,omitempty" doc:"newest that it names"`
	AgeDays         int            `json:"ageDays" doc:"-1 without a date"`
	State           string         `json:"state" enum:"ok,warn,bad,unknown"`
}

// AdvisoryStream is what there is for a system's release or an ecosystem.
type AdvisoryStream struct {
	OS      string   `json:"os"`
	Release string   `json:"release,omitempty"`
	Rows    int      `json:"rows" doc:"0: the release is known, but there is no advisory data for it"`
	Date    string   `json:"date,omitempty"`
	AgeDays int      `json:"ageDays" doc:"-1 without a date"`
	State   string   `json:"state" enum:"ok,warn,bad,ended,none,unknown" doc:"ended: past its end of life, so that nothing new is to be expected"`
	Feeds   []string `json:"feeds,omitempty"`
	EOL     string   `json:"endOfLife,omitempty"`
}

// advisoryError gives the errors of databases on their way a status.
func advisoryError(err error) error {
	switch {
	case errors.Is(err, intake.ErrInvalid):
		return huma.Error422UnprocessableEntity(strings.TrimPrefix(err.Error(), intake.ErrInvalid.Error()+": "))
	case errors.Is(err, intake.ErrConflict):
		return huma.Error409Conflict(strings.TrimPrefix(err.Error(), intake.ErrConflict.Error()+": "))
	}
	return err
}

func days(date string, now time.Time) int {
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(form, date); err == nil {
			return max(0, int(now.Sub(t).Hours()/24))
		}
	}
	return -1
}

func aged(n, warn, bad int) string {
	switch {
	case n < 0:
		return "unknown"
	case n >= bad:
		return "bad"
	case n >= warn:
		return "warn"
	}
	return "ok"
}

// advisoryData describes a database for people.
func advisoryData(in task.Advisories, problem error, now time.Time) AdvisoryData {
	out := AdvisoryData{State: "bad", Feeds: []AdvisoryFeed{}, Streams: []AdvisoryStream{}, Signature: AdvisorySignature{State: "none", Trusted: []string{}}}
	if problem == nil {
		problem = in.Problem
	}
	if problem != nil {
		out.Problem = problem.Error()
	}
	if in.Digest == "" {
		return out
	}
	m := in.Manifest
	out.Present, out.Digest, out.BuiltAt, out.Rows, out.Packages, out.Vulnerabilities = true, in.Digest, m.BuiltAt, m.Rows, m.Keys, m.Vulnerabilities
	out.Bytes, out.Texts = m.Match.Size, m.Text != nil && in.Texts == nil
	if m.Text != nil {
		out.Bytes += m.Text.Size
	}
	if built, err := time.Parse(time.RFC3339, m.BuiltAt); err == nil {
		out.AgeHours = max(0, int(now.Sub(built).Hours()))
	}
	out.State = aged(out.AgeHours/24, databaseWarn, databaseBad)
	if out.Problem != "" && out.State == "ok" {
		out.State = "warn"
	}
	out.Signature.State = "unsigned"
	if in.Signature != nil {
		out.Signature.State, out.Signature.Key = "unchecked", in.Signature.Key
		if in.Checked {
			out.Signature.State = "trusted"
		}
	}
	for _, f := range m.Feeds {
		n := days(f.Date, now)
		out.Feeds = append(out.Feeds, AdvisoryFeed{f.Name, f.Records, f.Rows, f.Vulnerabilities, f.Refused, f.Reasons, f.Date, n, aged(n, sourceWarn, sourceBad)})
	}
	for _, s := range m.Streams {
		out.Streams = append(out.Streams, streamOf(s, now))
	}
	return out
}

func streamOf(s database.Stream, now time.Time) AdvisoryStream {
	n := days(s.Date, now)
	out := AdvisoryStream{OS: s.OS, Release: s.Release, Rows: s.Rows, Date: s.Date, AgeDays: n, State: aged(n, sourceWarn, sourceBad), Feeds: s.Feeds}
	if s.Lifecycle != nil {
		out.EOL = s.Lifecycle.EOL
	}
	switch {
	case s.Rows == 0:
		out.State = "none"
	case out.EOL != "" && out.EOL < now.UTC().Format(time.DateOnly) && out.State != "ok":
		out.State = "ended"
	}
	return out
}

// AdvisorySource is where databases are pulled from, with what becomes of it.
type AdvisorySource struct {
	intake.Source
	Registry *AdvisoryRegistry `json:"registry,omitempty" doc:"whose credentials and certificates are used; absent: none are kept for this host"`
	NextAt   store.Time        `json:"nextAt,omitzero" format:"date-time" doc:"of this process of the server"`
	Last     *intake.Update    `json:"last,omitempty"`
}

// AdvisoryRegistry names a registry.
type AdvisoryRegistry struct {
	ID   int64  `json:"id,string"`
	Name string `json:"name"`
}

type advisoryUpload struct {
	Upload
	Length int64 `header:"Content-Length"`
}

type advisoryPull struct {
	Body struct {
		Reference string `json:"reference,omitempty" maxLength:"500" doc:"absent: that of the settings"`
	}
}

// AdvisoryParts are what the routes of advisory data stand on.
type AdvisoryParts struct {
	Tasks      *task.Service
	Intake     *intake.Service
	Registries *registries.Book
	Now        func() time.Time
}

// Advisories adds the routes of advisory data: what there is, how old it is, and how another database comes.
func Advisories(a *API, d AdvisoryParts) {
	const tag = "Advisories"
	Add(a, Route{Method: http.MethodGet, Path: "/advisories", ID: "get-advisories", Tag: tag, Action: identity.Read, Summary: "What scans know of vulnerabilities, and how old it is",
		Description: "Of the process of the server that answers. What was brought lately is shown to those who may change it."},
		func(ctx context.Context, _ *struct{}) (*One[AdvisoryData], error) {
			used, problem := d.Tasks.Advisories()
			out := advisoryData(used, problem, d.Now())
			out.Signature.Trusted = append(out.Signature.Trusted, d.Intake.Trusted()...)
			out.Folder, out.Busy, out.Updates = d.Intake.Folder(), d.Intake.Busy(), []intake.Update{}
			if identity.From(ctx).Can(identity.ManageSettings, 0, "") {
				var err error
				out.Updates, err = d.Intake.Updates(ctx, 10)
				return &One[AdvisoryData]{out}, err
			}
			if out.Problem != "" { // it may name paths
				out.Problem = "the database in the folder cannot be used: administrators see why"
			}
			out.Folder.Detail, out.Busy = "", nil
			return &One[AdvisoryData]{out}, nil
		})
	Add(a, Route{Method: http.MethodPost, Path: "/advisories/import", ID: "import-advisories", Tag: tag, Action: identity.ManageSettings, MaxBody: intake.MaxBytes, Summary: "Bring an advisory database as a file",
		Description: "The body is what stockade db push oci-archive:FILE writes. It is checked whole before it takes the place of the database in use; scans that run keep theirs. " +
			"Several processes of the server with folders of their own each need it: pull from a registry instead."},
		func(ctx context.Context, in *advisoryUpload) (*One[*intake.Update], error) {
			u, err := d.Intake.Import(ctx, in.Reader, in.Length)
			return &One[*intake.Update]{u}, advisoryError(err)
		})
	Add(a, Route{Method: http.MethodPost, Path: "/advisories/pull", ID: "pull-advisories", Tag: tag, Action: identity.ManageSettings, Status: http.StatusAccepted, Summary: "Pull an advisory database from a registry",
		Description: "In the background: GET /advisories tells how far it is and what became of it."},
		func(ctx context.Context, in *advisoryPull) (*struct{}, error) {
			return nil, advisoryError(d.Intake.Pull(ctx, in.Body.Reference))
		})
	advisorySource(a, d)
}

func advisorySource(a *API, d AdvisoryParts) {
	const tag = "Advisories"
	source := func(ctx context.Context) (*One[AdvisorySource], error) {
		src, err := d.Intake.Source(ctx)
		if err != nil {
			return nil, err
		}
		out := AdvisorySource{Source: src}
		next, err := d.Intake.NextAt(ctx)
		if err != nil {
			return nil, err
		}
		out.NextAt = store.At(next)
		updates, err := d.Intake.Updates(ctx, 100)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(updates, func(u intake.Update) bool { return u.How != "import" && u.Source == src.Reference }); i >= 0 {
			out.Last = &updates[i]
		}
		r, err := d.Registries.Of(ctx, src.Reference)
		if err != nil {
			return nil, err
		}
		if r != nil {
			out.Registry = &AdvisoryRegistry{r.ID, r.Name}
		}
		return &One[AdvisorySource]{out}, nil
	}
	Add(a, Route{Method: http.MethodGet, Path: "/advisories/source", ID: "get-advisory-source", Tag: tag, Action: identity.ManageSettings, Summary: "Where advisory databases are pulled from"},
		func(ctx context.Context, _ *struct{}) (*One[AdvisorySource], error) { return source(ctx) })
	Add(a, Route{Method: http.MethodPut, Path: "/advisories/source", ID: "set-advisory-source", Tag: tag, Action: identity.ManageSettings, Summary: "Say where advisory databases are pulled from",
		Description: "Every process of the server pulls into the folder that it uses, with the credentials of the registry of that host."},
		func(ctx context.Context, in *struct{ Body intake.Source }) (*One[AdvisorySource], error) {
			if err := d.Intake.SetSource(ctx, in.Body); err != nil {
				return nil, advisoryError(err)
			}
			return source(ctx)
		})
}

// diagnosticsName is the file name of diagnostics of a moment.
func diagnosticsName(now time.Time) string {
	return "stockade-diagnostics-" + strconv.FormatInt(now.Unix(), 10) + ".zip"
}
