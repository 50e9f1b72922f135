package stockade.image

# One question for all policies: the same keys from every constraint, so that the provider is called once for a request.
default operation := ""

operation := input.review.operation

group := object.get(input.review.kind, "group", "")

kind := input.review.kind.kind

user := object.get(object.get(input.review, "userInfo", {}), "username", "")

groups := {g | some g in object.get(object.get(input.review, "userInfo", {}), "groups", [])}

given(name) := object.get(input.parameters, name, [])

# What is there already has no operation, and nobody asks for it.
heed if operation == ""

heed if {
	operation in {"CREATE", "UPDATE"}
	asked_for
	not user in given("users")
	count({g | some g in given("groups"); g in groups}) == 0
}

asked_for if count(given("operations")) == 0

asked_for if operation in given("operations")

pod(o) := o if {
	kind == "Pod"
	group == ""
} else := o.template if {
	kind == "PodTemplate"
	group == ""
} else := o.spec.jobTemplate.spec.template if {
	kind == "CronJob"
	group == "batch"
} else := o.spec.template

spec(o) := pod(o).spec if is_object(pod(o).spec)

# Uses are the images of an object: [image, what uses it].
uses(o) := array.concat(containers(o), volumes(o))

containers(o) := [[c.image, concat(" ", [words.container, sprintf("%v", [object.get(c, "name", "?")])])] |
	some list in ["containers", "initContainers", "ephemeralContainers"]
	some c in spec(o)[list]
	is_string(c.image)
	c.image != ""
]

volumes(o) := [[v.image.reference, concat(" ", [words.volume, sprintf("%v", [object.get(v, "name", "?")])])] |
	some v in spec(o).volumes
	is_string(v.image.reference)
	v.image.reference != ""
]

words := object.get(input.parameters, "words", {"container": "container", "volume": "volume"})

colon := object.get(words, "colon", ": ")

# Images that stood in the object before were decided on then: labels of a running pod change although its image became bad.
before := {u[0] | operation == "UPDATE"; some u in uses(input.review.oldObject)}

new := {u[0] | some u in uses(input.review.object); not u[0] in before}

