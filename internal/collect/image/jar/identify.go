package jar

import (
	"bytes"
	_ "embed"
	"slices"
	"strings"
	"sync"

	"stockade.dev/stockade/internal/inventory"
)

// identify turns what was seen in the archive into packages: the archive itself, what is bundled in it, marks, WebJars.
func (r *reader) identify(a *archive) {
	file := parseName(a.path)
	own, rest := r.own(a, file)
	var named []inventory.Package
	for _, p := range own {
		one := inventory.Package{Type: inventory.Maven, Name: p.group + ":" + p.artifact, Version: p.version, Evidence: p.evidence}
		if file.classifier != "" && p.artifact == file.artifact {
			one.Settings = map[string]string{"classifier": file.classifier}
		}
		named = append(named, one)
	}
	for _, p := range rest {
		one := inventory.Package{Type: inventory.Maven, Name: p.group + ":" + p.artifact, Version: p.version, Evidence: p.evidence, Settings: map[string]string{"bundled": "true"}}
		if !slices.ContainsFunc(named, func(q inventory.Package) bool { return q.Name == one.Name && q.Version == one.Version }) {
			named = append(named, one)
		}
	}
	named = withTomcat(named, a.catalina)
	named = withMarks(named, &a.marks)
	for _, w := range sortedWebjars(a.webjars) {
		named = append(named, inventory.Package{Type: inventory.NPM, Name: w.npm(), Version: w.version, Evidence: "file name"})
	}
	for _, p := range named {
		r.add(a, p)
	}
}

// own returns what the archive itself is, and the poms of what is bundled in it. Two are its own when its only pom names
// something else than its file does, and both can be right: a library shaded into one without a pom.
func (r *reader) own(a *archive, file fileName) (own, rest []pom) {
	if i := mainPOM(a.poms, file); i >= 0 {
		main := a.poms[i]
		if main.version == "" {
			if main.version = file.version; main.artifact != file.artifact || file.version == "" {
				main.version = a.manifest.version()
			}
		}
		return []pom{main}, without(a.poms, i)
	}
	if r.options.Known != nil {
		if g, art, v, ok := r.options.Known(a.sum); ok {
			return []pom{{coordinates{g, art, v}, "SHA-1"}}, a.poms
		}
	}
	if len(a.poms) == 1 {
		main := a.poms[0]
		guess, sure := a.guess(file)
		if sure && guess.version != "" && guess.artifact != main.artifact && file.version != "" && file.version != main.version {
			return []pom{guess}, a.poms
		}
		if main.version == "" {
			main.version = a.manifest.version()
		}
		return []pom{main}, nil
	}
	guess, sure := a.guess(file)
	if !a.classes && !sure && len(a.poms) == 0 || a.runtime() || file.classifier == "sources" || file.classifier == "javadoc" {
		return nil, a.poms // holds no code of a library
	}
	return []pom{guess}, a.poms
}

// without returns the poms but for the one at i.
func without(poms []pom, i int) []pom {
	return slices.Concat(poms[:i], poms[i+1:])
}

// runtime reports whether the archive is a part of the Java runtime itself, which its release file and its libraries name.
func (a *archive) runtime() bool {
	return a.manifest["implementation-title"] == "Java Runtime Environment"
}

// mainPOM returns the index of the pom that agrees with the file name, the longest artefact if several do, or -1.
func mainPOM(poms []pom, file fileName) int {
	best, length := -1, 0
	whole := file.artifact
	if file.version != "" {
		whole += "-" + file.version
	}
	for i, p := range poms {
		agrees := p.artifact == file.artifact || p.artifact == file.base || strings.HasPrefix(whole, p.artifact+"-"+p.version) && p.version != "" || p.group+"."+p.artifact == file.artifact
		if !agrees {
			// "log4j-core" in "org.apache.logging.log4j_log4j-core-2.17.1", as some servers write it
			agrees = strings.HasSuffix(file.artifact, "_"+p.artifact) || strings.HasSuffix(file.artifact, p.group+"."+p.artifact)
		}
		if agrees && len(p.artifact) > length {
			best, length = i, len(p.artifact)
		}
	}
	return best
}

// guess names an archive without a pom of its own; sure says that its group is known and not made up.
func (a *archive) guess(file fileName) (p pom, sure bool) {
	m := a.manifest
	if c, ok := ofPlugin(m); ok {
		return pom{c, "manifest"}, true
	}
	if c, ok := ofRepository(a.path, file); ok {
		return pom{c, "file name"}, true
	}
	version, evidence := file.version, "file name"
	if version == "" {
		if version = m.version(); version != "" {
			evidence = "manifest"
		}
	}
	if g, art, ok := groups().find(file.artifact, version, m); ok {
		return pom{coordinates{g, art, version}, evidence}, true
	}
	names := m.names()
	ofManifest := m.version()
	if ofManifest == "" {
		ofManifest = version
	}
	if file.version == "" { // the file may have been renamed
		for _, name := range names {
			if g, art, ok := groups().find(name, ofManifest, m); ok {
				return pom{coordinates{g, art, ofManifest}, "manifest"}, true
			}
		}
	}
	if group := m.group(file.artifact); group != "" {
		return pom{coordinates{group, file.artifact, version}, evidence}, true
	}
	if file.version == "" && ofManifest != "" && len(names) > 0 {
		return pom{coordinates{"", names[0], ofManifest}, "manifest"}, false
	}
	return pom{coordinates{"", file.artifact, version}, evidence}, false
}

