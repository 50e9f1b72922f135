package emergencies

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	list "stockade.dev/stockade/emergencies"
	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/emergency/check"
)

func jarOf(t *testing.T, entries map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(entries[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func tarOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(files[name])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// saved is an image as docker save writes it.
func saved(t *testing.T, layers ...map[string]string) string {
	t.Helper()
	out, names, ids := map[string]string{}, []string{}, []string{}
	for i, l := range layers {
		data := tarOf(t, l)
		name := fmt.Sprintf("%d/layer.tar", i)
		out[name] = string(data)
		names, ids = append(names, name), append(ids, fmt.Sprintf("sha256:%x", sha256.Sum256(data)))
	}
	put := func(name string, v any) {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(data)
	}
	put("config.json", map[string]any{"architecture": "amd64", "os": "linux", "config": map[string]any{}, "rootfs": map[string]any{"type": "layers", "diff_ids": ids}})
	put("manifest.json", []map[string]any{{"Config": "config.json", "RepoTags": []string{"shop/till:1.0"}, "Layers": names}})
	p := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(p, tarOf(t, out), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func pom(group, artifact, version string) map[string]string {
	return map[string]string{"META-INF/maven/" + group + "/" + artifact + "/pom.properties": "groupId=" + group + "\nartifactId=" + artifact + "\nversion=" + version + "\n"}
}

// TestImage judges images of layers, whose files are gone when they are judged: by what was asked of them while the layers passed by. What
// a later layer says outweighs what it covers.
func TestImage(t *testing.T) {
	all, err := emergency.Load(list.FS)
	if err != nil {
		t.Fatal(err)
	}
	servlet := func(readonly string) string {
		return "<web-app><servlet><servlet-name>default</servlet-name><servlet-class>org.apache.catalina.servlets.DefaultServlet</servlet-class>" +
			"<init-param><param-name>readonly</param-name><param-value>" + readonly + "</param-value></init-param></servlet></web-app>"
	}
	app := func(settings string) string {
		return jarOf(t, map[string]string{"BOOT-INF/classes/application.yml": settings,
			"BOOT-INF/lib/spring-cloud-gateway-server-3.1.0.jar": jarOf(t, pom("org.springframework.cloud", "spring-cloud-gateway-server", "3.1.0")),
			"BOOT-INF/lib/spring-boot-actuator-2.6.3.jar":        jarOf(t, pom("org.springframework.boot", "spring-boot-actuator", "2.6.3"))})
	}
	base := map[string]string{
		"etc/os-release":                    "ID=alpine\nVERSION_ID=3.19.0\n",
		"usr/local/tomcat/lib/catalina.jar": jarOf(t, pom("org.apache.tomcat", "tomcat-catalina", "9.0.98")),
		"usr/local/tomcat/webapps/shop/WEB-INF/lib/commons-collections-3.2.1.jar": jarOf(t, pom("commons-collections", "commons-collections", "3.2.1")),
		"usr/local/tomcat/conf/web.xml":                                           servlet("false"),
		"usr/local/tomcat/conf/context.xml":                                       `<Context><Manager className="org.apache.catalina.session.PersistentManager"><Store className="org.apache.catalina.session.FileStore"/></Manager></Context>`,
		"app.jar":                                                                 app("management.endpoints.web.exposure.include: '*'"),
	}
	for name, tt := range map[string]struct {
		over map[string]string
		want map[string]emergency.Verdict
	}{
		"as it comes": {nil, map[string]emergency.Verdict{"CVE-2025-24813": emergency.Exposed, "CVE-2022-22947": emergency.Exposed, "CVE-2024-3094": emergency.NotPresent}},
		"hardened": {map[string]string{"usr/local/tomcat/conf/web.xml": servlet("true"), "app.jar": app("server.port: 8080")},
			map[string]emergency.Verdict{"CVE-2025-24813": emergency.VersionOnly, "CVE-2022-22947": emergency.VersionOnly}},
		"without sessions in files": {map[string]string{"usr/local/tomcat/conf/.wh.context.xml": ""}, map[string]emergency.Verdict{"CVE-2025-24813": emergency.VersionOnly}},
	} {
		t.Run(name, func(t *testing.T) {
			o := image.Options{Probes: emergency.NewProbes(all)}
			layers := []map[string]string{base}
			if tt.over != nil {
				layers = append(layers, tt.over)
			}
			img, err := image.Open(t.Context(), "docker-archive:"+saved(t, layers...), o)
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			sw, err := image.Analyze(t.Context(), img, o)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]emergency.Result{}
			for _, r := range emergency.Judge(t.Context(), all, emergency.Subject{Name: "image", Software: sw}, []emergency.Class{check.Reads}) {
				got[r.Emergency] = r
			}
			want(t, got, tt.want)
		})
	}
}
