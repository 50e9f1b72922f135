package protect

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// open reaches the cluster and reads what was made in it before.
func (w *pass) open() error {
	var err error
	if w.c, err = w.s.client(w.ctx, w.r.TargetID); err != nil {
		return err
	}
	version, err := w.c.version(w.ctx)
	if err != nil {
		return err
	}
	w.r.Seen.Version, w.minor = version, minorOf(version)
	w.r.Seen.Problems = nil
	w.made, w.live, w.wanted = map[string]*madeRow{}, map[string]map[string]*object{}, map[string]bool{}
	var rows []madeRow
	if err := w.s.db.R.NewSelect().Model(&rows).Where("target_id = ?", w.r.TargetID).Scan(w.ctx); err != nil {
		return stop("the server's database: %s", err)
	}
	for i := range rows {
		w.made[rows[i].Ref] = &rows[i]
	}
	return nil
}

// converge makes the cluster as it should be, or goes a part of the way: an error says at which step it stopped.
func (w *pass) converge() error {
	for _, stage := range []struct {
		name string
		do   func() error
	}{{stepCheck, w.check}, {stepNamespaces, w.spaces}, {stepCRDs, w.definitions}, {stepSecrets, w.secrets}, {stepGatekeeper, w.gatekeeper},
		{stepProvider, w.provider}, {stepWebhooks, w.webhooks}, {stepPolicies, w.policies}} {
		w.begin(stage.name)
		err := stage.do()
		w.end(stage.name, err)
		if err != nil {
			if !away(err) || isOurs(err) {
				w.rehook(stage.name)
			}
			return fmt.Errorf("%s: %w", titles[stage.name].EN, err)
		}
	}
	w.prune()
	state := Protected
	reason := ""
	switch {
	case len(w.r.Seen.Problems) > 0:
		state, reason = PolicyFailed, w.r.Seen.Problems[0].Reason
	case w.r.Seen.Policies == 0:
		state = NoPolicy
	}
	w.enterLater(state, reason)
	return nil
}

func (w *pass) begin(step string) {
	if !w.r.State.standing() {
		w.r.step(step, Runs, "", w.s.o.Now())
		w.progress()
	}
}

// end notes how a step went.
func (w *pass) end(step string, err error) {
	var waits *waiting
	switch {
	case err == nil:
		w.r.step(step, Done, "", w.s.o.Now())
	case errors.As(err, &waits) || away(err) && !isOurs(err):
		w.r.step(step, Runs, err.Error(), w.s.o.Now())
	default:
		w.r.step(step, Stopped, err.Error(), w.s.o.Now())
	}
}

// progress shows the steps while the pass goes on. Nothing hangs on it.
func (w *pass) progress() {
	err := w.s.db.Write(w.ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*row)(nil)).Set("steps = ?", ledger.JSON(w.r.Steps)).
			Where("target_id = ? AND revision = ? AND holder = ?", w.r.TargetID, w.r.Revision, w.s.o.Replica).Exec(ctx)
		return err
	})
	if err != nil && w.ctx.Err() == nil {
		w.s.log.Debug("protection: progress", "error", err)
	}
	w.s.told(w.ctx, w.r.TargetID)
}

// oldest is the first version that is protected.
const oldest = 20

// check looks at version, permissions and what is there.
func (w *pass) check() error {
	if w.minor > 0 && w.minor < oldest {
		return stop("the cluster runs Kubernetes %s; 1.%d is the oldest that can be protected", w.r.Seen.Version, oldest)
	}
	if err := w.settings.fits(w.minor); err != nil {
		return stop("%s", err)
	}
	if w.s.plugins == nil && (w.r.Gatekeeper == nil || w.r.Gatekeeper.Ours) && w.settings.Gatekeeper.Mode != Adopt {
		return stop("%s", ErrBuiltWithout)
	}
	found, err := findGatekeeper(w.ctx, w.c)
	if err != nil {
		return err
	}
	if err := w.choose(found); err != nil {
		return err
	}
	if w.r.State == Installing || w.r.State == Failed {
		needs, err := ask(w.ctx, w.c, w.r.Gatekeeper.Ours)
		if err != nil {
			return err
		}
		if n := lacking(needs); n > 0 {
			return stop("the credentials lack %d permissions: the plan has them, with a ClusterRole that grants them", n)
		}
	}
	return nil
}

