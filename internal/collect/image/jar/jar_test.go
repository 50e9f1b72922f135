package jar

import (
	"archive/zip"
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

// file is an entry of a test archive; stored entries are not compressed.
type file struct {
	name   string
	data   []byte
	stored bool
}

func text(name, data string) file { return file{name: name, data: []byte(data)} }

func props(group, artifact, version string) file {
	return text("META-INF/maven/"+group+"/"+artifact+"/pom.properties", "#Created\nversion="+version+"\ngroupId="+group+"\nartifactId="+artifact+"\n")
}

func mf(lines ...string) file {
	return text("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n"+strings.Join(lines, "\r\n")+"\r\n\r\nName: a/B.class\r\nImplementation-Version: 9.9.9\r\n")
}

func class(name string) file { return file{name: name, data: []byte("\xca\xfe\xba\xbe" + name)} }

// build makes an archive of the files.
func build(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		method := uint16(zip.Deflate)
		if f.stored {
			method = zip.Store
		}
		e, err := w.CreateHeader(&zip.FileHeader{Name: f.name, Method: method})
		if err == nil {
			_, err = e.Write(f.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// lines writes packages and gaps in a form to compare: path, name, version, evidence, settings.
func lines(packages []inventory.Package, gaps []inventory.Gap) string {
	var out []string
	for _, p := range packages {
		line := fmt.Sprintf("%s %s %s@%s (%s)", p.Path, p.Type, p.Name, p.Version, p.Evidence)
		for _, k := range slices.Sorted(maps.Keys(p.Settings)) {
			line += " " + k + "=" + p.Settings[k]
		}
		out = append(out, line)
	}
	for _, g := range gaps {
		out = append(out, fmt.Sprintf("gap %s %s: %s", g.Code, g.What, g.Reason))
	}
	return strings.Join(out, "\n")
}

func read(t testing.TB, data []byte, path string, o Options) string {
	t.Helper()
	packages, gaps, err := Read(bytes.NewReader(data), int64(len(data)), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return lines(packages, gaps)
}

func check(t *testing.T, got, want string) {
	t.Helper()
	want = strings.ReplaceAll(strings.TrimSpace(want), "\t", "")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWants(t *testing.T) {
	for p, want := range map[string]bool{
		"opt/app.jar": true, "app.JAR": true, "a/b.war": true, "x.ear": true, "x.par": true, "x.sar": true, "git.hpi": true, "git.jpi": true, "x.lpkg": true, "x.rar": true, "x.nar": true,
		"a/.jar": false, "jar": false, ".jar": false, "a.jar.txt": false, "a.class": false, "x.zip": false, "ajar": false, "a.ajar": false, ".jarx": false, ".0000": false, "": false,
	} {
		if got := Wants(p); got != want {
			t.Errorf("Wants(%q) = %v", p, got)
		}
	}
}

func TestShapes(t *testing.T) {
	core := build(t, props("org.apache.logging.log4j", "log4j-core", "2.14.1"), class("org/apache/logging/log4j/core/lookup/JndiLookup.class"), class("org/apache/logging/log4j/core/net/JndiManager.class"))
	lang := build(t, props("org.apache.commons", "commons-lang3", "3.12.0"), class("org/apache/commons/lang3/StringUtils.class"))
	war := build(t, file{"WEB-INF/lib/log4j-core-2.14.1.jar", core, true}, file{"WEB-INF/lib/commons-lang3-3.12.0.jar", lang, false}, class("WEB-INF/classes/till/Main.class"))
	for name, c := range map[string]struct {
		path, want string
		data       []byte
	}{
		"pom.properties": {"lib/commons-lang3-3.12.0.jar", "lib/commons-lang3-3.12.0.jar maven org.apache.commons:commons-lang3@3.12.0 (pom.properties)", lang},
		"renamed":        {"lib/x.jar", "lib/x.jar maven org.apache.commons:commons-lang3@3.12.0 (pom.properties)", lang},
		"nested, stored and deflated, in an ear": {"shop.ear", `
			shop.ear!/till.war maven :till@ (file name)
			shop.ear!/till.war!/WEB-INF/lib/log4j-core-2.14.1.jar maven org.apache.logging.log4j:log4j-core@2.14.1 (pom.properties) JndiLookup=present JndiManager=open
			shop.ear!/till.war!/WEB-INF/lib/commons-lang3-3.12.0.jar maven org.apache.commons:commons-lang3@3.12.0 (pom.properties)`,
			build(t, file{"till.war", war, false})},
		"launch script before the archive": {"app.jar", "app.jar maven org.apache.commons:commons-lang3@3.12.0 (pom.properties)", slices.Concat([]byte("#!/bin/sh\nexec java -jar $0\n"), lang)},
		"shaded with poms": {"till-1.0-shaded.jar", `
			till-1.0-shaded.jar maven org.example:till@1.0 (pom.properties) classifier=shaded
			till-1.0-shaded.jar maven com.google.guava:guava@19.0 (pom.properties) bundled=true
			till-1.0-shaded.jar maven org.apache.logging.log4j:log4j-core@2.14.1 (pom.properties) JndiLookup=absent bundled=true`,
			build(t, props("com.google.guava", "guava", "19.0"), props("org.example", "till", "1.0"), props("org.apache.logging.log4j", "log4j-core", "2.14.1"), class("x/org/apache/logging/log4j/core/LoggerContext.class"))},
		"shaded into a library without a pom": {"spring-core-5.3.9.jar", `
			spring-core-5.3.9.jar maven org.springframework:spring-core@5.3.9 (file name)
			spring-core-5.3.9.jar maven org.objenesis:objenesis@3.2 (pom.properties) bundled=true`,
			build(t, props("org.objenesis", "objenesis", "3.2"), class("a/B.class"))},
		"shaded without poms": {"app.jar", `
			app.jar maven :app@ (file name)
			app.jar maven org.apache.logging.log4j:log4j-core@ (class mark) JndiLookup=present JndiManager=guarded
			app.jar maven org.springframework:spring-beans@ (class mark) CachedIntrospectionResults=guarded
			app.jar maven com.alibaba:fastjson@ (class mark)
			app.jar maven org.apache.struts:struts2-core@ (class mark)
			app.jar maven org.apache.shiro:shiro-web@ (class mark)
			app.jar maven org.apache.shiro:shiro-core@ (class mark) default-cipher-key=present
			app.jar maven com.thoughtworks.xstream:xstream@ (class mark)
			app.jar maven org.apache.activemq:activemq-client@ (class mark) OpenWireUtil=absent`,
			build(t, class("deep/org/apache/logging/log4j/core/lookup/JndiLookup.class"), text("deep/org/apache/logging/log4j/core/net/JndiManager.class", "..log4j2.enableJndi.."),
				text("org/springframework/beans/CachedIntrospectionResults.class", "java/security/ProtectionDomain"), class("com/alibaba/fastjson/parser/ParserConfig.class"),
				class("com/opensymphony/xwork2/ognl/OgnlUtil.class"), class("org/apache/shiro/web/mgt/CookieRememberMeManager.class"),
				text("org/apache/shiro/mgt/AbstractRememberMeManager.class", "kPH+bIxk5D2deZiIxcaaaA=="), class("com/thoughtworks/xstream/XStream.class"), class("org/apache/activemq/openwire/OpenWireFormat.class"))},
		"near misses of marks": {"app.jar", "app.jar maven :app@ (file name)",
			build(t, class("ch/qos/logback/classic/LoggerContext.class"), class("org/example/XStream.class"), class("org/example/JndiLookup.class"), class("com/alibaba/fastjson2/ParserConfig.class"))},
		"log4j 1.2 bridge is not log4j": {"log4j-1.2-api-2.17.1.jar", "log4j-1.2-api-2.17.1.jar maven org.apache.logging.log4j:log4j-1.2-api@2.17.1 (file name)", build(t, class("org/apache/log4j/net/JMSAppender.class"))},
		"allow-list of 2.15.0":          {"log4j-core-2.15.0.jar", "log4j-core-2.15.0.jar maven org.apache.logging.log4j:log4j-core@2.15.0 (file name) JndiLookup=absent JndiManager=allow-list", build(t, text("org/apache/logging/log4j/core/net/JndiManager.class", "allowedLdapHosts"))},
		"pom.xml only": {"till.jar", "till.jar maven org.example:till@2.1 (pom.xml)",
			build(t, text("META-INF/maven/org.example/till/pom.xml", "<?xml version='1.0' encoding='ISO-8859-1'?>"+`<project><developers><developer><name>Ren`+"\xe9"+`</name></developer></developers><parent><groupId>org.example</groupId><artifactId>p</artifactId><version>${revision}</version></parent><properties><revision>2.1</revision></properties><artifactId>till</artifactId><dependencies><dependency><groupId>x</groupId><artifactId>y</artifactId><version>3</version></dependency></dependencies></project>`))},
		"pom.xml beside pom.properties counts once": {"till.jar", "till.jar maven org.example:till@2.1 (pom.properties)",
			build(t, text("META-INF/maven/org.example/till/pom.xml", `<project><groupId>org.example</groupId><artifactId>till</artifactId><version>9</version></project>`), props("org.example", "till", "2.1"))},
		"pom.xml broken": {"till.jar", "till.jar maven org.example:till@2.1 (pom.xml)\ngap broken till.jar!/META-INF/maven/org.example/till/pom.xml: XML syntax error on line 1: unexpected EOF",
			build(t, text("META-INF/maven/org.example/till/pom.xml", `<project><version>2.1</version><depen`))},
		"unresolved version": {"till-3.3.jar", "till-3.3.jar maven org.example:till@3.3 (pom.properties)", build(t, props("org.example", "till", "${project.version}"))},
		"manifest, renamed, continued": {"a.jar", "a.jar maven org.springframework:spring-core@5.3.9 (manifest)",
			build(t, mf("Implementation-Title: spring-c", " ore", "Implementation-Version: 5.3.9"), class("a/B.class"))},
		"manifest's vendor id is the group": {"till.jar", "till.jar maven org.example.shop:till@1.5 (manifest)", build(t, mf("Implementation-Vendor-Id: org.example.shop", "Implementation-Version: 1.5"), class("a/B.class"))},
		"bundle name ends with the artefact": {"till-1.6.jar", "till-1.6.jar maven org.example.shop:till@1.6 (file name)",
			build(t, mf("Bundle-SymbolicName: org.example.shop.till;singleton:=true", "Bundle-Version: 1.6.0"), class("a/B.class"))},
		"bundle of no known group": {"a.jar", "a.jar maven :org.example.shop@1.6.0 (manifest)", build(t, mf("Bundle-SymbolicName: org.example.shop", "Bundle-Version: 1.6.0"), class("a/B.class"))},
		"Gradle's title":           {"a.jar", "a.jar maven org.example:till@7.0 (manifest)", build(t, mf("Implementation-Title: org.example#till;7.0"), class("a/B.class"))},
		"Jenkins plug-in": {"git.hpi", "git.hpi maven org.jenkins-ci.plugins:git@4.11.0 (manifest)",
			build(t, mf("Group-Id: org.jenkins-ci.plugins", "Short-Name: git", "Plugin-Version: 4.11.0"))},
		"Tomcat's own jar": {"tomcat/lib/catalina.jar", "tomcat/lib/catalina.jar maven org.apache.tomcat:tomcat-catalina@9.0.70 (ServerInfo.properties)",
			build(t, mf("Implementation-Title: Apache Tomcat", "Implementation-Version: 9.0.0"), text("org/apache/catalina/util/ServerInfo.properties", "server.info=Apache Tomcat/9.0.70 (Debian)\nserver.number=9.0.70.0\n"), class("a/B.class"))},
		"Tomcat's servlet-api":       {"tomcat/lib/servlet-api.jar", "tomcat/lib/servlet-api.jar maven org.apache.tomcat:tomcat-servlet-api@9.0.70 (manifest)", build(t, mf("Implementation-Vendor: Apache Software Foundation", "Implementation-Title: javax.servlet", "Specification-Title: Apache Tomcat", "Implementation-Version: 9.0.70"), class("a/B.class"))},
		"another servlet-api":        {"lib/servlet-api-2.5.jar", "lib/servlet-api-2.5.jar maven javax.servlet:servlet-api@2.5 (file name)", build(t, class("a/B.class"))},
		"Tomcat in a fat jar":        {"app.jar", "app.jar maven :app@ (file name)\napp.jar maven org.apache.tomcat:tomcat-catalina@8.5.5 (ServerInfo.properties)", build(t, class("a/B.class"), text("org/apache/catalina/util/ServerInfo.properties", "server.info=\nserver.number=8.5.5.0"))},
		"WebJars":                    {"bootstrap-3.3.7.jar", "bootstrap-3.3.7.jar maven org.webjars:bootstrap@3.3.7 (pom.properties)\nbootstrap-3.3.7.jar npm @angular/core@4.0.0 (file name)\nbootstrap-3.3.7.jar npm bootstrap@3.3.7 (file name)\nbootstrap-3.3.7.jar npm moment@2.1.0 (file name)", build(t, props("org.webjars", "bootstrap", "3.3.7"), text("META-INF/resources/webjars/bootstrap/3.3.7/js/a.js", ""), text("META-INF/resources/webjars/bootstrap/3.3.7/js/b.js", ""), text("META-INF/resources/webjars/angular__core/4.0.0/c.js", ""), text("META-INF/resources/webjars/momentjs/2.1.0/m.js", ""), text("META-INF/resources/webjars/moment.js", ""))},
		"druid is Alibaba's":         {"lib/druid-1.1.10.jar", "lib/druid-1.1.10.jar maven com.alibaba:druid@1.1.10 (file name)", build(t, class("a/B.class"))},
		"druid-core is Apache's":     {"lib/druid-core-0.17.0.jar", "lib/druid-core-0.17.0.jar maven org.apache.druid:druid-core@0.17.0 (file name)", build(t, class("a/B.class"))},
		"in a Maven repository":      {"root/.m2/repository/org/example/shop/till/1.0/till-1.0.jar", "root/.m2/repository/org/example/shop/till/1.0/till-1.0.jar maven org.example.shop:till@1.0 (file name)", build(t, class("a/B.class"))},
		"in Gradle's cache":          {"root/.gradle/caches/modules-2/files-2.1/org.example/till/1.0/abc/till-1.0.jar", "root/.gradle/caches/modules-2/files-2.1/org.example/till/1.0/abc/till-1.0.jar maven org.example:till@1.0 (file name)", build(t, class("a/B.class"))},
		"sources are no library":     {"till-1.0-sources.jar", "", build(t, text("a/B.java", ""))},
		"no classes, no names":       {"data.jar", "", build(t, text("a.txt", ""))},
		"a part of the Java runtime": {"jre/lib/rt.jar", "", build(t, mf("Implementation-Title: Java Runtime Environment", "Implementation-Version: 1.8.0_201"), class("java/lang/Object.class"))},
		"empty file":                 {"x.jar", "", nil},
		"empty archive":              {"x.jar", "", build(t)},
		"RAR is not ours":            {"x.rar", "", []byte("Rar!\x1a\x07\x00 and more bytes than an end record has")},
		"comment and bytes after it": {"lib/c.jar", "lib/c.jar maven org.apache.commons:commons-lang3@3.12.0 (pom.properties)", slices.Concat(withComment(lang, "hello PK\x05\x06 world"), []byte("more"))},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, read(t, c.data, c.path, Options{}), c.want)
		})
	}
}

// withComment gives the archive a comment.
func withComment(data []byte, comment string) []byte {
	data = slices.Clone(data)
	binary.LittleEndian.PutUint16(data[len(data)-2:], uint16(len(comment)))
	return append(data, comment...)
}

// TestLargeNested reads a deflated nested archive of several chunks.
func TestLargeNested(t *testing.T) {
	noise := make([]byte, 3*chunkSize-100)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	inner := build(t, file{"noise.bin", noise, true}, props("org.example", "till", "1.0"), file{"x.jar", build(t, props("org.example", "x", "2.0"), file{"noise.bin", noise, true}), true})
	data := build(t, file{"till-1.0.jar", inner, false})
	raw := sha1.Sum(inner)
	packages, gaps, err := Read(bytes.NewReader(data), int64(len(data)), "a.war", Options{})
	check(t, lines(packages, gaps), "a.war!/till-1.0.jar maven org.example:till@1.0 (pom.properties)\na.war!/till-1.0.jar!/x.jar maven org.example:x@2.0 (pom.properties)")
	if err != nil || len(packages) < 2 || packages[0].SHA1 != hex.EncodeToString(raw[:]) {
		t.Error(err, packages)
	}

	c := &chunks{parts: [][]byte{make([]byte, chunkSize), make([]byte, chunkSize)}, size: chunkSize + 10}
	c.parts[1][9], c.parts[1][10] = 'z', 'x'
	p := make([]byte, 20)
	if n, err := c.ReadAt(p, chunkSize-5); n != 15 || err != io.EOF || p[14] != 'z' || p[15] != 0 {
		t.Error(n, err, p)
	}
	if n, err := c.ReadAt(p, chunkSize+10); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
}

func TestKnownAndSum(t *testing.T) {
	data := build(t, class("a/B.class"))
	raw := sha1.Sum(data)
	sum := hex.EncodeToString(raw[:])
	o := Options{Known: func(s string) (string, string, string, bool) { return "org.example", "till", "4.0", s == sum }}
	for name, archive := range map[string][]byte{"alone": data, "stored": build(t, file{"x.jar", data, true}), "deflated": build(t, file{"x.jar", data, false})} {
		packages, _, err := Read(bytes.NewReader(archive), int64(len(archive)), "a.jar", o)
		if err != nil || len(packages) != 1 || packages[0].Name != "org.example:till" || packages[0].Version != "4.0" || packages[0].Evidence != "SHA-1" || packages[0].SHA1 != sum {
			t.Errorf("%s: %+v %v", name, packages, err)
		}
	}
}

func TestZip64(t *testing.T) {
	// 70,000 entries need the zip64 end record.
	files := []file{props("org.example", "till", "1.0")}
	for i := range 70_000 {
		files = append(files, file{name: fmt.Sprintf("c/C%d.class", i), stored: true})
	}
	data := build(t, files...)
	check(t, read(t, data, "x.jar", Options{}), "x.jar maven org.example:till@1.0 (pom.properties)")
	check(t, read(t, append([]byte("#!/bin/sh\n"), data...), "x.jar", Options{}), "x.jar maven org.example:till@1.0 (pom.properties)")
	check(t, read(t, data, "x.jar", Options{MaxEntries: 1000}), "x.jar maven org.example:till@1.0 (pom.properties)\ngap limit x.jar: more than 1000 entries")

	// Numbers of one entry in its zip64 field.
	e := entry{packed: 0xffffffff, size: 7, off: 0xffffffff}
	field := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64([]byte{9, 9, 2, 0, 0, 0, 1, 0, 16, 0}, 5), 6)
	e.read64(field)
	if e.packed != 5 || e.size != 7 || e.off != 6 {
		t.Errorf("%+v", e)
	}
}

// TestRealJars reads small jars as their projects published them.
func TestRealJars(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.jar")
	var got []string
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, read(t, data, filepath.Base(name), Options{}))
	}
	want, err := os.ReadFile("testdata/want.txt")
	if err != nil {
		t.Fatal(err)
	}
	check(t, strings.Join(got, "\n"), string(want))
}

