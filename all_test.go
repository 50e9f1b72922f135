// Package stockade has no code of its own: this file keeps the laws of the house, in go test so that no tool is needed and
// nobody can skip them.
package stockade

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "stockade.dev/stockade"

// imports is the map: who may import whom below internal/. A room that is not on it, an arrow that is not on it and an
// arrow that nothing uses all fail. Sub-rooms are named by their path.
var imports = map[string][]string{
	// nouns
	"fault":     {},
	"inventory": {},
	"finding":   {},
	"advisory":  {},
	// inputs
	"credential":                 {},
	"purl":                       {"inventory"},
	"sbom":                       {"inventory", "purl"},
	"collect/image/source":       {"inventory"},
	"collect/image/registry":     {"collect/image/source", "inventory"},
	"collect/image/archive":      {"collect/image/source", "inventory"},
	"collect/image/runtime":      {"collect/image/archive", "collect/image/source", "inventory"},
	"collect/image":              {"collect/image/account", "collect/image/apk", "collect/image/archive", "collect/image/binary", "collect/image/cargo", "collect/image/composer", "collect/image/dpkg", "collect/image/gem", "collect/image/jar", "collect/image/lockfile", "collect/image/malware", "collect/image/npm", "collect/image/nuget", "collect/image/pypi", "collect/image/registry", "collect/image/rpm", "collect/image/runtime", "collect/image/secret", "collect/image/source", "inventory", "release"},
	"collect/image/secret":       {"credential", "inventory"},
	"collect/image/account":      {"inventory"},
	"collect/image/malware":      {"inventory"},
	"collect":                    {"finding", "inventory"},
	"collect/decode":             {},
	"collect/cluster":            {"collect", "collect/decode", "fault", "finding", "inventory"},
	"collect/snapshot":           {"collect", "collect/decode", "collect/manifest", "fault", "finding", "inventory"},
	"collect/manifest":           {"finding", "inventory"},
	"collect/manifest/helm":      {"collect/manifest", "finding", "inventory"},
	"collect/manifest/kustomize": {"collect/manifest", "finding", "inventory"},
	"collect/dockerfile":         {"finding", "inventory"},
	"collect/node/host":          {},
	"collect/node/proc":          {"collect/node/host", "inventory"},
	"collect/node/container":     {"collect/image", "collect/image/malware", "collect/image/runtime", "collect/image/source", "credential", "inventory"},
	"collect/node":               {"collect/image/apk", "collect/image/binary", "collect/image/dpkg", "collect/image/rpm", "collect/node/container", "collect/node/host", "collect/node/proc", "credential", "inventory"},
	"collect/image/jar":          {"inventory"},
	"collect/image/binary":       {"inventory"},
	"collect/image/lockfile":     {"inventory"},
	"collect/image/npm":          {"collect/image/lockfile", "inventory"},
	"collect/image/pypi":         {"collect/image/lockfile", "inventory"},
	"collect/image/gem":          {"collect/image/lockfile", "inventory"},
	"collect/image/nuget":        {"collect/image/lockfile", "inventory"},
	"collect/image/composer":     {"collect/image/lockfile", "inventory"},
	"collect/image/cargo":        {"collect/image/lockfile", "inventory"},
	"feed":                       {"advisory"},
	"feed/osv":                   {"advisory", "feed", "feed/almalinux", "feed/alpine", "feed/bitnami", "feed/cvss", "feed/debian", "feed/ghsa", "feed/golang", "feed/kubernetes", "feed/notation", "feed/openeuler", "feed/photon", "feed/redhat", "feed/suse", "feed/ubuntu", "version"},
	"feed/cvss":                  {"advisory"},
	"feed/almalinux":             {},
	"feed/alpine":                {},
	"feed/debian":                {"advisory"},
	"feed/ubuntu":                {"advisory", "feed", "feed/notation"},
	"feed/golang":                {"advisory"},
	"feed/bitnami":               {},
	"feed/kubernetes":            {"advisory", "feed", "feed/notation"},
	"feed/ghsa":                  {"advisory"},
	"feed/photon":                {"advisory", "feed", "feed/notation"},
	"feed/wolfi":                 {"advisory", "feed", "feed/notation"},
	"feed/secdb":                 {"advisory", "feed", "feed/alpine", "feed/notation", "feed/wolfi"},
	"feed/tracker":               {"advisory", "feed", "feed/debian", "feed/notation"},
	"feed/kev":                   {"advisory", "feed", "feed/notation"},
	"feed/epss":                  {"advisory", "feed", "feed/notation"},
	"feed/eol":                   {"advisory", "feed", "feed/notation", "feed/openeuler"},
	"feed/operator":              {"advisory", "feed", "feed/notation"},
	"feed/fetch":                 {},
	"database":                   {"advisory"},
	"database/artifact":          {"database"},
	"feed/sources":               {"feed", "feed/csaf", "feed/cve5", "feed/cvrf", "feed/eol", "feed/epss", "feed/errata", "feed/kev", "feed/kubernetes", "feed/nvd", "feed/operator", "feed/osv", "feed/oval", "feed/photon", "feed/redhat", "feed/secdb", "feed/tracker", "feed/ubuntu", "feed/updateinfo", "feed/wolfi"},
	"collect/image/apk":          {"inventory"},
	"collect/image/dpkg":         {"inventory"},
	"collect/image/rpm":          {"inventory"},
	"release":                    {"advisory", "inventory"},
	"feed/notation":              {},
	"feed/feedtest":              {"advisory", "feed"},
	"feed/cpe":                   {"advisory"},
	"feed/csaf":                  {"advisory", "feed", "feed/notation", "feed/openeuler", "feed/redhat", "feed/suse"},
	"feed/oval":                  {"advisory", "feed", "feed/anolis", "feed/azurelinux", "feed/ctyunos", "feed/notation", "feed/openeuler", "feed/oracle", "feed/redhat", "feed/suse"},
	"feed/updateinfo":            {"advisory", "feed", "feed/amazon", "feed/anolis", "feed/bottlerocket", "feed/ctyunos", "feed/fedora", "feed/notation", "feed/openeuler", "feed/oracle", "feed/rocky", "feed/tencentos"},
	"feed/cvrf":                  {"advisory", "feed", "feed/notation", "feed/openeuler", "feed/suse"},
	"feed/nvd":                   {"advisory", "feed", "feed/cpe", "feed/notation"},
	"feed/cve5":                  {"advisory", "feed", "feed/cpe", "feed/notation", "feed/nvd"},
	"feed/errata":                {"advisory", "feed", "feed/ctyunos", "feed/fedora", "feed/notation", "feed/redhat", "feed/rocky"},
	"feed/redhat":                {"advisory", "feed", "feed/notation", "version"},
	"feed/suse":                  {},
	"feed/oracle":                {},
	"feed/openeuler":             {},
	"feed/amazon":                {"feed/notation"},
	"feed/rocky":                 {},
	"feed/fedora":                {},
	"feed/anolis":                {},
	"feed/azurelinux":            {},
	"feed/ctyunos":               {},
	"feed/bottlerocket":          {},
	"feed/tencentos":             {},
	// evaluation: graphs first, then those who read them
	"version":                 {"advisory"},
	"emergency/check":         {"advisory", "collect/image/binary", "finding", "inventory", "version"},
	"emergency":               {"advisory", "emergency/check", "finding", "inventory", "version"},
	"emergency/emergencytest": {"emergency", "inventory"},
	"match":                   {"advisory", "database", "finding", "inventory", "purl", "version"},
	"selector":                {"inventory"},
	"access":                  {"inventory", "selector"},
	"reach":                   {"inventory", "selector"},
	"analyze":                 {"access", "credential", "finding", "inventory", "reach", "selector"},
	"attack":                  {"access", "analyze", "finding", "identity", "inventory", "ledger", "reach", "store"},
	"rule":                    {"analyze", "finding", "inventory"},
	"repair":                  {"analyze", "finding", "inventory", "purl", "rule"},
	"gatekeeper":              {"analyze", "collect/manifest", "finding", "inventory", "rule"},
	"compliance":              {"finding", "rule"},
	"scan":                    {"analyze", "collect/dockerfile", "collect/manifest", "compliance", "exception", "fault", "finding", "inventory", "rule", "vex"},
	"vex":                     {"finding"},
	// outputs
	"report": {"finding", "vex"},
	"export": {"finding", "inventory", "rule"},
	// in protected clusters
	"policy":            {"exception", "export", "finding", "gatekeeper", "inventory", "rule"},
	"policy/book":       {"audit", "finding", "identity", "inventory", "ledger", "live", "outbox", "policy", "rule", "store"},
	"preview":           {"collect/decode", "finding", "identity", "inventory", "policy", "policy/book", "provider/protocol", "rule", "store"},
	"constraint":        {"collect/manifest", "exception", "export", "inventory", "policy", "rule"},
	"thrift":            {},
	"provider/protocol": {"policy"},
	"agent/protocol":    {"emergency", "inventory"},
	"agent":             {"agent/protocol", "emergency", "fleet/enrol", "inventory"},
	"provider/memory":   {"finding", "policy", "provider/protocol"},
	"provider/spool":    {"provider/protocol"},
	"provider/link":     {"policy", "provider/protocol"},
	"provider":          {"collect/decode", "credential", "exhibit", "inventory", "policy", "provider/link", "provider/memory", "provider/protocol", "provider/spool", "repair", "thrift"},
	// the server
	"api/client":        {},
	"admission":         {"audit", "collect/decode", "exception", "exhibit", "finding", "identity", "inventory", "leader", "ledger", "live", "outbox", "policy", "provider/protocol", "repair", "rule", "store"},
	"server":            {"admission", "agent/protocol", "analyze", "anatomy", "api", "assess", "attack", "attest", "audit", "browse", "compliance", "constraint", "emergency", "exception", "exhibit", "finding", "fleet", "fleet/enrol", "fleet/tunnel", "identity", "intake", "inventory", "leader", "ledger", "live", "nodes", "notify", "people", "policy", "policy/book", "preview", "protect", "provider/protocol", "registries", "repair", "seal", "store", "task", "thrift", "triage", "urgent", "verdict", "vitals", "watch"},
	"protect":           {"audit", "constraint", "exception", "finding", "fleet", "fleet/enrol", "identity", "inventory", "ledger", "live", "outbox", "policy", "provider/protocol", "rule", "seal", "store"},
	"nodes":             {"agent/protocol", "audit", "credential", "emergency", "finding", "fleet/enrol", "identity", "inventory", "leader", "ledger", "live", "outbox", "release", "store", "task", "triage"},
	"seal":              {},
	"fleet/enrol":       {"audit", "seal", "store"},
	"fleet/tunnel":      {"fleet/enrol", "store"},
	"fleet":             {"audit", "collect", "collect/cluster", "collect/snapshot", "fault", "fleet/enrol", "fleet/tunnel", "identity", "inventory", "ledger", "outbox", "seal", "store"},
	"store":             {},
	"store/storetest":   {"store"},
	"exception":         {"audit", "finding", "identity", "inventory", "ledger", "outbox", "store", "vex"},
	"ledger":            {"finding", "store"},
	"identity":          {},
	"audit":             {"identity", "ledger", "store"},
	"people":            {"audit", "identity", "ledger", "store"},
	"outbox":            {"ledger", "store"},
	"triage":            {"finding", "identity", "inventory", "ledger", "outbox", "store"},
	"watch":             {"collect", "inventory"},
	"live":              {"store"},
	"leader":            {"store"},
	"exhibit":           {"collect", "collect/cluster", "collect/manifest", "credential", "finding", "fleet", "inventory", "repair", "store"},
	"job":               {"store"},
	"examine":           {"collect/image", "collect/image/registry", "emergency", "finding", "inventory", "match", "scan"},
	"unpack":            {},
	"task":              {"advisory", "analyze", "attack", "audit", "collect/dockerfile", "collect/manifest", "collect/manifest/helm", "collect/manifest/kustomize", "compliance", "credential", "database", "emergency", "examine", "fault", "finding", "fleet", "identity", "inventory", "job", "leader", "ledger", "live", "match", "outbox", "policy", "release", "rule", "scan", "store", "triage", "unpack", "vex"},
	"urgent":            {"agent/protocol", "audit", "credential", "emergency", "emergency/check", "examine", "finding", "identity", "inventory", "leader", "ledger", "live", "nodes", "scan", "store", "task"},
	"signature":         {"collect/image/registry"},
	"verdict":           {"collect/image/registry", "exception", "finding", "identity", "inventory", "leader", "ledger", "live", "policy", "provider/protocol", "scan", "signature", "store", "task"},
	"registries":        {"audit", "collect/image/registry", "ledger", "notify/guard", "seal", "store"},
	"intake":            {"audit", "collect/image/registry", "database", "database/artifact", "identity", "ledger", "notify/guard", "store"},
	"vitals":            {"finding", "ledger", "store"},
	"attest":            {"audit", "finding", "identity", "ledger", "store"},
	"assess":            {"browse", "compliance", "finding", "identity", "report", "store"},
	"notify/guard":      {},
	"notify/message":    {"finding"},
	"notify/webhook":    {"finding", "notify/guard", "notify/message"},
	"notify/mail":       {"finding", "notify/guard", "notify/message"},
	"notify/syslog":     {"finding", "notify/guard", "notify/message"},
	"anatomy":           {"advisory", "browse", "finding", "identity", "inventory", "ledger", "store", "version"},
	"browse":            {"compliance", "finding", "identity", "ledger", "store"},
	"browse/browsetest": {"finding", "ledger", "store"},
	"notify":            {"assess", "audit", "browse", "finding", "identity", "ledger", "notify/guard", "notify/mail", "notify/message", "notify/syslog", "notify/webhook", "outbox", "report", "store"},
	"api":               {"admission", "advisory", "anatomy", "assess", "attack", "attest", "audit", "browse", "database", "emergency", "emergency/check", "exception", "exhibit", "finding", "fleet", "fleet/enrol", "identity", "intake", "inventory", "ledger", "live", "nodes", "notify", "people", "policy", "policy/book", "preview", "protect", "registries", "repair", "report", "rule", "sbom", "seal", "store", "task", "triage", "unpack", "urgent", "verdict", "vitals"},
}

