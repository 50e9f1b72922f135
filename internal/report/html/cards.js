// The cards above the list and its filters.

const track = (parts, top) =>
  el(
    "span",
    { class: "track", "aria-hidden": "true" },
    parts.filter(([, n]) => n).map(([name, n]) => el("i", { class: name, width: `${(100 * n) / top}%` })),
  );
const counted = (v) =>
  severities
    .filter((s) => v[s])
    .map((s) => `${t(s)} ${number(v[s])}`)
    .join(", ");

// bars is a card of buttons that filter, one for each value of a key; scores, when there are some, stand beside the counts.
function bars(title, field, rows, name, scores) {
  const none = Object.keys(scores || {})
    .filter((k) => !rows.some(([key]) => key === k))
    .sort()
    .map((k) => [k, { n: 0, rules: new Set() }]);
  const all = [...rows.slice(0, 8), ...none].slice(0, 10);
  if (!all.length) return null;
  const head = scores
    ? el(
        "div",
        { class: "bar head", "aria-hidden": "true" },
        el("span", {}),
        el("span", {}),
        el("span", { class: "n" }, t("findings")),
        el("span", { class: "n" }, t("passed")),
      )
    : null;
  return el(
    "section",
    { class: "card" + (field === "place" && !isCluster ? " tall" : "") + (scores ? " scored" : "") },
    el("h2", {}, title),
    head,
    all.map(([k, v]) => {
      const score = scores && (scores[k] === undefined ? "-" : scores[k] + "%");
      const label =
        pair(name(k), t("ofRules", number(v.n), number(v.rules.size))) +
        (v.n ? ` (${counted(v)})` : "") +
        (scores ? "; " + pair(t("passed"), score) : "");
      const value = k || "-";
      return el(
        "button",
        {
          type: "button",
          class: "bar",
          "data-field": field,
          "data-value": value,
          title: label,
          "aria-label": label,
          disabled: !v.n,
          onclick: () => set({ [field]: state[field] === value ? "" : value }),
        },
        el("span", { class: "name" }, el("bdi", { dir: "ltr" }, name(k))),
        track(
          severities.map((s) => [s, v[s]]),
          rows.length ? rows[0][1].n : 1,
        ),
        el("span", { class: "n" }, number(v.n)),
        scores ? el("span", { class: "n" }, score) : null,
      );
    }),
  );
}

function summary() {
  const counts = Object.fromEntries(severities.map((s) => [s, 0]));
  for (const f of open) counts[f.severity]++;
  const s = data.stats,
    g = data.target;
  const facts = [
    ["target", g.name],
    ["version", [g.version, g.distribution, g.managed && t("managed")].filter(Boolean).join(", ")],
    ["objects", s.objects && number(s.objects)],
    ["images", s.images && number(s.images)],
    ["rules", s.rules && number(s.rules)],
    ["checks", s.checks && number(s.checks)],
    ["suppressed", number(findings.length - open.length)],
    ["notScanned", number(data.notScanned.length)],
    ["finished", new Date(data.finishedAt).toLocaleString("sv-SE", { timeZoneName: "short" })],
    ["duration", s.durationMs && t("seconds", (s.durationMs / 1000).toFixed(1))],
    ["ruleSet", (data.tool.rules || "").slice(0, 19)],
  ];
  const rated = frameworks()
    .map((id) => [id, scoreOf(id)])
    .filter(([, v]) => v >= 0);
  return el(
    "section",
    { class: "card" },
    el("h2", {}, `${t("findings")} `, el("span", { id: "total" }, number(open.length))),
    el(
      "div",
      { class: "counts", role: "group", "aria-label": t("bySeverity") },
      severities.map((v) =>
        button([el("b", {}, number(counts[v])), el("span", {}, t(v))], () => toggle(v), { class: "count " + v, "data-severity": v }),
      ),
    ),
    open.length
      ? track(
          severities.map((v) => [v, counts[v]]),
          open.length,
        )
      : null,
    el(
      "dl",
      {},
      facts.filter(([, v]) => v).flatMap(([k, v]) => [el("dt", {}, t(k)), el("dd", {}, v)]),
      el("dt", {}, "Stockade"),
      el("dd", {}, data.tool.version),
      rated.length
        ? [
            el("dt", {}, t("compliance")),
            el("dd", {}, el("a", { href: "#compliance", onclick: jump }, rated.map(([id, v]) => `${id} ${v}%`).join(", "))),
          ]
        : null,
    ),
  );
}

const frameworks = () => [...new Set(data.compliance.map((c) => c.framework))];
function scoreOf(framework) {
  const n = (status) => data.compliance.filter((c) => c.framework === framework && c.status === status).length;
  const pass = n("pass"),
    decided = pass + n("fail");
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
  return el(
    "select",
    { "aria-label": label, "data-select": field, onchange: (e) => set({ [field]: e.target.value }) },
    values.map(([v, text]) => el("option", { value: v }, text)),
  );
}

function controls() {
  const some = (rows, name) => rows.slice(0, 300).map(([k, v]) => [k || "-", `${name(k)} (${number(v.n)})`]);
  const kinds = tally((f) => f.kind || "unknown");
  const placeLabel = t(isCluster ? "namespace" : "file");
  const all = (label, rows) => [["", pair(label, t("all"))], ...rows];
  const hidden = findings.length - open.length;
  return el(
    "div",
    { class: "filters" },
    el("input", {
      type: "search",
      id: "search",
      placeholder: t("search"),
      "aria-label": t("search"),
      oninput: (e) => later(() => set({ q: e.target.value })),
    }),
    options("risk", t("risk"), all(t("risk"), some(tally(riskOf), t))),
    options("place", placeLabel, all(placeLabel, some(tally(placeOf), placeName))),
    kinds.length > 1 ? options("kind", t("kind"), all(t("kind"), some(kinds, t))) : null,
    options(
      "sort",
      t("sort"),
      [
        ["", "bySeverityOrder"],
        ["count", "byCount"],
        ["title", "byTitle"],
        ["rule", "byRule"],
      ].map(([v, k]) => [v, pair(t("sort"), t(k))]),
    ),
    hidden
      ? button(t("showSuppressed", number(hidden)), () => set({ suppressed: state.suppressed ? "" : "1" }), { id: "suppressed" })
      : null,
    button("", () => set({ clause: "" }), { id: "clause", class: "chosen" }),
    button(t("reset"), reset, { id: "reset" }),
  );
}

let timer = 0;
function later(f) {
  clearTimeout(timer);
  timer = setTimeout(f, 120);
}
function reset() {
  set(Object.fromEntries(filters.map((k) => [k, ""])));
}
