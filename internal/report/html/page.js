"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const severities = ["critical", "high", "medium", "low", "info"];
  const words = {
    en: {
      critical: "Critical", high: "High", medium: "Medium", low: "Low", info: "Info", all: "All", search: "Search: rule, object, file, text",
      severity: "Severity", risk: "Risk type", namespace: "Namespace", findings: "Findings", byRisk: "By risk type", byNamespace: "By namespace",
      byFile: "By file", file: "File", clusterWide: "(cluster-wide)", fix: "Fix", found: "found", want: "want", unset: "not set", suppressed: "Suppressed", showSuppressed: "Show suppressed",
      more: "Show more", notScanned: "Not scanned", compliance: "Compliance", clause: "Clause", framework: "Framework", verdict: "Verdict", score: "Score",
      pass: "Pass", fail: "Fail", manual: "Manual", "not-applicable": "Not applicable", components: "Core components", target: "Target", version: "Version",
      objects: "Objects", rules: "Rules", checks: "Checks", time: "Finished", duration: "Duration", none: "No findings match. What was not scanned is listed below.",
      clean: "No findings. What was not scanned is listed below.", dark: "Dark", light: "Light", other: "中文", reason: "Reason", what: "What", everything: "Everything that was asked for was scanned.",
      group: "Group", name: "Name", state: "State", cannot: "cannot be scanned because ", also: "Also known as", reset: "Reset",
    },
    zh: {
      critical: "严重", high: "高危", medium: "中危", low: "低危", info: "提示", all: "全部", search: "搜索：规则、对象、文件、文字",
      severity: "级别", risk: "风险类型", namespace: "命名空间", findings: "风险项", byRisk: "按风险类型", byNamespace: "按命名空间",
      byFile: "按文件", file: "文件", clusterWide: "（集群级）", fix: "修复建议", found: "当前值", want: "期望值", unset: "未设置", suppressed: "已抑制", showSuppressed: "显示已抑制项",
      more: "显示更多", notScanned: "未扫描", compliance: "合规", clause: "条款", framework: "框架", verdict: "结论", score: "得分",
      pass: "通过", fail: "不通过", manual: "需人工确认", "not-applicable": "不适用", components: "核心组件", target: "目标", version: "版本",
      objects: "对象", rules: "规则", checks: "检查次数", time: "完成时间", duration: "用时", none: "没有符合条件的风险项。未扫描的内容见下方。",
      clean: "未发现风险项。未扫描的内容见下方。", dark: "深色", light: "浅色", other: "English", reason: "原因", what: "内容", everything: "要求扫描的内容均已扫描。",
      group: "分组", name: "名称", state: "状态", cannot: "无法扫描，因为：", also: "其他工具中的编号", reset: "重置",
      "control-plane": "控制平面", "access-control": "访问控制", "key-management": "密钥管理", network: "网络", workload: "工作负载", "node-escape": "节点逃逸", image: "镜像", "supply-chain": "供应链",
    },
  };
  const state = { lang: data.lang === "zh" ? "zh" : "en", severity: "", risk: "", place: "", text: "", suppressed: false, groups: 40 };
  const t = (key) => words[state.lang][key] || key;
  const say = (text) => (text ? (state.lang === "zh" && text.zh) || text.en : "");
  const rank = (s) => severities.indexOf(s);
  // el builds elements; text goes in as text only, so nothing of the scanned objects can become markup.
  const el = (tag, props, ...children) => {
    const e = document.createElement(tag);
    for (const [k, v] of Object.entries(props || {})) {
      if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
      else if (v === true) e.setAttribute(k, "");
      else if (v !== false && v !== undefined && v !== null) e.setAttribute(k, v);
    }
    for (const c of children.flat()) if (c !== null && c !== undefined && c !== "") e.append(c);
    return e;
  };
  const isCluster = data.target.kind === "cluster";
  const placeOf = (r) => (isCluster ? r.namespace || t("clusterWide") : r.file || "-");
  const nameOf = (r) => {
    const object = r.kind && r.kind !== "Dockerfile" ? `${r.kind} ${r.namespace ? r.namespace + "/" : ""}${r.name || ""}` : "";
    if (!r.file) return object;
    return `${r.file}${r.line ? ":" + r.line : ""}${r.column ? ":" + r.column : ""}${object ? "  " + object : ""}`;
  };
  const show = (v) => (v === null || v === undefined ? t("unset") : typeof v === "string" ? v || '""' : JSON.stringify(v));
  const haystack = data.findings.map((f) => {
    const r = data.rules[f.rule];
    return [r.rule, r.id, ...(r.aliases || []), r.title.en, r.title.zh, f.message.en, f.message.zh, nameOf(f.resource), f.resource.container].join("\n").toLowerCase();
  });
  const visible = () => data.findings.filter((f, i) =>
    (state.suppressed || !f.suppression) && (!state.severity || f.severity === state.severity) && (!state.risk || data.rules[f.rule].risk === state.risk) &&
    (!state.place || placeOf(f.resource) === state.place) && (!state.text || haystack[i].includes(state.text)));
  const open = data.findings.filter((f) => !f.suppression);
  const tally = (key) => {
    const m = new Map();
    for (const f of open) {
      const k = key(f);
      if (!m.has(k)) m.set(k, { n: 0, critical: 0, high: 0, medium: 0, low: 0, info: 0 });
      const v = m.get(k);
      v.n++;
      v[f.severity]++;
    }
    return [...m].sort((a, b) => b[1].n - a[1].n);
  };

  function bars(title, key, pick) {
    const rows = tally(key);
    if (!rows.length) return null;
    const top = rows[0][1].n;
    return el("section", { class: "card" }, el("h2", {}, title), rows.slice(0, 8).map(([k, v]) =>
      el("div", { class: "bar" }, el("span", { class: "name", title: t(k) }, t(k)),
        el("span", { class: "track", role: "img", "aria-label": severities.filter((s) => v[s]).map((s) => `${t(s)} ${v[s]}`).join(", ") },
          severities.map((s) => (v[s] ? el("i", { class: s, style: `width:${(100 * v[s]) / top}%` }) : null))),
        el("button", { class: "n", type: "button", onclick: () => pick(k) }, String(v.n)))));
  }

  function summary() {
    const counts = Object.fromEntries(severities.map((s) => [s, 0]));
    for (const f of open) counts[f.severity]++;
    const s = data.stats, g = data.target;
    const facts = [[t("target"), [g.name, g.distribution && `(${g.distribution})`].filter(Boolean).join(" ")], [t("version"), g.version],
      [t("objects"), s.objects.toLocaleString()], [t("rules"), s.rules.toLocaleString()], [t("checks"), s.checks.toLocaleString()],
      [t("suppressed"), String(data.findings.length - open.length)], [t("time"), new Date(data.finishedAt).toLocaleString(state.lang === "zh" ? "zh-CN" : "en-GB")],
      ["Stockade", data.tool.version]];
    return el("section", { class: "card" }, el("h2", {}, `${t("findings")} ${open.length}`),
      el("div", { class: "counts" }, severities.map((v) => el("button", { type: "button", class: "count " + v, "aria-pressed": String(state.severity === v),
        onclick: () => set({ severity: state.severity === v ? "" : v }) }, el("b", {}, String(counts[v])), el("span", {}, t(v))))),
      el("dl", {}, facts.filter(([, v]) => v).flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)])));
  }

  function options(current, values, change) {
    const s = el("select", { "aria-label": values[0][1], onchange: (e) => change(e.target.value) }, values.map(([v, label]) => el("option", { value: v, selected: v === current }, label)));
    return s;
  }

  function filters() {
    const risks = tally((f) => data.rules[f.rule].risk).map(([k, v]) => [k, `${t(k)} (${v.n})`]);
    const places = tally((f) => placeOf(f.resource)).map(([k, v]) => [k, `${k} (${v.n})`]);
    const placeLabel = isCluster ? t("namespace") : t("file");
    return el("div", { class: "filters" },
      el("input", { type: "search", id: "search", placeholder: t("search"), "aria-label": t("search"), value: state.text, oninput: (e) => { state.text = e.target.value.toLowerCase(); list(); } }),
      options(state.severity, [["", `${t("severity")}: ${t("all")}`], ...severities.map((s) => [s, t(s)])], (v) => set({ severity: v })),
      options(state.risk, [["", `${t("risk")}: ${t("all")}`], ...risks], (v) => set({ risk: v })),
      options(state.place, [["", `${placeLabel}: ${t("all")}`], ...places], (v) => set({ place: v })),
      data.findings.length > open.length ? el("button", { type: "button", "aria-pressed": String(state.suppressed), onclick: () => set({ suppressed: !state.suppressed }) }, t("showSuppressed")) : null,
      state.severity || state.risk || state.place || state.text ? el("button", { type: "button", onclick: () => set({ severity: "", risk: "", place: "", text: "" }) }, t("reset")) : null);
  }

  function item(f) {
    return el("div", { class: "item" }, el("div", { class: "where" }, nameOf(f.resource)), el("div", { class: "what" }, say(f.message)),
      (f.evidence || []).filter((e) => e.path).map((e) => el("div", { class: "note" }, el("code", {}, e.path), ` ${t("found")} `, el("code", {}, show(e.found)),
        e.want === undefined ? null : ` ${t("want")} `, e.want === undefined ? null : el("code", {}, show(e.want)))),
      f.snippet ? el("pre", {}, el("span", { class: "ln" }, String(f.snippet.line)), f.snippet.text) : null,
      (f.mitigations || []).map((m) => el("div", { class: "note" }, say(m))),
      f.suppression ? el("div", { class: "note" }, `${t("suppressed")} (${f.suppression.by}): ${f.suppression.reason || ""} ${f.suppression.expires || ""}`) : null,
      (f.clauses || []).map((c) => el("span", { class: "tag" }, `${c.framework} ${c.clause}`)));
  }

  function group(rule, findings) {
    const worst = severities[Math.min(...findings.map((f) => rank(f.severity)))];
    const body = el("div", { class: "group" });
    const fill = () => {
      if (body.childNodes.length) return;
      let shown = 0;
      const items = el("div", {});
      const more = el("button", { class: "more", type: "button", onclick: () => page() }, "");
      const page = () => {
        for (const f of findings.slice(shown, shown + 50)) items.append(item(f));
        shown = Math.min(shown + 50, findings.length);
        more.textContent = `${t("more")} (${findings.length - shown})`;
        more.hidden = shown >= findings.length;
      };
      body.append(el("div", { class: "fix" }, el("b", {}, t("fix") + ": "), say(rule.fix)),
        el("p", { class: "meta" }, (rule.references || []).map((r) => el("a", { href: r, rel: "noreferrer noopener", target: "_blank" }, r)),
          rule.aliases && rule.aliases.length ? el("span", {}, `${t("also")}: ${rule.aliases.join(", ")}`) : null), items, more);
      page();
    };
    return el("details", { ontoggle: fill }, el("summary", {}, el("span", { class: "sev " + worst }, t(worst)),
      el("span", {}, say(rule.title), " ", el("span", { class: "rule" }, `${rule.rule} ${rule.id}`)), el("span", {}, String(findings.length))), body);
  }

  function list() {
    const box = document.getElementById("list");
    const byRule = new Map();
    for (const f of visible()) {
      if (!byRule.has(f.rule)) byRule.set(f.rule, []);
      byRule.get(f.rule).push(f);
    }
    const worst = (fs) => Math.min(...fs.map((f) => rank(f.severity)));
    const groups = [...byRule].sort((a, b) => worst(a[1]) - worst(b[1]) || b[1].length - a[1].length);
    box.replaceChildren(...groups.slice(0, state.groups).map(([i, fs]) => group(data.rules[i], fs)));
    if (!groups.length) box.append(el("p", { class: "empty" }, open.length ? t("none") : t("clean")));
    if (groups.length > state.groups) box.append(el("button", { class: "more", type: "button", onclick: () => { state.groups += 40; list(); } }, `${t("more")} (${groups.length - state.groups})`));
  }

  function table(title, head, rows) {
    return el("section", { class: "card" }, el("h2", {}, title), el("div", { class: "scroll" }, el("table", {},
      el("thead", {}, el("tr", {}, head.map((h) => el("th", { scope: "col" }, h)))), el("tbody", {}, rows))));
  }

  function compliance() {
    if (!data.compliance.length) return [];
    const frameworks = [...new Set(data.compliance.map((c) => c.framework))];
    const of = (f, s) => data.compliance.filter((c) => c.framework === f && c.status === s).length;
    const rows = frameworks.map((f) => {
      const [p, x] = [of(f, "pass"), of(f, "fail")];
      return el("tr", {}, el("td", {}, f), el("td", {}, p + x ? Math.floor((100 * p) / (p + x)) + "%" : "-"), ["pass", "fail", "manual", "not-applicable"].map((s) => el("td", { class: s }, String(of(f, s)))));
    });
    const clauses = frameworks.map((f) => el("details", {}, el("summary", {}, el("span", { class: "sev" }, ""), el("span", {}, f), el("span", {}, "")),
      el("div", { class: "scroll" }, el("table", {}, el("tbody", {}, data.compliance.filter((c) => c.framework === f).map((c) => el("tr", {}, el("td", {}, c.clause), el("td", {}, say(c.title), c.reason ? el("div", { class: "note" }, say(c.reason)) : null),
        el("td", { class: c.status }, t(c.status) + (c.findings && c.findings.length ? ` (${c.findings.length})` : "")))))))));
    const card = table(t("compliance"), [t("framework"), t("score"), t("pass"), t("fail"), t("manual"), t("not-applicable")], rows);
    card.append(...clauses);
    return [card];
  }

  function rest() {
    const out = [...compliance()];
    const components = data.target.components || [];
    if (components.length) out.push(table(t("components"), [t("group"), t("name"), t("version"), t("state")], components.map((c) =>
      el("tr", {}, el("td", {}, c.group), el("td", {}, c.name), el("td", {}, c.version || ""), el("td", {}, c.notScanned ? t("cannot") + c.notScanned : c.workload || "")))));
    out.push(data.notScanned.length ? table(`${t("notScanned")} (${data.notScanned.length})`, [t("target"), t("what"), t("reason"), ""], data.notScanned.map((n) =>
      el("tr", {}, el("td", {}, n.target), el("td", {}, n.what), el("td", {}, n.reason), el("td", {}, el("span", { class: "tag" }, n.code)))))
      : el("section", { class: "card" }, el("h2", {}, t("notScanned")), el("p", { class: "note" }, t("everything"))));
    return out;
  }

  function set(change) { Object.assign(state, change); draw(); }

  function draw() {
    document.documentElement.lang = state.lang === "zh" ? "zh-CN" : "en";
    document.getElementById("target").textContent = data.target.name;
    document.getElementById("lang").textContent = t("other");
    document.getElementById("theme").textContent = document.documentElement.classList.contains("dark") ? t("light") : t("dark");
    document.getElementById("app").replaceChildren(
      el("div", { class: "cards" }, [summary(), bars(t("byRisk"), (f) => data.rules[f.rule].risk, (k) => set({ risk: k })),
        bars(isCluster ? t("byNamespace") : t("byFile"), (f) => placeOf(f.resource), (k) => set({ place: k }))].filter(Boolean)),
      el("section", { class: "card" }, filters(), el("div", { id: "list" })), ...rest());
    list();
  }

  document.getElementById("lang").addEventListener("click", () => set({ lang: state.lang === "zh" ? "en" : "zh" }));
  document.getElementById("theme").addEventListener("click", () => { document.documentElement.classList.toggle("dark"); draw(); });
  if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.classList.add("dark");
  draw();
})();