// choose decides which Gatekeeper is used.
func (w *pass) choose(found *Gatekeeper) error {
	mode := w.settings.Gatekeeper.Mode
	own := &Gatekeeper{Namespace: gatekeeperNS, Ours: true, CacheOff: true, Flags: []string{}, Webhooks: []Webhook{}}
	if found != nil && found.Namespace == gatekeeperNS {
		own.Webhooks, own.Templates, own.Replicas, own.Flags, own.Version, own.Image = found.Webhooks, found.Templates, found.Replicas, found.Flags, found.Version, found.Image
	}
	was := w.r.Gatekeeper
	switch {
	case found == nil && was != nil && !was.Ours && mode == Adopt:
		return stop("the Gatekeeper that was adopted is gone from namespace %s: bring it back, or change gatekeeper.mode to install our own", was.Namespace)
	case found == nil, found.Ours, was != nil && was.Ours:
		w.r.Gatekeeper = own
		return nil
	case mode == Adopt:
		found.Differences = found.compareTo(w.s.plugins, &w.settings)
		for _, d := range found.Differences {
			if d.Stops {
				return stop("the Gatekeeper in namespace %s cannot be adopted: %s is %s, needed is %s: %s", found.Namespace, d.Setting, d.Found, d.Wanted, d.Effect)
			}
		}
		w.r.Gatekeeper = found
		return nil
	case mode == TakeOver && found.Namespace == gatekeeperNS:
		w.r.Gatekeeper = own
		return nil
	case mode == TakeOver:
		return stop("the Gatekeeper that is there runs in namespace %s: only one in %s can be taken over; adopt it, or remove it first", found.Namespace, gatekeeperNS)
	}
	return stop("a Gatekeeper %s is there already, in namespace %s: choose gatekeeper.mode adopt (used as it is) or takeover (replaced by ours)", found.Version, found.Namespace)
}

// ours reports whether Gatekeeper is ours to install and keep.
func (w *pass) ours() bool { return w.r.Gatekeeper.Ours }

// spaces makes the namespaces.
func (w *pass) spaces() error {
	list := []*object{namespaceObject()}
	if w.ours() {
		ns, _, _ := w.s.plugins.ours(&w.settings, w.minor)
		if err := w.ensure("gatekeeper", ns); err != nil {
			return err
		}
	}
	return w.ensure("provider", list...)
}

// definitions makes Gatekeeper's definitions and waits until they are served.
func (w *pass) definitions() error {
	if !w.ours() {
		return nil
	}
	_, defs, _ := w.s.plugins.ours(&w.settings, w.minor)
	if err := w.ensure("gatekeeper", defs...); err != nil {
		return err
	}
	if w.r.State.standing() {
		return nil
	}
	for _, d := range defs {
		o, err := w.c.get(w.ctx, refOf(d))
		if err != nil {
			return err
		}
		if !condition(o, "Established") {
			return wait("%s is not served yet", d.GetName())
		}
	}
	return nil
}

// condition reports whether an object's condition is True.
func condition(o *object, kind string) bool {
	list, _ := nested(o.Object, "status", "conditions").([]any)
	for _, c := range list {
		if x, ok := c.(m); ok && x["type"] == kind {
			return x["status"] == "True"
		}
	}
	return false
}

