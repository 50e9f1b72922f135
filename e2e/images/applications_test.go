package images

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/e2e/lab"
	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/match"
)

// application is one line of the list of applications: an artefact in a vulnerable version must have the vulnerability, and in
// the fixed one must not.
type application struct {
	name       string // as the list calls it
	make       func(t testing.TB, version string) Files
	bad, good  string
	id, of     string // vulnerability, and the package that has it
	feed, real string // the feed that says so; what is not real of the artefact, "" when it is
}

func applications() []application {
	jar := func(name, coordinates, bad, good, id string) application {
		return application{name: name, make: mavenJar(coordinates), bad: bad, good: good, id: id, of: coordinates, feed: "ghsa-osv", real: "a jar with Maven's files of these coordinates"}
	}
	own := func(a application) application { a.feed = "operator-csv"; return a }
	return []application{
		jar("log4j", "org.apache.logging.log4j:log4j-core", "2.14.1", "2.15.0", "CVE-2021-44228"),
		jar("log4j", "log4j:log4j", "1.2.17", "1.2.18", "CVE-2019-17571"),
		jar("slf4j", "org.slf4j:slf4j-ext", "1.7.25", "1.7.26", "CVE-2018-8088"),
		jar("Tomcat", "org.apache.tomcat:tomcat-catalina", "9.0.82", "9.0.83", "CVE-2023-46589"),
		{"apache", debianBinary("usr/sbin/apache2", "opt/apache/bin/httpd", "Apache/"), "2.4.50", "", "CVE-2021-42013", "apache", "bitnami-osv", "the version in Debian's program"},
		jar("jetty", "org.eclipse.jetty:jetty-server", "9.4.34.v20201102", "9.4.35.v20201120", "CVE-2020-27218"),
		jar("mysql", "com.mysql:mysql-connector-j", "8.1.0", "8.2.0", "CVE-2023-22102"),
		{"mysql", func(_ testing.TB, v string) Files {
			return binaryFile("opt/mysql/bin/mysqld", ELF("/export/home/pb2/build/sb_1-1/mysql-"+v+"/sql/mysqld.cc"))
		}, "8.0.29", "8.0.31", "CVE-2022-21632", "mysql", "nvd-overrides", "a program with one of mysqld's texts"},
		// Apache Druid as Wolfi packs it; nobody's feed here has Druid's jars, of neither product of that name.
		{"druid", func(_ testing.TB, v string) Files {
			return Files{}.Text("etc/os-release", "ID=wolfi\nNAME=\"Wolfi\"\nPRETTY_NAME=\"Wolfi\"\nVERSION_ID=\"20230201\"\n").Text("usr/lib/apk/db/installed", Installed(APK{"druid", v, "druid", "usr/share/druid/lib/druid.jar"}))
		}, "29.0.1-r0", "30.0.1-r0", "CVE-2024-45384", "druid", "wolfi-advisories", "apk's database"},
		own(jar("druid", "org.apache.druid:druid-server", "0.20.0", "0.20.1", "CVE-2021-25646")),
		own(jar("druid", "com.alibaba:druid", "1.2.3", "1.2.4", "CVE-2021-33800")),
		jar("commons", "org.apache.commons:commons-text", "1.9", "1.10.0", "CVE-2022-42889"),
		jar("commons", "commons-collections:commons-collections", "3.2.1", "3.2.2", "CVE-2015-7501"),
		jar("commons", "commons-fileupload:commons-fileupload", "1.4", "1.5", "CVE-2023-24998"),
		jar("spring", "org.springframework:spring-beans", "5.3.17", "5.3.18", "CVE-2022-22965"),
		jar("shiro", "org.apache.shiro:shiro-core", "1.9.1", "1.10.0", "CVE-2022-40664"),
		own(jar("struts", "struts:struts", "1.3.10", "1.3.11", "CVE-2014-0114")), // never fixed by its project: the bound is a rebuild's
		jar("struts2", "org.apache.struts:struts2-core", "2.5.32", "2.5.33", "CVE-2023-50164"),
		jar("websocket", "org.java-websocket:Java-WebSocket", "1.4.1", "1.5.0", "CVE-2020-11050"),
		jar("json", "org.json:json", "20230618", "20231013", "GHSA-4jq9-2xhw-jpx7"),
		jar("fastjson", "com.alibaba:fastjson", "1.2.80", "1.2.83", "CVE-2022-25845"),
		jar("xstream", "com.thoughtworks.xstream:xstream", "1.4.17", "1.4.18", "CVE-2021-39144"),
		jar("maven", "org.apache.maven:maven-core", "3.6.3", "3.8.1", "CVE-2021-26291"),
		jar("junit", "junit:junit", "4.13", "4.13.1", "CVE-2020-15250"),
		jar("activemq", "org.apache.activemq:activemq-client", "5.17.5", "5.17.6", "CVE-2023-46604"),
		{"libintl", func(t testing.TB, v string) Files { // a part of gettext
			version, release, _ := strings.Cut(v, "-")
			f := RHELLike("almalinux", "AlmaLinux", "8.4")
			f["var/lib/rpm/rpmdb.sqlite"] = File{Data: RPMDatabase(t, RPM{Name: "gettext-libs", Version: version, Release: release, Source: "gettext"})}
			return f
		}, "0.19.8.1-14.el8", "0.19.8.1-17.el8", "CVE-2018-18751", "gettext-libs", "almalinux-osv", "a package of that name, in a database that rpm made"},
		// No CVE id was ever given for this package; the operator's table stands in.
		own(application{"ca-certificates-java", func(_ testing.TB, v string) Files {
			return DebianRelease("12", "bookworm").Text("var/lib/dpkg/status", Status(Deb{"ca-certificates-java", v, "", ""}))
		}, "20230103", "20230710~deb12u1", "OWN-6", "ca-certificates-java", "", "dpkg's database"}),
		jar("httpclient", "org.apache.httpcomponents:httpclient", "4.3.4", "4.3.5", "CVE-2014-3577"),
		own(jar("httpcore", "org.apache.httpcomponents:httpcore", "4.4.15", "4.4.16", "OWN-5")), // it has no CVE id either
		{"java", debianBinary("usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so", "opt/jdk/lib/server/libjvm.so", "JRE ("), "17.0.10", "", "CVE-2024-21068", "openjdk", "bitnami-osv", "the version in Debian's library"},
		{"java", func(_ testing.TB, v string) Files { // releases before 9 are numbered in two ways
			return Files{}.Text("usr/lib/jvm/java-8/release", "JAVA_VERSION=\""+v+"\"\nIMPLEMENTOR=\"Eclipse Adoptium\"\nIMAGE_TYPE=\"JRE\"\n")
		}, "1.8.0_402", "1.8.0_412", "CVE-2024-21068", "openjdk", "bitnami-osv", "the release file of a JRE"},
		{"java", func(_ testing.TB, v string) Files { // Oracle's own build
			return Files{}.Text("usr/java/jdk1.8.0/release", "JAVA_VERSION=\""+v+"\"\nIMPLEMENTOR=\"Oracle Corporation\"\nBUILD_TYPE=\"commercial\"\n")
		}, "1.8.0_402", "1.8.0_412", "CVE-2024-21068", "oracle-jdk", "", "the release file of a JRE"},
		{"javac2", func(_ testing.TB, v string) Files {
			return Files{}.Text("opt/jdk/release", "JAVA_VERSION=\""+v+"\"\nIMPLEMENTOR=\"Eclipse Adoptium\"\nIMAGE_TYPE=\"JDK\"\nOS_ARCH=\"x86_64\"\n").Text("opt/jdk/bin/javac", "")
		}, "11.0.22", "11.0.23", "CVE-2024-21068", "openjdk", "bitnami-osv", "the release file of a JDK"},
		own(jar("javaee", "org.glassfish:javax.faces", "2.3.6", "2.3.7", "CVE-2018-14371")), // Java EE itself is an interface; this is a part's implementation
		{"Apache2", func(_ testing.TB, v string) Files {
			return DebianRelease("11", "bullseye").Text("var/lib/dpkg/status", Status(Deb{"apache2-bin", v, "apache2", ""}))
		}, "2.4.48-3.1", "2.4.51-1~deb11u1", "CVE-2021-40438", "apache2-bin", "debian-dsa", "dpkg's database"},
		// The feeds have two rows on Sybase ASE, on versions of its kernel; this one is the operator's.
		own(application{"adaptive_server_enterprise", func(_ testing.TB, v string) Files {
			return binaryFile("opt/sap/ASE-16_0/bin/dataserver", ELF("Adaptive Server Enterprise/"+v+"/P/x86_64/SLES 12.4/ase160sp03pl06x/3457/64-bit/FBO/Mon Jan 14 08:52:48 2019"))
		}, "16.0 SP03 PL06/EBF 28334 SMP", "16.0 SP03 PL09/EBF 29144 SMP", "CVE-2020-6248", "sybase-ase", "", "a program with the text of its version"}),
		{"DB2", func(_ testing.TB, v string) Files {
			return binaryFile("opt/ibm/db2/V11.5/adm/db2sysc", ELF("DB2 v"+v+"\", \"s1906101300\", \"DYN1906101300AMD64\""))
		}, "11.5.0.0", "12.1.0.0", "CVE-2022-22483", "db2", "nvd-cve", "a program with the text of its version"},
		{"http_server", debianBinary("usr/sbin/apache2", "usr/local/apache2/bin/httpd", "Apache/"), "2.4.52", "", "CVE-2022-22721", "apache", "", "the version in Debian's program"},
		{"Memcached", debianBinary("usr/bin/memcached", "usr/local/bin/memcached", "memcached "), "1.6.18", "1.6.22", "CVE-2023-46852", "memcached", "bitnami-osv", "the version in Debian's program"},
		{"nginx", debianBinary("usr/sbin/nginx", "usr/local/nginx/sbin/nginx", "nginx/"), "1.22.1", "1.26.2", "CVE-2024-7347", "nginx", "bitnami-osv", "the version in Debian's program"},
		{"PostgreSQL", debianBinary("usr/lib/postgresql/15/bin/postgres", "usr/local/pgsql/bin/postgres", "PostgreSQL) "), "15.10", "", "CVE-2025-1094", "postgresql", "bitnami-osv", "the version in Debian's program"},
		{"bootstrap", func(_ testing.TB, v string) Files {
			return Files{}.Text("app/node_modules/bootstrap/package.json", `{"name":"bootstrap","version":"`+v+`","license":"MIT"}`)
		}, "3.4.0", "3.4.1", "CVE-2019-8331", "bootstrap", "ghsa-osv", "the module's package.json"},
		jar("zookeeper", "org.apache.zookeeper:zookeeper", "3.8.2", "3.8.3", "CVE-2023-44981"),
		jar("plexus-utils", "org.codehaus.plexus:plexus-utils", "3.0.15", "3.0.16", "CVE-2017-1000487"),
		jar("core", "org.springframework:spring-core", "6.1.2", "6.1.3", "CVE-2024-22233"),
		{"core", func(_ testing.TB, v string) Files { // .NET Core's runtime
			return Files{}.Text("usr/share/dotnet/shared/Microsoft.NETCore.App/"+v+"/Microsoft.NETCore.App.deps.json",
				`{"libraries":{"Microsoft.NETCore.App.Runtime.linux-x64/`+v+`":{"type":"package","serviceable":true,"sha512":""}}}`)
		}, "5.0.8", "5.0.9", "CVE-2021-26423", "Microsoft.NETCore.App.Runtime.linux-x64", "ghsa-osv", "the runtime's deps.json"},
	}
}

