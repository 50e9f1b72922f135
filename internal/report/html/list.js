// The list of findings, by rule.

const stateWords = {
  fixed: "state-fixed",
  affected: "state-affected",
  "will-not-fix": "state-will-not-fix",
  deferred: "state-deferred",
  "under-investigation": "state-under-investigation",
  "end-of-life": "state-end-of-life",
};

// link is the address of this page with one rule or finding in it and no filter that could hide it.
const link = (target) => location.href.split("#")[0] + "#" + new URLSearchParams(target);
async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
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
  setTimeout(() => {
    from.textContent = before;
  }, 1200);
}

// detail is the message without the title, which stands above it.
function detail(f) {
  const title = say(ruleOf(f).title),
    message = say(f.message);
  return message.startsWith(title) ? message.slice(title.length).replace(/^(: |：)/, "") || message : message;
}

function item(f) {
  const o = f.resource,
    s = f.suppression,
    v = f.vulnerability || {},
    message = detail(f);
  const news = (e) => ![e.path, e.found ?? "", e.want ?? ""].every((v) => message.includes(v)); // what the message does not say
  const facts = [
    ["container", o.container],
    ["owner", o.owner && `${o.owner.kind} ${o.owner.name}`],
    ["node", o.node],
    ["imageRef", o.image],
    ["kind", severalKinds && f.kind && t(f.kind)],
    ["package", v.package && `${v.package} ${v.version}`],
    ["fixedIn", v.fixedVersion],
    ["state", stateWords[v.state] && t(stateWords[v.state])],
    ["CVSS", v.cvss],
    ["EPSS", v.epss],
    ["exploited", v.kev && t("yes")],
    ["advisory", v.advisory],
    ["path", v.path],
    ["workloads", o.workloads && o.workloads.map((w) => `${w.kind} ${w.namespace ? w.namespace + "/" : ""}${w.name}`).join(", ")],
    ["priority", f.priority && [f.priority.score, ...(f.priority.reasons || [])].join(", ")],
  ].filter(([, v]) => v);
  return el(
    "article",
    { class: "item" + (s ? " accepted" : ""), "data-finding": f.fingerprint },
    el("div", { class: "where" }, el("bdi", {}, nameOf(o))),
    el("div", { class: "what" }, el("bdi", {}, message)),
    f.fix ? el("div", { class: "fix" }, el("b", {}, pair(t("fix"), "")), say(f.fix)) : null,
    (f.evidence || [])
      .filter(news)
      .map((e) =>
        el(
          "div",
          { class: "note" },
          el("code", {}, e.path),
          ` ${t("found")} `,
          el("code", {}, e.found ?? t("unset")),
          e.want === undefined ? null : [` ${t("want")} `, el("code", {}, e.want)],
        ),
      ),
    f.emergency ? verified(f.emergency) : null,
    f.snippet
      ? el(
          "pre",
          { tabindex: "0" },
          f.snippet.text
            .replace(/\n$/, "")
            .split("\n")
            .map((line, i) => [i ? "\n" : "", el("span", { class: "ln" }, String(f.snippet.line + i)), line]),
        )
      : null,
    (f.mitigations || []).map((m) => el("div", { class: "mitigation" }, say(m))),
    s
      ? el(
          "div",
          { class: "note" },
          pair(`${t("suppressed")} (${s.by})`, [s.reason, s.expires && t("until", s.expires)].filter(Boolean).join("; ") || "-"),
        )
      : null,
    el(
      "div",
      { class: "tags" },
      facts.map(([k, v]) => el("span", { class: "tag" }, pair(t(k), v))),
      clausesOf(f).map(clauseTag),
      button(t("copyFingerprint"), (e) => copy(f.fingerprint, e.currentTarget), { class: "quiet", title: f.fingerprint }),
      button(t("copyLink"), (e) => copy(link({ finding: f.fingerprint }), e.currentTarget), {
        class: "quiet",
        "aria-label": t("findingLink", nameOf(o)),
      }),
    ),
  );
}

const verdictWords = { exposed: "verdict-exposed", "version-only": "verdict-version-only", unknown: "verdict-unknown" };
const holdsWords = { yes: "holds-yes", no: "holds-no", unknown: "holds-unknown" };
const proofWords = { yes: "proof-yes", no: "proof-no", unknown: "proof-unknown" };
const classWords = { read: "class-read", process: "class-process", request: "class-request", private: "class-private" };
// worded is the text for a value, or the value: results of a newer program may have others.
const worded = (table, v) => (Object.hasOwn(table, v) ? t(table[v]) : v);

