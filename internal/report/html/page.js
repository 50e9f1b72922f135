// The page as a whole: drawing it, changing it in place, the address, keys and paper.

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
  for (const b of document.querySelectorAll("[data-field]"))
    b.setAttribute("aria-pressed", String(state[b.dataset.field] === b.dataset.value));
  for (const s of document.querySelectorAll("[data-select]")) {
    const v = state[s.dataset.select];
    if (v && ![...s.options].some((o) => o.value === v)) s.append(el("option", { value: v }, v));
    s.value = v;
  }
  if (($("search").value !== state.q && document.activeElement !== $("search")) || !state.q) $("search").value = state.q;
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
  $("app").replaceChildren(
    el(
      "div",
      { class: "cards" },
      [
        summary(),
        bars(t("byRisk"), "risk", tally(riskOf), t, data.target.scores),
        bars(t(isCluster ? "byNamespace" : "byFile"), "place", tally(placeOf), placeName),
      ].filter(Boolean),
    ),
    el(
      "section",
      { class: "card", id: "findings-card" },
      controls(),
      el(
        "div",
        { class: "bar-head" },
        el("p", { id: "shown", role: "status" }),
        el(
          "span",
          {},
          button(t("openAll"), () => openAll(true), { id: "openall", class: "quiet" }),
          button(t("closeAll"), () => openAll(false), { id: "closeall", class: "quiet" }),
        ),
      ),
      el("div", { id: "list", tabindex: "-1" }),
    ),
    ...rest(),
  );
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
  const heads = [...document.querySelectorAll("#list summary")],
    at = heads.indexOf(document.activeElement);
  const go = (i) => heads.length && heads[Math.max(0, Math.min(heads.length - 1, i))].focus();
  const actions = {
    "/": () => $("search").focus(),
    j: () => go(at + 1),
    k: () => go(at - 1),
    o: () => openAll(true),
    c: () => openAll(false),
    Escape: () => (typing ? set({ q: "" }) : reset()),
  };
  if (!actions[e.key]) return;
  actions[e.key]();
  if (e.key !== "Escape") e.preventDefault();
}

// On paper everything listed is open and light, a bounded number of rules.
let printed = null;
addEventListener("beforeprint", () => {
  printed = new Set(unfolded);
  openAll(true);
});
addEventListener("afterprint", () => {
  for (const d of document.querySelectorAll("#list details")) d.open = printed.has(data.rules.findIndex((r) => r.rule === d.dataset.rule));
});
addEventListener("hashchange", () => {
  fromAddress();
  update();
  settle();
});
document.addEventListener("keydown", keys);
$("lang").addEventListener("click", () => {
  state.lang = state.lang === "zh" ? "en" : "zh";
  draw();
});
$("skip").addEventListener("click", jump);
$("theme").addEventListener("click", () => {
  document.documentElement.classList.toggle("dark");
  $("theme").textContent = t("theme", t(dark() ? "dark" : "light"));
});
if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.classList.add("dark");
fromAddress();
draw();
settle();
