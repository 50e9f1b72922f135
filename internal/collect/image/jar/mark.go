package jar

import (
	"bytes"
	"strings"
)

// mark is a class that tells a library even when it was packed into another archive without its pom. A library moved to
// another package keeps the end of its path, so only that is compared.
type mark struct {
	id     markID
	suffix string
	look   func(m *marks, class []byte) // what the class's constants tell; nil: nothing
}

type markID uint

const (
	log4jContext markID = 1 << iota
	jndiLookup
	jndiManager
	log4j1Appender
	springBeans
	fastjson
	struts
	shiroCookie
	shiroCore
	xstream
	openWire
	openWireUtil
	commonsText
	scriptLookup
)

// markTable has the marks by the class's file name.
var markTable = map[string][]mark{
	"LoggerContext.class": {{id: log4jContext, suffix: "log4j/core/LoggerContext.class"}},
	"JndiLookup.class":    {{id: jndiLookup, suffix: "log4j/core/lookup/JndiLookup.class"}},
	"JndiManager.class":   {{id: jndiManager, suffix: "log4j/core/net/JndiManager.class", look: lookJndiManager}},
	"JMSAppender.class":   {{id: log4j1Appender, suffix: "log4j/net/JMSAppender.class"}},
	"CachedIntrospectionResults.class": {
		{id: springBeans, suffix: "springframework/beans/CachedIntrospectionResults.class", look: lookIntrospection}},
	"ParserConfig.class":              {{id: fastjson, suffix: "fastjson/parser/ParserConfig.class"}},
	"OgnlUtil.class":                  {{id: struts, suffix: "xwork2/ognl/OgnlUtil.class"}, {id: struts, suffix: "struts2/ognl/OgnlUtil.class"}},
	"CookieRememberMeManager.class":   {{id: shiroCookie, suffix: "shiro/web/mgt/CookieRememberMeManager.class"}},
	"AbstractRememberMeManager.class": {{id: shiroCore, suffix: "shiro/mgt/AbstractRememberMeManager.class", look: lookRememberMe}},
	"XStream.class":                   {{id: xstream, suffix: "xstream/XStream.class"}},
	"OpenWireFormat.class":            {{id: openWire, suffix: "activemq/openwire/OpenWireFormat.class"}},
	"OpenWireUtil.class":              {{id: openWireUtil, suffix: "activemq/openwire/OpenWireUtil.class"}},
	"StringSubstitutor.class":         {{id: commonsText, suffix: "commons/text/StringSubstitutor.class"}},
	"ScriptStringLookup.class":        {{id: scriptLookup, suffix: "commons/text/lookup/ScriptStringLookup.class"}},
}

// library is what marks tell.
type library struct {
	any   markID   // one of these classes is there
	name  string   // "group:artifact"
	homes []string // other artefacts that rightly have the classes
}

var libraries = []library{
	{log4jContext | jndiLookup | jndiManager, "org.apache.logging.log4j:log4j-core", nil},
	{log4j1Appender, "log4j:log4j", []string{"ch.qos.reload4j:reload4j", "org.apache.logging.log4j:log4j-1.2-api", "org.slf4j:log4j-over-slf4j"}},
	{springBeans, "org.springframework:spring-beans", []string{"org.springframework:spring"}},
	{fastjson, "com.alibaba:fastjson", []string{"com.alibaba.fastjson2:fastjson2"}},
	{struts, "org.apache.struts:struts2-core", []string{"org.apache.struts.xwork:xwork-core", "com.opensymphony:xwork"}},
	{shiroCookie, "org.apache.shiro:shiro-web", []string{"org.apache.shiro:shiro-all"}},
	{shiroCore, "org.apache.shiro:shiro-core", []string{"org.apache.shiro:shiro-all"}},
	{xstream, "com.thoughtworks.xstream:xstream", nil},
	{openWire, "org.apache.activemq:activemq-client", []string{"org.apache.activemq:activemq-all", "org.apache.activemq:activemq-core"}},
	{commonsText, "org.apache.commons:commons-text", nil},
}

// marks are the marks seen in one archive.
type marks struct {
	seen markID
	jndi string // what JndiManager does: "open", "allow-list", "guarded"
	bean string // what CachedIntrospectionResults hides: "open", "guarded"
	key  bool   // shiro's published default key is there
}

// see notes the class and returns its mark; nil when it is none.
func (m *marks) see(name []byte) *mark {
	candidates, ok := markTable[string(name[bytes.LastIndexByte(name, '/')+1:])]
	if !ok {
		return nil
	}
	for i := range candidates {
		if strings.HasSuffix(string(name), candidates[i].suffix) {
			m.seen |= candidates[i].id
			return &candidates[i]
		}
	}
	return nil
}

// lookJndiManager tells the generations of log4j's guard apart: an allow-list came with 2.15.0, the switch that is off
// (log4j2.enableJndi...) with 2.16.0 and its backports 2.12.2 and 2.3.1.
func lookJndiManager(m *marks, class []byte) {
	switch guarded := bytes.Contains(class, []byte("enableJndi")); {
	case len(class) == 0 || m.jndi == "open": // of two copies in one archive the worse counts
	case !guarded && !bytes.Contains(class, []byte("allowedLdapHosts")):
		m.jndi = "open"
	case !guarded:
		m.jndi = "allow-list"
	case m.jndi == "":
		m.jndi = "guarded"
	}
}

// lookIntrospection tells the fix of CVE-2022-22965: it refuses properties of the type java.security.ProtectionDomain,
// where the name alone was refused before.
func lookIntrospection(m *marks, class []byte) {
	switch {
	case len(class) == 0 || m.bean == "open":
	case bytes.Contains(class, []byte("java/security/ProtectionDomain")):
		m.bean = "guarded"
	default:
		m.bean = "open"
	}
}

// lookRememberMe finds the cipher key that shiro had as its default before 1.2.5 (CVE-2016-4437).
func lookRememberMe(m *marks, class []byte) {
	m.key = m.key || bytes.Contains(class, []byte("kPH+bIxk5D2deZiIxcaaaA=="))
}

// settings returns what the marks tell about the library beyond its presence; nil when nothing.
func (m *marks) settings(l *library) map[string]string {
	there := func(id markID) string {
		if m.seen&id != 0 {
			return "present"
		}
		return "absent"
	}
	switch l.any {
	case log4jContext | jndiLookup | jndiManager:
		s := map[string]string{"JndiLookup": there(jndiLookup)}
		if m.jndi != "" {
			s["JndiManager"] = m.jndi
		}
		return s
	case springBeans:
		if m.bean != "" {
			return map[string]string{"CachedIntrospectionResults": m.bean}
		}
	case openWire:
		return map[string]string{"OpenWireUtil": there(openWireUtil)}
	case commonsText:
		return map[string]string{"ScriptStringLookup": there(scriptLookup)}
	case shiroCore:
		if m.key {
			return map[string]string{"default-cipher-key": "present"}
		}
	}
	return nil
}