// verified is how far an emergency was verified: the verdict, and what each check saw or why it could not look.
function verified(v) {
  const checks = v.checks || [];
  const line = (c) => {
    const says = say(c.says) || c.check,
      seen = say({ en: c.evidence || c.reason, zh: c.saidZh });
    return el(
      "li",
      {},
      el("b", {}, worded(c.proof ? proofWords : holdsWords, c.holds)),
      " ",
      c.class ? el("span", { class: "tag" }, worded(classWords, c.class)) : null,
      " ",
      el("bdi", {}, seen ? pair(says, seen) : says),
    );
  };
  const told = checks.some((c) => c.reason === v.notRead);
  return el(
    "div",
    { class: "verified", "data-verdict": v.verdict },
    el("b", {}, pair(t("verdictOf"), worded(verdictWords, v.verdict))),
    checks.length ? el("ul", {}, checks.map(line)) : null,
    v.notRead && !told ? el("div", {}, pair(t("notRead"), say({ en: v.notRead, zh: v.notReadZh }))) : null,
  );
}

function clauseTag(c) {
  const key = clauseKey(c),
    text = `${c.framework} ${c.clause}`;
  if (!clauseFindings.has(key)) return el("span", { class: "tag" }, text);
  return button(
    text,
    () => {
      set({ clause: key });
      $("list").scrollIntoView();
    },
    { class: "tag", title: t("clauseFilter", text) },
  );
}

function fill(body, rule, list) {
  if (body.childNodes.length) return;
  const refs = (rule.references || []).map((r) => el("a", { href: r, rel: "noreferrer noopener", target: "_blank" }, r));
  const items = el("div", {}),
    fix = say(rule.fix);
  body.append(
    ...[
      fix ? el("div", { class: "fix" }, el("b", {}, pair(t("fix"), "")), fix) : "",
      refs.length ? el("p", { class: "meta" }, pair(t("references"), ""), refs) : "",
      el(
        "p",
        { class: "meta" },
        rule.aliases && rule.aliases.length ? pair(t("also"), rule.aliases.join(", ")) + " " : "",
        button(t("copyLink"), (e) => copy(link({ rule: rule.rule }), e.currentTarget), {
          class: "quiet",
          "aria-label": t("ruleLink", rule.rule),
        }),
      ),
      items,
    ].filter(Boolean),
  );
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
  const d = el(
    "details",
    { "data-rule": rule.rule, open: unfolded.has(index) },
    el(
      "summary",
      {},
      el("span", { class: "sev " + worst }, t(worst)),
      el("span", { class: "title" }, el("bdi", {}, say(rule.title)), " ", el("span", { class: "rule" }, `${rule.rule} ${rule.id || ""}`)),
      el("span", { class: "n" }, number(list.length)),
    ),
    body,
  );
  if (d.open) fill(body, rule, sorted);
  d.addEventListener("toggle", () => {
    if (d.open) unfolded.add(index);
    else unfolded.delete(index);
    if (d.open) fill(body, rule, sorted);
  });
  return d;
}
const collator = new Intl.Collator("en", { numeric: true });
const order = (a, b) =>
  collator.compare(a.resource.file || "", b.resource.file || "") ||
  (a.resource.line || 0) - (b.resource.line || 0) ||
  collator.compare(nameOf(a.resource), nameOf(b.resource));

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
  return [...byRule]
    .map(([i, list]) => ({ i, list, rule: data.rules[i], worst: Math.min(...list.map((f) => rank(f.severity))) }))
    .sort(sorts[state.sort] || sorts[""])
    .map((g) => [g.i, g.list]);
}

function list() {
  const all = groups(),
    n = all.reduce((sum, [, l]) => sum + l.length, 0);
  const box = el("div", { class: "groups" });
  $("list").replaceChildren(box);
  $("shown").textContent = t("shown", number(n), number(state.suppressed ? findings.length : open.length), number(all.length));
  // The rule or finding that the address names is shown however far down it is.
  const named = all.findIndex(([i]) => i === focusRule());
  if (named >= 0) unfolded.add(all[named][0]);
  paged(box, all, Math.max(pages.groups, named + 1), group);
  const filtered = filters.some((k) => state[k]);
  if (!all.length)
    box.append(
      el("p", { class: "empty" }, filtered ? t("none") : findings.length ? t("onlySuppressed", number(findings.length)) : t("clean")),
    );
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
  const d =
    state.finding || state.rule
      ? document.querySelector(`details[data-rule="${CSS.escape((data.rules[focusRule()] || {}).rule || "")}"]`)
      : null;
  if (!d) return;
  let target = d;
  if (state.finding) {
    for (let more = d.querySelector(".more"); more && !more.hidden && !d.querySelector(`[data-finding="${CSS.escape(state.finding)}"]`);)
      more.click();
    target = d.querySelector(`[data-finding="${CSS.escape(state.finding)}"]`) || d;
    target.classList.add("named");
  }
  target.scrollIntoView({ block: state.finding ? "center" : "start" });
  d.querySelector("summary").focus({ preventScroll: true });
}
