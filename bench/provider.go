package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
)

// providerImages is how many verdicts the provider is given.
const providerImages = 100_000

// imageName is the reference of an image.
func imageName(i int) string {
	return fmt.Sprintf("registry.example.com/team%d/app%d:%d.0.1", i%300, i%5000, i)
}

// imageVerdict is what the server says of it: one in three fails, with up to ten of 30,000 weaknesses of packages to show.
func imageVerdict(i int, now time.Time) policy.ImageVerdict {
	v := policy.ImageVerdict{Reference: imageName(i), Digest: fmt.Sprintf("sha256:%064x", i), Resolved: now, State: policy.Known, Scanned: now.Add(-time.Hour), Matched: now.Add(-time.Minute), Serial: int64(i + 1)}
	if i%3 == 0 {
		n := i%40 + 1
		f := policy.Failure{Policy: 1, Kind: policy.Vulnerabilities, Count: n, Worst: "critical",
			Message: finding.Text{EN: fmt.Sprintf("%d vulnerabilities of severity high or above, needed: none", n), ZH: fmt.Sprintf("存在 %d 个高危及以上漏洞", n)},
			Fix:     finding.Text{EN: "Update the packages or the base image.", ZH: "升级软件包或基础镜像。"}}
		for k := range min(n, 10) {
			c := (i*7 + k*13) % 30_000
			f.Items = append(f.Items, fmt.Sprintf("CVE-2024-%05d package-%d 1.%d (fixed in 1.%d)", c, c%900, c%50, c%50+1))
		}
		v.Failed = append(v.Failed, f)
	}
	return v
}

// imageNumber is i of imageName.
func imageNumber(name string) int {
	tag := name[strings.LastIndexByte(name, ':')+1:]
	n, _ := strconv.Atoi(strings.TrimSuffix(tag, ".0.1")) // names are ours
	return n
}

// fakeServer answers a provider as the server does.
func fakeServer(b *policy.Bundle, asked *atomic.Int64) http.Handler {
	mux := http.NewServeMux()
	write := func(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
	hold := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(protocol.Wait - time.Second):
			w.WriteHeader(http.StatusNoContent)
		}
	}
	mux.HandleFunc("GET "+protocol.BundlePath, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("have") == b.Generation {
			hold(w, r)
			return
		}
		write(w, b)
	})
	mux.HandleFunc("GET "+protocol.ChangesPath, hold)
	mux.HandleFunc("POST "+protocol.ImagesPath, func(w http.ResponseWriter, r *http.Request) {
		var q protocol.ImagesRequest
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a := protocol.ImagesAnswer{Serial: providerImages}
		now := time.Now().UTC()
		for _, i := range q.Images {
			a.Verdicts = append(a.Verdicts, imageVerdict(imageNumber(i.Reference), now))
		}
		asked.Add(int64(len(q.Images)))
		write(w, a)
	})
	mux.HandleFunc("POST "+protocol.AdmissionsPath, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST "+protocol.BeatPath, func(w http.ResponseWriter, _ *http.Request) {
		write(w, protocol.BeatAnswer{Bundle: b.Generation, Serial: providerImages})
	})
	return mux
}

// gate is a provider as a process, with its folders, its server and its Gatekeeper.
type gate struct {
	b       *bench
	dir     string
	address string
	health  string
	cmd     *exec.Cmd
	client  *http.Client
	asked   atomic.Int64
	peak    peak
}

// provider measures a provider alone.
func (b *bench) provider() error {
	g := &gate{b: b, dir: filepath.Join(b.tmp, "provider")}
	close1, err := g.set()
	if err != nil {
		return err
	}
	defer close1()
	defer g.stop()
	b.say("## The provider alone\n")
	b.say("The program as in pods, over HTTPS with a client certificate and kept connections, with %d verdicts of images of which one in three fails; the", providerImages)
	b.say("policy has 30 rules and one check of images.\n")
	b.say("Memory of the process, MiB; goal: under 128. Anonymous is without pages of the program's file, which the kernel takes back when it needs room.\n")
	b.say("| | resident | its peak | anonymous | its peak |\n|---|---:|---:|---:|---:|")
	if err := g.start(0); err != nil {
		return err
	}
	if err := g.fill(); err != nil {
		return err
	}
	if err := g.memory("100,000 verdicts, asked for one after the other"); err != nil {
		return err
	}
	g.stop()
	if err := g.start(0); err != nil {
		return err
	}
	if err := g.memory("the same, started again from disk"); err != nil {
		return err
	}
	g.stop()
	if err := g.start(1); err != nil {
		return err
	}
	if err := g.speed(); err != nil {
		return err
	}
	return nil
}

