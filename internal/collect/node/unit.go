package node

import (
	"path"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// unit is a systemd unit as its files say (systemd.unit(5)): never by asking systemd.
type unit struct {
	name    string
	path    string   // of the unit file
	files   []string // with its drop-ins
	values  map[string][]string
	enabled bool
	active  bool
}

// unitDirs are where units are, the strongest first.
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// unitNames are the units of interest; "*" stands for any text at the end.
var unitNames = []string{"kubelet", "kube-proxy", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "containerd", "docker", "cri-docker",
	"crio", "cri-o", "k3s*", "rke2*", "k0s*", "snap.microk8s*", "ssh", "sshd", "dropbear", "telnet", "telnetd", "auditd", "apparmor", "firewalld", "rpcbind", "isulad", "kubepods"}

func ofInterest(base string) bool {
	name, ext, ok := cutLast(base, ".")
	if !ok || ext != "service" && ext != "socket" {
		return false
	}
	return slices.ContainsFunc(unitNames, func(n string) bool {
		if front, any := strings.CutSuffix(n, "*"); any {
			return strings.HasPrefix(name, front)
		}
		return name == n
	})
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// readUnits reads the units of interest.
func (r *reader) readUnits() {
	at := map[string]string{}
	enabled, links := map[string]bool{}, map[string]string{}
	for _, dir := range unitDirs {
		entries, err := r.root.List(dir, 20_000)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if ofInterest(e.Name) && at[e.Name] == "" {
				at[e.Name] = dir + "/" + e.Name
				if target, err := r.root.Readlink(dir + "/" + e.Name); err == nil { // an alias, or a mask
					links[e.Name] = path.Base(target)
				}
			}
			if !strings.HasSuffix(e.Name, ".wants") && !strings.HasSuffix(e.Name, ".requires") {
				continue
			}
			wanted, _ := r.root.List(dir+"/"+e.Name, 1000)
			for _, w := range wanted {
				enabled[w.Name] = enabled[w.Name] || ofInterest(w.Name)
			}
		}
	}
	names := make([]string, 0, len(at))
	for n := range at {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		if links[n] == "null" { // masked: it cannot start
			continue
		}
		u := unit{name: n, path: at[n], enabled: enabled[n] || enabled[links[n]], values: map[string][]string{}}
		u.files = append([]string{u.path}, r.dropIns(n)...)
		for _, f := range u.files {
			if data, err := r.root.ReadFile(f, maxConfig); err == nil {
				u.add(string(data))
			} else if f == u.path {
				r.skip("services/"+n, "the file "+f, err)
			}
		}
		u.active = r.running(n)
		r.units = append(r.units, u)
	}
}

// dropIns are the files that change a unit, in the order in which they count.
func (r *reader) dropIns(name string) []string {
	byBase := map[string]string{}
	for _, dir := range slices.Backward(unitDirs) {
		entries, err := r.root.List(dir+"/"+name+".d", 1000)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name, ".conf") {
				byBase[e.Name] = dir + "/" + name + ".d/" + e.Name
			}
		}
	}
	bases := make([]string, 0, len(byBase))
	for b := range byBase {
		bases = append(bases, b)
	}
	slices.Sort(bases)
	var out []string
	for _, b := range bases {
		out = append(out, byBase[b])
	}
	return out
}

// add reads the settings of a file over those before. An empty value empties a list.
func (u *unit) add(text string) {
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		if !ok || line[0] == '#' || line[0] == ';' || len(u.values[key]) > 100 {
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if value == "" {
			delete(u.values, key)
			continue
		}
		u.values[key] = append(u.values[key], value)
	}
}

// running reports whether a process belongs to a service, or somebody listens for a socket unit.
func (r *reader) running(name string) bool {
	if r.procs == nil {
		return false
	}
	for _, p := range r.procs.Processes {
		if p.Unit == name && p.Container == "" {
			return true
		}
	}
	return false
}

// unitOf returns the unit of a program; nil when there is none.
func (r *reader) unitOf(name string) *unit {
	for i := range r.units {
		if r.units[i].name == name+".service" {
			return &r.units[i]
		}
	}
	return nil
}

// command is what a unit would start, with the variables of its environment files put in.
func (r *reader) command(u *unit) []string {
	starts := u.values["ExecStart"]
	if len(starts) == 0 {
		return nil
	}
	env := map[string]string{}
	for _, e := range u.values["Environment"] {
		for _, word := range words(e) {
			if k, v, ok := strings.Cut(word, "="); ok {
				env[k] = v
			}
		}
	}
	for _, f := range u.values["EnvironmentFile"] {
		data, err := r.root.ReadFile(strings.TrimPrefix(f, "-"), maxConfig)
		if err != nil {
			continue
		}
		for k, v := range assignments(string(data)) {
			env[k] = v
		}
	}
	var out []string
	for _, w := range words(starts[len(starts)-1]) {
		if len(out) == 0 {
			w = strings.TrimLeft(w, "-@:+!|")
		}
		if v, ok := strings.CutPrefix(w, "$"); ok && !strings.HasPrefix(v, "{") { // alone: split at blanks
			out = append(out, words(env[v])...)
			continue
		}
		for range 20 {
			before, rest, ok := strings.Cut(w, "${")
			v, after, closed := strings.Cut(rest, "}")
			if !ok || !closed {
				break
			}
			w = before + env[v] + after
		}
		out = append(out, w)
	}
	return out
}

// words splits at blanks outside quotes.
func words(s string) []string {
	var out []string
	var b strings.Builder
	quote, in := byte(0), false
	for i := range len(s) {
		c := s[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, in = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if in {
				out = append(out, b.String())
				b.Reset()
				in = false
			}
		default:
			b.WriteByte(c)
			in = true
		}
	}
	if in {
		out = append(out, b.String())
	}
	return out
}

// services makes facts of the units.
func (r *reader) services() {
	for _, u := range r.units {
		f := inventory.ServiceFact{Name: printable(u.name), Enabled: u.enabled, Active: u.active}
		if strings.HasSuffix(u.name, ".service") {
			f.Properties = map[string]string{}
			for _, key := range []string{"IPAddressDeny", "IPAddressAllow"} {
				f.Properties[key] = printable(strings.Join(u.values[key], " "))
			}
		}
		r.facts.Services = append(r.facts.Services, f)
	}
}
