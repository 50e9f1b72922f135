package policy

import (
	"time"

	"stockade.dev/stockade/internal/finding"
)

// Check is a kind of condition on images.
type Check string

// The checks.
const (
	Vulnerabilities Check = "vulnerability" // known vulnerabilities, by severity and what else the check names
	Malware         Check = "malware"       // malicious files
	Baseline        Check = "baseline"      // unsafe settings of the image: findings of image rules, open accounts
	Secrets         Check = "secret"        // credentials in files or configuration
	Unscanned       Check = "unscanned"     // no scan result, or one that is older than MaxAge
	Registry        Check = "registry"      // not from an allowed place
	Signature       Check = "signature"     // not signed by one of Keys
	Tag             Check = "tag"           // named by tag and not by digest
)

// Checks lists all.
var Checks = []Check{Vulnerabilities, Malware, Baseline, Secrets, Unscanned, Registry, Signature, Tag}

// ImageCheck is one condition. Which fields count depends on Check.
type ImageCheck struct {
	Check  Check  `json:"check" enum:"vulnerability,malware,baseline,secret,unscanned,registry,signature,tag"`
	Action Action `json:"action,omitempty" enum:"audit,warn,block" doc:"default: the policy's"`

	// Of vulnerability, baseline and secret.
	Severity finding.Severity `json:"severity,omitempty" enum:"critical,high,medium,low,info" doc:"at or above; default high"`
	// Of vulnerability: all that are set must hold of one vulnerability. CVEs stand beside them: each alone violates.
	Fixable   bool     `json:"fixable,omitempty" doc:"only those with a fix"`
	Exploited bool     `json:"exploited,omitempty" doc:"only those known to be exploited (KEV)"`
	EPSS      float64  `json:"epss,omitempty" minimum:"0" maximum:"1" doc:"only those at or above this probability of being exploited"`
	OlderThan int      `json:"olderThanDays,omitempty" minimum:"0" doc:"only those published more than this many days ago: time to fix"`
	CVEs      []string `json:"cves,omitempty" maxItems:"1000" doc:"these violate whatever their severity"`
	// Of baseline: rules, whatever their severity unless it is set too; none is all.
	Rules []string `json:"rules,omitempty" maxItems:"200"`
	// Of unscanned.
	MaxAge int `json:"maxAgeDays,omitempty" minimum:"0" doc:"a scan result older than this counts as none; 0 is no limit"`
	// Of registry: patterns of repositories, as registry.example.com/shop/*.
	Allow []string `json:"allow,omitempty" maxItems:"1000"`
	// Of signature.
	Keys []Key `json:"keys,omitempty" maxItems:"20" doc:"one of them must have signed the image"`
}

// Key is a public key that signs images (sigstore's cosign format, without a transparency log).
type Key struct {
	Name string `json:"name" maxLength:"100"`
	PEM  string `json:"pem" maxLength:"10000" doc:"public key, PKIX PEM"`
}

// AllowedImage is an image that is let in without a look. One of Digest, Tag and Keys must be there: a repository alone is no identity.
type AllowedImage struct {
	Repository string    `json:"repository,omitempty" maxLength:"500" doc:"pattern; with a tag or a key"`
	Digest     string    `json:"digest,omitempty" maxLength:"100" doc:"sha256:..."`
	Tag        string    `json:"tag,omitempty" maxLength:"200" doc:"resolved when it was added; what it names later is not let in"`
	Keys       []Key     `json:"keys,omitempty" maxItems:"20" doc:"signed by one of these"`
	Resolved   string    `json:"resolvedDigest,omitempty" doc:"what the tag named when it was added" readOnly:"true"`
	Reason     string    `json:"reason,omitempty" maxLength:"2000"`
	Expires    time.Time `json:"expires,omitzero" format:"date-time" doc:"first moment at which it does not hold any more"`
}

// ImageState is what is known of an image.
type ImageState string

// The states.
const (
	Known    ImageState = "scanned"  // there is a result
	Scanning ImageState = "scanning" // none yet; it was asked for
	Unread   ImageState = "failed"   // it could not be scanned: Reason says why
	Unknown  ImageState = "unknown"  // nobody knows it, or nobody could be asked
)

// ImageVerdict is what all policies of a cluster say of one image, in the languages that refusals come in. It is what the provider
// keeps: small, and independent of who asks.
type ImageVerdict struct {
	Reference string     `json:"reference"`           // as normalized: registry/repository[:tag][@digest]
	Digest    string     `json:"digest,omitempty"`    // that the reference stood for at ResolvedAt
	Resolved  time.Time  `json:"resolvedAt,omitzero"` // when
	State     ImageState `json:"state"`               //
	Scanned   time.Time  `json:"scannedAt,omitzero"`  // when the content was read
	Matched   time.Time  `json:"matchedAt,omitzero"`  // when it was last held against advisories
	Reason    string     `json:"reason,omitempty"`    // of Unread and Unknown; of Known what could not be read
	// Failed are checks that do not hold, of every policy. Those of the kinds registry, tag and unscanned are among them as they
	// stood when the verdict was made; who has the reference and the time judges these three anew and goes by that.
	Failed []Failure `json:"failed,omitempty"`
	// Open are checks that came to no verdict although the image was scanned: there is no advisory data, a signature could not
	// be fetched. Policy.Unanswered holds for them.
	Open []OpenCheck `json:"open,omitempty"`
	// Allowed are the policies that let the image in without a look (Policy.Allowed): no check of theirs holds for it.
	Allowed []int64 `json:"allowed,omitempty"`
	// Unsaid are policies of which the verdict does not speak yet: they changed after it was made, and the server could not be asked
	// since. Their checks that need facts are undecided. Only the provider, which keeps verdicts, sets it.
	Unsaid []int64 `json:"-"`
	Serial int64   `json:"serial,string"` // grows with every change of the verdict, over all images of the server
}

// OpenCheck is a check of a policy without a verdict, and why.
type OpenCheck struct {
	Policy int64  `json:"policy,string"`
	Check  int    `json:"check"` // place in Policy.Checks
	Reason string `json:"reason"`
}

// Failure is a check of a policy that an image fails.
type Failure struct {
	Policy  int64        `json:"policy,string"`
	Check   int          `json:"check"`             // place in Policy.Checks
	Kind    Check        `json:"kind"`              //
	Count   int          `json:"count,omitempty"`   // of what was found
	Worst   string       `json:"worst,omitempty"`   // severity
	Items   []string     `json:"items,omitempty"`   // the first few, the worst first: "CVE-2021-44228 log4j-core 2.14.1 (fixed in 2.15.0)"
	ItemsZH []string     `json:"itemsZh,omitempty"` // the same in Chinese, where that differs by more than the words for fixed versions
	Message finding.Text `json:"message"`           // what was found without the items, what is needed
	Fix     finding.Text `json:"fix,omitzero"`      //
	// Pardons are sets of exceptions, by id, that name namespaces or workloads: where one of every set holds, all that was found is
	// accepted. None: nothing but the image decides.
	Pardons [][]int64 `json:"pardons,omitempty"`
}
