package report

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/finding"
)

// TestCSV: every row has every column, and no cell is a formula.
func TestCSV(t *testing.T) {
	for _, lang := range []string{"en", "zh"} {
		out := render(t, "csv", document(t), Options{Lang: lang})
		text, marked := strings.CutPrefix(string(out), "\ufeff")
		if !marked {
			t.Error("the byte order mark is missing")
		}
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != 1+22+5+8 {
			t.Errorf("%d rows, want header, 22 findings, 5 clauses, 8 not scanned", len(rows))
		}
		for i, row := range rows {
			if len(row) != csvWidth {
				t.Errorf("row %d has %d cells", i, len(row))
			}
			for j, c := range row {
				if strings.HasPrefix(c, "=") || strings.HasPrefix(c, "@") || strings.HasPrefix(c, "+") || strings.HasPrefix(c, "-") {
					t.Errorf("row %d, %s: %q is a formula", i, rows[0][j], c)
				}
			}
		}
	}
}

func TestCell(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "text": "text", "a=b": "a=b", "-1": "-1", "-1.5": "-1.5",
		"=1+1": "'=1+1", "+1": "'+1", "-1+cmd": "'-1+cmd", "@SUM(1)": "'@SUM(1)", " =1": "' =1", "\t=1": "' =1", "\n@x": "' @x",
		"＝1": "'＝1", "－x": "'－x", "\u3000=1": "'\u3000=1", "\r=1": `\x0d=1`, "中文": "中文",
	} {
		if got := cell(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestJUnit: well-formed, and the counts are those of the cases.
func TestJUnit(t *testing.T) {
	for _, lang := range []string{"en", "zh"} {
		var doc junitSuites
		out := render(t, "junit", document(t), Options{Lang: lang})
		if err := xml.Unmarshal(out, &doc); err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsFunc(out, func(r rune) bool { return r < ' ' && r != '\n' }) {
			t.Error("control characters in XML")
		}
		sum := junitSuite{}
		for _, s := range doc.Suites {
			var n junitSuite
			for _, c := range s.Cases {
				n.Tests++
				kinds := 0
				for _, d := range []struct {
					detail *junitDetail
					count  *int
				}{{c.Failure, &n.Failures}, {c.Error, &n.Errors}, {c.Skipped, &n.Skipped}} {
					if d.detail != nil {
						kinds++
						*d.count++
					}
				}
				if kinds > 1 || c.Name == "" || c.Class == "" {
					t.Errorf("case %+v", c)
				}
				if strings.HasPrefix(c.File, "/") {
					t.Errorf("file %q is absolute", c.File)
				}
			}
			if n.Tests != s.Tests || n.Failures != s.Failures || n.Errors != s.Errors || n.Skipped != s.Skipped || s.Name == "" {
				t.Errorf("suite %q says %d %d %d %d, has %d %d %d %d", s.Name, s.Tests, s.Failures, s.Errors, s.Skipped, n.Tests, n.Failures, n.Errors, n.Skipped)
			}
			sum.Tests, sum.Failures, sum.Errors, sum.Skipped = sum.Tests+n.Tests, sum.Failures+n.Failures, sum.Errors+n.Errors, sum.Skipped+n.Skipped
		}
		if got := [4]int{doc.Tests, doc.Failures, doc.Errors, doc.Skipped}; got != [4]int{sum.Tests, sum.Failures, sum.Errors, sum.Skipped} || got != [4]int{35, 20, 3, 10} {
			t.Errorf("tests, failures, errors, skipped: says %v, has %v", got, sum)
		}
	}
	var doc junitSuites
	if err := xml.Unmarshal(render(t, "junit", []byte(empty), Options{}), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Tests != 1 || doc.Failures+doc.Errors+doc.Skipped != 0 || len(doc.Suites) != 1 || len(doc.Suites[0].Cases) != 1 {
		t.Errorf("an empty scan: %+v", doc)
	}
}

// TestMarkdown: foreign text is no markup, and a summary fits into the comment of a merge request however much was found.
func TestMarkdown(t *testing.T) {
	out := string(render(t, "markdown", document(t), Options{Lang: "en"}))
	code := regexp.MustCompile("(`+)[^`\n].*?[^`]?`+")
	for i, line := range strings.Split(out, "\n") {
		rest := code.ReplaceAllString(strings.ReplaceAll(line, "\\`", ""), "")
		for _, bad := range []string{"<script", "<img", "| `", "@everyone", "${"} {
			if strings.Contains(strings.ReplaceAll(rest, `\$`, ""), bad) {
				t.Errorf("line %d has %q: %s", i+1, bad, line)
			}
		}
	}
	var big bytes.Buffer
	h := newMarkdown(&big, Options{Lang: "zh"})
	var rules []*finding.Finding
	for i, f := range many(6000) {
		f.Rule = fmt.Sprintf("workload/rule-%d", i%500)
		rules = append(rules, f)
	}
	play(t, h, rules, finding.Target{Kind: "iac", Name: "bench"})
	if n := len([]rune(big.String())); n > 65_536 {
		t.Errorf("%d characters: more than a comment may have", n)
	}
	if !strings.Contains(big.String(), "另有") {
		t.Error("it does not say that there is more")
	}
}

func TestMarkdownCode(t *testing.T) {
	for in, want := range map[string]string{"a": "`a`", "a`b": "`` a`b ``", "``": "``` `` ```", "": "`  `"} {
		if got := markdownCode(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestPage: one file that fetches nothing and runs nothing but its own script.
func TestPage(t *testing.T) {
	for _, data := range [][]byte{document(t), []byte(empty)} {
		for _, lang := range []string{"en", "zh"} {
			page := string(render(t, "html", data, Options{Lang: lang}))
			markup := page
			for _, own := range []string{htmlStyle, htmlScript()} {
				if strings.Count(markup, own) != 1 {
					t.Fatal("style or script are not in the page once")
				}
				markup = strings.Replace(markup, own, "", 1)
			}
			// What is left are the tags of the page and the data.
			blocks := regexp.MustCompile(`(?s)<script type="application/json" id="(findings|data)">.*?</script>`)
			if n := len(blocks.FindAllString(markup, -1)); n != 2 {
				t.Fatalf("%d data blocks", n)
			}
			for _, b := range blocks.FindAllString(markup, -1) {
				inner := b[strings.Index(b, ">")+1 : len(b)-len("</script>")]
				if strings.ContainsAny(inner, "<>&\u2028\u2029") {
					t.Error("a data block holds what could end it")
				}
			}
			tags := blocks.ReplaceAllString(markup, "")
			for _, bad := range []string{`\son[a-z]+\s*=`, `\ssrc\s*=`, `<link`, `<iframe`, `<object`, `<embed`, `url\(`, `@import`, `https?://`, `javascript:`, `\sstyle=`} {
				if m := regexp.MustCompile(bad).FindString(tags); m != "" {
					t.Errorf("the page has %q", m)
				}
			}
			if n := strings.Count(tags, "<script"); n != 1 {
				t.Errorf("%d scripts that run", n)
			}
			if strings.Contains(page, `"javascript:`) {
				t.Error("a reference with the scheme javascript is offered as a link")
			}
			for _, part := range []string{htmlStyle, htmlScript()} {
				if !strings.Contains(tags, allow(part)) {
					t.Error("the policy does not name the hash of a part")
				}
			}
		}
	}
	for name, own := range map[string]string{"page.css": htmlStyle, "script": htmlScript()} {
		for _, bad := range []string{"</", "<!--", "url(", "@import", "http:", "https:", "innerHTML", "eval(", "fetch(", "XMLHttpRequest", "localStorage", "\r"} {
			if strings.Contains(own, bad) {
				t.Errorf("%s has %q", name, bad)
			}
		}
	}
	if n := len(htmlStyle) + len(htmlScript()) + len(htmlPage); n > 64<<10 {
		t.Errorf("the page without data has %d bytes", n)
	}
}

// TestPageWords: both languages have the same texts, and none is unused.
func TestPageWords(t *testing.T) {
	languages := strings.SplitN(htmlWords, "\n  zh: {", 2)
	if len(languages) != 2 {
		t.Fatal("no Chinese")
	}
	key := regexp.MustCompile(`(?:^|[\s,{])"?([a-zA-Z-]+)"?: "`)
	keys := func(s string) map[string]bool {
		out := map[string]bool{}
		for _, m := range key.FindAllStringSubmatch(s, -1) {
			out[m[1]] = true
		}
		return out
	}
	en, zh := keys(languages[0]), keys(languages[1])
	if len(en) < 80 {
		t.Fatalf("%d texts found", len(en))
	}
	data := map[string]bool{}
	for _, k := range strings.Fields("control-plane access-control key-management network workload node-escape image supply-chain vulnerability emergency configuration iac secret malware permission") {
		data[k] = true // named by the data
	}
	code := strings.TrimPrefix(htmlScript(), htmlWords)
	for k := range en {
		if !zh[k] {
			t.Errorf("%q is not in Chinese", k)
		}
		if !data[k] && !regexp.MustCompile(`["\.]`+k+`\b|\b`+k+`: 0`).MatchString(code) {
			t.Errorf("%q is not used", k)
		}
	}
	for k := range zh {
		if !en[k] {
			t.Errorf("%q is not in English", k)
		}
	}
}

// TestPageContrast: text has a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3) on every ground it stands on, in both schemes.
func TestPageContrast(t *testing.T) {
	block := regexp.MustCompile(`(?s)(:root|:root\.dark|:root, :root\.dark) \{(.*?)\}`) // light, dark, print
	token := regexp.MustCompile(`--([a-z]+): #([0-9a-f]+);`)
	schemes := map[string]map[string][3]float64{}
	for _, m := range block.FindAllStringSubmatch(htmlStyle, -1) {
		colors := map[string][3]float64{}
		for _, c := range token.FindAllStringSubmatch(m[2], -1) {
			colors[c[1]] = rgb(t, c[2])
		}
		schemes[m[1]] = colors
	}
	if len(schemes) != 3 {
		t.Fatalf("%d colour schemes", len(schemes))
	}
	for name, c := range schemes {
		for _, ink := range []string{"text", "dim", "link", "critical", "high", "medium", "low", "info", "good"} {
			for _, ground := range []string{"card", "code", "bg"} {
				if got := contrast(c[ink], c[ground]); got < 4.5 {
					t.Errorf("%s: --%s on --%s has a contrast of %.2f", name, ink, ground, got)
				}
			}
		}
		if got := contrast(c["edge"], c["card"]); got < 3 && !strings.Contains(name, ",") {
			t.Errorf("%s: edges of controls have a contrast of %.2f", name, got)
		}
	}
}

func rgb(t *testing.T, s string) [3]float64 {
	t.Helper()
	if len(s) == 3 {
		s = s[:1] + s[:1] + s[1:2] + s[1:2] + s[2:] + s[2:]
	}
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil || len(s) != 6 {
		t.Fatalf("colour %q: %v", s, err)
	}
	return [3]float64{float64(n >> 16), float64(n >> 8 & 0xff), float64(n & 0xff)}
}

// contrast is the contrast ratio of WCAG 2.2.
func contrast(a, b [3]float64) float64 {
	light := func(c [3]float64) float64 {
		for i, v := range c {
			v /= 255
			if v <= 0.04045 {
				c[i] = v / 12.92
			} else {
				c[i] = math.Pow((v+0.055)/1.055, 2.4)
			}
		}
		return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2]
	}
	x, y := light(a), light(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// TestVerification: every form for people tells the verdict on an emergency, what each check touched and saw, and why one could not look.
func TestVerification(t *testing.T) {
	for lang, words := range map[string][]string{
		"en": {"Verdict: affected by version; a precondition could not be looked at", "fix not proved (reads files and facts): the bytes have the text of the fix", "holds (reads /proc): a container runs as root of the node",
			"not looked at (asks a local port): the port answers", "checks of the class request are not allowed here"},
		"zh": {"核实结论：版本受影响，但部分利用条件无法核实", "未证实修复（读取文件和已采集信息）文件中含有修复后的文本", "成立（读取 /proc）有容器以节点 root 身份运行", "未能检查（请求本机端口）端口对任何人应答", "此处不允许 request 类检查"},
	} {
		for _, form := range []string{"table", "markdown", "junit", "sarif", "csv"} {
			out := string(render(t, form, document(t), Options{Lang: lang, Width: 1000}))
			for i, w := range append(words, "possible container breakout detected") {
				if i == 0 && form == "csv" {
					w = ",unknown,"
				}
				if !strings.Contains(out, w) {
					t.Errorf("%s, %s: %q is missing", form, lang, w)
				}
			}
		}
	}
	page := string(render(t, "html", document(t), Options{Lang: "en"}))
	for _, w := range []string{`"emergency":{"id":"CVE-2024-21626"`, `"zh":"有容器以节点 root 身份运行"`, `"reason":"checks of the class request are not allowed here"`} {
		if !strings.Contains(page, w) {
			t.Errorf("html: %q is missing", w)
		}
	}
}
