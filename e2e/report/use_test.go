package report

import (
	"fmt"
	"strings"
	"testing"
)

// TestUse does on the page what a reader does: filters, sorts, follows links, works without a mouse.
func TestUse(t *testing.T) {
	b := startBrowser(t)
	file := page(t, "en", made(5000, "iac"))
	p := b.open(t, file, "", view{width: 1440, height: 900})
	defer func() { p.close(t) }()
	shown := func(when, want string) {
		t.Helper()
		p.settle(t)
		if got := p.text(t, `document.getElementById("shown").textContent`); got != want {
			t.Errorf("%s: shown %q, want %q", when, got, want)
		}
		p.checkWidth(t, when)
	}
	hash := func(when, want string) {
		t.Helper()
		if got := p.text(t, "location.hash"); got != want {
			t.Errorf("%s: address %q, want %q", when, got, want)
		}
	}
	isTrue := func(what, expression string) {
		t.Helper()
		var ok bool
		if p.eval(t, "Boolean("+expression+")", &ok); !ok {
			t.Errorf("not so: %s (%s)", what, expression)
		}
	}
	click := func(selector string) {
		t.Helper()
		p.eval(t, fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.focus(); e.click(); return 1; })()`, selector), nil)
	}
	choose := func(field, value string) {
		t.Helper()
		p.eval(t, fmt.Sprintf(`(() => { const s = document.querySelector("[data-select=%s]"); s.value = %q; s.dispatchEvent(new Event("change")); return 1; })()`, field, value), nil)
	}
	shown("first", "4,546 of 4,546 findings; rules: 120")

	click("[data-severity=critical]")
	shown("critical", "909 of 4,546 findings; rules: 24")
	hash("critical", "#severity=critical")
	isTrue("the button that was pressed keeps the focus", `document.activeElement.matches("[data-severity=critical][aria-pressed=true]")`)
	click("[data-severity=high]")
	shown("critical and high", "1,818 of 4,546 findings; rules: 48")
	click("[data-field=risk][data-value=workload]")
	hash("risk", "#severity=critical%2Chigh&risk=workload")
	isTrue("the list of risk types agrees with the bar", `document.querySelector("[data-select=risk]").value === "workload"`)
	click("#reset")
	shown("reset", "4,546 of 4,546 findings; rules: 120")
	hash("reset", "")

	choose("place", "deploy/overlays/production/team-3/service-2/deployment.yaml")
	shown("file", "12 of 4,546 findings; rules: 12")
	click("#reset")

	// Search by typing, as the slash key offers it.
	p.key(t, "/")
	isTrue("the slash goes to the search", `document.activeElement.id === "search"`)
	p.call(t, "Input.insertText", map[string]any{"text": "KIND 117 "}, nil)
	shown("search", "38 of 4,546 findings; rules: 1")
	isTrue("the text that was typed stays", `document.getElementById("search").value === "KIND 117 "`)
	p.key(t, "Escape")
	shown("escape", "4,546 of 4,546 findings; rules: 120")
	p.eval(t, `document.getElementById("search").blur()`, nil)

	// j and k walk over the rules, Enter opens one.
	p.key(t, "j")
	p.key(t, "j")
	p.key(t, "k")
	isTrue("j and k move the focus", `document.activeElement === document.querySelector("#list summary")`)
	p.key(t, "Enter")
	p.settle(t)
	isTrue("Enter opens the rule with its fix, references and first findings", `document.querySelector("#list details[open] .fix") && document.querySelector("#list details[open] .meta a[href^=https]") && document.querySelectorAll("#list details[open] .item").length === 39`)

	choose("sort", "rule")
	shown("sort", "4,546 of 4,546 findings; rules: 120")
	isTrue("rules are sorted by name, numbers as numbers", `[...document.querySelectorAll("#list details")].slice(0, 3).map((d) => d.dataset.rule).join() === "workload/rule-0,workload/rule-1,workload/rule-2"`)
	isTrue("what was open stays open", `document.querySelector("#list details[open]")`)
	choose("sort", "count")
	isTrue("rules are sorted by number", `(() => { const n = [...document.querySelectorAll("#list summary .n")].map((e) => Number(e.textContent)); return n.every((v, i) => !i || v <= n[i - 1]); })()`)
	choose("sort", "")

	click("#suppressed")
	shown("suppressed", "5,000 of 5,000 findings; rules: 120")
	isTrue("a suppressed finding says by whom and why", `(() => { document.getElementById("openall").click(); return new Promise((done) => setTimeout(() => done([...document.querySelectorAll(".item.accepted .note")].some((e) => e.textContent.includes("exception") && e.textContent.includes("platform team") && e.textContent.includes("2027-01-01"))), 200)); })()`)
	click("#suppressed")

	for n := 40; n < 120; n += 40 {
		click("#list > .more")
	}
	isTrue("more rules are shown on request, then no button", `document.querySelectorAll("#list details").length === 120 && document.querySelector("#list > .more").hidden`)

	// A clause leads to its findings.
	p.eval(t, `document.querySelector("details[data-framework]").open = true; 1`, nil)
	click("details[data-framework] td .quiet")
	p.settle(t)
	isTrue("the clause is a filter that can be taken away", `!document.getElementById("clause").hidden && location.hash.startsWith("#clause=cis-1.12%2F5.1.1")`)
	isTrue("only the clause's findings are shown", `document.querySelectorAll("#list details").length === 2`)
	p.picture(t, "clause", false)
	click("#clause")
	p.eval(t, `(() => { const s = document.getElementById("verdicts"); s.value = "pass"; s.dispatchEvent(new Event("change")); return 1; })()`, nil)
	isTrue("clauses are filtered by verdict", `document.querySelectorAll("details[data-framework] tbody tr").length === 0`)

	// The language can be changed with the view as it is.
	click("[data-severity=low]")
	click("#lang")
	shown("Chinese", "显示 909 / 4,546 个风险项，24 条规则")
	isTrue("the page is in Chinese", `document.documentElement.lang === "zh-CN" && document.body.textContent.includes("允许第")`)
	click("#theme")
	isTrue("the scheme changed", `document.documentElement.classList.contains("dark")`)
	click("#lang")
}

// TestAddress: an address with a view, a rule or a finding in it opens just that.
func TestAddress(t *testing.T) {
	b := startBrowser(t)
	file := page(t, "zh", made(5000, "cluster"))
	last := madeFinding(4919, "cluster") // the last of the last rule's
	for hash, want := range map[string]string{
		"#severity=high&q=kind+1&sort=rule": `document.getElementById("search").value === "kind 1" && document.querySelectorAll("#list details").length === 7 && document.querySelector("[data-severity=high]").getAttribute("aria-pressed") === "true"`,
		"#rule=workload%2Frule-119":         `document.querySelector("details[data-rule='workload/rule-119']").open && document.activeElement.closest("details").dataset.rule === "workload/rule-119" && scrollY > 1000`,
		"#finding=" + last.Fingerprint:      `document.querySelector("[data-finding='` + last.Fingerprint + `'].named").getBoundingClientRect().top < innerHeight`,
		"#rule=no-such-rule&risk=no-risk":   `document.querySelector("#list .empty") && !document.getElementById("reset").hidden`,
		"#finding=%22%5D&place=%3Cb%3E":     `document.querySelector("#list .empty")`,
		"#q=%E5%AE%B9%E5%99%A8":             `document.querySelectorAll("#list details").length === 40`,
	} {
		p := b.open(t, file, hash, view{width: 390, height: 844})
		p.settle(t)
		var ok bool
		if p.eval(t, "Boolean("+want+")", &ok); !ok {
			t.Errorf("%s: not so: %s", hash, want)
		}
		p.checkWidth(t, hash)
		p.picture(t, "address-"+strings.Trim(hash[:8], "#"), false)
		p.close(t)
	}

	p := b.open(t, file, "", view{width: 1440, height: 900})
	defer p.close(t)
	p.eval(t, `location.hash = "rule=workload/rule-7"; 1`, nil)
	p.settle(t)
	var ok bool
	if p.eval(t, `document.querySelector("details[data-rule='workload/rule-7']").open`, &ok); !ok {
		t.Error("a changed address does not open its rule")
	}
	// The links that the page offers to copy are such addresses.
	var copied string
	p.eval(t, `(() => { let text; navigator.clipboard.writeText = async (s) => { text = s; }; document.querySelector("details[open] .meta .quiet").click(); return text; })()`, &copied)
	if !strings.HasSuffix(copied, "report.html#rule=workload%2Frule-7") {
		t.Errorf("the link to a rule is %q", copied)
	}
	p.eval(t, `(() => { let text; navigator.clipboard.writeText = async (s) => { text = s; }; document.querySelector("details[open] .item .tags button:not(.tag)").click(); return text; })()`, &copied)
	if len(copied) != 32 {
		t.Errorf("the fingerprint copied is %q", copied)
	}
}

// TestFocus: the Tab key reaches everything in the order it is seen, beginning with a way past the header.
func TestFocus(t *testing.T) {
	b := startBrowser(t)
	p := b.open(t, page(t, "en", made(10, "cluster")), "", view{width: 1440, height: 900})
	defer p.close(t)
	var order []string
	for range 14 {
		p.key(t, "Tab")
		order = append(order, p.text(t, `(() => { const e = document.activeElement; return e.id || e.dataset.severity || (e.dataset.field ? "bar" : e.tagName); })()`))
	}
	got := strings.Join(order, " ")
	if !strings.HasPrefix(got, "skip lang theme critical high medium low info") || !strings.Contains(got, "bar") {
		t.Errorf("the order of the focus: %s", got)
	}
	var names int
	p.eval(t, `[...document.querySelectorAll("button, select, input, a, summary")].filter((e) => !(e.textContent.trim() || e.getAttribute("aria-label"))).length`, &names)
	if names > 0 {
		t.Errorf("%d controls have no name", names)
	}
}