// components are the binaries of Kubernetes in the list.
func components() []application {
	kube := func(command, bad, good, id string) application {
		return application{command, func(t testing.TB, v string) Files {
			return program(t, "usr/local/bin/"+command, KubernetesProgram(t, command, "v"+v, true))
		}, bad, good, id, "k8s.io/kubernetes", "golang-osv", "a program with the build information of a release"}
	}
	return []application{
		{"kube-apiserver", func(t testing.TB, v string) Files {
			apiserver, _, err := lab.Binaries(t.Context(), "v"+v)
			if err != nil {
				t.Fatal(err)
			}
			return program(t, "usr/local/bin/kube-apiserver", apiserver)
		}, strings.TrimPrefix(lab.Oldest, "v"), strings.TrimPrefix(lab.Newest, "v"), "CVE-2023-2727", "k8s.io/kubernetes", "ghsa-osv", ""},
		kube("kube-apiserver", "1.27.12", "1.27.13", "CVE-2024-3177"),
		kube("kube-controller-manager", "1.19.2", "1.19.3", "CVE-2020-8563"),
		kube("kubelet", "1.30.2", "1.30.3", "CVE-2024-5321"),
		kube("kube-proxy", "1.18.3", "1.18.4", "CVE-2020-8558"),
		kube("kube-scheduler", "1.19.0", "1.20.0", "CVE-2020-8564"),
		{"etcd", func(t testing.TB, v string) Files {
			if v != lab.EtcdVersion {
				return program(t, "usr/local/bin/etcd", EtcdProgram(t, v))
			}
			_, etcd, err := lab.Binaries(t.Context(), lab.Newest)
			if err != nil {
				t.Fatal(err)
			}
			return program(t, "usr/local/bin/etcd", etcd)
		}, "v3.6.13", lab.EtcdVersion, "CVE-2026-73499", "go.etcd.io/etcd/server/v3", "golang-osv", "the vulnerable one: a program with the build information of etcd's tree"},
		{"cni-plugins", func(t testing.TB, v string) Files {
			return program(t, "opt/cni/bin/loopback", PluginProgram(t, "loopback", v))
		},
			"v0.8.5", "v0.8.6", "CVE-2020-10749", "github.com/containernetworking/plugins", "golang-osv", ""},
	}
}

