package constraint

import (
	_ "embed"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/policy"
)

//go:embed image.rego
var imageRego string

// imageKind is the template of image checks.
const imageKind = "StockadeImage"

// providerSeconds is how long Gatekeeper waits for the provider: less than its webhook is waited for (3 s; 1 s for mutation), so
// that there is an answer to act on.
const (
	providerSeconds = 2
	digestSeconds   = 1
)

// imageActions are the actions of the image constraints of a policy: of its checks, and of what happens to images without an answer
// when that is more than being recorded.
func (c *compiler) imageActions(p *policy.Policy) []policy.Action {
	if len(p.Checks) == 0 {
		return nil
	}
	var out []policy.Action
	asks := false
	for i := range p.Checks {
		out = append(out, c.action(p, p.Checks[i].Action))
		asks = asks || p.Checks[i].Check != policy.Registry && p.Checks[i].Check != policy.Tag
	}
	if a := c.unanswered(p); asks && a != policy.Audit {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b policy.Action) int { return a.Rank() - b.Rank() })
	return slices.Compact(out)
}

// unanswered is what happens now to an image without an answer.
func (c *compiler) unanswered(p *policy.Policy) policy.Action {
	if p.Unanswered == policy.Off {
		return policy.Audit
	}
	return p.Rollout.At(p.Unanswered, c.o.Now)
}

// pairUp lists the policies and actions that images are asked about. All constraints ask for all of them: the same question is sent
// once however many constraints put it, so a provider that is slow costs its time-out once.
func (c *compiler) pairUp(policies []*policy.Policy) {
	for _, p := range policies {
		for _, a := range c.imageActions(p) {
			c.pairs = append(c.pairs, map[string]any{"policy": strconv.FormatInt(p.ID, 10), "action": string(a)})
		}
	}
}

// images compiles the image checks of a policy.
func (c *compiler) images(p *policy.Policy) {
	actions := c.imageActions(p)
	if len(actions) == 0 {
		return
	}
	a, k := c.area(p), kinds{}
	for _, w := range export.Workloads() {
		if inScope(p, w) {
			k.add(w.Group, w.Kind)
		}
	}
	if len(k) == 0 {
		c.note(p, "image checks", "the policy's scope has no kind that names images")
		return
	}
	if a.none {
		c.note(p, "image checks", "there is nothing that the policy's scope holds for; they are not enforced")
		return
	}
	for _, action := range actions {
		params := c.judged(p)
		params["policy"], params["action"], params["pairs"] = strconv.FormatInt(p.ID, 10), string(action), c.pairs
		params["imageForm"] = export.ImageForm
		params["words"] = map[string]any{"container": c.say("container", "容器"), "volume": c.say("volume", "卷"), "colon": c.say(": ", "：")}
		if c.o.Adopted {
			params["generation"] = strings.ReplaceAll(oneLine(c.bundle.Generation, 100), "|", "-")
		}
		if list := c.allowed(p); len(list) > 0 {
			params["allowed"] = list
		}
		if list := c.acceptingChecks(p); len(list) > 0 {
			params["exceptions"], params["chains"], params["controllers"] = list, chained(p), texts(export.Controllers)
		}
		if c.unanswered(p) == action {
			name, link := c.ends(p)
			if link != "" {
				link += "image/unanswered"
			}
			params["unanswered"] = true
			params["silence"] = map[string]any{
				"head": c.say("[image/unanswered] No verdict on the image: ", "[image/unanswered] 镜像尚无判定结果："), "most": int64(export.MaxRefusal),
				"hint": map[policy.Action]string{
					policy.Block: c.say("Try again in a moment. ", "请稍后重试。"),
					policy.Warn:  c.say("It is let in and judged later. ", "已放行，稍后补判。"),
					policy.Audit: c.say("It is let in and judged later. ", "已放行，稍后补判。")}[action],
				"tail": name + link, "stop": c.say(". ", "。")}
		}
		c.constraints = append(c.constraints, c.object(constraintAPI, imageKind, constraintName(p, action), p,
			map[string]any{"enforcementAction": enforcement(action), "match": a.match(k), "parameters": params}))
	}
	if len(c.templates) == 0 || c.templates[0].GetName() != strings.ToLower(imageKind) {
		c.templates = slices.Insert(c.templates, 0, c.template(imageKind, map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
			map[string]any{"engine": "Rego", "source": map[string]any{"version": "v1", "rego": imageRego}}))
	}
}

func (c *compiler) say(en, zh string) string {
	if c.bundle.Lang == "zh" {
		return zh
	}
	return en
}

// allowed are the images that are let in without a question: those whose digest tells. Tags and signatures are known to those who
// answer.
func (c *compiler) allowed(p *policy.Policy) []any {
	var out []any
	for i := range p.Allowed {
		a := &p.Allowed[i]
		if !a.Expires.IsZero() && !c.o.Now.Before(a.Expires) {
			continue
		}
		c.until(a.Expires)
		if a.Digest == "" || len(a.Keys) > 0 {
			continue
		}
		m := map[string]any{"digest": a.Digest}
		if a.Repository != "" {
			r, ok := expression(a.Repository, true)
			if !ok {
				c.note(p, "allowed images", "the pattern %q is malformed and matches nothing", oneLine(a.Repository, 60))
				continue
			}
			m["repositories"] = []any{r}
		}
		out = append(out, m)
	}
	return out
}

// acceptingChecks are the exceptions that name image checks, as parameters of the image template.
func (c *compiler) acceptingChecks(p *policy.Policy) []any {
	var out []any
	left := 0
	for i := range c.grants {
		g := &c.grants[i]
		var checks []string
		for _, k := range policy.Checks {
			if name := "image/" + string(k); matches(g.Rule, name) {
				checks = append(checks, name)
			}
		}
		if len(checks) == 0 {
			continue
		}
		if len(out) == maxGrants {
			left++
			continue
		}
		m := map[string]any{"checks": texts(checks)}
		for k, v := range g.param {
			m[k] = v
		}
		out = append(out, m)
		c.until(g.Expires)
		if g.byOwner && !chained(p) {
			c.set.Notes = append(c.set.Notes, Note{Policy: p.ID, Exception: g.ID, What: "exception", Reason: unchained})
		}
	}
	for i := range c.pardons {
		g := &c.pardons[i]
		if len(out) == maxGrants {
			left++
			continue
		}
		out = append(out, g.param)
		c.until(g.Expires)
		if g.byOwner && !chained(p) {
			c.set.Notes = append(c.set.Notes, Note{Policy: p.ID, Exception: g.ID, What: "exception", Reason: unchained})
		}
	}
	if left > 0 {
		c.note(p, "exceptions", "%d of them are left out of the image checks: a constraint takes %d", left, maxGrants)
	}
	return out
}

// provide makes the Provider objects that templates and mutators name.
func (c *compiler) provide() {
	url := strings.TrimRight(c.o.ProviderURL, "/")
	provider := func(name, path string, seconds int64) {
		c.providers = append(c.providers, c.object("externaldata.gatekeeper.sh/v1beta1", "Provider", name, nil, map[string]any{
			"url": url + path, "timeout": seconds, "caBundle": base64.StdEncoding.EncodeToString(c.o.CABundle)}))
	}
	if len(c.templates) > 0 && c.templates[0].GetName() == strings.ToLower(imageKind) {
		provider(Provider, "/validate", providerSeconds)
	}
	if len(c.mutators) > 0 {
		provider(DigestOf, "/mutate", digestSeconds)
	}
}
