(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const data = read("data"), findings = read("findings");
  const severities = ["critical", "high", "medium", "low", "info"];
  const statuses = ["pass", "fail", "manual", "not-applicable"];
  const isCluster = data.target.kind === "cluster";
  const open = findings.filter((f) => !f.suppression);
  const severalKinds = new Set(findings.map((f) => f.kind)).size > 1;

  // What the address holds behind "#": the filters, so that a view can be kept and sent, and the rule or finding looked at.
  const blank = { severity: "", risk: "", place: "", kind: "", clause: "", q: "", suppressed: "", sort: "", rule: "", finding: "" };
  const filters = ["severity", "risk", "place", "kind", "clause", "q"];
  const state = { ...blank, lang: data.lang === "zh" ? "zh" : "en" };
  const pages = { groups: 40, items: 50, rows: 100 };
  const unfolded = new Set(); // indices of rules

  const t = (key, ...values) => values.reduce((s, v, i) => s.replaceAll(`{${i}}`, v), Object.hasOwn(words.en, key) ? words[state.lang][key] : key);
  const pair = (label, value) => label + (state.lang === "zh" ? "：" : ": ") + value;
  const say = (text) => (text ? (state.lang === "zh" && text.zh) || text.en || "" : "");
  const number = (n) => n.toLocaleString(state.lang === "zh" ? "zh-CN" : "en-GB");
  const rank = (s) => severities.indexOf(s);
  // Control characters and marks that turn the writing direction are shown, not obeyed.
  const odd = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g;
  const clean = (s) => String(s).replace(odd, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));

  // el builds elements; text goes in as text only, so nothing of the scanned objects can become markup.
  function el(tag, props, ...children) {
    const e = document.createElement(tag);
    for (const [k, v] of Object.entries(props || {})) {
      if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
      else if (k === "width") e.style.width = v;
      else if (v === true) e.setAttribute(k, "");
      else if (v !== false && v !== undefined && v !== null) e.setAttribute(k, k === "href" ? v : clean(v));
    }
    for (const c of children.flat(3)) if (c || c === 0) e.append(c instanceof Node ? c : clean(c));
    return e;
  }
  const $ = (id) => document.getElementById(id);
  const button = (text, onclick, props) => el("button", { type: "button", onclick, ...props }, text);

  const ruleOf = (f) => data.rules[f.rule];
  const riskOf = (f) => ruleOf(f).risk || "unknown";
  const placeOf = (f) => (isCluster ? f.resource.namespace : f.resource.file) || "";
  const placeName = (p) => p || t(isCluster ? "clusterWide" : "noFile");
  const clauseKey = (c) => `${c.framework}/${c.clause}`;
  const clausesOf = (f) => f.clauses || ruleOf(f).clauses || [];
  function nameOf(r) {
    const object = r.kind && r.kind !== "Dockerfile" ? [r.kind, (r.namespace ? r.namespace + "/" : "") + (r.name || "")].filter(Boolean).join(" ") : "";
    if (!r.file) return object || r.node || r.image || r.name || "-";
    return `${r.file}${r.line ? ":" + r.line : ""}${r.line && r.column ? ":" + r.column : ""}${object ? "  " + object : ""}`;
  }
  let haystack = null; // made at the first search
  function haystackOf(i) {
    haystack ??= findings.map((f) => {
      const r = ruleOf(f), o = f.resource;
      return [r.rule, r.id, ...(r.aliases || []), r.title.en, r.title.zh, f.message.en, f.message.zh, nameOf(o), o.container, o.node, o.image, f.fingerprint].join("\n").toLowerCase();
    });
    return haystack[i];
  }
  const clauseFindings = new Map(data.compliance.filter((c) => c.findings).map((c) => [clauseKey(c), new Set(c.findings)]));

  function visible() {
    const wanted = state.severity && state.severity.split(",");
    const q = state.q.toLowerCase().trim();
    const clause = state.clause && (clauseFindings.get(state.clause) || new Set());
    return findings.filter((f, i) => (state.suppressed || !f.suppression) && (!wanted || wanted.includes(f.severity)) && (!state.risk || riskOf(f) === state.risk) &&
      (!state.place || (placeOf(f) || "-") === state.place) && (!state.kind || f.kind === state.kind) && (!clause || clause.has(f.fingerprint)) && (!q || haystackOf(i).includes(q)));
  }

  // tally counts open findings by a key, most first.
  function tally(key) {
    const m = new Map();
    for (const f of open) {
      const k = key(f);
      if (!m.has(k)) m.set(k, { n: 0, rules: new Set(), critical: 0, high: 0, medium: 0, low: 0, info: 0 });
      const v = m.get(k);
      v.n++;
      v.rules.add(f.rule);
      v[f.severity]++;
    }
    return [...m].sort((a, b) => b[1].n - a[1].n);
  }

  const track = (parts, top) => el("span", { class: "track", "aria-hidden": "true" }, parts.filter(([, n]) => n).map(([name, n]) => el("i", { class: name, width: `${(100 * n) / top}%` })));
  const counted = (v) => severities.filter((s) => v[s]).map((s) => `${t(s)} ${number(v[s])}`).join(", ");

  // bars is a card of buttons that filter, one for each value of a key; scores, when there are some, stand beside the counts.
  function bars(title, field, rows, name, scores) {
    const none = Object.keys(scores || {}).filter((k) => !rows.some(([key]) => key === k)).sort().map((k) => [k, { n: 0, rules: new Set() }]);
    const all = [...rows.slice(0, 8), ...none].slice(0, 10);
    if (!all.length) return null;
    const head = scores ? el("div", { class: "bar head", "aria-hidden": "true" }, el("span", {}), el("span", {}), el("span", { class: "n" }, t("findings")), el("span", { class: "n" }, t("passed"))) : null;
    return el("section", { class: "card" + (field === "place" && !isCluster ? " tall" : "") + (scores ? " scored" : "") }, el("h2", {}, title), head, all.map(([k, v]) => {
      const score = scores && (scores[k] === undefined ? "-" : scores[k] + "%");
      const label = pair(name(k), t("ofRules", number(v.n), number(v.rules.size))) + (v.n ? ` (${counted(v)})` : "") + (scores ? "; " + pair(t("passed"), score) : "");
      const value = k || "-";
      return el("button", { type: "button", class: "bar", "data-field": field, "data-value": value, title: label, "aria-label": label, disabled: !v.n, onclick: () => set({ [field]: state[field] === value ? "" : value }) },
        el("span", { class: "name" }, el("bdi", { dir: "ltr" }, name(k))), track(severities.map((s) => [s, v[s]]), rows.length ? rows[0][1].n : 1), el("span", { class: "n" }, number(v.n)),
        scores ? el("span", { class: "n" }, score) : null);
    }));
  }

  function summary() {
    const counts = Object.fromEntries(severities.map((s) => [s, 0]));
    for (const f of open) counts[f.severity]++;
    const s = data.stats, g = data.target;
    const facts = [["target", g.name], ["version", [g.version, g.distribution, g.managed && t("managed")].filter(Boolean).join(", ")], ["objects", s.objects && number(s.objects)],
      ["images", s.images && number(s.images)], ["rules", s.rules && number(s.rules)], ["checks", s.checks && number(s.checks)], ["suppressed", number(findings.length - open.length)],
      ["notScanned", number(data.notScanned.length)], ["finished", new Date(data.finishedAt).toLocaleString("sv-SE", { timeZoneName: "short" })],
      ["duration", s.durationMs && t("seconds", (s.durationMs / 1000).toFixed(1))], ["ruleSet", (data.tool.rules || "").slice(0, 19)]];
    const rated = frameworks().map((id) => [id, scoreOf(id)]).filter(([, v]) => v >= 0);
    return el("section", { class: "card" }, el("h2", {}, `${t("findings")} `, el("span", { id: "total" }, number(open.length))),
      el("div", { class: "counts", role: "group", "aria-label": t("bySeverity") }, severities.map((v) =>
        button([el("b", {}, number(counts[v])), el("span", {}, t(v))], () => toggle(v), { class: "count " + v, "data-severity": v }))),
      open.length ? track(severities.map((v) => [v, counts[v]]), open.length) : null,
      el("dl", {}, facts.filter(([, v]) => v).flatMap(([k, v]) => [el("dt", {}, t(k)), el("dd", {}, v)]), el("dt", {}, "Stockade"), el("dd", {}, data.tool.version),
        rated.length ? [el("dt", {}, t("compliance")), el("dd", {}, el("a", { href: "#compliance", onclick: jump }, rated.map(([id, v]) => `${id} ${v}%`).join(", ")))] : null));
  }

  const frameworks = () => [...new Set(data.compliance.map((c) => c.framework))];
  function scoreOf(framework) {
    const n = (status) => data.compliance.filter((c) => c.framework === framework && c.status === status).length;
    const pass = n("pass"), decided = pass + n("fail");
    return decided ? Math.floor((100 * pass) / decided) : -1;
  }

  // jump follows a link within the page without writing it to the address, which holds the filters.
  function jump(e) {
    e.preventDefault();
    const target = document.querySelector(e.currentTarget.getAttribute("href"));
    target.scrollIntoView();
    target.focus({ preventScroll: true });
  }

  function toggle(severity) {
    const chosen = state.severity ? state.severity.split(",") : [];
    const next = chosen.includes(severity) ? chosen.filter((s) => s !== severity) : [...chosen, severity];
    set({ severity: severities.filter((s) => next.includes(s)).join(",") });
  }

  function options(field, label, values) {
    return el("select", { "aria-label": label, "data-select": field, onchange: (e) => set({ [field]: e.target.value }) }, values.map(([v, text]) => el("option", { value: v }, text)));
  }

  function controls() {
    const some = (rows, name) => rows.slice(0, 300).map(([k, v]) => [k || "-", `${name(k)} (${number(v.n)})`]);
    const kinds = tally((f) => f.kind || "unknown");
    const placeLabel = t(isCluster ? "namespace" : "file");
    const all = (label, rows) => [["", pair(label, t("all"))], ...rows];
    const hidden = findings.length - open.length;
    return el("div", { class: "filters" },
      el("input", { type: "search", id: "search", placeholder: t("search"), "aria-label": t("search"), oninput: (e) => later(() => set({ q: e.target.value })) }),
      options("risk", t("risk"), all(t("risk"), some(tally(riskOf), t))), options("place", placeLabel, all(placeLabel, some(tally(placeOf), placeName))),
      kinds.length > 1 ? options("kind", t("kind"), all(t("kind"), some(kinds, t))) : null,
      options("sort", t("sort"), [["", "bySeverityOrder"], ["count", "byCount"], ["title", "byTitle"], ["rule", "byRule"]].map(([v, k]) => [v, pair(t("sort"), t(k))])),
      hidden ? button(t("showSuppressed", number(hidden)), () => set({ suppressed: state.suppressed ? "" : "1" }), { id: "suppressed" }) : null,
      button("", () => set({ clause: "" }), { id: "clause", class: "chosen" }), button(t("reset"), reset, { id: "reset" }));
  }

  let timer = 0;
  function later(f) { clearTimeout(timer); timer = setTimeout(f, 120); }
  function reset() { set(Object.fromEntries(filters.map((k) => [k, ""]))); }

  // link is the address of this page with one rule or finding in it and no filter that could hide it.
  const link = (target) => location.href.split("#")[0] + "#" + new URLSearchParams(target);
  async function copy(text, from) {
    try { await navigator.clipboard.writeText(text); } catch {
      const area = el("textarea", { class: "offscreen" });
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      from.focus();
    }
    const before = from.textContent;
    from.textContent = t("copied");
    setTimeout(() => { from.textContent = before; }, 1200);
  }

  // detail is the message without the title, which stands above it.
  function detail(f) {
    const title = say(ruleOf(f).title), message = say(f.message);
    return message.startsWith(title) ? message.slice(title.length).replace(/^(: |：)/, "") || message : message;
  }

  function item(f) {
    const o = f.resource, s = f.suppression, message = detail(f);
    const news = (e) => ![e.path, e.found ?? "", e.want ?? ""].every((v) => message.includes(v)); // what the message does not say
    const facts = [["container", o.container], ["owner", o.owner && `${o.owner.kind} ${o.owner.name}`], ["node", o.node], ["imageRef", o.image], ["kind", severalKinds && f.kind && t(f.kind)],
      ["priority", f.priority && [f.priority.score, ...(f.priority.reasons || [])].join(", ")]].filter(([, v]) => v);
    return el("article", { class: "item" + (s ? " accepted" : ""), "data-finding": f.fingerprint }, el("div", { class: "where" }, el("bdi", {}, nameOf(o))), el("div", { class: "what" }, el("bdi", {}, message)),
      (f.evidence || []).filter(news).map((e) => el("div", { class: "note" }, el("code", {}, e.path), ` ${t("found")} `, el("code", {}, e.found ?? t("unset")),
        e.want === undefined ? null : [` ${t("want")} `, el("code", {}, e.want)])),
      f.snippet ? el("pre", { tabindex: "0" }, f.snippet.text.replace(/\n$/, "").split("\n").map((line, i) => [i ? "\n" : "", el("span", { class: "ln" }, String(f.snippet.line + i)), line])) : null,
      (f.mitigations || []).map((m) => el("div", { class: "mitigation" }, say(m))),
      s ? el("div", { class: "note" }, pair(`${t("suppressed")} (${s.by})`, [s.reason, s.expires && t("until", s.expires)].filter(Boolean).join("; ") || "-")) : null,
      el("div", { class: "tags" }, facts.map(([k, v]) => el("span", { class: "tag" }, pair(t(k), v))), clausesOf(f).map(clauseTag),
        button(t("copyFingerprint"), (e) => copy(f.fingerprint, e.currentTarget), { class: "quiet", title: f.fingerprint }),
        button(t("copyLink"), (e) => copy(link({ finding: f.fingerprint }), e.currentTarget), { class: "quiet", "aria-label": t("findingLink", nameOf(o)) })));
  }

  function clauseTag(c) {
    const key = clauseKey(c), text = `${c.framework} ${c.clause}`;
    if (!clauseFindings.has(key)) return el("span", { class: "tag" }, text);
    return button(text, () => { set({ clause: key }); $("list").scrollIntoView(); }, { class: "tag", title: t("clauseFilter", text) });
  }

  function fill(body, rule, list) {
    if (body.childNodes.length) return;
    const refs = (rule.references || []).map((r) => el("a", { href: r, rel: "noreferrer noopener", target: "_blank" }, r));
    const items = el("div", {}), fix = say(rule.fix);
    body.append(...[fix ? el("div", { class: "fix" }, el("b", {}, pair(t("fix"), "")), fix) : "",
      refs.length ? el("p", { class: "meta" }, pair(t("references"), ""), refs) : "",
      el("p", { class: "meta" }, rule.aliases && rule.aliases.length ? pair(t("also"), rule.aliases.join(", ")) + " " : "", button(t("copyLink"), (e) => copy(link({ rule: rule.rule }), e.currentTarget), { class: "quiet", "aria-label": t("ruleLink", rule.rule) })), items].filter(Boolean));
    paged(items, list, pages.items, item);
  }

  // paged shows the first n of a list and a button for the next n.
  function paged(box, list, n, make, tail) {
    let at = 0;
    const more = button("", () => next(true), { class: "more" });
    (tail || box).after(more);
    function next(focus) {
      const added = list.slice(at, at + n).map(make);
      box.append(...added);
      at += added.length;
      more.textContent = t("more", number(list.length - at));
      more.hidden = at >= list.length;
      const first = focus && added[0] && added[0].querySelector("summary, a, button");
      if (first) first.focus();
    }
    next(false);
  }

  function group([index, list]) {
    const rule = data.rules[index];
    const worst = severities[Math.min(...list.map((f) => rank(f.severity)))] || "info";
    const body = el("div", { class: "group" });
    const sorted = [...list].sort((a, b) => rank(a.severity) - rank(b.severity) || order(a, b));
    const d = el("details", { id: "rule-" + rule.rule, "data-rule": rule.rule, open: unfolded.has(index) },
      el("summary", {}, el("span", { class: "sev " + worst }, t(worst)), el("span", { class: "title" }, el("bdi", {}, say(rule.title)), " ", el("span", { class: "rule" }, `${rule.rule} ${rule.id || ""}`)),
        el("span", { class: "n" }, number(list.length))), body);
    if (d.open) fill(body, rule, sorted);
    d.addEventListener("toggle", () => {
      if (d.open) unfolded.add(index); else unfolded.delete(index);
      if (d.open) fill(body, rule, sorted);
    });
    return d;
  }
  const collator = new Intl.Collator("en", { numeric: true });
  const order = (a, b) => collator.compare(a.resource.file || "", b.resource.file || "") || (a.resource.line || 0) - (b.resource.line || 0) || collator.compare(nameOf(a.resource), nameOf(b.resource));

  const sorts = {
    "": (a, b) => a.worst - b.worst || b.list.length - a.list.length,
    count: (a, b) => b.list.length - a.list.length || a.worst - b.worst,
    title: (a, b) => say(a.rule.title).localeCompare(say(b.rule.title), state.lang === "zh" ? "zh-CN" : "en"),
    rule: (a, b) => collator.compare(a.rule.rule, b.rule.rule),
  };

  function groups() {
    const byRule = new Map();
    for (const f of visible()) {
      if (!byRule.has(f.rule)) byRule.set(f.rule, []);
      byRule.get(f.rule).push(f);
    }
    return [...byRule].map(([i, list]) => ({ i, list, rule: data.rules[i], worst: Math.min(...list.map((f) => rank(f.severity))) })).sort(sorts[state.sort] || sorts[""]).map((g) => [g.i, g.list]);
  }

  function list() {
    const all = groups(), n = all.reduce((sum, [, l]) => sum + l.length, 0);
    const box = el("div", { class: "groups" });
    $("list").replaceChildren(box);
    $("shown").textContent = t("shown", number(n), number(state.suppressed ? findings.length : open.length), number(all.length));
    // The rule or finding that the address names is shown however far down it is.
    const named = all.findIndex(([i]) => i === focusRule());
    if (named >= 0) unfolded.add(all[named][0]);
    paged(box, all, Math.max(pages.groups, named + 1), group);
    const filtered = filters.some((k) => state[k]);
    if (!all.length) box.append(el("p", { class: "empty" }, filtered ? t("none") : findings.length ? t("onlySuppressed", number(findings.length)) : t("clean")));
    $("openall").hidden = $("closeall").hidden = !all.length;
  }

  function focusRule() {
    if (state.finding) {
      const f = findings.find((v) => v.fingerprint === state.finding);
      return f ? f.rule : -1;
    }
    return state.rule ? data.rules.findIndex((r) => r.rule === state.rule) : -1;
  }

  // settle scrolls to what the address names.
  function settle() {
    const d = state.finding || state.rule ? document.querySelector(`details[data-rule="${CSS.escape((data.rules[focusRule()] || {}).rule || "")}"]`) : null;
    if (!d) return;
    let target = d;
    if (state.finding) {
      for (let more = d.querySelector(".more"); more && !more.hidden && !d.querySelector(`[data-finding="${CSS.escape(state.finding)}"]`);) more.click();
      target = d.querySelector(`[data-finding="${CSS.escape(state.finding)}"]`) || d;
      target.classList.add("named");
    }
    target.scrollIntoView({ block: state.finding ? "center" : "start" });
    d.querySelector("summary").focus({ preventScroll: true });
  }

  function table(title, head, list, row) {
    const body = el("tbody", {}), scroll = el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, head.map((h) => el("th", { scope: "col" }, h)))), body));
    const card = el("section", { class: "card" }, el("h2", {}, title), scroll);
    paged(body, list, pages.rows, row, scroll);
    return card;
  }

  function compliance() {
    if (!data.compliance.length) return null;
    const select = el("select", { "aria-label": t("verdicts"), id: "verdicts", onchange: fillAll }, [["", t("all")], ...statuses.map((s) => [s, t(s)])].map(([v, text]) => el("option", { value: v }, pair(t("verdicts"), text))));
    const fills = [];
    function fillAll() { fills.forEach((f) => f()); }
    const parts = frameworks().map((id) => {
      const clauses = data.compliance.filter((c) => c.framework === id);
      const n = Object.fromEntries(statuses.map((s) => [s, clauses.filter((c) => c.status === s).length]));
      const score = scoreOf(id);
      const body = el("tbody", {}), empty = el("p", { class: "empty" }, t("noClause"));
      fills.push(() => {
        const rows = clauses.filter((c) => !select.value || c.status === select.value).map(clauseRow);
        body.replaceChildren(...rows);
        empty.hidden = rows.length > 0;
      });
      return el("details", { class: "framework", "data-framework": id }, el("summary", {}, el("span", { class: "title" }, id), el("span", { class: "track", "aria-hidden": "true" }, el("i", { class: "good", width: `${Math.max(score, 0)}%` })),
        el("span", { class: "score" }, score < 0 ? "-" : score + "%"), el("span", { class: "verdicts" }, statuses.map((s) => el("span", { class: s }, `${t(s)} ${number(n[s])}`)))),
        el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, [t("clause"), t("name"), t("verdict")].map((h) => el("th", { scope: "col", class: h === t("name") ? "" : "nowrap" }, h)))), body)), empty);
    });
    fillAll();
    return el("section", { class: "card", id: "compliance", tabindex: "-1" }, el("div", { class: "bar-head" }, el("h2", {}, t("compliance")), select), parts);
  }

  function clauseRow(c) {
    const n = (c.findings || []).length;
    return el("tr", {}, el("td", { class: "nowrap" }, c.clause), el("td", {}, say(c.title), c.reason ? el("div", { class: "note" }, say(c.reason)) : null),
      el("td", { class: "nowrap " + c.status }, t(c.status), " ", n ? button(number(n), () => { set({ clause: clauseKey(c) }); $("findings-card").scrollIntoView(); $("clause").focus({ preventScroll: true }); },
        { class: "quiet", "aria-label": t("showFindings", number(n), `${c.framework} ${c.clause}`) }) : null));
  }

  function rest() {
    const components = data.target.components || [];
    return [compliance(), components.length ? table(`${t("components")} (${number(components.length)})`, [t("group"), t("name"), t("version"), t("state")], components, (c) =>
      el("tr", {}, el("td", {}, c.group), el("td", {}, c.name), el("td", {}, c.version || ""), el("td", {}, c.notScanned ? t("cannot") + c.notScanned : [c.workload || "", c.image ? el("div", { class: "note" }, c.image) : null]))) : null,
    data.notScanned.length ? table(`${t("notScanned")} (${number(data.notScanned.length)})`, [t("target"), t("what"), t("reason"), t("code")], data.notScanned, (n) =>
      el("tr", {}, el("td", {}, n.target), el("td", {}, n.what), el("td", {}, n.reason), el("td", { class: "nowrap" }, el("span", { class: "tag" }, n.code))))
      : el("section", { class: "card" }, el("h2", {}, t("notScanned")), el("p", { class: "note" }, t("everything"))), el("p", { class: "keys" }, t("keys"))].filter(Boolean);
  }

  function openAll(yes) {
    for (const d of document.querySelectorAll("#list details")) {
      d.open = yes;
      if (!yes) unfolded.delete(data.rules.findIndex((r) => r.rule === d.dataset.rule));
    }
  }

  // set changes the view in place: what has the focus keeps it.
  function set(change) {
    Object.assign(state, { rule: "", finding: "" }, change);
    const kept = Object.entries(state).filter(([k, v]) => k !== "lang" && v);
    history.replaceState(null, "", "#" + new URLSearchParams(kept));
    update();
  }

  function update() {
    const chosen = state.severity ? state.severity.split(",") : [];
    for (const b of document.querySelectorAll("[data-severity]")) b.setAttribute("aria-pressed", String(chosen.includes(b.dataset.severity)));
    for (const b of document.querySelectorAll("[data-field]")) b.setAttribute("aria-pressed", String(state[b.dataset.field] === b.dataset.value));
    for (const s of document.querySelectorAll("[data-select]")) {
      const v = state[s.dataset.select];
      if (v && ![...s.options].some((o) => o.value === v)) s.append(el("option", { value: v }, v));
      s.value = v;
    }
    if ($("search").value !== state.q && document.activeElement !== $("search") || !state.q) $("search").value = state.q;
    if ($("suppressed")) $("suppressed").setAttribute("aria-pressed", String(Boolean(state.suppressed)));
    $("clause").hidden = !state.clause;
    $("clause").textContent = clean(t("clauseFilter", state.clause.replace("/", " "))) + " ✕";
    $("reset").hidden = !filters.some((k) => state[k]);
    list();
  }

  function draw() {
    document.documentElement.lang = state.lang === "zh" ? "zh-CN" : "en";
    $("target").textContent = clean(data.target.name);
    $("skip").textContent = t("skip");
    $("lang").textContent = t("other");
    $("lang").lang = state.lang === "zh" ? "en" : "zh-CN";
    $("theme").textContent = t("theme", t(dark() ? "dark" : "light"));
    $("app").replaceChildren(el("div", { class: "cards" }, [summary(), bars(t("byRisk"), "risk", tally(riskOf), t, data.target.scores),
      bars(t(isCluster ? "byNamespace" : "byFile"), "place", tally(placeOf), placeName)].filter(Boolean)),
      el("section", { class: "card", id: "findings-card" }, controls(), el("div", { class: "bar-head" }, el("p", { id: "shown", role: "status" }),
        el("span", {}, button(t("openAll"), () => openAll(true), { id: "openall", class: "quiet" }), button(t("closeAll"), () => openAll(false), { id: "closeall", class: "quiet" }))),
      el("div", { id: "list", tabindex: "-1" })), ...rest());
    update();
  }

  const dark = () => document.documentElement.classList.contains("dark");
  function fromAddress() {
    const p = new URLSearchParams(location.hash.slice(1));
    for (const k of Object.keys(blank)) state[k] = p.get(k) || "";
  }

  function keys(e) {
    const typing = e.target.closest("input, select, textarea");
    if (e.ctrlKey || e.metaKey || e.altKey || (typing && e.key !== "Escape")) return;
    const heads = [...document.querySelectorAll("#list summary")], at = heads.indexOf(document.activeElement);
    const go = (i) => heads.length && heads[Math.max(0, Math.min(heads.length - 1, i))].focus();
    const actions = { "/": () => $("search").focus(), j: () => go(at + 1), k: () => go(at - 1), o: () => openAll(true), c: () => openAll(false), Escape: () => (typing ? set({ q: "" }) : reset()) };
    if (!actions[e.key]) return;
    actions[e.key]();
    if (e.key !== "Escape") e.preventDefault();
  }

  // On paper everything listed is open and light, a bounded number of rules.
  let printed = null;
  addEventListener("beforeprint", () => { printed = new Set(unfolded); openAll(true); });
  addEventListener("afterprint", () => {
    for (const d of document.querySelectorAll("#list details")) d.open = printed.has(data.rules.findIndex((r) => r.rule === d.dataset.rule));
  });
  addEventListener("hashchange", () => { fromAddress(); update(); settle(); });
  document.addEventListener("keydown", keys);
  $("lang").addEventListener("click", () => { state.lang = state.lang === "zh" ? "en" : "zh"; draw(); });
  $("skip").addEventListener("click", jump);
  $("theme").addEventListener("click", () => { document.documentElement.classList.toggle("dark"); $("theme").textContent = t("theme", t(dark() ? "dark" : "light")); });
  if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.classList.add("dark");
  fromAddress();
  draw();
  settle();
})();