func mavenJar(coordinates string) func(testing.TB, string) Files {
	group, artifact, _ := strings.Cut(coordinates, ":")
	return func(_ testing.TB, v string) Files {
		return Files{"opt/app/lib/" + artifact + "-" + v + ".jar": {Data: Jar(group, artifact, v, nil)}}
	}
}

func binaryFile(path string, data []byte) Files { return Files{path: {Data: data, Mode: 0o755}} }

func program(t testing.TB, path, file string) Files {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return binaryFile(path, data)
}

// debianBinary takes a program out of Debian's tree to a place that no package owns. What follows text in it is its version,
// over which another of the same length is written; "" leaves Debian's.
func debianBinary(from, to, text string) func(testing.TB, string) Files {
	return func(t testing.TB, v string) Files {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(DebianMiddleware(t), from))
		if err != nil {
			t.Fatal(err)
		}
		old := regexp.MustCompile(regexp.QuoteMeta(text) + `\d+(?:\.\d+)+`).Find(data)
		if now := []byte(text + v); v != "" && len(now) == len(old) {
			data = bytes.ReplaceAll(data, old, now)
		} else if v != "" || old == nil {
			t.Fatalf("%s: %q cannot be written over %q", from, now, old)
		}
		return binaryFile(to, data)
	}
}

