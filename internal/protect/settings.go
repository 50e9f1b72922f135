package protect

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"stockade.dev/stockade/internal/policy"
)

// Settings are how a cluster is protected.
type Settings struct {
	// Of what refuses.
	FailClosed bool   `json:"failClosed,omitempty" doc:"requests that Gatekeeper does not answer in time are refused, outside of system namespaces; default: let in and recorded"`
	Timeout    int    `json:"timeoutSeconds,omitempty" minimum:"0" maximum:"10" doc:"that the API server waits for Gatekeeper; default 3"`
	WholeScope bool   `json:"wholeScope,omitempty" doc:"Gatekeeper is asked about every kind of object, not only about those that the policies name; for constraints of your own"`
	Language   string `json:"language,omitempty" enum:"en,zh" doc:"of refusals; default en"`
	Console    string `json:"console,omitempty" maxLength:"500" doc:"address of the console in refusals; default the server's own"`
	Server     string `json:"server,omitempty" maxLength:"500" doc:"https://host:port at which the provider reaches this server; default the server's own"`

	// What is left alone.
	SystemNamespaces []string `json:"systemNamespaces,omitempty" maxItems:"100" doc:"left alone by policies, beside kube-system, kube-public, kube-node-lease and our own"`
	ExceptUsers      []string `json:"exceptUsers,omitempty" maxItems:"100" doc:"users that every policy lets in"`
	ExceptGroups     []string `json:"exceptGroups,omitempty" maxItems:"100" doc:"groups that every policy lets in"`

	// How much of the log of admissions is kept.
	AdmissionDays  int   `json:"admissionDays,omitempty" minimum:"0" maximum:"90" doc:"default 7"`
	AdmissionBytes int64 `json:"admissionBytes,omitempty" minimum:"0" maximum:"1099511627776" doc:"default 1 GiB; of the oldest requests is let go first"`

	Gatekeeper GatekeeperSettings `json:"gatekeeper,omitzero"`
	Provider   ProviderSettings   `json:"provider,omitzero"`
}

// Mode says what to do with a Gatekeeper that is there already.
type Mode string

// The modes.
const (
	Ask      Mode = ""         // nothing, but say so
	Adopt    Mode = "adopt"    // use it as it is: of it nothing is changed, now or ever
	TakeOver Mode = "takeover" // replace its settings and version by ours
)

// Image is where an image comes from.
type Image struct {
	Image       string   `json:"image,omitempty" maxLength:"500" doc:"repository with tag or digest; default what this version was built with"`
	Registry    string   `json:"registry,omitempty" maxLength:"300" doc:"mirror that has the image under the same path: registry.example.com/mirror"`
	Digest      string   `json:"digest,omitempty" maxLength:"100" doc:"sha256:... that the image must have"`
	PullSecrets []string `json:"pullSecrets,omitempty" maxItems:"10" doc:"names of Secrets in the plug-in's namespace that hold the registry's credentials"`
}

// GatekeeperSettings are of Gatekeeper.
type GatekeeperSettings struct {
	Mode Mode `json:"mode,omitempty" enum:"adopt,takeover" doc:"of a Gatekeeper that is there already; without it enabling stops and says what was found"`
	Image
	Replicas      int    `json:"replicas,omitempty" minimum:"0" maximum:"20" doc:"that answer the API server; default 3"`
	AuditInterval int    `json:"auditIntervalSeconds,omitempty" minimum:"0" maximum:"86400" doc:"between Gatekeeper's own looks at what runs; default 300"`
	LogLevel      string `json:"logLevel,omitempty" enum:"DEBUG,INFO,WARNING,ERROR"`
	LogDenies     bool   `json:"logDenies,omitempty" doc:"each refusal stands in Gatekeeper's log as JSON"`
}

// ProviderSettings are of our provider.
type ProviderSettings struct {
	Image
	Replicas int    `json:"replicas,omitempty" minimum:"0" maximum:"20" doc:"default 2, which is the least"`
	LogLevel string `json:"logLevel,omitempty" enum:"debug,info,warn,error"`
}

// filled returns the settings with what was left out.
func (s Settings) filled(o *Options) Settings {
	or := func(value *string, other string) {
		if *value == "" {
			*value = other
		}
	}
	number := func(value *int, other int) {
		if *value == 0 {
			*value = other
		}
	}
	number(&s.Timeout, 3)
	number(&s.Gatekeeper.Replicas, 3)
	number(&s.Gatekeeper.AuditInterval, 300)
	number(&s.Provider.Replicas, 2)
	s.Provider.Replicas = max(s.Provider.Replicas, 2)
	or(&s.Language, "en")
	or(&s.Console, o.Console)
	or(&s.Server, o.Server)
	or(&s.Provider.Image.Image, "stockade/stockade:"+o.Version)
	return s
}

