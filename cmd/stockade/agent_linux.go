package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/agent"
	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/collect/image/malware"
	"stockade.dev/stockade/internal/collect/node"
	"stockade.dev/stockade/internal/collect/node/container"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/thrift"
)

// agentToken holds the agent's token: arguments can be seen by every process of a machine.
const agentToken = "STOCKADE_AGENT_TOKEN"

// agentMemory is what the work of an agent may use unless the user says otherwise.
const agentMemory = 96 << 20

// patience has a node that is always under pressure looked at before what is known of it is too old to count (nodes.Stale).
const patience = 2 * time.Hour

// agentFlags are the flags of the command and of its rounds.
type agentFlags struct {
	o             agent.Options
	root, classes string
	memory        int64
	form, level   string
	kind, have    string
	work          int64
	every         time.Duration
}

func agentCommand(s streams) *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use:   "agent --server HOST:PORT --ca-pin SHA256",
		Short: "Run on a node: tell the server what is on it, by an outbound connection",
		Long: `Runs on every node, as a DaemonSet or a service. It opens connections to the server and nowhere else, listens on no port, and changes
nothing but its own folder (--state). It enrols once with a token of the cluster and gets a certificate of its own, which says which node it
is; the page of the cluster's nodes in the console makes the token and the manifest.

It looks at the node when it starts, when something that matters changes, every hour, and when the server asks. The looking is done by
processes of its own, which have a share of one core (--cpu), bounded memory (--memory), and rest while the node is under pressure: for
--patience at most, then looks that are due are done slowly all the same, unless memory is short. What could not be read is told with what it
needs. While the server is away, reports wait in --state.

--classes says which checks of emergency vulnerabilities may run here: read (files), process (/proc), request (one harmless request to a local
port), private (a file of its own in a private folder, which no check needs yet); the server can only narrow it. HTTPS_PROXY and NO_PROXY
are honoured.`,
		Example: `  STOCKADE_AGENT_TOKEN=sae_... stockade agent --server stockade.example.com:8443 --ca-pin 9f2c...
  stockade agent --server stockade.example.com:8443 --root /host --cpu 0.5`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), s) },
	}
	p := cmd.Flags()
	p.StringVar(&f.o.Server, "server", "", "host:port of the server's HTTPS port")
	p.StringVar(&f.o.Pin, "ca-pin", "", "SHA-256 of the server's authority, needed for the first start")
	p.StringVar(&f.o.Token, "token", "", "token of the cluster, needed for the first start; better in "+agentToken)
	p.StringVar(&f.o.Node, "node", "", "name of the Kubernetes node (default: $NODE_NAME, or the host's name)")
	p.Float64Var(&f.o.Share, "cpu", 0.2, "share of one core that the looking may use")
	p.BoolVar(&f.o.Restless, "restless", false, "look also while the node is under pressure")
	p.DurationVar(&f.o.Patience, "patience", patience, "how long a look waits for the end of pressure before it is done slowly all the same; 0: for ever")
	p.StringVar(&f.form, "log-format", "", "json or text (default: text on a terminal)")
	p.StringVar(&f.level, "log-level", "info", "debug, info, warn or error")
	p.DurationVar(&f.every, "every", protocol.FactsEvery, "time between two looks without being asked")
	f.register(cmd)
	cmd.AddCommand(agentRound(s))
	return cmd
}

// register adds what the agent gives on to its rounds.
func (f *agentFlags) register(cmd *cobra.Command) {
	p := cmd.Flags()
	p.StringVar(&f.root, "root", "/", "where the node's file system is, when it is mounted elsewhere")
	p.StringVar(&f.o.Proc, "host-proc", "/proc", "where the node's process file system is")
	p.StringVar(&f.o.State, "state", "/var/lib/stockade-agent", "folder of its own")
	p.StringVar(&f.classes, "classes", "all", "classes of emergency checks that may run here: all, none, or some of read,process,request,private")
	p.Int64Var(&f.memory, "memory", agentMemory>>20, "MiB that the looking may use")
}

func (f *agentFlags) run(ctx context.Context, s streams) error {
	if f.o.Server == "" {
		return usage("give --server: the page of the cluster's nodes in the console has it, with the manifest")
	}
	classes, err := agent.ClassNames(f.classes)
	if err != nil {
		return usage("--classes: %v", err)
	}
	if f.every < time.Minute || f.memory < 32 || f.o.Patience < 0 {
		return usage("--every is at least 1m, --memory at least 32, --patience not negative")
	}
	log, err := providerLog(s, f.form, f.level)
	if err != nil {
		return err
	}
	o := f.o
	if o.Token == "" {
		o.Token = os.Getenv(agentToken)
	}
	if o.Node = fromEnv(o.Node, "NODE_NAME"); o.Node == "" {
		if o.Node, err = os.Hostname(); err != nil {
			return fault.Wrap(fault.Input, "the host's name", err)
		}
	}
	o.Machine = machineID(f.root)
	o.Classes, o.Memory, o.Every, o.Version, o.Log = classes, f.memory<<20, f.every, release, log
	for _, name := range watched {
		o.Marks = append(o.Marks, filepath.Join(f.root, name))
	}
	o.Command, o.Rests = f.command, thrift.GiveBack
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // there is little to do and nothing to keep
	}
	a, err := agent.New(o)
	if err != nil {
		return fault.Wrap(fault.Input, "starting", err)
	}
	return fault.Wrap(fault.Input, "", a.Run(ctx))
}

