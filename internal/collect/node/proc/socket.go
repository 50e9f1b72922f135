package proc

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/collect/node/host"
)

// Limits of sockets.
const (
	maxSockets = 20_000 // lines of a table
	maxTable   = 16 << 20
	maxFiles   = 4096    // open files of one process that are looked at
	maxLooks   = 400_000 // of all processes
)

// Socket is a listening TCP socket.
type Socket struct {
	Address netip.Addr
	Port    int
	Inode   uint64
	Owner   *Process // nil when it is not known
	Member  *Process // a process of the network namespace that it was found in
}

// Listening returns the listening sockets of every network namespace that a process is in, with their owners where these can be
// seen. The errors say what could not be read.
func (t *Table) Listening() ([]Socket, []error) {
	members := map[string]*Process{}
	var order []string
	for _, p := range t.Processes {
		if _, ok := members[p.NetNS]; !ok {
			members[p.NetNS] = p
			order = append(order, p.NetNS)
		}
	}
	var out []Socket
	var errs []error
	for _, ns := range order {
		if ns == "" {
			if err := t.unshown(); err != nil {
				errs = append(errs, fmt.Errorf("some processes do not show their network namespace: %w", err))
			}
			continue
		}
		found, err := t.namespace(ns, members[ns])
		if err != nil {
			errs = append(errs, err)
		}
		out = append(out, found...)
	}
	t.own(out)
	return out, errs
}

// unshown says why processes do not show their network namespace; nil when they have all ended since.
func (t *Table) unshown() error {
	var why error
	for _, p := range t.Processes {
		if p.NetNS != "" {
			continue
		}
		if p.refused {
			return fs.ErrPermission
		}
		if _, err := t.Root.Stat("/" + strconv.Itoa(p.PID)); err == nil {
			why = fs.ErrNotExist
		}
	}
	return why
}

// namespace reads the sockets of a network namespace through any process in it that still runs.
func (t *Table) namespace(ns string, first *Process) ([]Socket, error) {
	var last error
	for _, p := range t.Processes {
		if p.NetNS != ns || p.PID < first.PID {
			continue
		}
		var out []Socket
		dir := strconv.Itoa(p.PID)
		four, whole, err := t.head(dir + "/net/tcp")
		if err != nil {
			last = err
			continue
		}
		out = Sockets(four, out)
		if six, all, err := t.head(dir + "/net/tcp6"); err == nil {
			out, whole = Sockets(six, out), whole && all
		}
		for i := range out {
			out[i].Member = p
		}
		if !whole || len(out) >= maxSockets {
			return out, fmt.Errorf("sockets of a network namespace: %w", host.ErrTooLarge)
		}
		return out, nil
	}
	return nil, fmt.Errorf("sockets of a network namespace: %w", last)
}

// head reads the beginning of a table of sockets. Those that listen come first (tcp_seq_start of the kernel): it is whole when
// connections are what was left out.
func (t *Table) head(name string) (table string, whole bool, err error) {
	f, _, err := t.Root.Open(name)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTable))
	if err != nil || len(data) < maxTable {
		return string(data), err == nil, err
	}
	end := bytes.LastIndexByte(data, '\n') + 1
	last := bytes.Fields(data[bytes.LastIndexByte(data[:max(end-1, 0)], '\n')+1 : end])
	return string(data[:end]), len(last) > 3 && string(last[3]) != "0A", nil
}

// Sockets adds the listening sockets of a table in the form of /proc/net/tcp and tcp6.
func Sockets(table string, out []Socket) []Socket {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != "0A" || len(out) >= maxSockets {
			continue
		}
		addr, port, ok := endpoint(f[1])
		inode, err := strconv.ParseUint(f[9], 10, 64)
		if ok && err == nil {
			out = append(out, Socket{Address: addr, Port: port, Inode: inode})
		}
	}
	return out
}

// endpoint reads "0100007F:1F90": words of four bytes in the order of the machine, which is little-endian wherever Kubernetes runs
// but on s390x.
func endpoint(s string) (netip.Addr, int, bool) {
	host, port, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	n, perr := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || perr != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.Addr{}, 0, false
	}
	for i := 0; i < len(raw) && !bigEndian; i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	addr, ok := netip.AddrFromSlice(raw)
	return addr, int(n), ok
}

// own finds who holds the sockets: by the open files of the processes, those of the same namespace.
func (t *Table) own(sockets []Socket) {
	wanted, spaces := map[string][]int{}, map[string]int{}
	for i, s := range sockets {
		key := fmt.Sprintf("socket:[%d]", s.Inode)
		wanted[key] = append(wanted[key], i)
		spaces[s.Member.NetNS]++
	}
	looks := 0
	for _, p := range t.Processes {
		if len(wanted) == 0 || looks > maxLooks {
			return
		}
		if spaces[p.NetNS] == 0 {
			continue
		}
		dir := strconv.Itoa(p.PID) + "/fd"
		files, err := t.Root.List(dir, maxFiles)
		if err != nil && len(files) == 0 {
			continue
		}
		for _, f := range files {
			looks++
			target, err := t.Root.Readlink(dir + "/" + f.Name)
			if err != nil {
				continue
			}
			for _, i := range wanted[target] {
				sockets[i].Owner = p
			}
			delete(wanted, target)
		}
	}
}