var (
	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	labelForm  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	secretForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// check says what is wrong with the settings.
func (s *Settings) check() error {
	for what, text := range map[string]string{"console": s.Console, "server": s.Server} {
		if text == "" {
			continue
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && (what == "server" || u.Scheme != "http") {
			return invalid("%s %q: want an address as https://stockade.example.com:8443", what, text)
		}
	}
	if s.Language != "" && s.Language != "en" && s.Language != "zh" {
		return invalid("language %q: want en or zh", s.Language)
	}
	if s.AdmissionDays < 0 || s.AdmissionDays > 90 || s.AdmissionBytes < 0 || s.AdmissionBytes > 0 && s.AdmissionBytes < 1<<20 || s.AdmissionBytes > 1<<40 {
		return invalid("admissionDays and admissionBytes: want up to 90 days, and from 1 MiB to 1 TiB")
	}
	if s.Timeout < 0 || s.Timeout > 10 {
		return invalid("timeoutSeconds %d: want 1 to 10", s.Timeout)
	}
	for _, n := range s.SystemNamespaces {
		if !labelForm.MatchString(n) {
			return invalid("systemNamespaces: %q is no name of a namespace", n)
		}
	}
	for what, list := range map[string][]string{"exceptUsers": s.ExceptUsers, "exceptGroups": s.ExceptGroups} {
		for _, v := range list {
			if v == "" || len(v) > 500 || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				return invalid("%s: %q is no name", what, v)
			}
		}
		if slices.Contains(list, "system:authenticated") || slices.Contains(list, "system:unauthenticated") {
			return invalid("%s: everybody is in system:authenticated: nothing would be protected", what)
		}
	}
	switch s.Gatekeeper.Mode {
	case Ask, Adopt, TakeOver:
	default:
		return invalid("gatekeeper.mode %q: want adopt or takeover", s.Gatekeeper.Mode)
	}
	if err := s.Gatekeeper.Image.check("gatekeeper"); err != nil {
		return err
	}
	return s.Provider.Image.check("provider")
}

// labelled is the first minor version of Kubernetes in which every namespace has its name as a label.
const labelled = 21

// fits says what of the settings a version of Kubernetes cannot do; 0 is one that is not known.
func (s *Settings) fits(minor int) error {
	if s.FailClosed && minor > 0 && minor < labelled {
		return fmt.Errorf("failClosed needs Kubernetes 1.%d: before, namespaces have no label with their name, and system namespaces could not be left out", labelled)
	}
	return nil
}

func (i *Image) check(what string) error {
	if i.Digest != "" && !digestForm.MatchString(i.Digest) {
		return invalid("%s.digest %q: want sha256: and 64 hexadecimal digits", what, i.Digest)
	}
	for _, n := range i.PullSecrets {
		if !secretForm.MatchString(n) {
			return invalid("%s.pullSecrets: %q is no name of a Secret", what, n)
		}
	}
	if i.Registry != "" {
		if _, err := name.NewRepository(strings.TrimSuffix(i.Registry, "/") + "/x"); err != nil || strings.Contains(i.Registry, "..") {
			return invalid("%s.registry %q: want a registry, with a path where it has one", what, i.Registry)
		}
	}
	if i.Image == "" {
		return nil
	}
	if _, err := name.ParseReference(i.Image); err != nil {
		return invalid("%s.image %q: want repository:tag or repository@sha256:...", what, i.Image)
	}
	return nil
}

// reference is the image as pods name it; other is the one that counts when none is set.
func (i *Image) reference(other string) string {
	ref := i.Image
	if ref == "" {
		ref = other
	}
	if i.Registry != "" {
		if first, rest, ok := strings.Cut(ref, "/"); ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
			ref = rest
		}
		ref = strings.TrimSuffix(i.Registry, "/") + "/" + ref
	}
	if i.Digest != "" {
		ref, _, _ = strings.Cut(ref, "@")
		ref += "@" + i.Digest
	}
	return ref
}

// system are the namespaces that policies leave alone.
func (s *Settings) system() []string {
	list := slices.Concat(policy.SystemNamespaces, s.SystemNamespaces)
	slices.Sort(list)
	return slices.Compact(list)
}
