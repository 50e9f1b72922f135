package jar

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

func TestNames(t *testing.T) {
	for name, want := range map[string]fileName{
		"log4j-core-2.14.1.jar":             {artifact: "log4j-core", version: "2.14.1"},
		"log4j-1.2-api-2.17.1.jar":          {artifact: "log4j-1.2-api", version: "2.17.1"},
		"log4j-1.2-api.jar":                 {artifact: "log4j-1.2-api"},
		"log4j-1.2.17.jar":                  {artifact: "log4j", version: "1.2.17"},
		"tools-1.8.0_201.jar":               {artifact: "tools", version: "1.8.0_201"},
		"struts2-core-2.5-BETA1.jar":        {artifact: "struts2-core", version: "2.5-BETA1"},
		"guava-r09.jar":                     {artifact: "guava", version: "r09"},
		"guava-31.1-jre.jar":                {artifact: "guava", version: "31.1-jre"},
		"jetty-server-9.4.57.v20241219.jar": {artifact: "jetty-server", version: "9.4.57.v20241219"},
		"till-1.0-SNAPSHOT.war":             {artifact: "till", version: "1.0-SNAPSHOT"},
		"till-1.0-20240101.123456-7.jar":    {artifact: "till", version: "1.0-20240101.123456-7"},
		"till-1.0-sources.jar":              {artifact: "till", version: "1.0", classifier: "sources"},
		"till-1.0-SNAPSHOT-shaded.jar":      {artifact: "till", version: "1.0-SNAPSHOT", classifier: "shaded"},
		"netty-tcnative-boringssl-static-2.0.54.Final-linux-x86_64.jar": {artifact: "netty-tcnative-boringssl-static", version: "2.0.54.Final", classifier: "linux-x86_64"},
		"hibernate-jpa-2.1-api-1.0.2.Final.jar":                         {artifact: "hibernate-jpa-2.1-api", version: "1.0.2.Final"},
		"jsp-2.1-6.1.14.jar":                                            {artifact: "jsp-2.1", version: "6.1.14"},
		"servlet-api-2.5-20081211.jar":                                  {artifact: "servlet-api", version: "2.5-20081211"},
		"postgresql-42.2.5.jre6.jar":                                    {artifact: "postgresql", version: "42.2.5.jre6"},
		"postgresql-9.1-901.jdbc4.jar":                                  {artifact: "postgresql", version: "9.1-901.jdbc4"},
		"bcprov-jdk15on-1.70.jar":                                       {artifact: "bcprov-jdk15on", version: "1.70"},
		"kafka_2.11-0.10.2.1.jar":                                       {artifact: "kafka_2.11", version: "0.10.2.1"},
		"geronimo-jta_1.1_spec-1.1.1.jar":                               {artifact: "geronimo-jta_1.1_spec", version: "1.1.1"},
		"plexus-component-annotations-1.0-alpha-16.jar":                 {artifact: "plexus-component-annotations", version: "1.0-alpha-16"},
		"commons-fileupload-1.3.1-jenkins-2.jar":                        {artifact: "commons-fileupload", version: "1.3.1-jenkins-2"},
		"javax.el-3.0.1-b12.jar":                                        {artifact: "javax.el", version: "3.0.1-b12"},
		"json-20090211.jar":                                             {artifact: "json", version: "20090211"},
		"icu4j-70_1.jar":                                                {artifact: "icu4j", version: "70_1"},
		"org.eclipse.jgit_5.8.1.202007141445-r.jar":                     {artifact: "org.eclipse.jgit", version: "5.8.1.202007141445-r"},
		"spring3-core-3.x.jar":                                          {artifact: "spring3-core"},
		"app.jar":                                                       {artifact: "app"},
		"jsr311-api.jar":                                                {artifact: "jsr311-api"},
		"x-.jar":                                                        {artifact: "x-"},
	} {
		got := parseName("lib/" + name)
		got.base = ""
		if got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestGroups(t *testing.T) {
	for _, c := range []struct{ name, version, want string }{
		{"h2", "1.4.200", "com.h2database:h2"}, {"freemarker", "2.3.30", "org.freemarker:freemarker"}, {"jcommander", "1.78", "com.beust:jcommander"},
		{"picocli", "4.6", "info.picocli:picocli"}, {"yuicompressor", "2.4.8", "com.yahoo.platform.yui:yuicompressor"}, {"liquibase-core", "4.0", "org.liquibase:liquibase-core"},
		{"log4j", "1.2.17", "log4j:log4j"}, {"log4j-core", "2.0", "org.apache.logging.log4j:log4j-core"}, {"commons-lang", "2.6", "commons-lang:commons-lang"},
		{"commons-lang3", "3.0", "org.apache.commons:commons-lang3"}, {"spring-web", "5", "org.springframework:spring-web"}, {"spring-boot-starter-web", "2.7.0", "org.springframework.boot:spring-boot-starter-web"},
		{"spring-security-oauth2", "2.3", "org.springframework.security.oauth:spring-security-oauth2"}, {"spring-security-oauth2-client", "5.5", "org.springframework.security:spring-security-oauth2-client"},
		{"struts2-core", "2.3.20", "org.apache.struts:struts2-core"}, {"struts", "1.2.9", "struts:struts"}, {"slf4j-ext", "1.7", "org.slf4j:slf4j-ext"},
		{"jetty", "6.1.26", "org.mortbay.jetty:jetty"}, {"jetty-util", "6.1.26", "org.mortbay.jetty:jetty-util"}, {"jetty-util", "9.4", "org.eclipse.jetty:jetty-util"},
		{"tomcat-embed-core", "9.0.31", "org.apache.tomcat.embed:tomcat-embed-core"}, {"tomcat-coyote", "9", "org.apache.tomcat:tomcat-coyote"}, {"catalina", "", "org.apache.tomcat:tomcat-catalina"},
		{"xstream", "1.4", "com.thoughtworks.xstream:xstream"}, {"fastjson", "1.2.24", "com.alibaba:fastjson"}, {"shiro-core", "1.2.4", "org.apache.shiro:shiro-core"},
		{"activemq-client", "5.15", "org.apache.activemq:activemq-client"}, {"httpclient", "4.5", "org.apache.httpcomponents:httpclient"}, {"commons-httpclient", "3.1", "commons-httpclient:commons-httpclient"},
		{"mysql-connector-java", "5.1", "mysql:mysql-connector-java"}, {"mysql-connector-j", "8.0.31", "com.mysql:mysql-connector-j"}, {"postgresql", "9.1", "postgresql:postgresql"}, {"postgresql", "42.2", "org.postgresql:postgresql"},
		{"json", "20090211", "org.json:json"}, {"java-websocket", "1.3", "org.java-websocket:Java-WebSocket"}, {"Java-WebSocket", "1.3", "org.java-websocket:Java-WebSocket"},
		{"maven-core", "3.0", "org.apache.maven:maven-core"}, {"junit", "4.12", "junit:junit"}, {"zookeeper", "3.4", "org.apache.zookeeper:zookeeper"}, {"plexus-utils", "3.0", "org.codehaus.plexus:plexus-utils"},
		{"javaee-api", "7.0", "javax:javaee-api"}, {"jackson-databind", "2.9", "com.fasterxml.jackson.core:jackson-databind"}, {"netty", "3.2", "org.jboss.netty:netty"}, {"netty-codec-http2", "4.1", "io.netty:netty-codec-http2"},
		{"guava", "19.0", "com.google.guava:guava"}, {"gson", "2.8", "com.google.code.gson:gson"}, {"snakeyaml", "1.2", "org.yaml:snakeyaml"}, {"bcprov-jdk15on", "1.5", "org.bouncycastle:bcprov-jdk15on"},
		{"ojdbc8", "19", "com.oracle.database.jdbc:ojdbc8"}, {"jconn4", "16", "com.sybase.jconnect:jconn4"}, {"metrics-core", "2.2.0", "com.yammer.metrics:metrics-core"}, {"metrics-core", "3.0.2", "com.codahale.metrics:metrics-core"},
		{"antlr", "2.7.7", "antlr:antlr"}, {"antlr", "3.5", "org.antlr:antlr"}, {"ant", "1.6.5", "ant:ant"}, {"ant", "1.10.12", "org.apache.ant:ant"}, {"tomcat9-coyote", "9", "org.apache.tomcat:tomcat-coyote"},
		{"hibernate-core", "5.4", "org.hibernate:hibernate-core"}, {"hibernate-core", "6.1", "org.hibernate.orm:hibernate-core"}, {"config", "1.0", ""}, {"till", "1.0", ""},
	} {
		g, a, ok := groups().find(c.name, c.version, nil)
		if got := g + ":" + a; ok && got != c.want || !ok && c.want != "" {
			t.Errorf("%s %s: %s, want %s", c.name, c.version, got, c.want)
		}
	}
	t.Logf("%d names, %d families", len(groups().exact), len(groups().prefixes))
}

// TestGroupsTable finds mistakes of the pen: the same name twice without conditions.
func TestGroupsTable(t *testing.T) {
	for name, rows := range groups().exact {
		plain := 0
		for _, row := range rows {
			if row.rank() == 1 {
				plain++
			}
			if strings.ContainsAny(row.group, "?*<>=") || row.name == "" {
				t.Errorf("%+v", row)
			}
		}
		if plain > 1 {
			t.Errorf("%q stands %d times without a condition", name, plain)
		}
	}
}

func TestProperties(t *testing.T) {
	got := properties([]byte("# c\r\n! d\na=1\nb : 2\nc 3\nd\\ e=\\u0041\\\n  B\\t\nf=\ng\\=h=i\nlast=x\\"))
	want := map[string]string{"a": "1", "b": "2", "c": "3", "d e": "AB\t", "f": "", "g=h": "i", "last": `x\`}
	if !maps.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestRelease(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"Oracle 8":       {"JAVA_VERSION=\"1.8.0_201\"\nOS_NAME=\"Linux\"\nSOURCE=\" .:3e7d8a0b6f9f\"\nBUILD_TYPE=\"commercial\"\n", "oracle-jdk 1.8.0_201 [oracle:jdk oracle:jre]"},
		"Oracle 17":      {"IMPLEMENTOR=\"Oracle Corporation\"\nJAVA_VERSION=\"17.0.4\"\nSOURCE=\".:git:5a9d2ef7e8a6 open:git:6d5d3e4d0d2f\"\n", "oracle-jdk 17.0.4 [oracle:jdk oracle:jre]"},
		"OpenJDK 17":     {"IMPLEMENTOR=\"Oracle Corporation\"\nJAVA_VERSION=\"17.0.2\"\nSOURCE=\".:git:dfacda488bfb\"\n", "openjdk 17.0.2 [oracle:openjdk]"},
		"Temurin 11":     {"IMPLEMENTOR=\"Eclipse Adoptium\"\nJAVA_VERSION=\"11.0.16\"\nJAVA_RUNTIME_VERSION=\"11.0.16+8\"\n", "openjdk 11.0.16 [oracle:openjdk]"},
		"something else": {"NAME=\"x\"\n", ""},
	} {
		p, ok := Release("usr/lib/jvm/x/release", []byte(c.data))
		got := ""
		if ok {
			got = fmt.Sprint(p.Name, " ", p.Version, " ", p.CPEs)
		}
		if got != c.want || ok && (p.Type != inventory.Generic || p.Settings["edition"] != p.Name) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if _, ok := Release("etc/os-release", []byte("JAVA_VERSION=\"11\"")); ok {
		t.Error("os-release is no Java runtime")
	}
}
