package protect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun"
)

// dissolve takes everything that we made out of the cluster, or goes a part of the way: webhooks first, so that none ever leads
// nowhere, and at the end it looks whether anything is left.
func (w *pass) dissolve() error {
	if w.r.Gatekeeper == nil { // the installation never came so far
		w.r.Gatekeeper = &Gatekeeper{Namespace: gatekeeperNS, Ours: slices.ContainsFunc(slices.Collect(maps.Values(w.made)), func(r *madeRow) bool { return r.Part == "gatekeeper" })}
	}
	if err := w.foreign(); err != nil {
		return err
	}
	for _, stage := range []struct {
		name string
		do   func() error
	}{{stepUnhook, w.unhook}, {stepRules, w.unrule}, {stepTemplates, w.untemplate}, {stepLeave, w.leave}, {stepUninstall, w.uninstall}, {stepVerify, w.verify}} {
		w.begin(stage.name)
		err := stage.do()
		w.end(stage.name, err)
		if err != nil {
			return fmt.Errorf("%s: %w", titles[stage.name].EN, err)
		}
		if stage.name == stepUninstall && !w.whole() {
			w.r.step(stage.name, Left, "Gatekeeper stays", w.s.o.Now())
		}
	}
	if err := w.forgetAll(); err != nil {
		return stop("%s", err)
	}
	w.r.Gatekeeper, w.r.Seen, w.r.Generation = nil, Seen{Version: w.r.Seen.Version}, ""
	w.r.Authority, w.r.AuthorityKey = nil, nil
	w.enterLater(Unprotected, "")
	return nil
}

// whole reports whether Gatekeeper goes too.
func (w *pass) whole() bool { return w.r.Gatekeeper.Ours && !w.r.KeepPlugins }

// foreign stops a removal that would take away what others made in our Gatekeeper.
func (w *pass) foreign() error {
	if !w.whole() || w.r.ForeignToo {
		return nil
	}
	var list []string
	for _, kind := range othersKinds {
		_, err := w.c.list(w.ctx, "/apis/"+kind, managedLabel+"!="+managedBy, partial, func(o *object) error {
			list = append(list, kind[strings.LastIndexByte(kind, '/')+1:]+" "+o.GetName())
			return nil
		})
		if err != nil && !forbidden(err) { // what may not be read is told by the plan
			return err
		}
	}
	if len(list) == 0 {
		return nil
	}
	return stop("%d objects of others stand in the Gatekeeper that is to be removed (%s): keep the plug-ins, or let these go too", len(list), join(list[:min(len(list), 5)]))
}

// othersKinds are what people make in a Gatekeeper: with its definitions all of it goes.
var othersKinds = []string{templateGroup + "/v1/constrainttemplates", mutationGroup + "/v1/assign", mutationGroup + "/v1/assignmetadata", mutationGroup + "/v1/modifyset",
	mutationGroup + "/v1alpha1/assignimage", providerGroup + "/v1beta1/providers"}

// gone deletes objects and reports how many of them are still there.
func (w *pass) gone(list []ref) error {
	var left []string
	err := w.each(len(list), func(i int) error {
		if err := w.c.remove(w.ctx, list[i]); err != nil {
			return fmt.Errorf("%s: %w", list[i].words(), err)
		}
		_, err := w.c.get(w.ctx, list[i])
		if missing(err) {
			w.lock.Lock()
			defer w.lock.Unlock()
			w.unmake(list[i])
			return nil
		}
		if err != nil {
			return err
		}
		w.lock.Lock()
		defer w.lock.Unlock()
		left = append(left, list[i].words())
		return nil
	})
	if err != nil {
		return err
	}
	if len(left) > 0 {
		slices.Sort(left)
		return wait("%s: going, not gone yet", join(left[:min(len(left), 3)]))
	}
	return nil
}

// ofPart are the objects that were made for a part and that keep chooses.
func (w *pass) ofPart(keep func(part string, r ref) bool) []ref {
	var list []ref
	for _, key := range slices.Sorted(maps.Keys(w.made)) {
		if r, ok := readRef(key); ok && keep(w.made[key].Part, r) {
			list = append(list, r)
		}
	}
	return list
}

