package inventory

import (
	"strings"
	"time"
)

// SoftwareSchema is the name and version of the saved inventory (Software as JSON). A saved inventory can be matched against
// a newer database without the image.
const SoftwareSchema = "stockade.inventory/v1"

// Software is what an image, a root file system, a node or an SBOM holds.
type Software struct {
	Schema   string    `json:"schema"`
	Engine   string    `json:"engine"` // version of the readers that made it
	Kind     string    `json:"kind"`   // image, rootfs, node or sbom
	Name     string    `json:"name"`   // as the user asked for it
	Image    *Image    `json:"image,omitempty"`
	OS       *OS       `json:"os,omitempty"` // nil: none was found
	Packages []Package `json:"packages"`
	Hits     []Hit     `json:"hits,omitempty"`
	Asked    []string  `json:"asked,omitempty"` // keys of the questions about files that were asked while it was read: hits of kind check answer them
	Gaps     []Gap     `json:"gaps,omitempty"`  // what was not read, and why
	Layers   []Layer   `json:"layers,omitempty"`
	Stats    ReadStats `json:"stats"`
}

// Image is an image's identity and configuration.
type Image struct {
	Reference string            `json:"reference"`          // "registry.example.com/shop/till:1.0"
	Digest    string            `json:"digest,omitempty"`   // of the manifest for this platform; "" when there is no manifest
	Index     string            `json:"index,omitempty"`    // digest of the multi-platform index that led to it
	ConfigID  string            `json:"configId,omitempty"` // digest of the configuration: the image id of Docker and CRI
	Platform  string            `json:"platform,omitempty"` // "linux/amd64"
	Created   time.Time         `json:"created,omitzero"`
	User      string            `json:"user,omitempty"`
	Env       []string          `json:"env,omitempty"` // values that look like secrets are redacted
	Cmd       []string          `json:"cmd,omitempty"`
	Entry     []string          `json:"entrypoint,omitempty"`
	WorkDir   string            `json:"workdir,omitempty"`
	Ports     []string          `json:"ports,omitempty"`
	Volumes   []string          `json:"volumes,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Health    bool              `json:"healthcheck,omitempty"`
	History   []History         `json:"history,omitempty"`
}

// History is one build step.
type History struct {
	Created   time.Time `json:"created,omitzero"`
	CreatedBy string    `json:"createdBy,omitempty"`
	Empty     bool      `json:"empty,omitempty"` // made no layer
	Layer     int       `json:"layer"`           // index into Layers; -1 when Empty
}

// Layer names one layer.
type Layer struct {
	Digest string `json:"digest,omitempty"` // of the compressed blob
	DiffID string `json:"diffId,omitempty"` // of the tar
	Size   int64  `json:"size,omitempty"`   // compressed bytes
}

// ReadStats says how much was read.
type ReadStats struct {
	Files  int64 `json:"files"`
	Bytes  int64 `json:"bytes"`            // unpacked
	Cached int   `json:"cached,omitempty"` // layers whose result was known
}

// OS is an operating system in the terms of os-release(5), with what else tells its release.
type OS struct {
	ID         string   `json:"id"` // lower case
	Like       []string `json:"like,omitempty"`
	VersionID  string   `json:"versionId,omitempty"`
	Version    string   `json:"version,omitempty"`
	Pretty     string   `json:"pretty,omitempty"`
	Codename   string   `json:"codename,omitempty"`
	PlatformID string   `json:"platformId,omitempty"`
	CPE        string   `json:"cpe,omitempty"`
	Variant    string   `json:"variant,omitempty"`
	Minor      string   `json:"minor,omitempty"`       // from files beside os-release: "7.9" of CentOS, "1060" of UOS
	Contents   []string `json:"contentSets,omitempty"` // Red Hat content sets the image was built from
	Pro        []string `json:"pro,omitempty"`         // attached subscriptions: "esm-infra", "esm-apps", "LTSS"

	// Release is how people call it: "EulerOS 2.0 SP9". Streams are the advisory streams that hold for it, the vendor's own
	// first; empty when the release is not known. Both are derived (package release).
	Release string   `json:"release"`
	Streams []string `json:"streams,omitempty"`
}

// PackageType is the database or ecosystem a package comes from, named as in package URLs.
type PackageType string

// The package types.
const (
	Deb      PackageType = "deb"
	RPM      PackageType = "rpm"
	APK      PackageType = "apk"
	Maven    PackageType = "maven"
	NPM      PackageType = "npm"
	PyPI     PackageType = "pypi"
	Gem      PackageType = "gem"
	Cargo    PackageType = "cargo"
	NuGet    PackageType = "nuget"
	Composer PackageType = "composer"
	Golang   PackageType = "golang"
	Generic  PackageType = "generic" // a binary recognised by its bytes
)

// System reports whether the operating system's package manager keeps packages of this type.
func (t PackageType) System() bool { return t == Deb || t == RPM || t == APK }

// Package is one installed package, library or recognised binary.
type Package struct {
	Type    PackageType `json:"type"`
	Name    string      `json:"name"`              // Maven: "group:artifact" ("" group: ":artifact"); Go: module path, "stdlib"; npm: "@scope/name"
	Version string      `json:"version,omitempty"` // rpm: "epoch:version-release", epoch left out when 0; deb: as dpkg writes it
	Arch    string      `json:"arch,omitempty"`
	Source  string      `json:"source,omitempty"` // source package (deb, rpm without version and .src.rpm, apk origin); "" when the same name
	// SourceVersion is the source's version where it differs from Version.
	SourceVersion string `json:"sourceVersion,omitempty"`
	Module        string `json:"module,omitempty"` // rpm MODULARITYLABEL: "nodejs:12:8040020210708131418:522a0ee4"
	Vendor        string `json:"vendor,omitempty"` // rpm VENDOR, deb Maintainer
	License       string `json:"license,omitempty"`

	Path     string   `json:"path,omitempty"`     // file it was read from; inside archives "app.war!/WEB-INF/lib/x.jar"
	Layer    int      `json:"layer"`              // index into Layers; -1 when there are none
	Owner    string   `json:"owner,omitempty"`    // system package that owns Path, "openssl"; "" when none does
	Evidence string   `json:"evidence,omitempty"` // how it was named: "database", "pom.properties", "manifest", "file name", "class mark", "build info", "strings", "lock file", "SHA-1"
	SHA1     string   `json:"sha1,omitempty"`     // of the artefact, hex
	CPEs     []string `json:"cpes,omitempty"`     // "vendor:product" names, for Generic
	Fixed    []string `json:"fixed,omitempty"`    // CVE ids that the package's changelog says are fixed
	// Component is what a Go main module or a binary is as a product: "kubelet", "etcd", "runc"; "" for libraries.
	Component string            `json:"component,omitempty"`
	Settings  map[string]string `json:"settings,omitempty"` // Go build settings that matter, edition marks ("edition": "oracle-jdk")
}

// SourceName returns the name of the source package.
func (p *Package) SourceName() string {
	if p.Source != "" {
		return p.Source
	}
	return p.Name
}

// SourceEVR returns the version of the source package.
func (p *Package) SourceEVR() string {
	if p.SourceVersion != "" {
		return p.SourceVersion
	}
	return p.Version
}

// ModuleStream returns "name:stream" of the modularity label, or "".
func (p *Package) ModuleStream() string {
	name, rest, ok := strings.Cut(p.Module, ":")
	if !ok {
		return ""
	}
	stream, _, _ := strings.Cut(rest, ":")
	return name + ":" + stream
}

// Hit is something in a file, or in the image's configuration, that is no package: a secret, malware, a weak password. Rules
// and the scan turn hits into findings. Nothing in it is the secret itself.
type Hit struct {
	Kind     string            `json:"kind"` // secret, malware, account, setuid, device, credential-file
	Rule     string            `json:"rule"` // detector's id: "aws-access-token", "eicar", "empty-password"
	Path     string            `json:"path"`
	Layer    int               `json:"layer"`
	Line     int               `json:"line,omitempty"`
	Redacted string            `json:"redacted,omitempty"` // "AKIA…(20 characters)"
	Hash     string            `json:"hash,omitempty"`     // first 16 hex digits of the SHA-256 of the value, salted by the rule: tells two apart
	Detail   map[string]string `json:"detail,omitempty"`
	// Deleted says that a later layer removed the file: it can still be read from the image.
	Deleted bool `json:"deleted,omitempty"`
}

// Gap is something that was not read, with the reason and the code of finding.NotScanned.
type Gap struct {
	What   string `json:"what"` // "layer sha256:...", "var/lib/rpm/Packages"
	Reason string `json:"reason"`
	Code   string `json:"code"` // no-advisory-data, forbidden, unreachable, limit, unsupported, broken, skipped
}
