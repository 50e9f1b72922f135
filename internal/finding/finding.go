// Package finding holds the nouns of what is wrong: findings, what was not scanned, clause results, and the Handler that
// every output is. The JSON of these types is the findings document stockade.findings/v1.
package finding

import (
	"cmp"
	"time"
)

// Schema is the name and version of the findings document.
const Schema = "stockade.findings/v1"

// Kind of a finding.
type Kind string

// The kinds of findings.
const (
	Vulnerability Kind = "vulnerability"
	Emergency     Kind = "emergency"
	Configuration Kind = "configuration"
	IaC           Kind = "iac"
	Secret        Kind = "secret"
	Malware       Kind = "malware"
	Permission    Kind = "permission"
)

// Text is a text in both languages. ZH falls back to EN when empty.
type Text struct {
	EN string `json:"en" yaml:"en"`
	ZH string `json:"zh" yaml:"zh"`
}

// In returns the text in a language: "zh" or anything else for English.
func (t Text) In(lang string) string {
	if lang == "zh" && t.ZH != "" {
		return t.ZH
	}
	return t.EN
}

// Finding is one thing that is wrong, with its evidence and its fix. Fields without a value are left out of the JSON.
type Finding struct {
	Fingerprint string   `json:"fingerprint"` // hex; see Fingerprint
	Kind        Kind     `json:"kind"`
	Rule        string   `json:"rule"`             // "workload/privileged-container" or "CVE-2021-44228"
	RuleID      string   `json:"ruleId,omitempty"` // "STK-W-0001"
	Aliases     []string `json:"aliases,omitempty"`
	Severity    Severity `json:"severity"`
	Risk        string   `json:"risk,omitempty"`

	Title       Text `json:"-"` // rendered by the document in the language asked for
	Message     Text `json:"-"`
	Remediation Text `json:"-"`

	References []string   `json:"references,omitempty"`
	Resource   Resource   `json:"resource"`
	Evidence   []Evidence `json:"evidence,omitempty"`
	// Vulnerability is set on findings of kind Vulnerability and Emergency.
	Vulnerability *Vulnerable  `json:"vulnerability,omitempty"`
	Compliance    []ClauseRef  `json:"compliance,omitempty"`
	Priority      *Priority    `json:"priority,omitempty"`
	Status        Status       `json:"status"`
	Suppression   *Suppression `json:"suppression,omitempty"`
	// Mitigations say what already stands against the finding, such as a PodSecurity admission level that would refuse
	// the object today. Growth of the v1 document.
	Mitigations []Text `json:"-"`
	// Snippet is the offending text of an IaC file, with the line number of its first line.
	Snippet *Snippet `json:"snippet,omitempty"`
	// Emergency is set on findings of kind Emergency: how far it was verified. Growth of the v1 document.
	Emergency *Verification `json:"emergency,omitempty"`
}

// Verification is how an emergency vulnerability was verified: the verdict, and what each check saw.
type Verification struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Verdict string `json:"verdict"` // exposed, version-only or unknown; others are no findings
	NotRead string `json:"notRead,omitempty"`
	// NotReadZH is NotRead in Chinese; what older programs wrote has the English alone.
	NotReadZH string     `json:"notReadZh,omitempty"`
	Checks    []Verified `json:"checks,omitempty"`
}

// Unread is what could not be read, in both languages as far as they are known.
func (v *Verification) Unread() Text { return Text{EN: v.NotRead, ZH: v.NotReadZH} }

// Verified is what one check saw. Texts are in both languages, as checks are shown beside each other.
type Verified struct {
	Check    string `json:"check"`
	Class    string `json:"class"` // read, process, request or private
	Says     Text   `json:"says"`  // the precondition, or the proof of a fix, in words
	Holds    string `json:"holds"` // yes, no or unknown
	Proof    bool   `json:"proof,omitempty"`
	Evidence string `json:"evidence,omitempty"`
	Reason   string `json:"reason,omitempty"` // of unknown: what could not be read
	// SaidZH is Evidence or Reason in Chinese; what older programs wrote has the English alone.
	SaidZH string `json:"saidZh,omitempty"`
}

// Said is the evidence, or the reason why there is none, in both languages as far as they are known.
func (v *Verified) Said() Text { return Text{EN: cmp.Or(v.Evidence, v.Reason), ZH: v.SaidZH} }

