package images

import (
	"fmt"
	"slices"
	"testing"

	"stockade.dev/stockade/internal/collect/image"
)

// TestJars: libraries in archives in archives, shaded ones, and jars that have no pom are named well enough to be matched.
func TestJars(t *testing.T) {
	log4j := Jar("org.apache.logging.log4j", "log4j-core", "2.14.1", map[string][]byte{"org/apache/logging/log4j/core/lookup/JndiLookup.class": class})
	war := Jar("com.example", "shop", "1.0", map[string][]byte{"WEB-INF/lib/log4j-core-2.14.1.jar": log4j, "WEB-INF/lib/fastjson-1.2.80.jar": BareJar("")})
	poms := "META-INF/maven/org.yaml/snakeyaml/pom.properties"
	files := Files{
		"opt/shop.ear": {Data: Zip(map[string][]byte{"META-INF/application.xml": []byte("<application/>"), "shop.war": war})},
		"opt/boot.jar": {Data: Zip(map[string][]byte{"META-INF/MANIFEST.MF": []byte("Manifest-Version: 1.0\r\nMain-Class: org.springframework.boot.loader.JarLauncher\r\nSpring-Boot-Version: 2.6.5\r\n\r\n"),
			"BOOT-INF/lib/spring-beans-5.3.17.jar": BareJar("Implementation-Title: spring-beans\r\nImplementation-Version: 5.3.17\r\n", "org/springframework/beans/CachedIntrospectionResults.class")})},
		"opt/shaded.jar":              {Data: Jar("com.example", "fat", "3", map[string][]byte{poms: []byte("groupId=org.yaml\nartifactId=snakeyaml\nversion=1.30\n")})},
		"opt/xstream-1.4.17.jar":      {Data: BareJar("Bundle-SymbolicName: xstream\r\nBundle-Version: 1.4.17\r\n")},
		"opt/struts2-core-2.3.31.jar": {Data: BareJar("")},
	}
	s := scan(t, Layout(t, Layer(files, Zstd)), image.Options{})
	noGaps(t, s)
	r := matcher(t).Match(s)
	var got []string
	for _, v := range r.Vulnerabilities {
		got = append(got, fmt.Sprint(v.ID, " ", v.Package.Name, " ", v.Package.Path))
	}
	for _, want := range []string{
		"CVE-2021-44228 org.apache.logging.log4j:log4j-core opt/shop.ear!/shop.war!/WEB-INF/lib/log4j-core-2.14.1.jar",
		"CVE-2022-25845 com.alibaba:fastjson opt/shop.ear!/shop.war!/WEB-INF/lib/fastjson-1.2.80.jar",
		"CVE-2022-22965 org.springframework:spring-beans opt/boot.jar!/BOOT-INF/lib/spring-beans-5.3.17.jar",
		"CVE-2022-1471 org.yaml:snakeyaml opt/shaded.jar",
		"CVE-2021-39144 com.thoughtworks.xstream:xstream opt/xstream-1.4.17.jar",
		"CVE-2017-5638 org.apache.struts:struts2-core opt/struts2-core-2.3.31.jar",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
	if t.Failed() {
		t.Logf("packages %+v", s.Packages)
	}
}