// outside keeps heavy or foreign packages where they belong: prefix -> rooms that may import it.
var outside = map[string][]string{
	"k8s.io/client-go":                {"admission", "protect", "server", "watch", "collect/cluster", "fleet", "fleet/tunnel"},
	"github.com/hashicorp/yamux":      {"fleet/tunnel"},
	"helm.sh/helm":                    {"collect/manifest/helm"},
	"sigs.k8s.io/kustomize":           {"collect/manifest/kustomize"},
	"github.com/moby/buildkit":        {"collect/dockerfile"},
	"github.com/open-policy-agent":    {"gatekeeper"},
	"github.com/google/cel-go":        {"rule"},
	"github.com/google/osv-scalibr":   {"version"},
	"github.com/zricethezav/gitleaks": {"credential"},
	"github.com/spf13/cobra":          {},
	"github.com/stretchr/testify":     {},
	"github.com/owenrumney/go-sarif":  {"report"},
	"github.com/containerd":           {"collect/image/runtime", "collect/node/container"},
	"oras.land/oras-go":               {"database/artifact"},
	"github.com/jedib0t/go-pretty":    {"report"},
	"github.com/danielgtaylor/huma":   {"api"},
	"golang.org/x/oauth2":             {"people"},
	"github.com/coreos/go-oidc":       {"people"},
	"github.com/alexedwards":          {"people"},
	"github.com/riverqueue":           {"job"},
	"github.com/jackc/pgx":            {"browse/browsetest", "server", "store", "store/storetest", "triage", "live", "leader", "job", "task"},
	"github.com/adhocore/gronx":       {"notify", "task"},
}

