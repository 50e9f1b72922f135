package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"stockade.dev/stockade/internal/collect/node/proc"
	"stockade.dev/stockade/internal/inventory"
)

// runtime reads which container runtime the kubelet uses, and its configuration.
func (r *reader) runtime() {
	socket := r.endpoint()
	f := &r.facts.Runtime
	for _, c := range []struct{ name, program, socket string }{
		{"containerd", "containerd", "containerd"}, {"cri-o", "crio", "crio"}, {"docker", "dockerd", "docker"}} {
		p := r.process(c.program)
		if p != nil && p.Container != "" {
			p = nil // docker in docker is not the node's
		}
		u := r.unitOf(c.program)
		if u == nil && c.program == "dockerd" {
			u = r.unitOf("docker")
		}
		if p == nil && (u == nil || r.procs != nil) {
			continue
		}
		if f.Name != "" && !strings.Contains(socket, c.socket) {
			continue // what the kubelet uses goes before what runs beside it
		}
		f.Name, f.Socket = c.name, printable(socket)
		var args []string
		if p != nil && len(p.Args) > 0 {
			args = p.Args[1:]
		} else if u != nil {
			if line := r.command(u); len(line) > 0 {
				args = line[1:]
			}
		}
		v := r.view(p)
		switch c.program {
		case "containerd":
			f.Settings = r.containerd(v, p, args)
		case "crio":
			f.Settings = r.crio(v, args)
		case "dockerd":
			f.Settings = r.docker(v, args)
		}
	}
	if f.Name == "" && r.process("isulad") != nil {
		f.Name, f.Socket = "isulad", printable(socket)
	}
	if f.Name == "" {
		r.skip("runtime", "containerd, CRI-O or Docker", errAbsent)
	}
}

// endpoint is the runtime's socket that the kubelet is told to use.
func (r *reader) endpoint() string {
	if k := r.facts.Kubelet; k != nil {
		e := k.Flags["container-runtime-endpoint"]
		if e == "" {
			e = inventory.Str(k.Config, "containerRuntimeEndpoint")
		}
		return strings.TrimPrefix(e, "unix://")
	}
	return ""
}

func is(v any) *bool {
	if b, ok := v.(bool); ok {
		return &b
	}
	return nil
}

// option is the value of a daemon's flag in the forms "--flag value", "--flag=value" and "-f value".
func option(args []string, names ...string) string {
	for i, a := range args {
		key, value, ok := strings.Cut(a, "=")
		if slices.Contains(names, key) {
			if !ok && i+1 < len(args) {
				value = args[i+1]
			}
			return value
		}
	}
	return ""
}

// tables reads a TOML file and what it imports, each over what was before.
func (r *reader) tables(v view, file string, depth int) (map[string]any, error) {
	data, err := v.root.ReadFile(file, maxConfig)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	if _, err := toml.Decode(string(data), &out); err != nil {
		return nil, errorf("it is no TOML", err) // a parser's error may quote what it read
	}
	for _, x := range inventory.Strs(out, "imports") {
		if depth > 2 {
			break
		}
		if !strings.HasPrefix(x, "/") {
			x = path.Join(path.Dir(file), x)
		}
		for _, p := range v.root.Glob(x, 100) {
			if more, err := r.tables(v, p, depth+1); err == nil {
				merge(out, more)
			} else if !errors.Is(err, fs.ErrNotExist) {
				r.skip("runtime", "the file "+printable(p), err)
			}
		}
	}
	return out, nil
}