// TestApplications: known answers for every application and every component of the list.
func TestApplications(t *testing.T) {
	m := matcher(t)
	for _, a := range slices.Concat(applications(), components()) {
		t.Run(fmt.Sprintf("%s %s", a.name, a.of), func(t *testing.T) {
			for _, version := range []string{a.bad, a.good} {
				s := scan(t, Layout(t, Layer(a.make(t, version), Zstd)), image.Options{})
				noGaps(t, s)
				r := m.Match(s)
				var found *match.Vulnerability
				for i := range r.Vulnerabilities {
					if v := &r.Vulnerabilities[i]; v.ID == a.id && v.Package.Name == a.of {
						found = v
					}
				}
				switch {
				case len(s.Packages) == 0:
					t.Errorf("%s: no package was found", version)
				case version == a.bad && found == nil:
					t.Errorf("%s does not have %s: packages %+v, %d vulnerabilities, gaps %v", version, a.id, s.Packages[:min(3, len(s.Packages))], len(r.Vulnerabilities), r.Gaps)
				case version == a.good && found != nil:
					t.Errorf("%s has %s by %s: %+v", version, a.id, found.Row.Feed, found.Row)
				case found != nil && a.feed != "" && found.Row.Feed != a.feed:
					t.Errorf("by %s, not %s", found.Row.Feed, a.feed)
				}
				if version == a.good && !slices.ContainsFunc(s.Packages, func(p inventory.Package) bool { return p.Name == a.of }) {
					t.Errorf("%s: no %s among %+v", version, a.of, s.Packages[:min(3, len(s.Packages))])
				}
			}
		})
	}
}

// TestApplicationList holds the tables to the list.
func TestApplicationList(t *testing.T) {
	have := map[string]bool{}
	for _, a := range slices.Concat(applications(), components()) {
		have[a.name] = true
	}
	for _, name := range strings.Fields(`log4j slf4j Tomcat apache jetty mysql druid commons spring shiro struts struts2 websocket json fastjson xstream maven junit
		activemq libintl ca-certificates-java httpclient httpcore java javac2 javaee Apache2 adaptive_server_enterprise DB2 http_server Memcached nginx PostgreSQL
		bootstrap zookeeper plexus-utils core kube-apiserver kube-controller-manager kubelet kube-proxy kube-scheduler etcd cni-plugins`) {
		if !have[name] {
			t.Errorf("no known answer for %s", name)
		}
	}
}