// Vulnerable says which package has which vulnerability.
type Vulnerable struct {
	ID            string   `json:"id"`
	Aliases       []string `json:"aliases,omitempty"`
	Package       string   `json:"package"`
	Version       string   `json:"version"`
	FixedVersion  string   `json:"fixedVersion,omitempty"`
	PURL          string   `json:"purl,omitempty"`
	Type          string   `json:"type"` // system, application or binary
	Advisory      string   `json:"advisory,omitempty"`
	Source        string   `json:"source"` // feed
	State         string   `json:"state"`  // fixed, affected, will-not-fix, deferred, under-investigation, end-of-life
	EvidenceClass string   `json:"evidenceClass"`
	CVSS          float64  `json:"cvss,omitempty"`
	EPSS          float64  `json:"epss,omitempty"`
	KEV           bool     `json:"kev,omitempty"`
	// Growth of the v1 document.
	Vector       string   `json:"vector,omitempty"`       // CVSS vector
	Path         string   `json:"path,omitempty"`         // file of the package in the image
	Owner        string   `json:"owner,omitempty"`        // system package that owns the file
	Subscription string   `json:"subscription,omitempty"` // the fix is for subscribers: ESM, LTSS, EUS
	Symbols      string   `json:"symbols,omitempty"`      // Go: "linked", "not-linked" or "" when unknown
	Notes        []string `json:"notes,omitempty"`        // what else to know: "fixed by changelog", "needs the module x"
}

// The evidence classes.
const (
	EvidenceVendor    = "vendor"    // the system's or product's own vendor says so
	EvidenceUpstream  = "upstream"  // an ecosystem's or component's advisory
	EvidenceChangelog = "changelog" // the package's changelog
	EvidenceInferred  = "inferred"  // by a related distribution or a CPE
)

// Resource says what a finding is about. For files, File, Line and Column are set; for live objects the object names.
type Resource struct {
	Cluster    string `json:"cluster,omitempty"`
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name,omitempty"`
	Container  string `json:"container,omitempty"`
	Node       string `json:"node,omitempty"`
	Image      string `json:"image,omitempty"`
	Digest     string `json:"digest,omitempty"`
	Layer      string `json:"layer,omitempty"`
	File       string `json:"file,omitempty"`
	Line       int    `json:"line,omitempty"`
	Column     int    `json:"column,omitempty"`
	Owner      *Owner `json:"owner,omitempty"`
	// Workloads are the containers that run the image which the finding is about. Growth of the v1 document.
	Workloads []WorkloadRef `json:"workloads,omitempty"`
	// Labels are those of the pods of the workload that the finding is about; for findings on an image, those of every workload
	// that runs it, in the order of Workloads. They are no part of the document: exceptions with a label selector ask for them.
	Labels []map[string]string `json:"-"`
}

// WorkloadRef names a container of a workload.
type WorkloadRef struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Container string `json:"container,omitempty"`
}

// String returns "Deployment shop/till container web".
func (w WorkloadRef) String() string {
	s := w.Kind + " " + w.Name
	if w.Namespace != "" {
		s = w.Kind + " " + w.Namespace + "/" + w.Name
	}
	if w.Container != "" {
		s += " container " + w.Container
	}
	return s
}

// Owner is the top controller of a resource that is judged apart from it.
type Owner struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// Evidence is one value that was found and what is wanted instead. Found is nil when the field is missing.
type Evidence struct {
	Path  string `json:"path"`
	Found any    `json:"found"`
	Want  any    `json:"want,omitempty"`
}

// Snippet is a piece of a file. Secrets in it are redacted.
type Snippet struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

// ClauseRef names a clause of a compliance framework.
type ClauseRef struct {
	Framework string `json:"framework"`
	Clause    string `json:"clause"`
}

// Priority orders findings: 0 to 100 with the reasons.
type Priority struct {
	Score   int      `json:"score"`
	Reasons []string `json:"reasons,omitempty"`
}

// Status of a finding.
type Status string

// The statuses.
const (
	Open       Status = "open"
	Suppressed Status = "suppressed"
)

// Suppression says who accepted a finding, why and until when.
type Suppression struct {
	By      string `json:"by"` // exception, inline, vex or baseline
	Reason  string `json:"reason,omitempty"`
	Expires string `json:"expires,omitempty"` // RFC 3339 date
}

// Code is the reason class of a NotScanned entry.
type Code string

// The codes of what was not scanned.
const (
	NoAdvisoryData Code = "no-advisory-data"
	Forbidden      Code = "forbidden"
	Unreachable    Code = "unreachable"
	Limit          Code = "limit"
	Unsupported    Code = "unsupported"
	Broken         Code = "broken"
	Managed        Code = "managed"
	Skipped        Code = "skipped"
)