// ofPlugin reads the attributes with which Jenkins plug-ins, NiFi archives and Gradle's older builds name themselves fully.
func ofPlugin(m manifest) (coordinates, bool) {
	if g, v := m["group-id"], m["plugin-version"]; g != "" && v != "" && m["short-name"] != "" {
		v, _, _ = strings.Cut(v, " ") // "1.0-SNAPSHOT (private-...)"
		return coordinates{g, m["short-name"], v}, true
	}
	if g, art, v := m["nar-group"], m["nar-id"], m["nar-version"]; g != "" && art != "" && v != "" {
		return coordinates{g, art, v}, true
	}
	group, rest, ok := strings.Cut(m["implementation-title"], "#") // "org.example#till;1.0"
	if artifact, version, both := strings.Cut(rest, ";"); ok && both && whole(group) != "" && whole(artifact) != "" {
		return coordinates{group, artifact, whole(version)}, true
	}
	return coordinates{}, false
}

// vague are organisations that stand in Implementation-Vendor-Id of builds that are not Maven's; they are no artefact's group.
var vague = map[string]bool{"org.apache": true, "com.sun": true, "com.oracle": true, "org.eclipse": true, "com.google": true, "com.ibm": true, "org.jboss": true, "net.java": true, "org.codehaus": true, "org.sonatype": true}

// group returns the group that the manifest tells of an artefact, or "": Maven's Implementation-Vendor-Id, or a bundle name
// that ends with the artefact.
func (m manifest) group(artifact string) string {
	if id := m["implementation-vendor-id"]; strings.Contains(id, ".") && whole(id) != "" && !vague[id] {
		return id
	}
	for _, name := range []string{m.bundle(), m["automatic-module-name"]} {
		if group, ok := strings.CutSuffix(name, "."+artifact); ok && strings.Contains(group, ".") && !vague[group] {
			return group
		}
	}
	return ""
}

// withTomcat adds Tomcat by its ServerInfo.properties where no package is Tomcat's core, and corrects the version where one
// is: the file holds what the server really is.
func withTomcat(packages []inventory.Package, version string) []inventory.Package {
	if version == "" {
		return packages
	}
	for i := range packages {
		p := &packages[i]
		switch p.Name {
		case "org.apache.tomcat:tomcat-catalina", "org.apache.tomcat.embed:tomcat-embed-core":
			if p.Version != version && p.Evidence != "pom.properties" {
				p.Version, p.Evidence = version, "ServerInfo.properties"
			}
			return packages
		}
	}
	return append(packages, inventory.Package{Type: inventory.Maven, Name: "org.apache.tomcat:tomcat-catalina", Version: version, Evidence: "ServerInfo.properties"})
}

// withMarks adds the libraries whose classes are there but which nothing names, and gives those that are named what their
// marks tell.
func withMarks(packages []inventory.Package, m *marks) []inventory.Package {
	for i := range libraries {
		l := &libraries[i]
		if m.seen&l.any == 0 {
			continue
		}
		settings := m.settings(l)
		home := false
		for j := range packages {
			p := &packages[j]
			if p.Name != l.name && !slices.Contains(l.homes, p.Name) {
				continue
			}
			home = true
			for key, value := range settings {
				if p.Settings == nil {
					p.Settings = map[string]string{}
				}
				p.Settings[key] = value
			}
		}
		if !home {
			packages = append(packages, inventory.Package{Type: inventory.Maven, Name: l.name, Evidence: "class mark", Settings: settings})
		}
	}
	return packages
}

// webjar is a JavaScript library packed as a jar.
type webjar struct{ name, version string }

var webjarFolder = []byte("META-INF/resources/webjars/")

const maxWebjars = 1000

// seeWebjar notes the library of an entry META-INF/resources/webjars/<name>/<version>/<file>.
func (a *archive) seeWebjar(name []byte) {
	i := bytes.Index(name, webjarFolder)
	if i < 0 {
		return
	}
	lib, rest, ok := bytes.Cut(name[i+len(webjarFolder):], []byte("/"))
	version, _, more := bytes.Cut(rest, []byte("/"))
	if !ok || !more || len(lib) == 0 || len(lib) > 214 || len(version) == 0 || len(version) > 100 || !isDigit(version[0]) || len(a.webjars) >= maxWebjars {
		return
	}
	if a.webjars[webjar{string(lib), string(version)}] {
		return
	}
	if a.webjars == nil {
		a.webjars = map[webjar]bool{}
	}
	a.webjars[webjar{string(lib), string(version)}] = true
}

//go:embed webjars.txt
var webjarsText string

var webjarNames = sync.OnceValue(func() map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(webjarsText) {
		if words := strings.Fields(line); len(words) == 2 && !strings.HasPrefix(line, "#") {
			m[words[0]] = words[1]
		}
	}
	return m
})

// npm returns the library's name in npm.
func (w webjar) npm() string {
	name := strings.ToValidUTF8(w.name, "\uFFFD")
	if npm, ok := webjarNames()[name]; ok {
		return npm
	}
	if scope, rest, ok := strings.Cut(name, "__"); ok {
		return "@" + scope + "/" + rest
	}
	return name
}

func sortedWebjars(set map[webjar]bool) []webjar {
	list := make([]webjar, 0, len(set))
	for w := range set {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b webjar) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.version, b.version)
	})
	return list
}