// set writes certificates and opens the server.
func (g *gate) set() (stop func(), err error) {
	ours, gatekeeper, doors, err := authorities()
	if err != nil {
		return nil, err
	}
	var rules []policy.RuleUse
	list, err := exec.CommandContext(g.b.ctx, g.b.stockade, "rule", "list", "-o", "json").Output()
	if err != nil {
		return nil, err
	}
	var known []struct{ Rule string }
	if err := json.Unmarshal(list, &known); err != nil {
		return nil, fmt.Errorf("the list of rules: %w", err)
	}
	for _, r := range known {
		if strings.HasPrefix(r.Rule, "workload/") && len(rules) < 30 {
			rules = append(rules, policy.RuleUse{Rule: r.Rule})
		}
	}
	bundle := &policy.Bundle{Generation: "g1", Target: 1, Cluster: "measured", Lang: "en", Console: "https://stockade.example.com", System: policy.SystemNamespaces,
		Policies: []policy.Policy{{ID: 1, Version: 1, Name: "measured", Action: policy.Block, Rules: rules, Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities, Severity: finding.High}}}}}
	pair, err := ours.pair()
	if err != nil {
		return nil, err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}})
	if err != nil {
		return nil, err
	}
	s := &http.Server{Handler: fakeServer(bundle, &g.asked), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.Serve(l) }() // until it is closed
	files := map[string][]byte{"link/server": []byte("https://" + l.Addr().String()), "link/target": []byte("1"), "link/ca.crt": ours.pem, "tls/client-ca.crt": gatekeeper.pem}
	for dir, a := range map[string]*signer{"link": ours, "tls": doors} {
		if files[dir+"/tls.crt"], files[dir+"/tls.key"], err = a.sign(); err != nil {
			return nil, err
		}
	}
	for name, data := range files {
		name = filepath.Join(g.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, data, 0o600)); err != nil {
			return nil, err
		}
	}
	if pair, err = gatekeeper.pair(); err != nil {
		return nil, err
	}
	g.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: doors.pool(), Certificates: []tls.Certificate{pair}}}}
	return func() { _ = s.Close() }, nil
}

// start runs the provider on some processors, 0 for all, until it has its policies.
func (g *gate) start(processors int) error {
	var err error
	if g.address, err = freeAddress(); err == nil {
		g.health, err = freeAddress()
	}
	if err != nil {
		return err
	}
	g.cmd = exec.CommandContext(g.b.ctx, g.b.stockade, "provider", "--tls", filepath.Join(g.dir, "tls"), "--link", filepath.Join(g.dir, "link"), "--data", filepath.Join(g.dir, "data"),
		"--listen", g.address, "--health-listen", g.health, "--drain", "1s", "--replica", "measured", "--tag-age", "1h")
	g.cmd.Env = os.Environ()
	if processors > 0 {
		g.cmd.Env = append(g.cmd.Env, fmt.Sprint("GOMAXPROCS=", processors))
	}
	g.cmd.Stdout, g.cmd.Stderr = io.Discard, io.Discard
	if err := g.cmd.Start(); err != nil {
		return err
	}
	g.peak.watch(g.cmd.Process.Pid)
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		res, err := http.Get("http://" + g.health + "/readyz") //nolint:noctx // a benchmark
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("the provider is not ready: %v", err)
		}
	}
}

func (g *gate) stop() {
	if g.cmd == nil {
		return
	}
	g.peak.end()
	_ = g.cmd.Process.Signal(os.Interrupt)
	_ = g.cmd.Wait() // it was asked to end
	g.cmd = nil
}

// question is a request of Gatekeeper's about images.
func question(images []int) ([]byte, error) {
	keys := make([]string, len(images))
	for i, n := range images {
		keys[i] = policy.ImageKey{Generation: "g1", Policy: 1, Action: policy.Block, Namespace: "shop", Image: imageName(n)}.String()
	}
	return json.Marshal(map[string]any{"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderRequest", "request": map[string]any{"keys": keys}})
}

// post sends one, and returns how many images were answered with a value.
func (g *gate) post(body []byte) (took time.Duration, answered int, err error) {
	began := time.Now()
	res, err := g.client.Post("https://"+g.address+"/validate", "application/json", bytes.NewReader(body)) //nolint:noctx // a benchmark
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	took = time.Since(began)
	if err != nil || res.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("%s: %.300s %w", res.Status, text, err)
	}
	return took, bytes.Count(text, []byte(`"value":`)), nil
}

// fill asks about all images until they are known.
func (g *gate) fill() error {
	const part = 400
	for i := 0; i < providerImages; i += part {
		list := make([]int, part)
		for k := range list {
			list[k] = i + k
		}
		body, err := question(list)
		if err != nil {
			return err
		}
		for end := time.Now().Add(time.Minute); ; {
			before := g.asked.Load()
			_, n, err := g.post(body)
			if err != nil {
				return err
			}
			if n == part && g.asked.Load() == before { // nothing of it had to be asked for
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("images from %d on do not become known", i)
			}
		}
	}
	time.Sleep(12 * time.Second) // they are written to disk every five seconds
	return nil
}

// memory says what the process holds after a while.
func (g *gate) memory(what string) error {
	select {
	case <-time.After(35 * time.Second): // what is not used goes back every half minute
	case <-g.b.ctx.Done():
		return g.b.ctx.Err()
	}
	s, err := statusOf(g.cmd.Process.Pid)
	if err != nil {
		return err
	}
	g.b.say("| %s | **%d** | %d | %d | %d |", what, s["VmRSS"]>>10, s["VmHWM"]>>10, s["RssAnon"]>>10, g.peak.most.Load()>>10)
	return nil
}

