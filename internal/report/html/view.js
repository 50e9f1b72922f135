// What is shown: the data, the view of it that the reader chose, and how values are written.

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const data = read("data"),
  findings = read("findings");
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

const t = (key, ...values) =>
  values.reduce((s, v, i) => s.replaceAll(`{${i}}`, v), Object.hasOwn(words.en, key) ? words[state.lang][key] : key);
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
const placeOf = (f) => (isCluster ? f.resource.namespace || ((f.resource.workloads || [])[0] || {}).namespace : f.resource.file) || "";
const placeName = (p) => p || t(isCluster ? "clusterWide" : "noFile");
const clauseKey = (c) => `${c.framework}/${c.clause}`;
const clausesOf = (f) => f.clauses || ruleOf(f).clauses || [];
function nameOf(r) {
  const object =
    r.kind && r.kind !== "Dockerfile" ? [r.kind, (r.namespace ? r.namespace + "/" : "") + (r.name || "")].filter(Boolean).join(" ") : "";
  if (!r.file) return object || r.node || r.image || r.name || "-";
  return `${r.file}${r.line ? ":" + r.line : ""}${r.line && r.column ? ":" + r.column : ""}${object ? "  " + object : ""}`;
}
let haystack = null; // made at the first search
function haystackOf(i) {
  haystack ??= findings.map((f) => {
    const r = ruleOf(f),
      o = f.resource;
    return [
      r.rule,
      r.id,
      ...(r.aliases || []),
      r.title.en,
      r.title.zh,
      f.message.en,
      f.message.zh,
      nameOf(o),
      o.container,
      o.node,
      o.image,
      f.fingerprint,
    ]
      .join("\n")
      .toLowerCase();
  });
  return haystack[i];
}
const clauseFindings = new Map(data.compliance.filter((c) => c.findings).map((c) => [clauseKey(c), new Set(c.findings)]));

function visible() {
  const wanted = state.severity && state.severity.split(",");
  const q = state.q.toLowerCase().trim();
  const clause = state.clause && (clauseFindings.get(state.clause) || new Set());
  return findings.filter(
    (f, i) =>
      (state.suppressed || !f.suppression) &&
      (!wanted || wanted.includes(f.severity)) &&
      (!state.risk || riskOf(f) === state.risk) &&
      (!state.place || (placeOf(f) || "-") === state.place) &&
      (!state.kind || f.kind === state.kind) &&
      (!clause || clause.has(f.fingerprint)) &&
      (!q || haystackOf(i).includes(q)),
  );
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