// goFiles calls f for every Go file of the module that is not a test, with its slash path.
func goFiles(t *testing.T, f func(name string, file *ast.File, fset *token.FileSet)) {
	t.Helper()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && p != "." || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		f(filepath.ToSlash(p), file, fset)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestImportMap(t *testing.T) {
	used := map[string]bool{}
	goFiles(t, func(name string, file *ast.File, _ *token.FileSet) {
		room, inside := strings.CutPrefix(path.Dir(name), "internal/")
		if _, known := imports[room]; inside && !known {
			t.Errorf("%s: room %q is not on the map", name, room)
			return
		}
		used[room] = true
		for _, spec := range file.Imports {
			p, _ := strconv.Unquote(spec.Path.Value)
			if inside {
				for prefix, rooms := range outside {
					if (p == prefix || strings.HasPrefix(p, prefix+"/")) && !slices.Contains(rooms, room) {
						t.Errorf("%s: %s may be imported by %v only", name, prefix, rooms)
					}
				}
			}
			to, ours := strings.CutPrefix(p, module+"/")
			if !ours || !inside {
				continue
			}
			to, internal := strings.CutPrefix(to, "internal/")
			if !internal {
				t.Errorf("%s: internal rooms may not import %s", name, p)
			} else if !slices.Contains(imports[room], to) {
				t.Errorf("%s: %s may not import %s", name, room, to)
			}
			used[room+" "+to] = true
		}
	})
	for room, tos := range imports {
		if !used[room] {
			t.Errorf("the map has room %q, which does not exist", room)
		}
		for _, to := range tos {
			if !used[room+" "+to] {
				t.Errorf("the map lets %s import %s, which nothing does", room, to)
			}
		}
	}
}

var emptyNames = regexp.MustCompile(`^(utils?|common|helpers?|misc|shared|base|types|models?)$`)

func TestRooms(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	rooms := map[string]bool{}
	goFiles(t, func(name string, file *ast.File, fset *token.FileSet) {
		dir := path.Dir(name)
		if dir != "." {
			rooms[dir] = rooms[dir] || file.Doc != nil
		}
		for part := range strings.SplitSeq(dir, "/") {
			if emptyNames.MatchString(part) {
				t.Errorf("%s: the name %q says nothing", name, part)
			}
		}
		if n := fset.File(file.Pos()).LineCount(); n > 600 {
			t.Errorf("%s: %d lines; split it by noun", name, n)
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if fn.Name.Name == "init" && fn.Recv == nil {
				t.Errorf("%s: func init: write a list instead", name)
			}
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line; n > 100 {
				t.Errorf("%s: func %s has %d lines", name, fn.Name.Name, n)
			}
		}
	})
	for _, dir := range slices.Sorted(maps.Keys(rooms)) {
		if !rooms[dir] {
			t.Errorf("%s: no package comment", dir)
		}
		if room, ok := strings.CutPrefix(dir, "internal/"); ok && !strings.Contains(string(text), "`"+room+"`") {
			t.Errorf("ARCHITECTURE.md does not name the room `%s`", room)
		}
	}
}

// TestPins holds the four versions that keep the module graph compiling; a careless upgrade moves them.
func TestPins(t *testing.T) {
	data, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, pin := range []string{"k8s.io/apiserver v0.36.", "github.com/open-policy-agent/opa v1.20.", "github.com/gobwas/glob v0.2.3", "github.com/google/cel-go v0.30."} {
		if !strings.Contains(string(data), pin) {
			t.Errorf("go.mod lacks %s", pin)
		}
	}
}

// TestDocuments checks that what the documents link to exists.
func TestDocuments(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	files, _ := filepath.Glob("*.md")
	more, _ := filepath.Glob("docs/*.md")
	decisions, _ := filepath.Glob("docs/decisions/*.md")
	for _, file := range slices.Concat(files, more, decisions) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(data), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", file, m[1])
			}
		}
	}
}