// speed measures answers of a provider with one processor.
func (g *gate) speed() error {
	g.b.say("\nAnswers from memory on one processor (GOMAXPROCS=1), the client on the other. \"The same\" asks about the same images again and again, as a roll-out does; \"others\" about any of the 100,000.")
	g.b.say("A second's answers are requests times images. Goals: 50 images p99 under 2 ms; 5,000 answers a second on one core.")
	g.b.say("A pace is requests a second that come whether or not the one before is answered; without, the next comes when there is an answer.\n")
	g.b.say("| images in a request | which | at a time, or pace | p50 ms | p99 ms | requests a second | answers a second | requests of a CPU second |\n|---:|---|---:|---:|---:|---:|---:|---:|")
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		images   int
		same     bool
		at, n    int
		interval time.Duration // of a pace
	}{{1, true, 1, 10000, 0}, {1, false, 1, 10000, 0}, {50, true, 8, 2000, 10 * time.Millisecond}, {50, false, 8, 2000, 10 * time.Millisecond}, {50, true, 1, 5000, 0}, {50, false, 1, 5000, 0},
		{1, false, 8, 40000, 0}, {50, true, 8, 10000, 0}, {50, false, 8, 10000, 0}} {
		bodies := make([][]byte, 0, 4000)
		for range 4000 {
			list := make([]int, c.images)
			for i := range list {
				list[i] = r.IntN(providerImages)
			}
			body, err := question(list)
			if err != nil {
				return err
			}
			bodies = append(bodies, body)
			if c.same {
				break
			}
		}
		which := map[bool]string{true: "the same", false: "others"}[c.same]
		var all []shots
		for range 3 {
			l, err := g.load(bodies, c.images, c.at, c.n, c.interval)
			if err != nil {
				return err
			}
			all = append(all, l)
		}
		slices.SortFunc(all, func(a, b shots) int { return int(a.p99 - b.p99) })
		l := all[1]
		at := fmt.Sprint(c.at)
		if c.interval > 0 {
			at = fmt.Sprintf("%d a second", time.Second/c.interval)
		}
		g.b.say("| %d | %s | %s | %.2f | **%.2f** | %.0f | %.0f | %.0f |", c.images, which, at, ms(l.p50), ms(l.p99), l.rate, l.rate*float64(c.images), l.ofCPU)
	}
	g.b.say("\nThe run of median p99 of three.\n")
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// shots is what one run of requests took.
type shots struct {
	p50, p99    time.Duration
	rate, ofCPU float64
}

// load sends n requests, some at a time, or each at its time where there is an interval.
func (g *gate) load(bodies [][]byte, images, at, n int, interval time.Duration) (shots, error) {
	took := make([]time.Duration, n)
	for i := range 200 {
		if _, answered, err := g.post(bodies[i%len(bodies)]); err != nil || answered != images {
			return shots{}, fmt.Errorf("%d answers of %d: %w", answered, images, err)
		}
	}
	before, began := cpuOf(g.cmd.Process.Pid), time.Now()
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var group sync.WaitGroup
	for range at {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || failed.Load() != nil {
					return
				}
				late := time.Duration(0) // because all were busy
				if interval > 0 {
					wait := time.Until(began.Add(time.Duration(i) * interval))
					late = max(0, -wait)
					time.Sleep(wait)
				}
				d, answered, err := g.post(bodies[i%len(bodies)])
				d += late
				if err == nil && answered != images {
					err = fmt.Errorf("%d answers of %d", answered, images)
				}
				if err != nil {
					failed.Store(&err)
				}
				took[i] = d
			}
		})
	}
	group.Wait()
	if p := failed.Load(); p != nil {
		return shots{}, *p
	}
	wall, spent := time.Since(began), cpuOf(g.cmd.Process.Pid)-before
	slices.Sort(took)
	return shots{p50: took[n/2], p99: took[n*99/100], rate: float64(n) / wall.Seconds(), ofCPU: float64(n) / max(spent.Seconds(), 0.01)}, nil
}

// freeAddress is an address that nobody listens at.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// statusOf reads the memory of a process, in KiB.
func statusOf(pid int) (map[string]int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	out := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		if name, rest, ok := strings.Cut(line, ":"); ok && strings.HasSuffix(strings.TrimSpace(rest), " kB") {
			out[name], _ = strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		}
	}
	return out, err
}

// cpuOf is the processor time of a process so far.
func cpuOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if err != nil || len(f) < 14 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// peak looks at a process all the time: the kernel keeps no peak of anonymous memory.
type peak struct {
	most atomic.Int64
	stop context.CancelFunc
	over sync.WaitGroup
}

func (p *peak) watch(pid int) {
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.most.Store(0)
	p.over.Go(func() {
		for ctx.Err() == nil {
			if s, err := statusOf(pid); err == nil {
				p.most.Store(max(p.most.Load(), s["RssAnon"]))
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
}

func (p *peak) end() {
	p.stop()
	p.over.Wait()
}
