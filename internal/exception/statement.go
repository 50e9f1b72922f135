package exception

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/vex"
)

// Limits of VEX documents.
const (
	MaxVEX        = 10 << 20 // bytes of one that is read
	maxStatements = 5000     // in it
	maxExported   = 50_000   // findings in one that is written
)

// Imported is what became of the statements of a VEX document.
type Imported struct {
	Statements int      `json:"statements" doc:"in the document, of not_affected and fixed"`
	Created    []string `json:"created" doc:"ids of the exceptions that were made"`
	Known      int      `json:"known" doc:"statements for which there is an exception already"`
	Skipped    []string `json:"skipped" doc:"statements that no exception was made of, and why; the first hundred"`
}

// ImportVEX makes an exception of every statement of a document (OpenVEX, CSAF or CycloneDX) that a product is not affected.
// They are asked for in the name of the principal of ctx, and hold at once when the settings say so. target 0 is all targets.
func (b *Book) ImportVEX(ctx context.Context, data []byte, target int64, namespace, expires string) (*Imported, error) {
	if len(data) > MaxVEX {
		return nil, fmt.Errorf("%w: the document is larger than %d MiB", ErrInvalid, MaxVEX>>20)
	}
	var set vex.Set
	if err := set.Add(data); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if set.Statements > maxStatements {
		return nil, fmt.Errorf("%w: %d statements: at most %d are read, split the document", ErrInvalid, set.Statements, maxStatements)
	}
	settings, err := b.Settings(ctx)
	if err != nil {
		return nil, err
	}
	now := b.Now()
	if expires == "" && !settings.AllowUnlimited {
		expires = WriteUntil(now.UTC().AddDate(0, 0, settings.MaxDays).Truncate(24 * 3600e9))
	}
	end, err := settings.until(expires, false, now)
	if err != nil {
		return nil, err
	}
	out := &Imported{Statements: set.Statements, Created: []string{}, Skipped: []string{}}
	var records []*Record
	for _, st := range set.All() {
		list, why := ofStatement(&st)
		for _, q := range list {
			q.TargetID, q.Scope.Namespace = target, namespace
			r, err := b.record(ctx, q, identity.Except)
			if err != nil {
				return nil, err
			}
			if err := r.check(); err != nil {
				why = err.Error()
				continue
			}
			r.Source, r.ExpiresAt = "vex", store.At(end)
			if settings.ApproveVEX {
				r.Status, r.Settled, r.DecidedAt, r.Note = Approved, false, r.AskedAt, "approved by the settings for VEX documents"
			}
			records = append(records, r)
		}
		if why != "" && len(out.Skipped) < 100 {
			out.Skipped = append(out.Skipped, strings.Join(st.IDs, ", ")+" in "+st.Product+": "+why)
		}
	}
	if err := b.insertAll(ctx, records, out); err != nil {
		return nil, err
	}
	if settings.ApproveVEX && len(records) > 0 {
		if err := b.load(ctx); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// insertAll writes the records that there are not yet, with one message for all that wait for approval.
func (b *Book) insertAll(ctx context.Context, records []*Record, out *Imported) error {
	return b.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		out.Created, out.Known = []string{}, 0
		waiting := 0
		for _, r := range records {
			n, err := tx.NewSelect().Model((*Record)(nil)).Where("e.target_id = ? AND e.cve = ? AND e.cve <> '' AND e.scope = ?", r.TargetID, r.CVE, r.Text).
				Where("e.status IN (?)", bun.List([]Status{Pending, Approved})).Count(ctx)
			if err != nil {
				return err
			}
			if n > 0 {
				out.Known++
				continue
			}
			if err := write(ctx, tx, r); err != nil {
				return err
			}
			out.Created = append(out.Created, fmt.Sprint(r.ID))
			if r.Status == Pending {
				waiting++
			}
		}
		if waiting > 0 {
			first := records[0]
			return outbox.Put(ctx, tx, outbox.ExceptionAsked, first.TargetID, map[string]any{"exceptions": waiting, "source": "vex",
				"reason": first.Reason, "requester": first.Requester})
		}
		return nil
	})
}