// secrets makes and renews certificates.
func (w *pass) secrets() error {
	w.r.Seen.Certificates = nil
	if err := w.gatekeeperAuthority(); err != nil {
		return err
	}
	by, roots, _, err := w.s.authority(w.r)
	if err != nil {
		return stop("%s", err)
	}
	w.roots = roots
	w.certificate("provider-authority", "signs the provider's certificate, for Gatekeeper and the API server", "this server", by.cert, authorityRenew)
	if err := w.servingSecret(by); err != nil {
		return err
	}
	return w.linkSecret()
}

func (w *pass) certificate(name, use, who string, c *x509.Certificate, left time.Duration) {
	w.r.Seen.Certificates = append(w.r.Seen.Certificates, described(name, use, who, c, left))
}

// values are the data of a Secret; nil when it is not there.
func (w *pass) values(r ref) (map[string][]byte, error) {
	o, err := w.c.get(w.ctx, r)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	data, _ := o.Object["data"].(m)
	for k, v := range data {
		text, _ := v.(string)
		b, err := base64.StdEncoding.DecodeString(text)
		if err == nil {
			out[k] = b
		}
	}
	return out, nil
}

// gatekeeperAuthority reads who signs Gatekeeper's certificate, and gives a new Gatekeeper one to begin with.
func (w *pass) gatekeeperAuthority() error {
	g := w.r.Gatekeeper
	at := ref{"v1", "Secret", g.Namespace, gatekeeperCA}
	data, err := w.values(at)
	if err != nil {
		return err
	}
	if len(parsePEM(data["ca.crt"])) == 0 && g.Ours {
		ca, leaf, err := gatekeeperPairs(w.s.o.Now())
		if err != nil {
			return err
		}
		caKey, err := ca.keyPEM()
		if err != nil {
			return err
		}
		leafKey, err := leaf.keyPEM()
		if err != nil {
			return err
		}
		fill := gatekeeperSecret(map[string][]byte{"ca.crt": ca.certPEM(), "ca.key": caKey, "tls.crt": leaf.certPEM(), "tls.key": leafKey})
		body, err := fill.MarshalJSON()
		if err != nil {
			return err
		}
		// Another field manager: what Gatekeeper writes later is its own, and is not to be put back.
		q := url.Values{"fieldManager": {Manager + "-certificates"}, "force": {"true"}}
		if _, err := w.c.call(w.ctx, http.MethodPatch, at.path(), q, "", "application/apply-patch+yaml", body, nil); err != nil {
			return err
		}
		data = map[string][]byte{"ca.crt": ca.certPEM(), "tls.crt": leaf.certPEM()}
	}
	w.gatekeeperCA = data["ca.crt"]
	list := parsePEM(w.gatekeeperCA)
	if len(list) == 0 {
		return wait("Secret %s/%s holds no ca.crt: Gatekeeper has not written its certificate yet", g.Namespace, gatekeeperCA)
	}
	// Gatekeeper looks twice a day and renews what ends within 90 days.
	w.certificate("gatekeeper-authority", "signs Gatekeeper's certificate, for the API server and the provider", "Gatekeeper", list[0], 90*24*time.Hour)
	if leaf := parsePEM(data["tls.crt"]); len(leaf) > 0 {
		w.certificate("gatekeeper", "Gatekeeper shows it to the API server and to the provider", "Gatekeeper", leaf[0], 90*24*time.Hour)
	}
	return nil
}

