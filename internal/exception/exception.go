// Package exception holds accepted findings: for what they hold, why, who decided and until when. Set decides matching for
// everybody: scans, the server and admission. Book keeps exceptions in the database, has them asked for and decided, and ends
// them; file.go is their form for the command line.
package exception

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/package-url/packageurl-go"
	"k8s.io/apimachinery/pkg/labels"
)

// Scope says for which findings an exception holds: every field that is set must match. Fields that take a pattern read * as
// anything but a slash, ? as one character and [a-z] as one of a range; in Image a * reads over slashes too.
//
// Findings on an image are about all workloads that run it: Namespace, Kind, Name and Labels must match every one, and Container
// matches none. Only workloads have labels.
type Scope struct {
	Fingerprint string `json:"fingerprint,omitempty" maxLength:"64" doc:"of one finding"`
	Rule        string `json:"rule,omitempty" maxLength:"200" doc:"name or id; pattern"`
	CVE         string `json:"cve,omitempty" maxLength:"100" doc:"id of a vulnerability, or one of its aliases"`
	Package     string `json:"package,omitempty" maxLength:"300" doc:"name"`
	Version     string `json:"version,omitempty" maxLength:"200" doc:"of the package; pattern"`
	PURL        string `json:"purl,omitempty" maxLength:"500" doc:"package URL; what it leaves out holds for any"`
	Image       string `json:"image,omitempty" maxLength:"500" doc:"repository, or reference with tag; pattern"`
	Digest      string `json:"digest,omitempty" maxLength:"100" doc:"of the image"`
	Cluster     string `json:"cluster,omitempty" maxLength:"200" doc:"name; pattern. For files: the server has targetId"`
	Namespace   string `json:"namespace,omitempty" maxLength:"200" doc:"pattern"`
	Kind        string `json:"kind,omitempty" maxLength:"100" doc:"of the object or workload; pattern"`
	Name        string `json:"name,omitempty" maxLength:"300" doc:"of the object or workload; pattern"`
	Container   string `json:"container,omitempty" maxLength:"200" doc:"pattern"`
	File        string `json:"file,omitempty" maxLength:"1000" doc:"pattern"`
	Node        string `json:"node,omitempty" maxLength:"300" doc:"pattern"`
	Labels      string `json:"labels,omitempty" maxLength:"1000" doc:"selector over the labels of the workload's pods, as kubectl writes it: team=shop,tier in (web,api)"`
}

// Category is the kind of reason.
type Category string

// The categories. The first says that the risk is there and borne; the others but the last, that it is none.
const (
	RiskAccepted  Category = "risk-accepted"
	FalsePositive Category = "false-positive"
	Mitigated     Category = "mitigated"
	NotRelevant   Category = "not-relevant"
	Other         Category = "other"
)

// Categories lists all.
var Categories = []Category{RiskAccepted, FalsePositive, Mitigated, NotRelevant, Other}

// Exception accepts the findings of a scope.
type Exception struct {
	ID     int64 // of its row; 0 in files
	Target int64 // of the scope: id of the one target, 0 is all
	Scope
	Reason   string
	Category Category
	By       string    // who accepted it
	Expires  time.Time // first moment at which it does not hold any more; zero is none
	UntilFix bool      // it does not hold for vulnerabilities whose fix is known
}

// Check says what is wrong with an exception: nothing to match, no reason, a pattern or selector that cannot be read.
func (e *Exception) Check() error {
	if strings.TrimSpace(e.Reason) == "" {
		return errors.New("has no reason")
	}
	if e.Category != "" && !known(e.Category) {
		return fmt.Errorf("category %q: want one of %v", e.Category, Categories)
	}
	return e.Scope.check(e.UntilFix)
}

func known(c Category) bool {
	for _, k := range Categories {
		if k == c {
			return true
		}
	}
	return false
}

func (s *Scope) check(untilFix bool) error {
	if s.Rule == "" && s.Fingerprint == "" && s.CVE == "" && s.Package == "" && s.PURL == "" && s.Image == "" && s.Digest == "" {
		return errors.New("names neither a rule nor a fingerprint, nor a cve, package, purl, image or digest")
	}
	if untilFix && s.Fingerprint == "" && s.CVE == "" && s.Package == "" && s.PURL == "" && s.Image == "" && s.Digest == "" {
		return errors.New("holds until a fix is known, but names nothing that has one: a cve, package, purl, image, digest or fingerprint")
	}
	for _, p := range []string{s.Rule, s.Version, s.Image, s.Cluster, s.Namespace, s.Kind, s.Name, s.Container, s.File, s.Node} {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("pattern %q: %w", p, err)
		}
	}
	if _, err := labels.Parse(s.Labels); err != nil {
		return fmt.Errorf("labels %q: %w (want a selector such as team=shop,tier in (web,api))", s.Labels, err)
	}
	if s.PURL != "" {
		if _, err := packageurl.FromString(s.PURL); err != nil {
			return fmt.Errorf("purl %q: %w", s.PURL, err)
		}
	}
	return nil
}

// plain reports whether a pattern has no wildcards and so is one name.
func plain(pattern string) bool { return !strings.ContainsAny(pattern, `*?[\`) }

// moving reports whether what the scope matches can change though the finding does not: by the workloads that run an image.
func (s *Scope) moving() bool {
	return s.Namespace != "" || s.Kind != "" || s.Name != "" || s.Container != "" || s.Labels != ""
}

// Placed reports whether an exception names who runs an image, beside what is wrong with it.
func (e *Exception) Placed() bool { return e.moving() }

// Anywhere is the exception as it would be for whoever runs the image.
func (e Exception) Anywhere() Exception {
	e.Namespace, e.Kind, e.Name, e.Container, e.Labels = "", "", "", "", ""
	return e
}

// Where is the exception for anything of one rule at its place: what it names beside is decided elsewhere.
func (e Exception) Where(rule string) Exception {
	e.Scope = Scope{Rule: rule, Namespace: e.Namespace, Kind: e.Kind, Name: e.Name, Container: e.Container, Labels: e.Labels}
	e.UntilFix = false
	return e
}

// ReadUntil reads an end: a date, which is the last day (UTC) that is covered, or an RFC 3339 time. "" is none.
func ReadUntil(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t.AddDate(0, 0, 1), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("expires %q: want a date such as 2027-03-31, or an RFC 3339 time", text)
	}
	return t.UTC(), nil
}

// WriteUntil is the text that ReadUntil reads.
func WriteUntil(t time.Time) string {
	t = t.UTC()
	switch {
	case t.IsZero():
		return ""
	case t.Equal(t.Truncate(24 * time.Hour)):
		return t.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}