// reasons maps the justifications of OpenVEX, CSAF and CycloneDX to categories.
var reasons = map[string]Category{
	"component_not_present":                             FalsePositive,
	"vulnerable_code_not_present":                       FalsePositive,
	"code_not_present":                                  FalsePositive,
	"vulnerable_code_not_in_execute_path":               NotRelevant,
	"vulnerable_code_cannot_be_controlled_by_adversary": NotRelevant,
	"code_not_reachable":                                NotRelevant,
	"requires_configuration":                            NotRelevant,
	"requires_dependency":                               NotRelevant,
	"requires_environment":                              NotRelevant,
	"inline_mitigations_already_exist":                  Mitigated,
	"protected_by_compiler":                             Mitigated,
	"protected_at_runtime":                              Mitigated,
	"protected_at_perimeter":                            Mitigated,
	"protected_by_mitigating_control":                   Mitigated,
}

// ofStatement gives the exceptions that say what a statement does, or why there are none.
func ofStatement(st *vex.Statement) ([]Request, string) {
	category := NotRelevant
	switch {
	case st.Status == "false_positive":
		category = FalsePositive
	case st.Status != "not_affected":
		return nil, "it says " + st.Status + ": what is fixed is found by its version"
	case reasons[st.Justification] != "":
		category = reasons[st.Justification]
	}
	if len(st.IDs) == 0 {
		return nil, "it names no vulnerability"
	}
	id := st.IDs[0]
	if i := slices.IndexFunc(st.IDs, func(id string) bool { return strings.HasPrefix(id, "CVE-") }); i >= 0 {
		id = st.IDs[i]
	}
	scope, why := ofProduct(st.Product)
	if why != "" {
		return nil, why
	}
	scope.CVE = id
	q := Request{Draft: Draft{Scope: scope}, Reason: "VEX: " + cut(st.Reason, maxReason-10), Category: category}
	if len(st.Parts) == 0 {
		return []Request{q}, ""
	}
	if scope.PURL != "" {
		return nil, "it names packages in a package"
	}
	var out []Request
	for _, part := range st.Parts {
		q.Scope.PURL = part
		out = append(out, q)
	}
	return out, ""
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}

// literal writes a text so that a pattern of it matches it alone.
var literal = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// ofProduct is the scope of a statement's product: an image by digest and repository, or a package.
func ofProduct(product string) (Scope, string) {
	if !strings.HasPrefix(product, "pkg:") {
		switch {
		case strings.HasPrefix(product, "sha256:"):
			return Scope{Digest: product}, ""
		case product == "" || strings.Contains(product, "://"):
			return Scope{}, "its product is neither an image nor a package URL"
		}
		return Scope{Image: literal.Replace(product)}, ""
	}
	u, err := packageurl.FromString(product)
	switch {
	case err != nil:
		return Scope{}, err.Error()
	case u.Type != packageurl.TypeOCI && u.Type != packageurl.TypeDocker:
		return Scope{PURL: product}, ""
	}
	s := Scope{Image: "*/" + literal.Replace(u.Name)}
	if u.Namespace != "" {
		s.Image = "*/" + literal.Replace(u.Namespace+"/"+u.Name)
	}
	if url := strings.TrimSuffix(u.Qualifiers.Map()["repository_url"], "/"); url != "" {
		if s.Image = literal.Replace(url); !strings.HasSuffix(url, "/"+u.Name) {
			s.Image += "/" + literal.Replace(u.Name)
		}
	}
	if strings.HasPrefix(u.Version, "sha256:") {
		s.Digest = u.Version
	} else if u.Version != "" {
		s.Image += ":" + literal.Replace(u.Version) // a tag
	}
	return s, ""
}

// ErrTooMany is returned for a VEX document that would be too long.
var ErrTooMany = errors.New("too many findings for one document: ask for one cluster, or one image")

