// What stands below the list: compliance, components, what was not scanned.

function table(title, head, list, row) {
  const body = el("tbody", {}),
    scroll = el(
      "div",
      { class: "scroll" },
      el(
        "table",
        {},
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            head.map((h) => el("th", { scope: "col" }, h)),
          ),
        ),
        body,
      ),
    );
  const card = el("section", { class: "card" }, el("h2", {}, title), scroll);
  paged(body, list, pages.rows, row, scroll);
  return card;
}

function compliance() {
  if (!data.compliance.length) return null;
  const select = el(
    "select",
    { "aria-label": t("verdicts"), id: "verdicts", onchange: fillAll },
    [["", t("all")], ...statuses.map((s) => [s, t(s)])].map(([v, text]) => el("option", { value: v }, pair(t("verdicts"), text))),
  );
  const fills = [];
  function fillAll() {
    fills.forEach((f) => f());
  }
  const parts = frameworks().map((id) => {
    const clauses = data.compliance.filter((c) => c.framework === id);
    const n = Object.fromEntries(statuses.map((s) => [s, clauses.filter((c) => c.status === s).length]));
    const score = scoreOf(id);
    const body = el("tbody", {}),
      empty = el("p", { class: "empty" }, t("noClause"));
    fills.push(() => {
      const rows = clauses.filter((c) => !select.value || c.status === select.value).map(clauseRow);
      body.replaceChildren(...rows);
      empty.hidden = rows.length > 0;
    });
    return el(
      "details",
      { class: "framework", "data-framework": id },
      el(
        "summary",
        {},
        el("span", { class: "title" }, id),
        el("span", { class: "track", "aria-hidden": "true" }, el("i", { class: "good", width: `${Math.max(score, 0)}%` })),
        el("span", { class: "score" }, score < 0 ? "-" : score + "%"),
        el(
          "span",
          { class: "verdicts" },
          statuses.map((s) => el("span", { class: s }, `${t(s)} ${number(n[s])}`)),
        ),
      ),
      el(
        "div",
        { class: "scroll" },
        el(
          "table",
          {},
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              [t("clause"), t("name"), t("verdict")].map((h) => el("th", { scope: "col", class: h === t("name") ? "" : "nowrap" }, h)),
            ),
          ),
          body,
        ),
      ),
      empty,
    );
  });
  fillAll();
  return el(
    "section",
    { class: "card", id: "compliance", tabindex: "-1" },
    el("div", { class: "bar-head" }, el("h2", {}, t("compliance")), select),
    parts,
  );
}

function clauseRow(c) {
  const n = (c.findings || []).length;
  return el(
    "tr",
    {},
    el("td", { class: "nowrap" }, c.clause),
    el("td", {}, say(c.title), c.reason ? el("div", { class: "note" }, say(c.reason)) : null),
    el(
      "td",
      { class: "nowrap " + c.status },
      t(c.status),
      " ",
      n
        ? button(
            number(n),
            () => {
              set({ clause: clauseKey(c) });
              $("findings-card").scrollIntoView();
              $("clause").focus({ preventScroll: true });
            },
            { class: "quiet", "aria-label": t("showFindings", number(n), `${c.framework} ${c.clause}`) },
          )
        : null,
    ),
  );
}

function rest() {
  const components = data.target.components || [];
  return [
    compliance(),
    components.length
      ? table(`${t("components")} (${number(components.length)})`, [t("group"), t("name"), t("version"), t("state")], components, (c) =>
          el(
            "tr",
            {},
            el("td", {}, c.group),
            el("td", {}, c.name),
            el("td", {}, c.version || ""),
            el(
              "td",
              {},
              c.notScanned ? t("cannot") + c.notScanned : [c.workload || "", c.image ? el("div", { class: "note" }, c.image) : null],
            ),
          ),
        )
      : null,
    data.notScanned.length
      ? table(
          `${t("notScanned")} (${number(data.notScanned.length)})`,
          [t("target"), t("what"), t("reason"), t("code")],
          data.notScanned,
          (n) =>
            el(
              "tr",
              {},
              el("td", {}, n.target),
              el("td", {}, n.what),
              el("td", {}, n.reason),
              el("td", { class: "nowrap" }, el("span", { class: "tag" }, n.code)),
            ),
        )
      : el("section", { class: "card" }, el("h2", {}, t("notScanned")), el("p", { class: "note" }, t("everything"))),
    el("p", { class: "keys" }, t("keys")),
  ].filter(Boolean);
}