// watched are files and folders whose change makes a new look worthwhile: packages, and what configures Kubernetes.
var watched = []string{"var/lib/dpkg/status", "var/lib/dpkg/status.d", "lib/apk/db/installed", "usr/lib/sysimage/rpm", "var/lib/rpm", "etc/os-release", "etc/kubernetes",
	"etc/kubernetes/manifests", "var/lib/kubelet/config.yaml", "etc/containerd/config.toml", "etc/crio/crio.conf", "etc/docker/daemon.json", "etc/cni/net.d", "opt/cni/bin",
	"usr/bin", "usr/local/bin", "usr/sbin", "etc/rancher"}

// machineID is the node's, as systemd keeps it; "" where there is none.
func machineID(root string) string {
	data, err := os.ReadFile(filepath.Join(root, "etc/machine-id"))
	if err != nil || len(data) > 128 {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// command starts this program again for a round.
func (f *agentFlags) command(ctx context.Context, r *agent.Round) *exec.Cmd {
	classes := make([]string, 0, len(r.Classes))
	for _, c := range r.Classes {
		classes = append(classes, string(c))
	}
	args := append([]string{"agent", "round", "--kind", string(r.Kind), "--work", strconv.FormatInt(r.Work, 10), "--have", r.Have, "--root", f.root,
		"--host-proc", f.o.Proc, "--state", f.o.State, "--memory", strconv.FormatInt(f.memory, 10), "--classes", strings.Join(classes, ","), "--"}, r.Names...)
	return exec.CommandContext(ctx, "/proc/self/exe", args...)
}

func agentRound(s streams) *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{Use: "round --kind KIND [NAME...]", Short: "Do one piece of the agent's work, and leave its report in --state", Hidden: true,
		RunE: func(cmd *cobra.Command, names []string) error {
			classes, err := agent.ClassNames(f.classes)
			if err != nil {
				return usage("--classes: %v", err)
			}
			r := agent.Round{Kind: protocol.WorkKind(f.kind), Names: names, Work: f.work, Have: f.have, Out: filepath.Join(f.o.State, "reports")}
			return fault.Wrap(fault.Input, "", r.Do(cmd.Context(), &nodeReader{f: &f, classes: classes}))
		}}
	f.register(cmd)
	p := cmd.Flags()
	p.StringVar(&f.kind, "kind", "", "facts, software, images, malware or emergency")
	p.StringVar(&f.have, "have", "", "digest that the server has")
	p.Int64Var(&f.work, "work", 0, "id of the work that asked")
	return cmd
}

// nodeReader reads this node.
type nodeReader struct {
	f       *agentFlags
	classes []emergency.Class
}

// Facts implements agent.Reader.
func (r *nodeReader) Facts(ctx context.Context) (*inventory.NodeFacts, error) {
	programs, keep := programsKnown(r.f.o.State)
	defer keep()
	return node.Read(ctx, node.Options{Name: fromEnv(r.f.o.Node, "NODE_NAME"), Root: r.f.root, Proc: r.f.o.Proc, Cache: programs})
}

// softwareFile keeps the inventory for the verification of emergencies.
const softwareFile = "software.json"

// mostRemembered bounds what the agent keeps of the node's files between rounds, in bytes.
const mostRemembered = 32 << 20

// Software implements agent.Reader.
func (r *nodeReader) Software(ctx context.Context) (*inventory.Software, error) {
	// One reader, and no file that would take much of the memory: such are listed as not read.
	o := image.Options{Parallel: 1, Limits: image.Limits{Whole: r.f.memory << 20 / 4}}
	if kept, err := image.NewDirectory(filepath.Join(r.f.o.State, "files"), mostRemembered); err == nil { // else every file is read each time
		if o.Store, err = image.NewStore(kept); err != nil {
			return nil, err
		}
	}
	sw, err := nodeSoftware(ctx, r.f.root, o)
	if err != nil {
		return nil, err
	}
	if data, err := json.Marshal(sw); err == nil {
		_ = os.WriteFile(filepath.Join(r.f.o.State, softwareFile), data, 0o600) // else it is read anew
	}
	return sw, nil
}

// kept is the inventory of the last reading, or a new one.
func (r *nodeReader) kept(ctx context.Context) (*inventory.Software, error) {
	name := filepath.Join(r.f.o.State, softwareFile)
	info, err := os.Stat(name)
	if err == nil && time.Since(info.ModTime()).Abs() < 24*time.Hour {
		data, err := os.ReadFile(name)
		sw := new(inventory.Software)
		if err == nil && json.Unmarshal(data, sw) == nil {
			return sw, nil
		}
	}
	return r.Software(ctx)
}

func (r *nodeReader) containers() container.Options {
	return container.Options{Root: r.f.root, Proc: r.f.o.Proc}
}

// Images implements agent.Reader.
func (r *nodeReader) Images(ctx context.Context, names []string, emit func(*inventory.Software) error) ([]inventory.SkipFact, error) {
	o := r.containers()
	list, err := serverEmergencies(filepath.Join(r.f.o.State, "emergencies.json"))
	if err != nil {
		return nil, err
	}
	o.Images.Probes = probes(list)
	return container.Images(ctx, o, names, emit)
}

// Malware implements agent.Reader.
func (r *nodeReader) Malware(ctx context.Context) (*protocol.Malware, error) {
	set, err := signatures(filepath.Join(r.f.o.State, "signatures.json"))
	if err != nil {
		return nil, err
	}
	out := &protocol.Malware{}
	for from := ""; ; {
		sweep, err := container.Malware(ctx, r.containers(), container.Engines{Set: set}, from, func(in container.Infected) error {
			out.Containers = append(out.Containers, protocol.MalwareIn{Container: in.Container, Image: in.Image, Digest: in.Digest, Hits: in.Hits})
			return nil
		})
		if sweep == nil || err != nil {
			return out, err
		}
		out.Files, out.Bytes = out.Files+sweep.Files, out.Bytes+sweep.Bytes
		for _, skip := range sweep.Skipped {
			if !slices.Contains(out.Skipped, skip) { // each part of the search meets it
				out.Skipped = append(out.Skipped, skip)
			}
		}
		if sweep.Next == "" {
			return out, nil
		}
		if sweep.Next == from {
			out.Skipped = append(out.Skipped, inventory.SkipFact{Check: inventory.MalwareCheck, Needs: "more time", Reason: "the search does not get past one place; the rest was not looked at", Code: "limit"})
			return out, nil
		}
		from = sweep.Next
	}
}

// onNodesNetwork reports whether local ports are the node's: in a pod of a network of its own they are not, and what refuses a
// connection there says nothing of the node.
func onNodesNetwork(proc string) bool {
	own, err := os.Readlink("/proc/self/ns/net")
	its, err2 := os.Readlink(filepath.Join(proc, "1/ns/net"))
	return err == nil && err2 == nil && own == its
}

// signatures are the hashes of the server's list, which is a text of lines within JSON; there may be none.
func signatures(name string) (*malware.Set, error) {
	set := malware.NewSet()
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return set, nil
	}
	lines := ""
	if err == nil {
		err = json.Unmarshal(data, &lines)
	}
	if err == nil {
		err = set.Read(strings.NewReader(lines))
	}
	if err != nil {
		return nil, fmt.Errorf("the server's list of malicious files: %w", err)
	}
	return set, nil
}

