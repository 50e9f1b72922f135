package export

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/rule"
)

// Checks are rules as the variables and validations of an admission policy that judges by parameters. The parameters are data of
// the policy's constraint: nothing of what people write becomes part of an expression.
type Checks struct {
	Variables   []any
	Validations []any
	Schema      map[string]any // of the parameters
}

// Controllers are those who make pods of workloads. Who owns a pod is believed to nobody else: anybody can write it there.
var Controllers = []string{
	"system:serviceaccount:kube-system:replicaset-controller", "system:serviceaccount:kube-system:deployment-controller",
	"system:serviceaccount:kube-system:statefulset-controller", "system:serviceaccount:kube-system:daemon-set-controller",
	"system:serviceaccount:kube-system:job-controller", "system:serviceaccount:kube-system:cronjob-controller",
	"system:serviceaccount:kube-system:replication-controller", "system:kube-controller-manager",
}

// Admission writes rules for admission. lang is that of messages; given is the CEL of the parameters, a map:
//
//	rules           ids of the rules in force
//	settings        parameters by rule
//	operations      that are judged; absent: CREATE and UPDATE. What is there already (an audit has no operation) is always judged
//	users, groups   whose requests are let in
//	namespaces, excludedNamespaces, images, excludedImages   regular expressions
//	exceptions      [{rules, namespace, kind, name, container, labels, and each with Like for a regular expression; image is always one}]
//	chains          ReplicaSets and Jobs are judged too, so that their names tell whose they are
//	policy, link    ends of messages
func Admission(rules []*rule.Rule, lang, given string) (*Checks, error) {
	g := &group{rules: rules}
	vars := append(g.givenAs(given), requestVariables...)
	vars = append(vars, podVariables[:2]...)
	vars = append(vars, objectVariables()...)
	vars = append(vars, variable{"small", small(slices.ContainsFunc(rules, squared))})
	validations := []validation{tooLarge(lang)}
	for _, r := range rules {
		if !Enforceable(r) {
			return nil, fmt.Errorf("%s: admission cannot run it", r.Name)
		}
		if len(r.Params) > 0 {
			vars = append(vars, variable{paramsName(r), parameters(r, "variables.settings."+settingsKey(r))})
		}
		bad, err := culprits(r, lang)
		if err != nil {
			return nil, err
		}
		name := "bad_" + strings.ReplaceAll(r.ID, "-", "_")
		vars = append(vars, variable{name, bad})
		fixed, dynamic := refusal(r, lang, "variables."+name)
		if squared(r) {
			dynamic = short(fixed, r.ID) // messages are made of what is good too: culprits would cost all of it once more
		}
		validations = append(validations, validation{"variables." + name + ".size() == 0", fixed, dynamic})
	}
	schema := g.schema(false)
	for name, s := range admissionSchema {
		schema["properties"].(map[string]any)[name] = s
	}
	return &Checks{anyList(vars), anyList(validations), schema}, nil
}