// Blocking reports whether an entry of this code means that something asked for could not be scanned (exit code 3).
// Managed control planes, kinds that Stockade does not know and what the user left out are told but are no failure.
func (c Code) Blocking() bool {
	switch c {
	case Forbidden, Unreachable, Limit, Broken, NoAdvisoryData:
		return true
	}
	return false
}

// NotScanned is something that was not looked at, and why.
type NotScanned struct {
	Target string `json:"target"`
	What   string `json:"what"`
	Reason string `json:"reason"`
	Code   Code   `json:"code"`
}

// ClauseStatus is the verdict on one clause of a framework.
type ClauseStatus string

// The verdicts.
const (
	Pass          ClauseStatus = "pass"
	Fail          ClauseStatus = "fail"
	Manual        ClauseStatus = "manual"
	NotApplicable ClauseStatus = "not-applicable"
)

// Clause is the verdict on one clause. Title and Section are growth of the v1 document.
type Clause struct {
	Framework string       `json:"framework"`
	Clause    string       `json:"clause"`
	Status    ClauseStatus `json:"status"`
	Findings  []string     `json:"findings,omitempty"` // fingerprints
	Title     Text         `json:"-"`
	Reason    Text         `json:"-"` // why it is manual or not applicable
}

// Score is the share of decided clauses that pass, in percent; -1 when none was decided.
func Score(clauses []Clause) int {
	pass, fail := 0, 0
	for _, c := range clauses {
		switch c.Status {
		case Pass:
			pass++
		case Fail:
			fail++
		}
	}
	if pass+fail == 0 {
		return -1
	}
	return 100 * pass / (pass + fail)
}

// Header opens a stream.
type Header struct {
	Tool      Tool      `json:"tool"`
	Target    Target    `json:"target"`
	StartedAt time.Time `json:"startedAt"`
}

// Tool is the program that made the document.
type Tool struct {
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Rules    string    `json:"rules"` // digest of the rule library in use
	Database *Database `json:"database"`
}

// Database names the advisory database in use; nil when none was.
type Database struct {
	Digest  string `json:"digest"`
	BuiltAt string `json:"builtAt"`
}

// Target is what was scanned.
type Target struct {
	Kind         string         `json:"kind"` // cluster, image, iac, node or sbom
	Name         string         `json:"name"`
	Version      string         `json:"version,omitempty"`
	Distribution string         `json:"distribution,omitempty"`
	Managed      bool           `json:"managed,omitempty"`
	OS           string         `json:"os,omitempty"`     // of an image or a node: "Debian 12". Growth of the v1 document.
	Counts       map[string]int `json:"counts,omitempty"` // objects by Kind
	Components   []Component    `json:"components,omitempty"`
	// Scores is the share of rules without an open finding, in percent, by risk type, of the rules that had something to
	// judge. Risk types without such rules are absent.
	Scores map[string]int `json:"scores,omitempty"`
}

// Component is a core component of the cluster or of an image repository beside it, as an asset.
type Component struct {
	Name       string `json:"name"`  // kube-apiserver, harbor-core, ...
	Group      string `json:"group"` // kube-system, goharbor, docker.bintray.io, releases.jfrog.io
	Namespace  string `json:"namespace,omitempty"`
	Workload   string `json:"workload,omitempty"` // "Deployment kube-system/coredns"
	Image      string `json:"image,omitempty"`
	Version    string `json:"version,omitempty"`
	NotScanned string `json:"notScanned,omitempty"` // "not a container", ...
	// Static (a pod of the kubelet's own) and the nodes of the workload are for the server and no part of the document.
	Static bool     `json:"-"`
	Nodes  []string `json:"-"`
	// Open vulnerabilities of its image by severity, of system packages and of applications apart. Growth of the v1 document.
	System      map[Severity]int `json:"system,omitempty"`
	Application map[Severity]int `json:"application,omitempty"`
}

// Stats close a stream.
type Stats struct {
	Objects    int   `json:"objects"`
	Images     int   `json:"images"`
	Packages   int   `json:"packages"`
	Rules      int   `json:"rules"`
	Checks     int64 `json:"checks"`
	DurationMs int64 `json:"durationMs"`
	Suppressed int   `json:"suppressed,omitempty"`
}

// Handler receives one scan as a stream: Begin, then Finding, Clause and NotScanned in any order, then End. Calls come
// from one goroutine. A handler that returns an error ends the scan.
type Handler interface {
	Begin(Header) error
	Finding(*Finding) error
	Clause(Clause) error
	NotScanned(NotScanned) error
	// End brings the target as it is known at the end: versions, counts and components are.
	End(finishedAt time.Time, target Target, stats Stats) error
}