// containerd reads config.toml of versions 1 to 3.
func (r *reader) containerd(v view, p *proc.Process, args []string) *inventory.RuntimeSettings {
	file := v.at(option(args, "--config", "-c", "-config"))
	if file == "" {
		file = "/etc/containerd/config.toml"
	}
	s := &inventory.RuntimeSettings{}
	t, err := r.tables(v, file, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s // the defaults hold
	case err != nil:
		r.skip("runtime", "the file "+printable(file), err)
		return nil
	}
	r.fileIn(v, "runtime-config", file)
	s.Path = printable(file)
	if at := inventory.Str(t, "grpc", "tcp_address"); at != "" {
		s.Listen = append(s.Listen, "tcp://"+printable(at))
		verify := inventory.Str(t, "grpc", "tcp_tls_ca") != ""
		s.Verify = &verify
	}
	if at := inventory.Str(t, "grpc", "address"); at != "" && r.facts.Runtime.Socket == "" {
		r.facts.Runtime.Socket = printable(at)
	}
	if at := option(args, "--address", "-a"); at != "" {
		r.facts.Runtime.Socket = printable(at)
	}
	plugins := inventory.Map(t, "plugins")
	for _, name := range []string{"cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"} {
		cri := inventory.Map(plugins, name)
		if cri == nil {
			continue
		}
		if b := is(cri["enable_selinux"]); b != nil {
			s.SELinux = b
		}
		if b := is(cri["disable_apparmor"]); b != nil {
			on := !*b
			s.AppArmor = &on
		}
		if u := inventory.Str(cri, "unset_seccomp_profile"); u != "" {
			s.Seccomp = printable(u)
		}
		for handler, x := range inventory.Map(cri, "containerd", "runtimes") {
			s.Handlers = append(s.Handlers, printable(handler))
			if m, ok := x.(map[string]any); ok && handler == "runc" {
				s.NoHostDevices = is(m["privileged_without_host_devices"])
			}
		}
		registry := inventory.Map(cri, "registry")
		for host, x := range inventory.Map(registry, "configs") {
			m, _ := x.(map[string]any)
			if b, ok := inventory.Map(m, "tls")["insecure_skip_verify"].(bool); ok && b {
				s.Insecure = append(s.Insecure, printable(host))
			}
			if len(inventory.Map(m, "auth")) > 0 {
				s.Auth = append(s.Auth, printable(host))
			}
		}
		for host, x := range inventory.Map(registry, "mirrors") {
			m, _ := x.(map[string]any)
			for _, e := range inventory.Strs(m, "endpoint") {
				if plainHTTP(e) {
					s.Insecure = append(s.Insecure, printable(host))
				}
			}
		}
		if dir := inventory.Str(registry, "config_path"); dir != "" {
			r.hosts(v, dir, s)
		}
	}
	if nri := inventory.Map(plugins, "io.containerd.nri.v1.nri"); nri != nil {
		if off := is(nri["disable"]); off != nil {
			on := !*off
			s.NRI = &on
		}
	}
	settle(s)
	return s
}

// plainHTTP reports whether a registry is asked without TLS elsewhere than on the node itself.
func plainHTTP(endpoint string) bool {
	host, ok := strings.CutPrefix(endpoint, "http://")
	host, _, _ = strings.Cut(host, "/")
	return ok && !strings.HasPrefix(host, "127.") && !strings.HasPrefix(host, "localhost") && !strings.HasPrefix(host, "[::1]")
}

// hosts reads containerd's folder of registries: a folder for each host with a hosts.toml.
func (r *reader) hosts(v view, dirs string, s *inventory.RuntimeSettings) {
	for dir := range strings.SplitSeq(dirs, ":") {
		for _, file := range v.root.Glob(dir+"/*/hosts.toml", 1000) {
			name := path.Base(path.Dir(file))
			t, err := r.tables(v, file, 9)
			if err != nil {
				r.skip("runtime", "the file "+printable(file), err)
				continue
			}
			insecure := plainHTTP(inventory.Str(t, "server"))
			if b := is(t["skip_verify"]); b != nil && *b {
				insecure = true
			}
			for endpoint, x := range inventory.Map(t, "host") {
				m, _ := x.(map[string]any)
				if b := is(m["skip_verify"]); b != nil && *b || plainHTTP(endpoint) {
					insecure = true
				}
				for key := range inventory.Map(m, "header") {
					if strings.EqualFold(key, "authorization") {
						s.Auth = append(s.Auth, printable(name))
					}
				}
			}
			if insecure {
				s.Insecure = append(s.Insecure, printable(name))
			}
		}
	}
}

