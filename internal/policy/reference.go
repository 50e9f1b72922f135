package policy

import (
	"errors"
	"path"
	"regexp"
	"strings"
)

// Reference is the name of an image, written out: what a short name leaves away stands in it.
type Reference struct {
	Registry   string // docker.io, registry.example.com:5000; in small letters, and with a port where nothing else tells that it is one
	Repository string // below the registry: library/nginx
	Tag        string // "latest" when neither a tag nor a digest is named
	Digest     string // sha256:..., "" when none is named
	Tagged     bool   // the tag is written, not assumed
}

// MaxReference bounds a name, as registries do.
const MaxReference = 500

// ErrReference says that a name is none of an image: the kubelet would refuse it too.
var ErrReference = errors.New("it is no name of an image")

// dockerHub are the names under which one registry is known.
var dockerHub = map[string]bool{"docker.io": true, "index.docker.io": true, "registry-1.docker.io": true}

// ParseReference reads the name of an image as kubelets and container runtimes do (distribution's grammar): what they can start must
// be read here too, or it would pass as a name that nobody knows. Letters of the host may be large; a host in another script than
// Latin must be in its ASCII form. Constraints in clusters read names with export.ImageForm and the rules in constraint's image.rego
// and export's admission.go: testdata/references.json holds all of them to this.
func ParseReference(text string) (Reference, error) {
	if len(text) > MaxReference || text == "" {
		return Reference{}, ErrReference
	}
	for i := range len(text) {
		if text[i] >= 0x80 { // some letters become Latin ones when they are made small
			return Reference{}, ErrReference
		}
	}
	var r Reference
	rest, digest, pinned := strings.Cut(text, "@")
	if pinned && !isDigest(digest) {
		return Reference{}, ErrReference
	}
	r.Digest = digest
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		r.Tag, rest, r.Tagged = rest[i+1:], rest[:i], true
		if !isTag(r.Tag) {
			return Reference{}, ErrReference
		}
	} else if !pinned {
		r.Tag = "latest"
	}
	r.Registry, r.Repository = "docker.io", rest
	if host, path, ok := strings.Cut(rest, "/"); ok && isHost(host) {
		r.Registry, r.Repository = strings.ToLower(host), path
		if !isHost(r.Registry) { // only its large letters say that it is a host: written small, it would be part of a name at Docker Hub
			r.Registry += ":443"
		}
	}
	if dockerHub[r.Registry] {
		r.Registry = "docker.io"
		if !strings.Contains(r.Repository, "/") {
			r.Repository = "library/" + r.Repository
		}
	}
	if len(r.Repository) > maxRepository || !isRegistry(r.Registry) {
		return Reference{}, ErrReference
	}
	for part := range strings.SplitSeq(r.Repository, "/") {
		if !isComponent(part) {
			return Reference{}, ErrReference
		}
	}
	return r, nil
}

const maxRepository = 255