func hook(r ref) bool { return strings.HasSuffix(r.Kind, "WebhookConfiguration") }

// unhook removes the webhooks.
func (w *pass) unhook() error {
	list := w.ofPart(func(part string, r ref) bool { return hook(r) && (part != "gatekeeper" || w.whole()) })
	for _, r := range w.labelled("/apis/"+admissionGroup+"/v1/validatingwebhookconfigurations", "ValidatingWebhookConfiguration") {
		if r.Name == recorderName || w.whole() {
			list = append(list, r)
		}
	}
	if w.whole() {
		list = append(list, w.labelled("/apis/"+admissionGroup+"/v1/mutatingwebhookconfigurations", "MutatingWebhookConfiguration")...)
	}
	return w.gone(unique(list))
}

// labelled are the objects of a collection without namespaces that carry our label. What cannot be listed is found by verify.
func (w *pass) labelled(collection, kind string) []ref {
	var list []ref
	version := strings.TrimPrefix(strings.TrimPrefix(collection, "/apis/"), "/api/")
	version = version[:strings.LastIndex(version, "/")]
	_, err := w.c.list(w.ctx, collection, managedLabel+"="+managedBy, partial, func(o *object) error {
		list = append(list, ref{version, kind, "", o.GetName()})
		return nil
	})
	if err != nil {
		w.s.log.Debug("protection: listing", "collection", collection, "error", err)
	}
	return list
}