// servingSecret keeps what the provider shows and trusts. Authorities of Gatekeeper that were trusted stay so until they end: pods
// change over at different times.
func (w *pass) servingSecret(by *pair) error {
	now := w.s.o.Now()
	at := ref{"v1", "Secret", Namespace, tlsSecret}
	data, err := w.values(at)
	if err != nil {
		return err
	}
	w.lost(at, data == nil)
	clients := union(now, parsePEM(w.gatekeeperCA), parsePEM(data["client-ca.crt"]))
	leaf := parsePEM(data["tls.crt"])
	good := len(leaf) > 0 && leaf[0].CheckSignatureFrom(by.cert) == nil && now.Add(servingRenew).Before(leaf[0].NotAfter) && len(data["tls.key"]) > 0
	if good && string(clients) == string(data["client-ca.crt"]) && string(w.roots) == string(data["ca.crt"]) {
		w.certificate("provider", "the provider shows it to Gatekeeper and to the API server", "this server", leaf[0], servingRenew)
		return w.note("provider", at)
	}
	key := data["tls.key"]
	crt := data["tls.crt"]
	if !good {
		p, err := serving(by, now)
		if err != nil {
			return err
		}
		if key, err = p.keyPEM(); err != nil {
			return err
		}
		crt, leaf = p.certPEM(), []*x509.Certificate{p.cert}
	}
	if _, err := w.c.apply(w.ctx, secret(tlsSecret, map[string][]byte{"tls.crt": crt, "tls.key": key, "ca.crt": w.roots, "client-ca.crt": clients})); err != nil {
		return err
	}
	w.certificate("provider", "the provider shows it to Gatekeeper and to the API server", "this server", leaf[0], servingRenew)
	return w.note("provider", at)
}

// linkSecret keeps what the provider shows to this server, where that is, and whom to trust there.
func (w *pass) linkSecret() error {
	s, now := w.s, w.s.o.Now()
	at := ref{"v1", "Secret", Namespace, linkSecret}
	data, err := w.values(at)
	if err != nil {
		return err
	}
	w.lost(at, data == nil)
	want := map[string][]byte{"server": []byte(w.settings.Server), "target": []byte(strconv.FormatInt(w.r.TargetID, 10)), "ca.crt": s.o.Authority.PEM(),
		"tls.crt": data["tls.crt"], "tls.key": data["tls.key"]}
	leaf := parsePEM(data["tls.crt"])
	good := false
	if len(leaf) > 0 && len(data["tls.key"]) > 0 && now.Add(servingRenew).Before(leaf[0].NotAfter) {
		h, err := enrol.HolderOf(leaf[0])
		good = err == nil && h.Kind == enrol.Provider && h.Target() == w.r.TargetID && s.o.Authority.Check(w.ctx, leaf[0]) == nil
	}
	same := good
	for k, v := range want {
		same = same && string(data[k]) == string(v)
	}
	if !good {
		err := s.db.Write(w.ctx, func(ctx context.Context, tx bun.Tx) error {
			issued, err := s.o.Authority.IssueProvider(ctx, tx, w.r.TargetID)
			if err != nil {
				return err
			}
			p := &pair{issued.Leaf, issued.PrivateKey.(signer)}
			want["tls.crt"] = p.certPEM()
			want["tls.key"], err = p.keyPEM()
			leaf = []*x509.Certificate{issued.Leaf}
			return err
		})
		if err != nil {
			return stop("a certificate for the provider: %s", err)
		}
	}
	if !same {
		if _, err := w.c.apply(w.ctx, secret(linkSecret, want)); err != nil {
			return err
		}
	}
	w.certificate("link", "the provider shows it to this server", "this server", leaf[0], servingRenew)
	return w.note("provider", at)
}

// gatekeeper makes Gatekeeper's own objects and waits for its pods.
func (w *pass) gatekeeper() error {
	w.r.Seen.Deployments = nil
	if w.ours() {
		_, _, rest := w.s.plugins.ours(&w.settings, w.minor)
		if err := w.ensure("gatekeeper", rest...); err != nil {
			return err
		}
		if audit, ok := w.ready(gatekeeperNS, auditDeploy); !ok && audit.Reason != "" {
			w.s.log.Debug("protection: the audit of Gatekeeper is not ready", "target", w.r.TargetID, "reason", audit.Reason)
		}
	}
	d, ok := w.ready(w.r.Gatekeeper.Namespace, webhookDeploy)
	if !ok {
		return w.unready(d)
	}
	return nil
}

// provider makes the provider's objects and waits for its pods.
func (w *pass) provider() error {
	if err := w.ensure("provider", append(providerObjects(&w.settings, w.minor), deployment(&w.settings, w.s.o.Version))...); err != nil {
		return err
	}
	d, ok := w.ready(Namespace, providerName)
	if !ok {
		return w.unready(d)
	}
	return nil
}