// serverEmergencies is the built-in list with what the server's has that is newer; the server's may be absent.
func serverEmergencies(name string) ([]*emergency.Emergency, error) {
	list, err := builtin()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return list, nil
	}
	if err != nil {
		return nil, err
	}
	theirs, _, err := emergency.Unmarshal(data) // what this program is too old for is left out: the server knows its version
	if err != nil {
		return nil, fmt.Errorf("the server's: %w", err)
	}
	return emergency.Merge(theirs, list), nil
}

// Verify implements agent.Reader.
func (r *nodeReader) Verify(ctx context.Context, ids []string) ([]emergency.Result, []inventory.SkipFact, error) {
	list, err := serverEmergencies(filepath.Join(r.f.o.State, "emergencies.json"))
	if err != nil {
		return nil, nil, err
	}
	var chosen []*emergency.Emergency
	for _, e := range list {
		if len(ids) == 0 || slices.Contains(ids, e.ID) {
			chosen = append(chosen, e)
		}
	}
	if len(chosen) == 0 {
		return nil, nil, fmt.Errorf("this agent does not know %s: it may be too old for what the server's list says of it", strings.Join(ids, ", "))
	}
	facts, err := r.Facts(ctx)
	if err != nil {
		return nil, nil, err
	}
	read := r.kept
	if len(ids) > 0 { // somebody asks, maybe after a fix: what was read before it says the old
		read = r.Software
	}
	sw, err := read(ctx)
	if err != nil {
		return nil, nil, err
	}
	files, err := emergency.OpenDir(r.f.root)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = files.Close() }() // it was only read
	temp, err := os.MkdirTemp("", "stockade-check")
	if err != nil {
		temp = "" // checks that need one say so
	} else {
		defer func() { _ = os.RemoveAll(temp) }() // in a folder for such
	}
	s := emergency.Subject{Name: facts.Name, Facts: facts, Software: sw, Files: files, Temp: temp}
	if onNodesNetwork(r.f.o.Proc) {
		dialer := &net.Dialer{Timeout: 3 * time.Second}
		s.Dial = func(ctx context.Context, port int) (emergency.Conn, error) {
			return dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		}
	}
	results := emergency.Judge(ctx, chosen, s, r.classes)
	return results, agent.Unasked(results, r.classes, s.Dial != nil), nil
}
