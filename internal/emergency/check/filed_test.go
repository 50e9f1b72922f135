package check

import (
	"strings"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

// TestServlet tells the parameter of the servlet that is asked for from those of others and from comments.
func TestServlet(t *testing.T) {
	servlet := func(class, params string) string {
		return "<servlet><servlet-name>x</servlet-name><servlet-class> " + class + " </servlet-class>" + params + "</servlet>"
	}
	off := "<init-param><param-name>readonly</param-name>\n<param-value> false </param-value></init-param>"
	a := Args{"paths": []any{"/w/web.xml"}, "class": "DefaultServlet", "param": "readonly", "is": []any{"false"}, "missing": "no"}
	for name, tt := range map[string]struct {
		text string
		want Holds
	}{
		"off":         {"<web-app>" + servlet("org.apache.catalina.servlets.DefaultServlet", off) + "</web-app>", Yes},
		"on":          {"<web-app>" + servlet("org.apache.catalina.servlets.DefaultServlet", strings.Replace(off, "false", "true", 1)) + "</web-app>", No},
		"not set":     {"<web-app>" + servlet("org.apache.catalina.servlets.DefaultServlet", "") + "</web-app>", No},
		"commented":   {"<web-app>" + servlet("org.apache.catalina.servlets.DefaultServlet", "<!--"+off+"-->") + "</web-app>", No},
		"another":     {"<web-app>" + servlet("org.apache.catalina.servlets.WebdavServlet", off) + "</web-app>", No},
		"name alike":  {"<web-app>" + servlet("com.example.NotDefaultServlet", off) + "</web-app>", No},
		"second":      {"<web-app>" + servlet("x.Y", "") + servlet("DefaultServlet", off) + "</web-app>", Yes},
		"broken":      {"<web-app><servlet><servlet-class>org.apache.catalina.servlets.DefaultServlet</servlet-class>" + off, Unknown},
		"no XML":      {"readonly=false", No},
		"name spaces": {`<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee">` + servlet("org.apache.catalina.servlets.DefaultServlet", off) + "</web-app>", Yes},
	} {
		if got := does(t, "servlet-param", &Subject{Files: memory{"/w/web.xml": []byte(tt.text)}}, &Target{}, a); got.Holds != tt.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := does(t, "servlet-param", &Subject{Files: memory{"/other": nil}}, &Target{}, a); got.Holds != No {
		t.Errorf("no file: %+v", got)
	}
}

// TestSpring reads both forms wherever Spring Boot looks for them in an application, binds names loosely, and does not take a library for one.
func TestSpring(t *testing.T) {
	a := Args{"key": "management.endpoints.web.exposure.include", "is": []any{"gateway", "*"}, "missing": "no", "paths": []any{"/config/application*.yml"}}
	app := func(name, text string) memory {
		return memory{"/app.jar": jarOf(t, map[string][]byte{"BOOT-INF/lib/a.jar": nil, name: []byte(text)})}
	}
	inside := &Target{Path: "app.jar!/BOOT-INF/lib/gateway.jar"}
	for name, tt := range map[string]struct {
		files memory
		at    *Target
		want  Holds
	}{
		"properties":     {app("BOOT-INF/classes/application.properties", "# c\nmanagement.endpoints.web.exposure.include = health, gateway\n"), inside, Yes},
		"goes on":        {app("BOOT-INF/classes/application.properties", "management.endpoints.web.exposure.include:health,\\\n   gateway"), inside, Yes},
		"list":           {app("BOOT-INF/classes/application.properties", "management.endpoints.web.exposure.include[0]=health\nmanagement.endpoints.web.exposure.include[1]=*"), inside, Yes},
		"loosely":        {app("BOOT-INF/classes/application.properties", "MANAGEMENT.endpoints.WEB.exposure.in-clude=gateway"), inside, Yes},
		"commented":      {app("BOOT-INF/classes/application.properties", "#management.endpoints.web.exposure.include=gateway"), inside, No},
		"profile":        {app("BOOT-INF/classes/config/application-prod.yaml", "management.endpoints:\n  web: {exposure: {include: '*'}}"), inside, Yes},
		"documents":      {app("BOOT-INF/classes/application.yml", "a: 1\n---\nmanagement: {endpoints: {web: {exposure: {include: [gateway]}}}}"), inside, Yes},
		"others only":    {app("BOOT-INF/classes/application.yml", "management.endpoints.web.exposure.include: health,info"), inside, No},
		"part of a name": {app("BOOT-INF/classes/application.yml", "management.endpoints.web.exposure.include: gateways"), inside, No},
		"from outside":   {app("BOOT-INF/classes/application.yml", "management.endpoints.web.exposure.include: ${WHAT:health}"), inside, Unknown},
		"not set":        {app("BOOT-INF/classes/application.yml", "server.port: 1"), inside, No},
		"no file":        {app("BOOT-INF/classes/x.txt", ""), inside, No},
		"broken":         {app("BOOT-INF/classes/application.yml", "a: [b"), inside, Unknown},
		"elsewhere":      {app("BOOT-INF/classes/templates/application.yml", "management.endpoints.web.exposure.include: gateway"), inside, No},
		"a library":      {memory{"/lib/gateway.jar": jarOf(t, map[string][]byte{"a.class": nil})}, &Target{Path: "lib/gateway.jar"}, Unknown},
		"beside":         {memory{"/config/application-x.yml": []byte("management: {endpoints: {web: {exposure: {include: gateway}}}}")}, &Target{Path: "lib/gateway.jar"}, Yes},
		"cut off":        {memory{"/app.jar": []byte("PK\x03\x04")}, inside, Unknown},
	} {
		if got := does(t, "spring-setting", &Subject{Files: tt.files}, tt.at, a); got.Holds != tt.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	image := func(env string) *inventory.Software {
		return &inventory.Software{Kind: "image", Image: &inventory.Image{Env: []string{env}}}
	}
	if got := does(t, "spring-setting", &Subject{Software: image("MANAGEMENT_ENDPOINTS_WEB_EXPOSURE_INCLUDE=health,gateway"), Files: app("BOOT-INF/classes/x", "")}, inside, a); got.Holds != Yes {
		t.Errorf("%+v", got)
	}
	if got := does(t, "spring-setting", &Subject{Software: image("MANAGEMENT_ENDPOINTS_WEB_EXPOSURE_INCLUDE=health"), Files: app("BOOT-INF/classes/application.yml", "management.endpoints.web.exposure.include: gateway")}, inside, a); got.Holds != No {
		t.Errorf("the environment outweighs files: %+v", got)
	}
}

// TestKept: without files, what was seen while an image was read answers; what was not asked then is unknown and says what to do.
func TestKept(t *testing.T) {
	a := Args{"paths": []any{"/etc/redis.conf"}, "form": "words", "key": "requirepass", "missing": "no"}
	key := Key("config-value", a)
	sw := &inventory.Software{Kind: "image"}
	s := &Subject{Software: sw}
	if got := does(t, "config-value", s, &Target{}, a); got.Holds != Unknown || !strings.Contains(got.Said.EN, "scan the image again") {
		t.Errorf("not asked: %+v", got)
	}
	sw.Asked = []string{key}
	if got := does(t, "config-value", s, &Target{}, a); got.Holds != No {
		t.Errorf("no such file: %+v", got)
	}
	seen := Look(t.Context(), "config-value", a, "/etc/redis.conf", memoryFileOf("requirepass hunter2\n"))
	sw.Hits = []inventory.Hit{seen.Hit(key, "etc/redis.conf")}
	got := does(t, "config-value", s, &Target{}, a)
	if got.Holds != Yes || strings.Contains(got.Said.EN+got.Said.ZH, "hunter2") || strings.Contains(seen.Said.EN+seen.Said.ZH, "hunter2") {
		t.Errorf("the value of a password is kept: %+v", got)
	}
	if old := sw.Hits[0]; got.Said.ZH == got.Said.EN {
		t.Errorf("not kept in both languages: %+v", got)
	} else { // inventories from before have the English alone
		delete(old.Detail, "zh")
		s := &Subject{Software: &inventory.Software{Kind: "image", Asked: sw.Asked, Hits: []inventory.Hit{old}}}
		if a := filedChecks["config-value"].kept("config-value", s, &Target{}, a); a.Said.In("zh") != got.Said.EN {
			t.Errorf("what an older inventory says is lost: %+v", a)
		}
	}
	sw.Hits[0].Deleted = true
	if got := does(t, "config-value", s, &Target{}, a); got.Holds != No {
		t.Errorf("a removed file: %+v", got)
	}
	sw.Gaps = []inventory.Gap{{What: "layer sha256:1", Reason: "unreachable"}}
	if got := does(t, "config-value", s, &Target{}, a); got.Holds != Unknown {
		t.Errorf("a layer that was not read: %+v", got)
	}
	sw.Kind = "sbom"
	if got := does(t, "config-value", s, &Target{}, a); got.Holds != Unknown || !strings.Contains(got.Said.EN, "bill of materials") {
		t.Errorf("%+v", got)
	}
	sw.Kind, sw.Gaps = "image", nil
	if got := does(t, "file-contains", s, &Target{Path: "/usr/sbin/runc"}, Args{"text": "something to find"}); got.Holds != Unknown || !strings.Contains(got.Said.EN, "rootfs:") {
		t.Errorf("%+v", got)
	}
}

// TestKey: the order of arguments makes no other question, and lists that came as YAML and as JSON ask the same.
func TestKey(t *testing.T) {
	a := Key("config-value", Args{"is": []any{0}, "key": "x", "where": map[string]any{"b": 1, "a": true}})
	if b := Key("config-value", Args{"where": map[string]any{"a": true, "b": float64(1)}, "key": "x", "is": []any{float64(0)}}); a != b || len(a) != 16 {
		t.Errorf("%s, %s", a, b)
	}
	if Key("file-exists", Args{"key": "x"}) == Key("file-contains", Args{"key": "x"}) {
		t.Error("two checks are one question")
	}
}

// FuzzJava: whatever a configuration of Java is, looking into it ends with an answer.
func FuzzJava(f *testing.F) {
	f.Add([]byte("<web-app><servlet><servlet-class>a.DefaultServlet</servlet-class></servlet></web-app>"), byte(0))
	f.Add([]byte("a.b[0]=x\\\ny: z"), byte(1))
	f.Add([]byte("a: {b: [1, &x 2, *x]}\n---\n- c"), byte(2))
	f.Add(jarOf(f, map[string][]byte{"BOOT-INF/classes/application.yml": []byte("a.b: c")}), byte(3))
	f.Fuzz(func(t *testing.T, data []byte, form byte) {
		name := []string{"/web.xml", "/application.properties", "/application.yml", "/app.jar"}[form%4]
		check, a := "spring-setting", Args{"key": "a.b", "is": "c"}
		if form%4 == 0 {
			check, a = "servlet-param", Args{"class": "DefaultServlet", "param": "readonly", "is": "false"}
		}
		if s := Look(t.Context(), check, a, name, memoryFileOf(string(data))); s.State == "" || s.Said.EN == "" {
			t.Errorf("%+v", s)
		}
	})
}

func memoryFileOf(text string) File {
	f, err := memory{"/x": []byte(text)}.Open("/x")
	if err != nil {
		panic(err)
	}
	return f
}