// unready waits for pods while they are first started; later the webhooks stay as they are, and the health tells.
func (w *pass) unready(d Deployment) error {
	reason := d.Reason
	if reason == "" {
		reason = fmt.Sprintf("%d of %d pods are ready", d.Ready, d.Wanted)
	}
	text := fmt.Sprintf("Deployment %s/%s: %s", d.Namespace, d.Name, reason)
	if w.r.State.standing() {
		w.r.Seen.Problems = append(w.r.Seen.Problems, Problem{Object: "Deployment " + d.Namespace + "/" + d.Name, Reason: oneLine(text)})
		return nil
	}
	return wait("%s", text)
}

// webhooks registers the webhooks: pods answer by now.
func (w *pass) webhooks() error {
	if err := w.compile(); err != nil {
		return err
	}
	skip := w.settings.system()
	rules := merged(workloads, w.compiled.Rules)
	if w.ours() {
		b, err := w.s.Bundle(w.ctx, w.r.TargetID)
		if err != nil {
			return stop("%s", err)
		}
		if err := w.ensure("gatekeeper", w.s.plugins.hooks(&w.settings, b, rules, w.compiled.Mutates, w.gatekeeperCA)...); err != nil {
			return err
		}
	}
	if err := w.ensure("provider", recorder(rules, skip, w.roots)); err != nil {
		return err
	}
	seen, err := webhooks(w.ctx, w.c, w.r.Gatekeeper.Namespace)
	if err != nil {
		return err
	}
	own, err := webhooks(w.ctx, w.c, Namespace)
	w.r.Seen.Webhooks = append(seen, own...)
	return err
}

// rehook puts right the webhooks that were registered before, when a stage ahead of theirs fails: what somebody changed in them would
// stay as long as the fault. One that refuses what is not answered is left as it is while nobody answers.
func (w *pass) rehook(failed string) {
	if slices.Index(installSteps, failed) >= slices.Index(installSteps, stepWebhooks) || w.r.Gatekeeper == nil || w.ours() && w.s.plugins == nil || w.settings.fits(w.minor) != nil ||
		w.made[(ref{admissionGroup + "/v1", "ValidatingWebhookConfiguration", "", recorderName}).String()] == nil {
		return
	}
	if len(w.roots) == 0 {
		if err := w.secrets(); err != nil {
			w.s.log.Info("protection: webhooks are left as they are: their certificates cannot be read", "target", w.r.TargetID, "error", err)
			return
		}
	}
	if _, ok := w.ready(w.r.Gatekeeper.Namespace, webhookDeploy); w.settings.FailClosed && !ok {
		return
	}
	if err := w.webhooks(); err != nil {
		w.s.log.Info("protection: webhooks cannot be put right", "target", w.r.TargetID, "error", err)
	}
}

var errGone = errors.New("the cluster is not there any more")

// compile makes the objects of the policies that hold here.
func (w *pass) compile() error {
	if err := w.labels(); err != nil {
		return err
	}
	b, err := w.s.Bundle(w.ctx, w.r.TargetID)
	if errors.Is(err, store.ErrNotFound) {
		return stop("%s", errGone)
	}
	if err != nil {
		return stop("reading the policies: %s", err)
	}
	w.bundleGen, w.r.Seen.Policies, w.compiled = b.Generation, len(b.Policies), &Compiled{}
	if w.s.o.Compile == nil {
		return nil
	}
	w.compiled, err = w.s.o.Compile(w.ctx, b, w.s.compileFor(w.ctx, w.r.TargetID, w.r.Gatekeeper, w.minor, w.roots))
	if err != nil {
		return stop("compiling the policies: %s", err)
	}
	w.r.Seen.Problems = append(w.r.Seen.Problems, w.compiled.Problems...)
	return nil
}
