package check

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/inventory"
)

// memory is a file system in memory.
type memory map[string][]byte

type memoryFile struct {
	*bytes.Reader
	size int64
}

func (m memoryFile) Close() error      { return nil }
func (m memoryFile) Mode() fs.FileMode { return 0o644 }
func (m memoryFile) Size() int64       { return m.size }

func (m memory) Open(p string) (File, error) {
	data, ok := m[p]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return memoryFile{bytes.NewReader(data), int64(len(data))}, nil
}

func (m memory) List(dir string, most int) ([]string, error) {
	var out []string
	for p := range m {
		if rest, ok := strings.CutPrefix(p, strings.TrimSuffix(dir, "/")+"/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			if !slices.Contains(out, name) && len(out) < most {
				out = append(out, name)
			}
		}
	}
	if len(out) == 0 {
		return nil, fs.ErrNotExist
	}
	return out, nil
}

// endless never ends, as files of /proc may.
type endless struct{ memory }

func (endless) Open(string) (File, error) { return endlessFile{}, nil }

type endlessFile struct{ memoryFile }

func (endlessFile) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (endlessFile) Close() error                          { return nil }
func (endlessFile) Mode() fs.FileMode                     { return 0o444 }
func (endlessFile) Size() int64                           { return 0 }

func does(t *testing.T, name string, s *Subject, target *Target, a Args) Answer {
	t.Helper()
	c, ok := Find(name)
	if !ok {
		t.Fatal(name)
	}
	if err := c.Validate(a); err != nil {
		t.Fatal(err)
	}
	got := c.Run(t.Context(), s, target, a)
	if got.Said.EN == "" || !han.MatchString(got.Said.ZH) {
		t.Errorf("%s does not say it in both languages: %+v", name, got)
	}
	return got
}

// TestTable: every entry has a class, a need and a function, and with nothing at hand every check is unknown with its reason.
func TestTable(t *testing.T) {
	for _, c := range Table {
		if c.Class == Private { // README.md of emergencies, docs/agent.md, the agent's help, its values and the console say that there is none
			t.Errorf("%s is the first check that needs a private file: texts say that none does", c.Name)
		}
		if c.Name == "" || c.Class == "" || c.Needs == "" || c.Run == nil {
			t.Errorf("%+v", c)
		}
		got := c.Run(t.Context(), &Subject{}, &Target{Component: "x", Path: "/x"}, Args{"paths": []any{"/x"}, "text": "something", "form": "json", "key": "a", "any": []any{map[string]any{"root": true}},
			"name": "x", "module": "m", "least": "1", "setting": "s", "is": "y", "contains": "nothing there", "names": []any{"x"}, "entry": "e", "field": "user", "ids": []any{"x"}, "option": "o",
			"process": "p", "flag": "f", "prefix": "/x", "verbs": []any{"get"}, "resources": []any{"pods"}, "kind": "Pod", "port": 1})
		if c.Name == "library-path" { // needs the path alone
			continue
		}
		if got.Holds != Unknown || got.Said.EN == "" || !han.MatchString(got.Said.ZH) {
			t.Errorf("%s without anything: %+v", c.Name, got)
		}
	}
	for name, a := range map[string]Args{"file-contains": {"paths": "relative", "text": "something"}, "file-exists": {"paths": []any{"/a/../b"}}, "config-value": {"paths": "/a", "form": "magic", "key": "k"},
		"sysctl": {"name": "x"}, "containers": {"any": []any{map[string]any{"moon": "full"}}}, "answers-without-certificate": {"port": 99999}, "image-config": {"field": "user", "matches": "("},
		"go-module": {"module": "x", "least": "1", "exec": "sh"}} {
		c, _ := Find(name)
		if c.Validate(a) == nil {
			t.Errorf("%s took %v", name, a)
		}
	}
}

