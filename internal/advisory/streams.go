package advisory

import "regexp"

// A stream is a line of packages that one set of statements holds for, written "os release" for operating systems and as a
// bare name for ecosystems. Feeds write streams, package release finds the streams of an os-release: both keep to this list.
var streams = regexp.MustCompile(`^(?:` +
	// systems with releases of their own
	`alpine (?:3\.\d+|edge)|wolfi|chainguard|minimos|` +
	`debian (?:\d+|sid)|ubuntu \d\d\.\d\d|` + // ESM rows stand in the same stream, with Subscription
	`redhat \d+|centos-stream \d+|almalinux \d+|rocky \d+|oracle \d+|fedora \d+|` +
	`amazon (?:1|2|2022|2023)|bottlerocket|photon \d\.0|mariner \d\.0|azurelinux \d\.0|` +
	`sles \d+(?:\.\d)?|opensuse \d+\.\d|opensuse tumbleweed|` +
	`openeuler \d\d\.\d\d(?:-LTS)?(?:-SP\d)?|` + // openeuler 22.03-LTS-SP1
	`euleros 2\.0(?:-SP\d+)?|hce \d\.\d|ctyunos \S+|` + // euleros 2.0-SP9, ctyunos 23.01
	`kylin V\d\d(?:-SP\d(?:-\d{4})?)?|uos 20[acde]?(?:-\d{4}[a-z0-9]*)?|` + // kylin V10-SP1, kylin V10-SP3-2403, uos 20e-1060
	`anolis \d+|tencentos \S+|opencloudos \S+|` +
	// ecosystems
	`maven|npm|pypi|golang|gem|cargo|nuget|composer|` +
	`kubernetes|bitnami|cpe)$`)

// KnownStream reports whether s is written as it must be.
func KnownStream(s string) bool { return streams.MatchString(s) }

// The streams of ecosystems. Package names are as each ecosystem writes them: Maven "group:artifact", Go module paths (the
// standard library is "stdlib", commands "toolchain"), npm "@scope/name", PyPI normalised by PEP 503, Bitnami and Kubernetes
// component names, CPE "vendor:product".
const (
	StreamMaven      = "maven"
	StreamNPM        = "npm"
	StreamPyPI       = "pypi"
	StreamGo         = "golang"
	StreamGem        = "gem"
	StreamCargo      = "cargo"
	StreamNuGet      = "nuget"
	StreamComposer   = "composer"
	StreamKubernetes = "kubernetes"
	StreamBitnami    = "bitnami"
	StreamCPE        = "cpe"
)
