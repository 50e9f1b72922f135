package node

import (
	"net/netip"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// listening notes who listens on the node and in the networks of its containers.
func (r *reader) listening() {
	if r.procs == nil || r.o.NoListening {
		return
	}
	sockets, errs := r.procs.Listening()
	for _, err := range errs {
		r.lacks("", "listening", "CAP_SYS_PTRACE, or /proc/PID/net", err)
	}
	home := ""
	if p := r.procs.Process(1); p != nil {
		home = p.NetNS
	}
	for _, s := range sockets {
		f := inventory.ListenFact{Address: address(s.Address), Port: s.Port}
		if s.Owner != nil {
			f.Process = printable(programOf(s.Owner))
		}
		if s.Member.NetNS != home { // pods with a network of their own
			who := s.Owner
			if who == nil {
				who = s.Member
			}
			f.Container = r.in(who)
		}
		r.facts.Listening = append(r.facts.Listening, f)
	}
	for i := range r.units { // systemd listens for socket units
		u := &r.units[i]
		if strings.HasSuffix(u.name, ".socket") && len(u.values["ListenStream"]) > 0 {
			for _, l := range r.facts.Listening {
				port := l.Container == "" && (l.Process == "systemd" || l.Process == "sshd")
				for _, at := range u.values["ListenStream"] {
					if port && (at == strconv.Itoa(l.Port) || strings.HasSuffix(at, ":"+strconv.Itoa(l.Port))) {
						r.activate(u.name)
					}
				}
			}
		}
	}
}

func (r *reader) activate(name string) {
	for i := range r.facts.Services {
		if r.facts.Services[i].Name == name {
			r.facts.Services[i].Active = true
		}
	}
}

func address(a netip.Addr) string {
	if a.Is4In6() {
		return "::ffff:" + a.Unmap().String()
	}
	return a.String()
}