// fat makes a jar of n classes and one nested jar.
func fat(t testing.TB, n int) []byte {
	files := []file{mf("Implementation-Version: 1.0"), props("org.example", "till", "1.0")}
	for i := range n {
		files = append(files, file{name: fmt.Sprintf("org/example/department%d/till/Register%d.class", i%40, i), data: []byte("\xca\xfe\xba\xbe class"), stored: true})
	}
	files = append(files, file{"lib/x.jar", build(t, props("org.example", "x", "2.0")), true})
	return build(t, files...)
}

// BenchmarkRead is a Read of 20,000 classes with and without the SHA-1, and what archive/zip takes to open the same file.
func BenchmarkRead(b *testing.B) {
	data := fat(b, 20_000)
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if p, _, err := Read(bytes.NewReader(data), int64(len(data)), "x.jar", Options{}); err != nil || len(p) != 2 {
				b.Fatal(p, err)
			}
		}
	})
	b.Run("walk", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := &reader{options: Options{MaxEntries: 1e6}}
			a := &archive{source: source{r: bytes.NewReader(data), size: int64(len(data))}}
			d, err := findDirectory(a.source)
			if err != nil {
				b.Fatal(err)
			}
			if kept, err := r.walk(a, d); err != nil || len(kept) != 3 {
				b.Fatal(kept, err)
			}
		}
	})
	b.Run("archive-zip", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
			if err != nil || len(z.File) < 20_000 {
				b.Fatal(err)
			}
		}
	})
}