// ExportVEX writes what was accepted of vulnerabilities as OpenVEX: findings that exceptions accept in a target (0: all that v
// shows), and approved exceptions that name a vulnerability and an image or package. image keeps those on images that the
// pattern matches; "" is all. Accepted risks are written as affected, with the reason as what is done about them; the other
// categories as not affected.
func (b *Book) ExportVEX(ctx context.Context, w io.Writer, v identity.Visible, target int64, image, author string) error {
	approved, err := b.approvedFor(ctx, v, target)
	if err != nil {
		return err
	}
	only := entry{image: compile(image, true)}
	wanted := func(f *finding.Finding) bool {
		var v view
		v.names[byImage] = imageNames(f.Resource.Image)
		return image == "" || only.onImage(&v)
	}
	byID := map[int64]*Exception{}
	var out []*finding.Finding
	for i := range approved {
		e := &approved[i]
		byID[e.ID] = e
		if e.CVE == "" || e.Image == "" && e.Digest == "" && e.PURL == "" || !plain(e.Image) || e.moving() || e.Package != "" || e.Version != "" {
			continue // no statement of OpenVEX says this much: its findings do
		}
		f := &finding.Finding{Rule: e.CVE, Vulnerability: &finding.Vulnerable{ID: e.CVE, PURL: e.PURL}, Resource: finding.Resource{Image: e.Image, Digest: e.Digest}}
		if e.Digest != "" && e.Image == "" {
			f.Resource = finding.Resource{Image: e.Digest}
		}
		if !wanted(f) {
			continue
		}
		out = append(out, stated(f, e))
	}
	ids := make([]int64, 0, len(byID))
	for id := range byID {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	way := way{full: true, column: "f.exception_id"}
	for _, id := range ids {
		way.keys = append(way.keys, id)
	}
	if target != 0 {
		way.and("f.target_id = ?", target)
	}
	keep := func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("f.exception_id <> 0").Where("f.status = ?", ledger.StatusAccepted).Where("f.kind <= ?", ledger.Emergency)
	}
	err = b.walk(ctx, &way, keep, func(rows []ledger.Row) error {
		found, err := b.findings(ctx, rows, true)
		if err != nil {
			return err
		}
		for i, f := range found {
			if !v.Whole(rows[i].TargetID) && !slices.Contains(v.Namespaces[rows[i].TargetID], rows[i].Namespace) || !wanted(f) {
				continue
			}
			if len(out) == maxExported {
				return ErrTooMany
			}
			out = append(out, stated(f, byID[rows[i].ExceptionID]))
		}
		return nil
	})
	if err != nil {
		return err
	}
	var buffer bytes.Buffer
	if err := vex.Write(&buffer, author, b.Now(), out); err != nil {
		return err
	}
	_, err = buffer.WriteTo(w)
	return err
}

// stated puts into f what e says of it.
func stated(f *finding.Finding, e *Exception) *finding.Finding {
	if e.Category == RiskAccepted || e.Category == Other {
		text := "Accepted: " + e.Reason
		if end := WriteUntil(e.Expires); end != "" {
			text = "Accepted until " + end + ": " + e.Reason
		}
		f.Suppression, f.Remediation = nil, finding.Text{EN: text}
		return f
	}
	f.Suppression = &finding.Suppression{By: string(e.Category), Reason: e.Reason, Expires: WriteUntil(e.Expires)}
	return f
}

// approvedFor gives the approved exceptions that hold in a target (0: those for all targets and, in a walk over findings, those
// of every one) and that v shows. Who sees a whole target sees what holds in it, also what is for all.
func (b *Book) approvedFor(ctx context.Context, v identity.Visible, target int64) ([]Exception, error) {
	var records []Record
	q := b.db.R.NewSelect().Model(&records).Where("e.status = ?", Approved).Where("e.expires_at = 0 OR e.expires_at > ?", store.At(b.Now())).OrderExpr("e.id")
	switch {
	case target == 0:
		q = seen(q, v)
	case v.Whole(target):
		q = q.Where("e.target_id IN (0, ?)", target)
	default:
		q = seen(q, v).Where("e.target_id = ?", target)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, err
	}
	out := make([]Exception, len(records))
	for i := range records {
		if err := records[i].read(); err != nil {
			return nil, err
		}
		out[i] = records[i].Exception()
	}
	return out, nil
}

// WriteFor writes the approved exceptions that hold in a target as a file for the command line; target 0 those that are for all.
// v must show something of the target.
func (b *Book) WriteFor(ctx context.Context, w io.Writer, v identity.Visible, target int64) error {
	if target != 0 && !v.Sees(target) {
		return store.ErrNotFound
	}
	list, err := b.approvedFor(ctx, v, target)
	if err != nil {
		return err
	}
	if target == 0 {
		list = slices.DeleteFunc(list, func(e Exception) bool { return e.Target != 0 })
	}
	return Write(w, list)
}
