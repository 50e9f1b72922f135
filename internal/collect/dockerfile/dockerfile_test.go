package dockerfile

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"stockade.dev/stockade/internal/inventory"
)

// TestModel reads testdata/model/*.txt: a Dockerfile, what the model must hold at given paths ("path JSON", "path -" for
// what must not be there, "@path line:column" for positions, "~line text" for source lines as they are shown), the
// warnings by line and part, and the suppressions.
func TestModel(t *testing.T) {
	for _, file := range fixtures(t, "testdata/model/*.txt") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			parts := sections(t, file)
			o, warnings, err := Parse("app/Dockerfile", []byte(parts["Dockerfile"]))
			if err != nil {
				t.Fatal(err)
			}
			checkJSON(t, "", o.Content)
			for _, line := range lines(parts["want"]) {
				checkWant(t, o, line)
			}
			checkList(t, "warnings", warningTexts(warnings), lines(parts["warnings"]))
			var got []string
			for _, s := range o.Origin.Suppressions {
				got = append(got, fmt.Sprintf("%d: %s lines %d-%d: %s", s.Line, s.Rule, s.First, s.Last, s.Reason))
			}
			checkList(t, "suppressions", got, lines(parts["suppressions"]))
		})
	}
}

func checkWant(t *testing.T, o *inventory.Object, line string) {
	t.Helper()
	switch key, want, _ := strings.Cut(line, " "); {
	case key[0] == '@':
		l, c := o.Origin.Locate(key[1:])
		if got := fmt.Sprintf("%d:%d", l, c); got != want {
			t.Errorf("Locate(%s) = %s, want %s", key[1:], got, want)
		}
	case key[0] == '~':
		var n int
		fmt.Sscanf(key, "~%d", &n)
		if got := o.Origin.Snippet(n); got != want {
			t.Errorf("Snippet(%d) = %q, want %q", n, got, want)
		}
	default:
		got, ok := inventory.Lookup(o.Content, key)
		if want == "-" {
			if ok {
				t.Errorf("%s = %v, want nothing", key, got)
			}
			return
		}
		text, _ := json.Marshal(got)
		var a, b any
		if err := json.Unmarshal([]byte(want), &b); err != nil {
			t.Fatalf("%s: bad JSON %s: %v", key, want, err)
		}
		if json.Unmarshal(text, &a); !ok || !reflect.DeepEqual(a, b) {
			t.Errorf("%s = %s, want %s", key, text, want)
		}
	}
}

// TestBroken reads testdata/broken/*.txt: files that cannot be read at all, and the error that must name the place.
func TestBroken(t *testing.T) {
	for _, file := range fixtures(t, "testdata/broken/*.txt") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			parts := sections(t, file)
			o, _, err := Parse("app/Dockerfile", []byte(parts["Dockerfile"]))
			want := strings.TrimSpace(parts["error"])
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, %v, want the error %q", o, err, want)
			}
		})
	}
}

// TestShell reads testdata/shell/*.txt: cases of a script between lines of dashes, then one JSON command a line.
func TestShell(t *testing.T) {
	for _, file := range fixtures(t, "testdata/shell/*.txt") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(data), "\n====\n") {
			script, want, ok := strings.Cut(part, "\n----\n")
			if !ok {
				t.Fatalf("%s: case %d has no ---- line", file, i)
			}
			var got []string
			for _, c := range readScript(script) {
				got = append(got, showCommand(c))
			}
			if strings.Join(got, "\n") != strings.TrimRight(want, "\n") {
				t.Errorf("%s: case %d\n%s\ngot\n%s\nwant\n%s", file, i, script, strings.Join(got, "\n"), want)
			}
		}
	}
}