var digestForm = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$`)

// isHost reports whether what stands before the first slash is a registry.
func isHost(s string) bool {
	return strings.ContainsAny(s, ".:") || s == "localhost" || strings.ToLower(s) != s
}

func isRegistry(s string) bool {
	host, port, hasPort := s, "", false
	if strings.HasPrefix(s, "[") { // an IPv6 address
		end := strings.IndexByte(s, ']')
		if end < 2 || strings.Trim(s[1:end], "0123456789abcdef:") != "" || !strings.Contains(s[1:end], ":") {
			return false
		}
		if host, port = "", s[end+1:]; port == "" {
			return true
		}
		hasPort = strings.HasPrefix(port, ":")
		return hasPort && isNumber(port[1:])
	}
	if host, port, hasPort = strings.Cut(s, ":"); hasPort && !isNumber(port) {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; c != '-' && c != '_' && !smallOrDigit(c) { // runtimes ask hosts with a _ too
				return false
			}
		}
	}
	return true
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func smallOrDigit(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// isComponent: letters and digits, parted by ".", "_", "__" or any number of "-".
func isComponent(s string) bool {
	if s == "" || !smallOrDigit(s[0]) || !smallOrDigit(s[len(s)-1]) {
		return false
	}
	for i := 0; i < len(s); {
		from := i
		for !smallOrDigit(s[i]) {
			i++
		}
		if sep := s[from:i]; sep != "" && sep != "." && sep != "_" && sep != "__" && strings.Trim(sep, "-") != "" {
			return false
		}
		i++
	}
	return true
}

func isTag(s string) bool {
	if s == "" || len(s) > 128 || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !smallOrDigit(c) && (c < 'A' || c > 'Z') && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

func isDigest(s string) bool {
	algorithm, hex, _ := strings.Cut(s, ":")
	size := map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}[algorithm]
	return size > 0 && len(hex) == size && strings.Trim(hex, "0123456789abcdef") == ""
}

// Name is the registry with the repository.
func (r Reference) Name() string { return r.Registry + "/" + r.Repository }

// String writes the reference out: registry/repository[:tag][@digest].
func (r Reference) String() string {
	tag, digest := "", ""
	if r.Tag != "" {
		tag = ":"
	}
	if r.Digest != "" {
		digest = "@"
	}
	return r.Registry + "/" + r.Repository + tag + r.Tag + digest + r.Digest
}

// Repositories are the names of the repository that patterns may use: in full, and of Docker Hub as people shorten it.
func (r Reference) Repositories() []string {
	out := []string{r.Name()}
	if r.Registry == "docker.io" {
		out = append(out, r.Repository)
		if short, ok := strings.CutPrefix(r.Repository, "library/"); ok {
			out = append(out, short)
		}
	}
	return out
}

// Names are all that patterns of references are held against: each name of the repository alone, with the tag, with the digest and
// with both.
func (r Reference) Names() []string {
	var out []string
	for _, n := range r.Repositories() {
		out = append(out, n)
		if r.Tag != "" {
			out = append(out, n+":"+r.Tag)
		}
		if r.Digest != "" {
			out = append(out, n+"@"+r.Digest)
			if r.Tag != "" {
				out = append(out, n+":"+r.Tag+"@"+r.Digest)
			}
		}
	}
	return out
}

// glob is a pattern of images: * reads as anything, slashes too, ? as one character, [a-z] as one of a range.
type glob struct {
	text   string // slashes replaced
	prefix string
	plain  bool
}

// slash stands for slashes while path.Match looks: it treats them apart, and no reference has this character.
const slash = "\x00"

func compileGlob(text string) glob {
	i := strings.IndexAny(text, `*?[\`)
	g := glob{text: strings.ReplaceAll(text, "/", slash), plain: i < 0}
	if i < 0 {
		i = len(text)
	}
	g.prefix = text[:i]
	return g
}

func compileGlobs(list []string) []glob {
	var out []glob
	for _, s := range list {
		out = append(out, compileGlob(s))
	}
	return out
}

func (g *glob) matches(s string) bool {
	if g.plain {
		return g.prefix == s
	}
	if !strings.HasPrefix(s, g.prefix) {
		return false
	}
	ok, _ := path.Match(g.text, strings.ReplaceAll(s, "/", slash))
	return ok
}

func anyMatch(globs []glob, names []string) bool {
	for i := range globs {
		for _, n := range names {
			if globs[i].matches(n) {
				return true
			}
		}
	}
	return false
}

// MatchImage reports whether a pattern is one of the reference's names.
func MatchImage(pattern string, r Reference) bool {
	return anyMatch([]glob{compileGlob(pattern)}, r.Names())
}

// MatchRepository reports whether a pattern is one of the names of the reference's repository.
func MatchRepository(pattern string, r Reference) bool {
	return anyMatch([]glob{compileGlob(pattern)}, r.Repositories())
}