// TestContains finds bytes that lie across the pieces of a read, and ends on a file that does not.
func TestContains(t *testing.T) {
	want := []byte("possible container breakout detected")
	data := make([]byte, 2*piece+100)
	copy(data[piece-10:], want)
	s := &Subject{Files: memory{"/usr/sbin/runc": data, "/bin/other": data[:100]}}
	if a := does(t, "file-contains", s, &Target{Path: "/usr/sbin/runc"}, Args{"text": string(want)}); a.Holds != Yes {
		t.Errorf("%+v", a)
	}
	if a := does(t, "file-contains", s, &Target{Path: "usr/sbin/runc"}, Args{"text": string(want), "elf": true}); a.Holds != Unknown {
		t.Errorf("no ELF file: %+v", a)
	}
	if a := does(t, "file-contains", s, &Target{}, Args{"paths": "/bin/oth*", "hex": hex.EncodeToString(want)}); a.Holds != No {
		t.Errorf("%+v", a)
	}
	if a := does(t, "file-contains", s, &Target{Path: "/usr/sbin/runc", Container: "a/b/c"}, Args{"text": string(want)}); a.Holds != Unknown {
		t.Errorf("a file of a container was looked for on the host: %+v", a)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if a := fileContains(ctx, &Subject{Files: endless{}}, &Target{Path: "/dev/zero"}, Args{"text": string(want)}); a.Holds != Unknown {
		t.Errorf("an endless file: %+v", a)
	}
	if _, err := whole(endlessFile{}, mostConfig); !errors.Is(err, errTooLarge) {
		t.Error(err)
	}
}

// TestConfig reads each form, and takes what cannot be parsed for unknown.
func TestConfig(t *testing.T) {
	files := memory{
		"/a.json": []byte(`{"authorization-plugins":["opa"],"deep":{"er":{"x":1}}}`),
		"/a.yaml": []byte("auth:\n  - mode: none\n  - mode: jwt\n"),
		"/a.toml": []byte("disabled_plugins = [\"io.containerd.internal.v1.restart\"]\n[features]\nx = true\n"),
		"/a.ini":  []byte("; c\n[main]\nshiro.key = \"abc\"\n"),
		"/a.xml":  []byte(`<Server><!-- <Connector protocol="AJP/1.3" secretRequired="no"/> --><Connector port="8080" protocol="HTTP/1.1"/><Connector protocol="AJP/1.3" secretRequired="false"/></Server>`),
		"/sshd":   []byte("#LoginGraceTime 5\n LoginGraceTime 0\n"),
		"/broken": []byte("{"),
		"/bomb":   []byte("a: &a [1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f]\n"),
	}
	for _, tt := range []struct {
		args Args
		want Holds
	}{
		{Args{"paths": "/a.json", "form": "json", "key": "authorization-plugins"}, Yes},
		{Args{"paths": "/a.json", "form": "json", "key": "deep.er.x", "is": []any{1}}, Yes},
		{Args{"paths": "/a.json", "form": "json", "key": "deep.er.y", "missing": "no"}, No},
		{Args{"paths": "/a.yaml", "form": "yaml", "key": "auth.mode", "is": "none"}, Yes},
		{Args{"paths": "/a.yaml", "form": "yaml", "key": "auth.mode", "is": "basic"}, No},
		{Args{"paths": "/a.toml", "form": "toml", "key": "disabled_plugins", "contains": "restart"}, Yes},
		{Args{"paths": "/a.toml", "form": "toml", "key": "features.x", "is": "true"}, Yes},
		{Args{"paths": "/a.ini", "form": "ini", "key": "shiro.key", "is": "abc"}, Yes},
		{Args{"paths": "/a.xml", "form": "xml", "key": "Connector/secretRequired", "where": map[string]any{"protocol": "AJP"}, "is": "false"}, Yes},
		{Args{"paths": "/a.xml", "form": "xml", "key": "Connector/secret", "where": map[string]any{"protocol": "AJP"}, "missing": "yes"}, Yes},
		{Args{"paths": "/a.xml", "form": "xml", "key": "Connector/secret", "where": map[string]any{"protocol": "SMTP"}, "missing": "yes"}, No},
		{Args{"paths": "/sshd", "form": "words", "key": "LoginGraceTime", "is": "0"}, Yes},
		{Args{"paths": "/broken", "form": "json", "key": "a"}, Unknown},
		{Args{"paths": "/broken", "form": "xml", "key": "a/b"}, No},
		{Args{"paths": "/bomb", "form": "yaml", "key": "z"}, Unknown},
		{Args{"paths": "/none", "form": "yaml", "key": "z", "missing": "no"}, No},
	} {
		if a := does(t, "config-value", &Subject{Files: files}, &Target{}, tt.args); a.Holds != tt.want {
			t.Errorf("%v: %+v", tt.args, a)
		}
	}
}

func jarOf(t testing.TB, entries map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, data := range entries {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestJar looks into archives in archives, by the end of an entry's name, and refuses those without an end. The archives are made here.
func TestJar(t *testing.T) {
	inner := jarOf(t, map[string][]byte{"shaded/log4j/core/lookup/JndiLookup.class": []byte("x"), "shaded/log4j/core/net/JndiManager.class": []byte("..log4j2.enableJndi..")})
	war := jarOf(t, map[string][]byte{"WEB-INF/lib/log4j-core.jar": inner})
	deep := inner
	for range mostNesting + 2 {
		deep = jarOf(t, map[string][]byte{"a.jar": deep})
	}
	s := &Subject{Files: memory{"/app.war": war, "/deep.jar": deep, "/cut.jar": war[:len(war)-30], "/no.jar": jarOf(t, map[string][]byte{"a.txt": nil})}}
	for _, tt := range []struct {
		path, entry, text string
		want              Holds
	}{
		{"app.war!/WEB-INF/lib/log4j-core.jar", "core/lookup/JndiLookup.class", "", Yes},
		{"app.war", "core/net/JndiManager.class", "log4j2.enableJndi", Yes},
		{"app.war", "core/net/JndiManager.class", "nothing of it", No},
		{"no.jar", "core/lookup/JndiLookup.class", "", No},
		{"deep.jar", "core/lookup/JndiLookup.class", "", Unknown},
		{"cut.jar", "core/lookup/JndiLookup.class", "", Unknown},
		{"none.jar", "core/lookup/JndiLookup.class", "", Unknown},
	} {
		a := Args{"entry": tt.entry}
		if tt.text != "" {
			a["text"] = tt.text
		}
		if got := does(t, "jar-entry", s, &Target{Path: tt.path}, a); got.Holds != tt.want {
			t.Errorf("%+v: %+v", tt, got)
		}
	}
}

// TestRequest: one GET and no more, an end for who says nothing, and refusals told apart from silence.
func TestRequest(t *testing.T) {
	var asked bytes.Buffer
	plain := func(answer string) func(context.Context, int) (Conn, error) {
		return func(context.Context, int) (Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				buf := make([]byte, 512)
				n, _ := theirs.Read(buf)
				asked.Reset()
				asked.Write(buf[:n])
				io.WriteString(theirs, answer)
				theirs.Close()
			}()
			return ours, nil
		}
	}
	a := Args{"port": 2379, "tls": "no", "path": "/version"}
	if got := does(t, "answers-without-certificate", &Subject{Dial: plain("HTTP/1.0 200 OK\r\n\r\n")}, &Target{}, a); got.Holds != Yes {
		t.Errorf("%+v", got)
	}
	if got := asked.String(); got != "GET /version HTTP/1.0\r\nHost: localhost\r\nUser-Agent: stockade\r\n\r\n" {
		t.Errorf("%q was sent", got)
	}
	if got := does(t, "answers-without-certificate", &Subject{Dial: plain("SSH-2.0-x\r\n")}, &Target{}, a); got.Holds != Unknown {
		t.Errorf("%+v", got)
	}
	refused := func(context.Context, int) (Conn, error) { return nil, errors.New("connect: connection refused") }
	if got := does(t, "answers-without-certificate", &Subject{Dial: refused}, &Target{}, a); got.Holds != No {
		t.Errorf("%+v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	silent := func(context.Context, int) (Conn, error) { ours, _ := net.Pipe(); return ours, nil }
	if got := answersWithoutCertificate(ctx, &Subject{Dial: silent}, &Target{}, a); got.Holds != Unknown {
		t.Errorf("%+v", got)
	}
}

// TestFacts asks facts of the kernel and of processes.
func TestFacts(t *testing.T) {
	no := false
	s := &Subject{Facts: &inventory.NodeFacts{Sysctls: map[string]string{"user.max_user_namespaces": "100", "kernel.unprivileged_userns_clone": "1"},
		Kernel:    &inventory.KernelFacts{Modules: []string{"overlay"}, Blocked: []string{"nf_tables"}, Cgroup: "v2", Config: map[string]string{"CONFIG_USER_NS": "y"}},
		Processes: []inventory.ProcessFact{{Name: "etcd", Args: []string{"etcd", "--client-cert-auth", "--listen-client-urls", "https://127.0.0.1:2379"}}},
		Listening: []inventory.ListenFact{{Address: "127.0.0.1", Port: 2379, Process: "etcd"}, {Address: "::", Port: 22, Process: "sshd", Declared: &no}},
		Skipped:   []inventory.SkipFact{{Check: "containers", Reason: "no socket"}}},
		Files: memory{"/proc/1/net/unix": []byte("Num RefCount Protocol Flags Type St Inode Path\n0: 00000002 00000000 00010000 0001 01 1 @/containerd-shim/a@\n1: 0 0 0 0 01 2\n")}}
	for _, tt := range []struct {
		name string
		args Args
		want Holds
	}{
		{"user-namespaces", nil, Yes},
		{"kernel-module", Args{"name": "nf_tables"}, No},
		{"kernel-module", Args{"name": "overlay"}, Yes},
		{"kernel-module", Args{"name": "other"}, Yes},
		{"kernel-config", Args{"option": "CONFIG_USER_NS", "is": "y"}, Yes},
		{"cgroup-v1", nil, No},
		{"sysctl", Args{"name": "user.max_user_namespaces", "is": "100"}, Yes},
		{"sysctl", Args{"name": "none", "is": "1", "missing": "no"}, No},
		{"process-flag", Args{"process": "etcd", "flag": "client-cert-auth", "is": "true"}, Yes},
		{"process-flag", Args{"process": "etcd", "flag": "listen-client-urls", "contains": "0.0.0.0"}, No},
		{"process-flag", Args{"process": "dockerd", "flag": "x", "missing": "no"}, Unknown},
		{"process-running", Args{"names": "etcd"}, Yes},
		{"listening", Args{"ports": 2379, "outside": true}, No},
		{"listening", Args{"ports": 22, "outside": true}, Yes},
		{"listening", Args{"ports": 23}, No},
		{"containers", Args{"any": []any{map[string]any{"root": true}}}, Unknown},
		{"abstract-socket", Args{"prefix": "/containerd-shim/"}, Yes},
		{"abstract-socket", Args{"prefix": "/other/"}, No},
	} {
		if got := does(t, tt.name, s, &Target{}, tt.args); got.Holds != tt.want {
			t.Errorf("%s %v: %+v", tt.name, tt.args, got)
		}
	}
	s.Facts.Sysctls["kernel.unprivileged_userns_clone"] = "0"
	if got := does(t, "user-namespaces", s, &Target{}, nil); got.Holds != No {
		t.Errorf("%+v", got)
	}
}

// TestEvidence keeps control characters and endless names out of what people read.
func TestEvidence(t *testing.T) {
	got := clean("%s has it", "/tmp/\x1b[31m\u202eevil\n"+strings.Repeat("x", 5000))
	if len(got) > mostEvidence+10 || strings.ContainsAny(got, "\x1b\n") || strings.ContainsRune(got, 0x202e) {
		t.Errorf("%q", got)
	}
}

// FuzzJar: whatever an archive is, the search ends with an answer.
func FuzzJar(f *testing.F) {
	inner := jarOf(f, map[string][]byte{"a/core/lookup/JndiLookup.class": []byte("xx")})
	f.Add(inner)
	f.Add(jarOf(f, map[string][]byte{"lib/a.jar": inner}))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &Subject{Files: memory{"/a.jar": data}}
		a := jarEntry(t.Context(), s, &Target{Path: "/a.jar"}, Args{"entry": "core/lookup/JndiLookup.class"})
		if a.Said.EN == "" {
			t.Errorf("%+v", a)
		}
	})
}

// FuzzConfig: whatever a configuration file is, looking a value up ends with an answer.
func FuzzConfig(f *testing.F) {
	for i, form := range []string{"yaml", "json", "toml", "xml", "ini", "words"} {
		f.Add(byte(i), []byte("a: 1\n[b]\nc=2\n<Connector a='1'/>"), "a.b")
		_ = form
	}
	f.Fuzz(func(t *testing.T, form byte, data []byte, key string) {
		forms := []string{"yaml", "json", "toml", "xml", "ini", "words"}
		values, _, err := lookUp(data, forms[int(form)%len(forms)], key, map[string]string{"a": "1"})
		if err != nil && len(values) > 0 {
			t.Errorf("%q beside %v", values, err)
		}
	})
}

// FuzzProgram: whatever a program's bytes are, asking for its modules and its texts ends with an answer.
func FuzzProgram(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Add(append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 8<<10)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &Subject{Files: memory{"/bin/x": data}}
		for _, name := range []string{"go-module", "file-contains"} {
			c, _ := Find(name)
			a := c.Run(t.Context(), s, &Target{Path: "/bin/x"}, Args{"module": "m", "least": "v1.0.0", "text": "something to find", "elf": true})
			if a.Said.EN == "" || a.Holds == "" {
				t.Errorf("%s: %+v", name, a)
			}
		}
	})
}