# As many as the server looks at: with hundreds a key would be longer than the provider takes, and the image would count as one without an
# answer.
secrets := array.slice(sort({s.name |
	some s in spec(input.review.object).imagePullSecrets
	is_string(s.name)
	count(s.name) < 254
	regex.match(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`, s.name) # what is none could end a field of the key early
}), 0, 20)

namespace := object.get(input.review, "namespace", "")

key(pair, image) := concat("|", [object.get(input.parameters, "generation", ""), pair.policy, pair.action, namespace, concat(",", secrets), regex.replace(substring(image, 0, 1000), `[\x00-\x1f\x7f]`, "?")]) # with either it is no name of an image

keys := sort({key(pair, image) | some pair in input.parameters.pairs; some image in new})

answer := external_data({"provider": "stockade", "keys": keys}) if {
	heed
	count(keys) > 0
}

values[r[0]] := r[1] if some r in answer.responses

errors[e[0]] := e[1] if some e in answer.errors

mine(image) := key({"policy": input.parameters.policy, "action": input.parameters.action}, image)

wanted contains image if {
	some image in new
	heed
	judged(image)
	not allowed(image)
}

# Patterns: names that are none of an image are judged always.
judged(image) if not named(image)

judged(image) if {
	named(image)
	included(image)
	not excluded(image)
}

included(_) if count(given("images")) == 0

included(image) if matched(image, given("images"))

excluded(image) if matched(image, given("excludedImages"))

matched(image, patterns) if {
	some name in names(image)
	some p in patterns
	regex.match(p, name)
}

# Forms of names are policy.ParseReference's: its table of names holds what is here to it.
named(image) if {
	count(image) <= 500
	regex.match(input.parameters.imageForm, image)
	every r in repositories(image) {
		count(r) - indexof(r, "/") <= 256
	}
}

digest(image) := split(image, "@")[1] if contains(image, "@") else := ""

last(path) := parts[count(parts) - 1] if parts := split(path, "/")

tag(image) := t if {
	rest := last(split(image, "@")[0])
	contains(rest, ":")
	t := split(rest, ":")[1]
} else := "latest" if digest(image) == "" else := ""

repository(image) := r if {
	rest := split(image, "@")[0]
	contains(last(rest), ":")
	r := trim_suffix(rest, concat("", [":", tag(image)]))
} else := split(image, "@")[0]

hosted(r) if {
	contains(r, "/")
	regex.match(`[.:A-Z]`, split(r, "/")[0])
}

hosted(r) if {
	contains(r, "/")
	split(r, "/")[0] == "localhost"
}

registry(r) := host_of(lower(split(r, "/")[0])) if hosted(r) else := "docker.io"

# Of some hosts only large letters say that they are one.
host_of(h) := concat("", [h, ":443"]) if {
	not regex.match(`[.:]`, h)
	h != "localhost"
} else := h

below(r) := substring(r, indexof(r, "/") + 1, -1) if hosted(r) else := r

hub(r) if registry(r) in {"docker.io", "index.docker.io", "registry-1.docker.io"}

repositories(image) := {concat("/", [registry(r), below(r)])} if {
	r := repository(image)
	not hub(r)
} else := {concat("/", ["docker.io/library", below(r)]), concat("/", ["library", below(r)]), below(r)} if {
	r := repository(image)
	not contains(below(r), "/")
} else := {concat("/", ["docker.io", below(r)]), below(r), trim_prefix(below(r), "library/")} if {
	r := repository(image)
}

names(image) := {name |
	some r in repositories(image)
	some t in {"", tag(image)}
	some d in {"", digest(image)}
	name := concat("", [r, mark(":", t), mark("@", d)])
}

mark(_, s) := "" if s == ""

mark(by, s) := concat("", [by, s]) if s != ""

# Images that the policy lets in, named by their digest. Others are known to those who answer.
allowed(image) if {
	named(image)
	some a in given("allowed")
	digest(image) == a.digest
	count(object.get(a, "repositories", [])) == 0
}

allowed(image) if {
	named(image)
	some a in given("allowed")
	digest(image) == a.digest
	some p in a.repositories
	some r in repositories(image)
	regex.match(p, r)
}

# Exceptions by whose the object is; export.Admission says it in CEL.
controllers := {c | some c in given("controllers")}

refs := [r | some r in input.review.object.metadata.ownerReferences; r.controller == true] if {
	believed
	kind in {"Pod", "ReplicaSet", "Job", "ReplicationController"}
} else := []

believed if operation == ""

believed if user in controllers

labels := {k: v | some k, v in pod(input.review.object).metadata.labels}

owner := {"kind": kind, "name": own_name} if {
	count(refs) == 0
} else := {"kind": "Deployment", "name": trim_suffix(refs[0].name, concat("", ["-", hash]))} if {
	kind == "Pod"
	object.get(input.parameters, "chains", false)
	refs[0].kind == "ReplicaSet"
	startswith(refs[0].apiVersion, "apps/")
	hash := labels["pod-template-hash"]
	hash != ""
	endswith(refs[0].name, concat("", ["-", hash]))
	count(refs[0].name) > count(hash) + 1
} else := {"kind": "CronJob", "name": regex.replace(refs[0].name, `-[1-9][0-9]{7}$`, "")} if {
	kind == "Pod"
	object.get(input.parameters, "chains", false)
	refs[0].kind == "Job"
	startswith(refs[0].apiVersion, "batch/")
	regex.match(`^.+-[1-9][0-9]{7}$`, refs[0].name)
} else := {"kind": refs[0].kind, "name": refs[0].name}

own_name := input.review.object.metadata.name if input.review.object.metadata.name != "" else := object.get(input.review.object, ["metadata", "generateName"], "")

accepted(message, image, user_of) if {
	some e in given("exceptions")
	some check in e.checks
	startswith(message, concat("", ["[", check, "]"]))
	holds(e, user_of)
	not other_image(e, image)
}

# What was found is accepted where of every set an exception holds: who answers for images says which it takes.
pardoned(sets, user_of) if {
	count(sets) > 0
	every set in sets {
		some e in given("exceptions")
		e.id in set
		holds(e, user_of)
	}
}

holds(e, user_of) if {
	fits(e, "namespace", namespace)
	fits(e, "kind", owner.kind)
	fits(e, "name", owner.name)
	fits(e, "container", user_of)
	every l in object.get(e, "labels", []) {
		labelled(l)
	}
}

fits(e, field, _) if {
	not e[field]
	not e[concat("", [field, "Like"])]
}

fits(e, field, value) if e[field] == value

fits(e, field, value) if regex.match(e[concat("", [field, "Like"])], value)

other_image(e, image) if {
	e.image
	not of_image(e, image)
}

of_image(e, image) if regex.match(e.image, image)

of_image(e, image) if regex.match(e.image, repository(image))

of_image(e, image) if {
	not hosted(repository(image))
	contains(repository(image), "/")
	regex.match(e.image, concat("/", ["docker.io", repository(image)]))
}

of_image(e, image) if {
	not contains(repository(image), "/")
	regex.match(e.image, concat("/", ["docker.io/library", repository(image)]))
}

labelled(l) if {
	l.operator == "Exists"
	_ := labels[l.key]
}

labelled(l) if {
	l.operator == "DoesNotExist"
	not l.key in object.keys(labels)
}

labelled(l) if {
	l.operator == "In"
	labels[l.key] in l.values
}

labelled(l) if {
	l.operator == "NotIn"
	not labels[l.key] in l.values
}

container(place) := substring(place, count(words.container) + 1, -1) if startswith(place, concat("", [words.container, " "])) else := ""

# Places are what uses an image: as many of three by name as there is room for.
named_places(list) := concat("", [concat(", ", [clipped(p, 40) | some p in array.slice(list, 0, n)]), others(count(list) - n)]) if {
	n := max([k | some k in [1, 2, 3]; k <= count(list); fit(list, k)])
}

fit(_, 1)

fit(list, k) if count(concat(", ", array.slice(list, 0, k))) <= 40

others(0) := ""

others(n) := sprintf(" +%d", [n]) if n > 0

# A text without its middle: names are told apart by their ends.
clipped(s, most) := s if count(s) <= most

clipped(s, most) := concat("", [substring(s, 0, front), "…", substring(s, count(s) - ((most - 1) - front), -1)]) if {
	count(s) > most
	front := floor((most - 1) / 3)
}

begun(s, most) := s if count(s) <= most

begun(s, most) := concat("", [substring(s, 0, most - 1), "…"]) if count(s) > most

# The place stands behind the name of the check: [image/tag] container web: ...
placed(message, place) := concat("", [substring(message, 0, i + 2), place, colon, substring(message, i + 2, -1)]) if {
	i := indexof(message, "] ")
	i >= 0
} else := concat("", [message, " (", place, ")"])

places(image, message, sets) := sort({u[1] |
	some u in uses(input.review.object)
	u[0] == image
	not accepted(message, image, container(u[1]))
	not pardoned(sets, container(u[1]))
})

violation contains {"msg": msg} if {
	some image in wanted
	value := values[mine(image)]
	some i, message in value.messages
	list := places(image, message, [set | some set in value.unless[i]])
	count(list) > 0
	msg := placed(message, named_places(list))
}

# Nobody answered. What happens is the policy's to say: this constraint objects when its action is what the policy wants then.
violation contains {"msg": msg} if {
	object.get(input.parameters, "unanswered", false)
	some image in wanted
	reason := silent(image)
	list := places(image, "", [])
	place := named_places(list)
	s := input.parameters.silence
	stop := object.get(s, "stop", "")
	room := object.get(s, "most", 300) - count(concat("", [s.head, place, colon, colon, stop, s.tail]))
	hint := hinted(object.get(s, "hint", ""), (room - min([60, count(image)])) - min([60, count(reason)]))
	name := clipped(image, max([20, min([60, room - count(hint) - 40])]))
	what := begun(reason, max([20, room - count(hint) - count(name)]))
	msg := placed(concat("", [s.head, name, colon, what, stop, hint, s.tail]), place)
}

hinted(hint, room) := hint if count(hint) <= room else := ""

# What Gatekeeper says first of a provider that it cannot ask is the same always, and leaves no room for the reason.
cause(reason) := trim_prefix(parts[count(parts) - 1], "tls: failed to verify certificate: ") if parts := split(reason, `": `)

silent(image) := cause(answer.system_error) if answer.system_error != "" else := errors[mine(image)] if {
	errors[mine(image)]
} else := "no answer" if {
	not values[mine(image)]
}