func showCommand(c *simple) string {
	var words strings.Builder
	enc := json.NewEncoder(&words)
	enc.SetEscapeHTML(false)
	enc.Encode(append([]string{c.name}, c.args...))
	s := strings.TrimSpace(words.String())
	for _, k := range slices.Sorted(maps.Keys(c.env)) {
		s += " env " + k + "=" + c.env[k]
	}
	if len(c.piped) > 0 {
		s += " piped " + strings.Join(c.piped, "|")
	}
	if c.within != "" {
		s += " within " + c.within
	}
	if len(c.writes) > 0 {
		s += " writes " + strings.Join(c.writes, ",")
	}
	return s
}

func TestIsDockerfile(t *testing.T) {
	for name, want := range map[string]bool{
		"Dockerfile": true, "dockerfile": true, "Dockerfile.prod": true, "Dockerfile.alpine-3.20": true, "app.Dockerfile": true,
		"app.dockerfile": true, "Containerfile": true, "Containerfile.fips": true, "web.containerfile": true, "Dockerfile.v1.2": true,
		"Dockerfile-dev": true, "Dockerfile_windows": true, "Dockerfile-release.arm64": true, "dockerfile-notes.md": false, "dockerfile.vim": false,
		"Dockerfile.dockerignore": false, "Containerfile.containerignore": false, "Dockerfile.md": false, "Dockerfile.tmpl": false,
		"Dockerfile.prod.j2": false, "Dockerfile~": false, "Dockerfile.": false, "Dockerfiles": false, "DockerfileBuilder": false,
		".dockerfile": false, "docker-compose.yml": false, "Makefile": false, "": false,
	} {
		if got := IsDockerfile(name); got != want {
			t.Errorf("IsDockerfile(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"ENV DB_PASSWORD=hunter2 A=b":                         "ENV DB_PASSWORD=*** A=b",
		"ENV DB_PASSWORD hunter2":                             "ENV DB_PASSWORD ***",
		`ARG TOKEN="a b"`:                                     "ARG TOKEN=***",
		"RUN git clone https://me:tok@host/x.git":             "RUN git clone https://***@host/x.git",
		"RUN curl -H 'Authorization: Bearer abcdef123456' x":  "RUN curl -H 'Authorization: Bearer ***' x",
		"RUN curl -u me:secretword https://x":                 "RUN curl -u me:*** https://x",
		"RUN echo root:toor | chpasswd":                       "RUN echo root:*** | chpasswd",
		"RUN --mount=type=secret,id=npm cat /run/secrets/npm": "RUN --mount=type=secret,id=npm cat /run/secrets/npm",
		"RUN login --password s3cr3t --user x":                "RUN login --password *** --user x",
		"ENV PASSWORD_FILE=/run/secrets/db":                   "ENV PASSWORD_FILE=/run/secrets/db",
		"# the token file is read at start":                   "# the token file is read at start",
		"ENV K=AKIAABCDEFGHIJKLMNOP":                          "ENV K=***",
	} {
		if got := redact(in); got != want {
			t.Errorf("redact(%q) = %q, want %q", in, got, want)
		}
	}
}

// checkJSON fails for anything that is no JSON value in the form that rules expect.
func checkJSON(t *testing.T, path string, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			checkJSON(t, inventory.JoinKey(path, k), e)
		}
	case []any:
		for i, e := range v {
			checkJSON(t, inventory.JoinIndex(path, i), e)
		}
	case string, bool, int64:
	default:
		t.Errorf("%s is a %T", path, v)
	}
}

func warningTexts(warnings []Warning) []string {
	var out []string
	for _, w := range warnings {
		out = append(out, fmt.Sprintf("%d %s: %s", w.Line, w.Code, w.Text))
	}
	return out
}

// checkList compares lists. A wanted entry begins like the one got, up to its first ": ", and names a part of the rest.
func checkList(t *testing.T, what string, got, want []string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		head, part, _ := strings.Cut(want[i], ": ")
		ok = strings.HasPrefix(got[i], head+": ") && strings.Contains(got[i], part)
	}
	if !ok {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func fixtures(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures at %s: %v", pattern, err)
	}
	return files
}

func sections(t *testing.T, file string) map[string]string {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range archive.Files {
		out[f.Name] = string(f.Data)
	}
	return out
}

func lines(text string) []string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}