// crio reads crio.conf and its drop-ins, and registries.conf.
func (r *reader) crio(v view, args []string) *inventory.RuntimeSettings {
	file := v.at(option(args, "--config", "-c"))
	if file == "" {
		file = "/etc/crio/crio.conf"
	}
	s := &inventory.RuntimeSettings{}
	all := map[string]any{}
	for _, f := range append([]string{file}, append(v.root.Glob("/etc/crio/crio.conf.d/*", 200), v.root.Glob("/usr/lib/crio/crio.conf.d/*", 200)...)...) {
		t, err := r.tables(v, f, 9)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				r.skip("runtime", "the file "+printable(f), err)
			}
			continue
		}
		r.fileIn(v, "runtime-config", f)
		s.Path = printable(file)
		merge(all, t)
	}
	run := inventory.Map(all, "crio", "runtime")
	s.SELinux = is(run["selinux"])
	s.Seccomp = printable(inventory.Str(run, "seccomp_profile"))
	if p := inventory.Str(run, "apparmor_profile"); p != "" {
		on := p != "unconfined"
		s.AppArmor = &on
	}
	for _, c := range inventory.Strs(run, "default_capabilities") {
		s.Caps = append(s.Caps, printable(c))
	}
	if n, ok := run["pids_limit"].(int64); ok {
		s.PIDs = &n
	}
	for handler := range inventory.Map(run, "runtimes") {
		s.Handlers = append(s.Handlers, printable(handler))
	}
	for _, h := range inventory.Strs(all, "crio", "image", "insecure_registries") {
		s.Insecure = append(s.Insecure, printable(h))
	}
	if b := is(inventory.Map(all, "crio", "nri")["enable_nri"]); b != nil {
		s.NRI = b
	}
	for _, f := range append([]string{"/etc/containers/registries.conf"}, v.root.Glob("/etc/containers/registries.conf.d/*", 200)...) {
		t, err := r.tables(v, f, 9)
		if err != nil {
			continue
		}
		for _, x := range list(t["registry"]) {
			for _, m := range append([]map[string]any{x}, list(x["mirror"])...) {
				if b := is(m["insecure"]); b != nil && *b {
					s.Insecure = append(s.Insecure, printable(inventory.Str(m, "location")))
				}
			}
		}
	}
	settle(s)
	return s
}

// list is an array of tables, which the TOML decoder gives in a type of its own.
func list(v any) []map[string]any {
	switch v := v.(type) {
	case []map[string]any:
		return v
	case []any:
		var out []map[string]any
		for _, x := range v {
			if m, ok := x.(map[string]any); ok {
				out = append(out, m)
			}
		}
		return out
	}
	return nil
}

// docker reads daemon.json with the daemon's flags.
func (r *reader) docker(v view, args []string) *inventory.RuntimeSettings {
	file := v.at(option(args, "--config-file"))
	if file == "" {
		file = "/etc/docker/daemon.json"
	}
	s := &inventory.RuntimeSettings{}
	doc := map[string]any{}
	data, err := v.root.ReadFile(file, maxConfig)
	switch {
	case err == nil:
		if err := json.Unmarshal(data, &doc); err != nil {
			r.skip("runtime", "the file "+printable(file), errorf("it is no JSON", fs.ErrInvalid))
			return nil
		}
		r.fileIn(v, "runtime-config", file)
		s.Path = printable(file)
	case !errors.Is(err, fs.ErrNotExist):
		r.skip("runtime", "the file "+printable(file), err)
		return nil
	}
	hosts := inventory.Strs(doc, "hosts")
	for i, a := range args {
		key, value, ok := strings.Cut(a, "=")
		if !ok && i+1 < len(args) {
			value = args[i+1]
		}
		switch key {
		case "-H", "--host":
			hosts = append(hosts, value)
		case "--insecure-registry":
			s.Insecure = append(s.Insecure, printable(value))
		case "--tlsverify", "--icc", "--live-restore", "--no-new-privileges", "--selinux-enabled":
			name := map[string]string{"--tlsverify": "tlsverify", "--icc": "icc", "--live-restore": "live-restore", "--no-new-privileges": "no-new-privileges", "--selinux-enabled": "selinux-enabled"}[key]
			doc[name] = !ok || value == "true"
		case "--userns-remap":
			doc["userns-remap"] = value
		}
	}
	for _, h := range hosts {
		if strings.HasPrefix(h, "tcp://") {
			s.Listen = append(s.Listen, printable(h))
		}
	}
	for _, h := range inventory.Strs(doc, "insecure-registries") {
		s.Insecure = append(s.Insecure, printable(h))
	}
	s.Verify, s.ICC, s.Live, s.NoNew, s.SELinux = is(doc["tlsverify"]), is(doc["icc"]), is(doc["live-restore"]), is(doc["no-new-privileges"]), is(doc["selinux-enabled"])
	s.UserNS, s.Seccomp = printable(inventory.Str(doc, "userns-remap")), printable(inventory.Str(doc, "seccomp-profile"))
	for handler := range inventory.Map(doc, "runtimes") {
		s.Handlers = append(s.Handlers, printable(handler))
	}
	settle(s)
	return s
}

func settle(s *inventory.RuntimeSettings) {
	for _, l := range []*[]string{&s.Listen, &s.Insecure, &s.Auth, &s.Caps, &s.Handlers} {
		slices.Sort(*l)
		*l = slices.Compact(*l)
		if len(*l) > 500 {
			*l = append((*l)[:500], fmt.Sprintf("and %d more", len(*l)-500))
		}
	}
}