func unique(list []ref) []ref {
	slices.SortFunc(list, func(a, b ref) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(list)
}

// unrule removes constraints, mutators and admission policies.
func (w *pass) unrule() error {
	if err := w.leftovers(); err != nil {
		return err
	}
	list := w.ofPart(func(part string, r ref) bool { return part == "policy" && r.group() != templateGroup })
	for path, objects := range w.live {
		for _, o := range objects {
			if r := refOf(o); r.collection() == path && prunable(r) && r.group() != templateGroup {
				list = append(list, r)
			}
		}
	}
	return w.gone(unique(list))
}

// untemplate removes our templates with the definitions that Gatekeeper made of them.
func (w *pass) untemplate() error {
	list := w.ofPart(func(part string, r ref) bool { return part == "policy" && r.group() == templateGroup })
	for name := range w.live[templates] {
		list = append(list, ref{templateGroup + "/v1", "ConstraintTemplate", "", name})
	}
	list = unique(list)
	var defs []ref
	for _, r := range list { // a template is called like its kind, in small letters
		defs = append(defs, ref{definitionGroup + "/v1", "CustomResourceDefinition", "", r.Name + "." + constraintGroup})
	}
	if err := w.gone(list); err != nil {
		return err
	}
	// Definitions of templates that went in an earlier pass.
	left, err := w.definitionsOf("." + constraintGroup)
	if err != nil {
		return err
	}
	there, err := w.templateNames()
	if err != nil {
		return err
	}
	for _, d := range left {
		name, _ := strings.CutSuffix(d.Name, "."+constraintGroup)
		if strings.HasPrefix(name, "stockade") && !there[name] {
			defs = append(defs, d)
		}
	}
	return w.gone(unique(defs))
}

// templateNames are the templates that are there, whoever made them.
func (w *pass) templateNames() (map[string]bool, error) {
	there := map[string]bool{}
	_, err := w.c.list(w.ctx, templates, "", partial, func(o *object) error { there[o.GetName()] = true; return nil })
	return there, err
}

// definitionsOf are the definitions whose name ends so.
func (w *pass) definitionsOf(suffix string) ([]ref, error) {
	var list []ref
	_, err := w.c.list(w.ctx, crdCollection, "", partial, func(o *object) error {
		if strings.HasSuffix(o.GetName(), suffix) {
			list = append(list, ref{definitionGroup + "/v1", "CustomResourceDefinition", "", o.GetName()})
		}
		return nil
	})
	return list, err
}

// leave removes the provider with its namespace.
func (w *pass) leave() error {
	list := w.ofPart(func(part string, r ref) bool { return part == "provider" && r.Kind != "Namespace" && !hook(r) })
	list = append(list, ref{"v1", "Secret", Namespace, tlsSecret}, ref{"v1", "Secret", Namespace, linkSecret})
	list = append(list, w.labelled("/apis/"+providerGroup+"/v1beta1/providers", "Provider")...)
	if err := w.gone(unique(list)); err != nil {
		return err
	}
	return w.gone([]ref{{"v1", "Namespace", "", Namespace}})
}

// uninstall removes Gatekeeper, when it is ours.
func (w *pass) uninstall() error {
	if !w.whole() {
		return nil
	}
	list := w.ofPart(func(part string, r ref) bool {
		return part == "gatekeeper" && r.Kind != "CustomResourceDefinition" && r.Kind != "Namespace"
	})
	if w.s.plugins != nil { // also what an earlier pass made and did not come to write down
		_, _, rest := w.s.plugins.ours(&w.settings, w.minor)
		for _, o := range rest {
			list = append(list, refOf(o))
		}
	}
	list = append(list, ref{"v1", "Secret", gatekeeperNS, gatekeeperCA})
	if err := w.gone(unique(list)); err != nil {
		return err
	}
	defs, err := w.definitionsOf(".gatekeeper.sh")
	if err != nil {
		return err
	}
	if err := w.gone(defs); err != nil {
		return err
	}
	return w.gone([]ref{{"v1", "Namespace", "", gatekeeperNS}})
}

// verify looks whether anything is left.
func (w *pass) verify() error {
	var left []string
	keep := map[string]bool{}
	for key, made := range w.made {
		if made.Part == "gatekeeper" && !w.whole() {
			keep[key] = true
		}
	}
	for key := range w.made {
		r, ok := readRef(key)
		if !ok || keep[key] {
			continue
		}
		if _, err := w.c.get(w.ctx, r); err == nil {
			left = append(left, r.words())
		} else if !missing(err) {
			return err
		}
	}
	for collection, kind := range map[string]string{
		"/api/v1/namespaces": "Namespace", crdCollection: "CustomResourceDefinition", templates: "ConstraintTemplate",
		"/apis/" + admissionGroup + "/v1/validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
		"/apis/" + admissionGroup + "/v1/mutatingwebhookconfigurations":   "MutatingWebhookConfiguration",
		"/apis/rbac.authorization.k8s.io/v1/clusterroles":                 "ClusterRole",
		"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings":          "ClusterRoleBinding",
		"/apis/" + providerGroup + "/v1beta1/providers":                   "Provider",
	} {
		for _, r := range w.labelled(collection, kind) {
			if !w.whole() && w.keptKind(r) {
				continue
			}
			left = append(left, r.words())
		}
	}
	if len(left) > 0 {
		slices.Sort(left)
		left = slices.Compact(left)
		return wait("%s: still there", join(left[:min(len(left), 5)]))
	}
	return nil
}

// keptKind reports whether an object is of the Gatekeeper that stays.
func (w *pass) keptKind(r ref) bool {
	switch r.Kind {
	case "Namespace":
		return r.Name != Namespace
	case "CustomResourceDefinition":
		return !strings.HasPrefix(r.Name, "stockade")
	case "ConstraintTemplate", "Provider":
		return false
	}
	return r.Name != recorderName
}

// forgetAll forgets what was made, and takes the provider's certificates back.
func (w *pass) forgetAll() error {
	return w.s.db.Write(w.ctx, func(ctx context.Context, tx bun.Tx) error {
		return w.s.forgetCluster(ctx, tx, w.r.TargetID, "the protection was ended")
	})
}

func (s *Service) forgetCluster(ctx context.Context, tx bun.IDB, target int64, why string) error {
	_, err := tx.NewDelete().Model((*madeRow)(nil)).Where("target_id = ?", target).Exec(ctx)
	_, err2 := tx.NewDelete().Model((*replicaRow)(nil)).Where("target_id = ?", target).Exec(ctx)
	return errors.Join(err, err2, s.o.Authority.RevokeProvider(ctx, tx, target, why))
}