var (
	texts           = map[string]any{"type": "array", "items": map[string]any{"type": "string"}}
	admissionSchema = map[string]any{
		"operations": texts, "users": texts, "groups": texts, "namespaces": texts, "excludedNamespaces": texts, "images": texts, "excludedImages": texts,
		"chains": map[string]any{"type": "boolean"}, "policy": map[string]any{"type": "string"}, "link": map[string]any{"type": "string"},
		"exceptions": map[string]any{"type": "array", "items": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
	}
)

// requestVariables say who asks for what.
var requestVariables = []variable{
	{"operation", `has(request.operation) ? request.operation : ""`},
	{"user", `has(request.userInfo) && has(request.userInfo.username) ? request.userInfo.username : ""`},
	{"among", `has(request.userInfo) && has(request.userInfo.groups) ? request.userInfo.groups : []`},
}

// objectVariables say what is judged of the object, and for whom.
func objectVariables() []variable {
	judged := func(list string) string {
		return `variables.patterned ? (` + list + `).filter(c, has(c.image) && c.image != "" && ` + wanted("c.image") + `) : (` + list + `)`
	}
	return []variable{
		{"workload", "variables.groupKind in " + literal(workloads)},
		{"space", `has(variables.anyObject.metadata.namespace) ? variables.anyObject.metadata.namespace : ` +
			`variables.groupKind == "Namespace" && has(variables.anyObject.metadata.name) ? variables.anyObject.metadata.name : ""`},
		{"heed", `(variables.operation == "" || (has(variables.given.operations) ? variables.operation in variables.given.operations : variables.operation in ["CREATE", "UPDATE"]) && ` +
			`!(has(variables.given.users) && variables.user in variables.given.users) && ` +
			`!(has(variables.given.groups) && variables.among.exists(g, g in variables.given.groups))) && ` +
			`(!has(variables.given.namespaces) || variables.space == "" || variables.given.namespaces.exists(p, variables.space.matches(p))) && ` +
			`(!has(variables.given.excludedNamespaces) || variables.space == "" || !variables.given.excludedNamespaces.exists(p, variables.space.matches(p)))`},
		{"before", `variables.groupKind == "CronJob.batch" ? oldObject.spec.jobTemplate.spec.template : variables.groupKind == "PodTemplate" ? oldObject.template : oldObject.spec.template`},
		{"stillPod", `variables.operation == "UPDATE" && oldObject != null && variables.workload && ` +
			`(variables.groupKind == "Pod" ? variables.anyObject.spec == oldObject.spec : variables.pod == variables.before)`},
		{"stillObject", stillObject},
		{"patterned", `has(variables.given.images) || has(variables.given.excludedImages)`},
		{"regular", judged(`has(variables.pod.spec.containers) ? variables.pod.spec.containers : []`)},
		{"early", judged(`has(variables.pod.spec.initContainers) ? variables.pod.spec.initContainers : []`)},
		{"ephemeral", judged(`has(variables.pod.spec.ephemeralContainers) ? variables.pod.spec.ephemeralContainers : []`)},
		// Of a pod or object of which no image is meant nothing is judged.
		{"scoped", `!variables.patterned || (variables.workload ? variables.regular.size() + variables.early.size() + variables.ephemeral.size() > 0 || ` +
			`has(variables.pod.spec.volumes) && variables.pod.spec.volumes.exists(v, has(v.image) && has(v.image.reference) && v.image.reference != "" && ` + wanted("v.image.reference") + `) : ` +
			`!has(variables.given.images))`},
		{"labels", `variables.workload && has(variables.pod.metadata) && has(variables.pod.metadata.labels) ? variables.pod.metadata.labels : {}`},
		{"refs", `(variables.operation == "" || variables.user in ` + literal(Controllers) + `) && has(variables.anyObject.metadata.ownerReferences) && ` +
			`variables.groupKind in ["Pod", "ReplicaSet.apps", "Job.batch", "ReplicationController"] ? ` +
			`variables.anyObject.metadata.ownerReferences.filter(r, has(r.controller) && r.controller) : []`},
		{"owner", owner},
		{"accepted", accepted},
		{"named", named},
		{"policy", `has(variables.given.policy) ? " " + variables.given.policy : ""`},
	}
}

// stillObject is policy.Standing for rules over objects.
const stillObject = `variables.operation == "UPDATE" && oldObject != null && (variables.workload && variables.groupKind != "PodTemplate" ? ` +
	`has(oldObject.spec) && variables.anyObject.spec == oldObject.spec : ` +
	`(has(variables.anyObject.metadata.labels) ? variables.anyObject.metadata.labels : {}) == (has(oldObject.metadata.labels) ? oldObject.metadata.labels : {}) && ` +
	`(has(variables.anyObject.metadata.annotations) ? variables.anyObject.metadata.annotations : {}) == (has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {}) && ` +
	`variables.anyObject.all(k, k in ["metadata", "status"] || k in oldObject && variables.anyObject[k] == oldObject[k]) && ` +
	`oldObject.all(k, k in ["metadata", "status"] || k in variables.anyObject))`

// owner is the kind and name of whom the object belongs to: of a pod the workload above its ReplicaSet or Job when the name of that
// tells, and when nobody could have made one of that name past the policy.
const owner = `variables.refs.size() == 0 ? [variables.anyObject.kind, has(variables.anyObject.metadata.name) && variables.anyObject.metadata.name != "" ? variables.anyObject.metadata.name : ` +
	`has(variables.anyObject.metadata.generateName) ? variables.anyObject.metadata.generateName : ""] : ` +
	`variables.groupKind == "Pod" && variables.refs[0].kind == "ReplicaSet" && variables.refs[0].apiVersion.startsWith("apps/") && ` +
	`has(variables.given.chains) && variables.given.chains && "pod-template-hash" in variables.labels && variables.labels["pod-template-hash"] != "" && ` +
	`variables.refs[0].name.endsWith("-" + variables.labels["pod-template-hash"]) && size(variables.refs[0].name) > size(variables.labels["pod-template-hash"]) + 1 ? ` +
	`["Deployment", variables.refs[0].name.substring(0, size(variables.refs[0].name) - size(variables.labels["pod-template-hash"]) - 1)] : ` +
	`variables.groupKind == "Pod" && variables.refs[0].kind == "Job" && variables.refs[0].apiVersion.startsWith("batch/") && ` +
	`has(variables.given.chains) && variables.given.chains && variables.refs[0].name.matches("^.+-[1-9][0-9]{7}$") ? ` +
	`["CronJob", variables.refs[0].name.substring(0, size(variables.refs[0].name) - 9)] : [variables.refs[0].kind, variables.refs[0].name]`

// accepted are the exceptions that hold for the object.
const accepted = `(has(variables.given.exceptions) ? variables.given.exceptions : []).filter(e, ` +
	`(!has(e.namespace) || e.namespace == variables.space) && (!has(e.namespaceLike) || variables.space.matches(e.namespaceLike)) && ` +
	`(!has(e.kind) || e.kind == variables.owner[0]) && (!has(e.kindLike) || variables.owner[0].matches(e.kindLike)) && ` +
	`(!has(e.name) || e.name == variables.owner[1]) && (!has(e.nameLike) || variables.owner[1].matches(e.nameLike)) && ` +
	`(!has(e.labels) || variables.workload && e.labels.all(l, ` +
	`l.operator == "Exists" ? l.key in variables.labels : l.operator == "DoesNotExist" ? !(l.key in variables.labels) : ` +
	`l.operator == "In" ? l.key in variables.labels && variables.labels[l.key] in l.values : ` +
	`l.operator == "NotIn" ? !(l.key in variables.labels) || !(variables.labels[l.key] in l.values) : false)))`

// named are the containers with the names of their images that patterns of exceptions are held against: the reference, the repository as
// written and in full.
const named = `(variables.regular + variables.early + variables.ephemeral).filter(c, has(c.name) && has(c.image)).map(c, ` +
	`[string(c.image).split("@")[0]].map(i, i.lastIndexOf(":") > i.lastIndexOf("/") ? i.substring(0, i.lastIndexOf(":")) : i).map(r, ` +
	`[string(c.name), string(c.image), r, !r.contains("/") ? "docker.io/library/" + r : r.split("/")[0].matches("[.:A-Z]") || r.split("/")[0] == "localhost" ? r : "docker.io/" + r])[0])`

// Forms of image names, as policy.ParseReference reads them; its tests hold this to it. What is before the first slash is a host when
// it has a dot, a port or a large letter; every other name of a host is a form of a part, too.
const (
	label     = `[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?`
	large     = `(?:[a-z0-9_][a-z0-9_-]*)?[A-Z](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?`
	host      = `(?:` + label + `(?:\.` + label + `)*:[0-9]+|` + label + `(?:\.` + label + `)+|` + large + `|\[[0-9A-Fa-f]*:[0-9A-Fa-f:]*\](?::[0-9]+)?)`
	part      = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
	ImageForm = `^(?:` + host + `/)?` + part + `(?:/` + part + `)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}))?$`
)

// wanted is true for images that the policy's patterns want judged: those that are none of an image too.
func wanted(image string) string {
	match := func(list string) string {
		return `variables.given.` + list + `.exists(p, n.exists(r, (r + "").matches(p) || b[1] != "" && (r + ":" + b[1]).matches(p) || ` +
			`a[1] != "" && (r + "@" + a[1]).matches(p) || a[1] != "" && b[1] != "" && (r + ":" + b[1] + "@" + a[1]).matches(p)))`
	}
	// Each exists over one element is a name for a value: a is [name and tag, digest], b [repository, tag], h [registry, repository below it].
	return `[string(` + image + `)].exists(i, size(i) > 500 || !i.matches(` + quote(ImageForm) + `) || ` +
		`[i.contains("@") ? i.split("@") : [i, ""]].exists(a, ` +
		`[a[0].lastIndexOf(":") > a[0].lastIndexOf("/") ? [a[0].substring(0, a[0].lastIndexOf(":")), a[0].substring(a[0].lastIndexOf(":") + 1)] : [a[0], a[1] == "" ? "latest" : ""]].exists(b, ` +
		`[` + hosted("b[0]") + ` ? [b[0].split("/")[0].lowerAscii() + (b[0].split("/")[0].matches("[.:]") || b[0].split("/")[0].lowerAscii() == "localhost" ? "" : ":443"), b[0].substring(b[0].indexOf("/") + 1)] : ["docker.io", b[0]]].exists(h, ` +
		`[!(h[0] in ["docker.io", "index.docker.io", "registry-1.docker.io"]) ? [h[0] + "/" + h[1]] : !h[1].contains("/") ? ["docker.io/library/" + h[1], "library/" + h[1], h[1]] : ` +
		`h[1].startsWith("library/") ? ["docker.io/" + h[1], h[1], h[1].substring(8)] : ["docker.io/" + h[1], h[1]]].exists(n, ` +
		`size(n[0]) - n[0].indexOf("/") > 256 || ` + // a name that is too long is none
		`(!has(variables.given.images) || ` + match("images") + `) && (!has(variables.given.excludedImages) || !` + match("excludedImages") + `)` +
		`)))))`
}

// hosted is true for a repository with a registry before it.
func hosted(r string) string {
	return r + `.contains("/") && (` + r + `.split("/")[0].matches("[.:A-Z]") || ` + r + `.split("/")[0] == "localhost")`
}

// quote is a constant as CEL text.
func quote(s string) string { return literal(s) }

// culprits are the parts of the object that break the rule and that no exception lets pass, each as messages name it.
func culprits(r *rule.Rule, lang string) (string, error) {
	v := r.Validate
	body, err := rule.Rename(strings.TrimSpace(v.Expression), map[string]string{"object": "variables.anyObject", "pod": "variables.pod",
		"params": "variables." + paramsName(r)})
	if err != nil {
		return "", fmt.Errorf("%s: %w", r.Name, err)
	}
	scope := map[string]string{"container": "container", "pod": "variables.pod", "object": "variables.anyObject"}[v.Over]
	body = each(v.Each, scope, body)
	still := "variables.stillPod"
	if v.Over == "object" {
		still = "variables.stillObject"
	}
	kind := guard(r)
	if len(r.Match.Kinds) == 1 && r.Match.Kinds[0] == "Workload" {
		kind = "variables.workload" // found once for all rules
	}
	when := "variables.heed && variables.small && " + literal(r.ID) + " in variables.enabled && " + kind + " && !" + still
	excepted := literal(r.ID) + " in e.rules && "
	if v.Over != "container" {
		excepted = "variables.accepted.exists(e, " + excepted + "!has(e.container) && !has(e.containerLike) && !has(e.image))"
		return when + " && variables.scoped && !" + body + " && !" + excepted + ` ? [["", ""` + detail(r, scope, lang, "", "") + "]] : []", nil
	}
	excepted = "variables.accepted.exists(e, " + excepted + "(!has(e.container) || has(container.name) && e.container == container.name) && " +
		"(!has(e.containerLike) || has(container.name) && container.name.matches(e.containerLike)) && (!has(e.image) || has(container.name) && variables.named.exists(n, n[0] == container.name && n.exists(i, i != n[0] && i.matches(e.image)))))"
	return when + " ? " + containers(v.Types) + ".filter(container, !" + body + " && !" + excepted + ").map(container, [" +
		`has(container.name) ? string(container.name) : "?", ""` + detail(r, "container", lang, " (", ")") + "]) : []", nil
}

var plainPath = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*)*$`)

// detail is CEL that adds path, value and what is wanted, where that is cheap: values of one field, numbers and truth values only,
// since texts may be secret.
func detail(r *rule.Rule, scope, lang, open, shut string) string {
	v := r.Validate
	if v.Each != "" || v.Found != "" || !plainPath.MatchString(v.Path) {
		return ""
	}
	at, guards := scope, ""
	for k := range strings.SplitSeq(v.Path, ".") {
		at += "." + k
		guards += " && has(" + at + ")"
	}
	needed := ""
	switch v.Want.(type) {
	case string, bool, int64, float64:
		needed = word(lang, ", needed ", "，应为 ") + shorten(fmt.Sprint(v.Want), 40)
	}
	return " + " + literal(open+v.Path+word(lang, ": ", "：")) + " + (" + guards[4:] + " ? (type(" + at + ") == bool || type(" + at + ") == int || type(" + at + ") == double ? " +
		literal(word(lang, "found ", "当前为 ")) + " + string(" + at + ") : " + literal(word(lang, "set", "已设置")) + ") : " + literal(word(lang, "not set", "未设置")) +
		") + " + literal(needed+shut)
}

func word(lang, en, zh string) string {
	if lang == "zh" {
		return zh
	}
	return en
}

// MaxRefusal is how many characters a refusal has at most: kubectl shows all of them in one line. What names the policy and leads to the
// whole story is never cut, so an address of the console of more than some 40 characters makes it longer.
const MaxRefusal = 300

// More leads to the full story of a refusal: there people can ask for an exception, too.
func More(lang string) string {
	return word(lang, "; more or an exception: ", "；详情或申请例外：")
}

// refusal is the message of a rule: the first culprits, what was found at the first of them, of the title and the first sentence of the
// fix what there is room for, the policy and where to read more.
func refusal(r *rule.Rule, lang, list string) (fixed, expression string) {
	id, stop := "["+r.ID+"] ", word(lang, ". ", "。")
	title := shorten(strings.TrimRight(r.Title.In(lang), ".。"), 64)
	fix := first(r.Fix.In(lang))
	fixed = id + title + stop + fix
	where := list + "[0][1]"
	if r.Validate.Over == "container" {
		some := list + `[0][0] + ", " + ` + list + `[1][0] + (` + list + `.size() > 2 ? ", " + ` + list + `[2][0] : "")`
		where = "(" + list + `.size() > 1 ? ` + literal(word(lang, "containers ", "容器 ")) + " + " + clipped(some, 60) + " + (" +
			list + `.size() > 3 ? " +" + string(` + list + `.size() - 3) : "") : ` + literal(word(lang, "container ", "容器 ")) + " + " + clipped(list+"[0][0]", 40) + ") + " + where
	} else if !strings.Contains(detail(r, "pod", lang, "", ""), "+") {
		where = ""
	}
	if where == "" {
		where = `""`
	} else {
		where = list + `.size() == 0 ? "" : ` + literal(word(lang, ": ", "：")) + " + " + where
	}
	name := func(as, value, in string) string { return "[" + value + "].map(" + as + ", " + in + ")[0]" }
	least := shorten(title, 12)
	some := fmt.Sprintf("room - %d - size(w)", len([]rune(least)))
	return fixed, name("t", says(`""`, r.ID), name("room", fmt.Sprintf("%d - size(t)", MaxRefusal-2-len([]rune(id+stop))),
		name("w", name("w", where, some+` >= 0 || size(w) <= 60 ? w : w.substring(0, room < 72 ? 59 : room - `+fmt.Sprint(len([]rune(least))+1)+`) + "…"`),
			name("h", begun(title, "room - size(w)", 12),
				literal(id)+` + h + w + `+literal(stop)+` + `+name("left", "room - size(h) - size(w)", "left >= 30 ? "+begun(fix, "left", 30)+` : ""`)+" + t"))))
}

// begun is CEL for the beginning of a text: all of it where it has room, and as much as least in any case.
func begun(text, room string, least int) string {
	if len([]rune(text)) <= least {
		return literal(text)
	}
	return fmt.Sprintf(`(%s >= %d ? %s : %s > %d ? %[3]s.substring(0, %[1]s - 1) + "…" : %[6]s)`, room, len([]rune(text)), literal(text), room, least, literal(shorten(text, least)))
}

// short is CEL for a text and whose policy it is, of the text as much as there is room for.
func short(text, id string) string {
	return "[" + says(`""`, id) + "].map(t, " + begun(text, fmt.Sprintf("(%d - size(t))", MaxRefusal-2), 60) + " + t)[0]"
}

// clipped is CEL that takes the middle out of a text that is too long: names are told apart by their ends.
func clipped(text string, most int) string {
	front := (most - 1) / 3
	return fmt.Sprintf(`[%s].map(x, size(x) > %d ? x.substring(0, %d) + "…" + x.substring(size(x) - %d) : x)[0]`, text, most, front, most-1-front)
}

// says ends a message: whose policy it is and where to read more.
func says(text, id string) string {
	return text + ` + variables.policy + (has(variables.given.link) ? variables.given.link + ` + literal(id) + ` : "")`
}

// first is the first sentence.
func first(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	for i, c := range s {
		if c == '。' || c == '；' || c == '.' && (i+1 == len(s) || s[i+1] == ' ') {
			s = s[:i] + string(c)
			break
		}
	}
	return shorten(s, 110)
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// Family is the name of the policy that a rule goes into: one a risk type. Engines bound what one policy may cost on one object, so a rule
// whose cost grows with the square of a list stands alone: it must not use up what the others need.
func Family(r *rule.Rule) string {
	if squared(r) {
		return camel(r.Name)
	}
	return camel(r.Risk)
}

// squared reports whether the cost of a rule grows with the square of a list.
func squared(r *rule.Rule) bool { return pairs.MatchString(r.Validate.Expression) }

// pairs looks for equal elements of a list: there is no cheaper way to say it.
var pairs = regexp.MustCompile(`\.indexOf\(\w+\) == \w+\.lastIndexOf\(`)

// small is false for objects that would cost more than engines allow: they stop then, with a message that tells nobody why, or let the
// object in. The weight is that of everything rules look through; fifty containers with fifty variables each are below it.
func small(square bool) string {
	size := func(list string) string { return "(has(c." + list + ") ? size(c." + list + ") : 0)" }
	weight := "20 + 2 * " + size("env") + " + 2 * " + size("volumeMounts") + " + 2 * " + size("ports") + " + " + size("args") + " + " + size("command")
	if square { // it stands alone, and looks at variables
		weight = "1 + " + size("env") + " * " + size("env") + " / 24"
	}
	return "!variables.workload || (variables.regular + variables.early + variables.ephemeral).map(c, " + weight + ").sum() <= 12000"
}

// tooLarge refuses what cannot be judged: to let it in would make size a way past every rule.
func tooLarge(lang string) validation {
	text := word(lang, "[too-large] The pod has too many containers, variables, ports and mounts to be judged at admission. Split it into several workloads.",
		"[too-large] Pod 的容器、环境变量、端口和挂载过多，无法在准入时判定。请拆分为多个工作负载。")
	return validation{"!variables.heed || variables.stillPod || variables.small", text,
		short(text, "too-large")}
}

// SettingsKey is the name of a rule's parameters.
func SettingsKey(r *rule.Rule) string { return settingsKey(r) }

// Resources are the kinds of a rule that admission can match.
func Resources(r *rule.Rule) []Resource { return resources(r) }

// Known returns what admission needs to know of a kind, by "Kind" or "Kind.group"; a Kind alone may be in several groups.
func Known(entry string) []Resource {
	var out []Resource
	for _, k := range known {
		if k.GroupKind() == entry || k.Kind == entry {
			out = append(out, k)
		}
	}
	return out
}

// Workloads are the kinds that hold pods.
func Workloads() []Resource {
	var out []Resource
	for _, k := range known {
		for _, w := range workloads {
			if k.GroupKind() == w {
				out = append(out, k)
			}
		}
	}
	return out
}
