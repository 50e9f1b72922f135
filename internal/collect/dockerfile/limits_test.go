package dockerfile

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// TestLimits gives Parse what would cost a reader without limits its memory or its time. Each must end soon, with an
// error or a warning that says why.
func TestLimits(t *testing.T) {
	repeat := strings.Repeat
	for name, c := range map[string]struct {
		text string
		want string // in the error or in a warning
	}{
		"size":         {"FROM a\n" + repeat("#23456789\n", 1<<20+1), "more than the 10485760"},
		"lines":        {"FROM a\n" + repeat("\n", maxLines), "lines, more than"},
		"long line":    {"FROM a\nRUN " + repeat("x", 70_000), "app/Dockerfile:2: the line is longer"},
		"joined":       {"FROM a\nRUN " + repeat(repeat("x", 1000)+"\\\n", 2000), "the instruction is longer"},
		"joined blank": {"FROM a\nRUN \\\n" + repeat(repeat(" ", 1000)+"\n", 2000), "the instruction is longer"},
		"nesting":      {"FROM a\nRUN <<" + repeat("${a:-", 100), "app/Dockerfile:2: ${} is nested more"},
		"nesting over": {"FROM a\nRUN <<\\\n" + repeat("${a:-\\\n", 100), "nested more than 64 deep"},
		"instructions": {"FROM a\n" + repeat("USER b\n", maxInstructions), "instructions, more than"},
		"UTF-16":       {"\xff\xfeF\x00", "UTF-16"},
		"NUL":          {"FROM a\nRUN \x00", "app/Dockerfile:2: the file holds a NUL byte"},
		"doubling":     {"FROM a\nENV A=xxxxxxxx\n" + repeat("ENV A=$A$A\n", 40), "longer than 65536 bytes"},
		"many large": {"FROM a\nENV A=" + repeat("x", 60_000) + "\n" + repeat("LABEL a=$A\n", 3000),
			"from here on variables are not expanded"},
		"references": {"FROM a\nENV A=" + repeat("x", 60_000) + "\nLABEL a=" + repeat("$A", 30_000), "longer than 65536 bytes"},
		"pattern":    {"FROM a\nENV A=" + repeat("a", 4000) + "\nENV B=${A//a/" + repeat("b", 200) + "}\n", "longer than 65536 bytes"},
		"warnings":   {"FROM a\n" + repeat("NONSENSE\n", 1000), "more warnings follow"},
		"onbuild":    {"FROM a\n" + repeat("ONBUILD ", 8_000) + "RUN x", "ONBUILD cannot hold another ONBUILD"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, warnings, err := Parse("app/Dockerfile", []byte(c.text))
			told := fmt.Sprint(err)
			for _, w := range warnings {
				told += "\n" + w.String()
			}
			if !strings.Contains(told, c.want) {
				t.Errorf("want %q, got %.300s", c.want, told)
			}
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

// TestHostileCost feeds what stays within the limits and is still made to be slow.
func TestHostileCost(t *testing.T) {
	repeat := strings.Repeat
	var chain strings.Builder
	chain.WriteString("FROM x AS s0\n")
	for i := range 10_000 {
		fmt.Fprintf(&chain, "ENV V%d=1\nFROM s%d AS s%d\nRUN echo $V0 $NONE\n", i, i, i+1)
	}
	for name, text := range map[string]string{
		"stage chain":        chain.String(),
		"shell nesting":      "FROM a\nRUN " + repeat("$(", 30_000),
		"sh -c nesting":      "FROM a\nRUN " + repeat(`sh -c "$(sh -c '$(`, 3_000),
		"open references":    "FROM a\nRUN <<E\n" + repeat("${a:-\n", 10_000) + "E\n",
		"backticks":          "FROM a\nRUN " + repeat("` ", 30_000),
		"shell heredocs":     "FROM a\nRUN <<E\n" + repeat("cat <<X <<Y <<Z\n", 4_000) + "E\n",
		"find exec":          "FROM a\nRUN find " + repeat("-exec ", 10_000),
		"pipes":              "FROM a\nRUN " + repeat("a|", 30_000),
		"wrappers":           "FROM a\nRUN " + repeat("sudo ", 12_000),
		"unknown long names": "FROM a\n" + repeat(repeat("Z", 60_000)+"\n", 150),
		"heredoc of lines":   "FROM a\nRUN <<E\n" + repeat("\n", 250_000) + "E\n",
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			if _, _, err := Parse("Dockerfile", []byte(text)); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

// FuzzParse: no input makes Parse panic, and what it returns is a model whose values are JSON and whose places exist.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"FROM a\n", "FROM a AS b\nRUN <<E\nx\nE\n", "# escape=`\nFROM a\nRUN a `\n b\n", "ARG A=1\nFROM x:${A:-2}\nENV B=$A\n",
		"FROM a\nONBUILD RUN --mount=type=secret,id=x cat /run/secrets/x | sh\n", "FROM a\nCOPY --from=0 [\"a b\", \"/c\"]\n",
		"FROM a\n# stockade:ignore A reason=\"b\"\nRUN sh -c \"$(curl x)\" && find / -exec chmod 777 {} \\;\n",
		"\ufeffFROM a\r\nRUN a \\\r\n b\r\n", "FROM a\nLABEL a=\"b c\" d='e'\nHEALTHCHECK CMD [\"x\"]\nSHELL [\"bash\"]\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, warnings, err := Parse("Dockerfile", data)
		if err != nil {
			if o != nil {
				t.Fatal("an object and an error")
			}
			return
		}
		if _, err := json.Marshal(o.Content); err != nil {
			t.Fatal(err)
		}
		checkJSON(t, "", o.Content)
		count := strings.Count(string(data), "\n") + 1
		for i, s := range inventory.List(o.Content, "stages") {
			for j := range inventory.List(s.(map[string]any), "instructions") {
				line, column := o.Origin.Locate(fmt.Sprintf("stages[%d].instructions[%d].args", i, j))
				if line < 1 || line > count || column < 1 {
					t.Fatalf("place %d:%d of %d lines", line, column, count)
				}
			}
		}
		for _, w := range warnings {
			if w.Line < 0 || w.Line > count || w.Text == "" || w.Code == "" || w.Code == finding.Managed {
				t.Fatalf("warning %+v", w)
			}
		}
		for n := range count + 2 {
			o.Origin.Snippet(n)
		}
	})
}

// FuzzExpand holds the expander to BuildKit's own on texts whose variables are all known, where both must agree.
func FuzzExpand(f *testing.F) {
	for _, s := range []string{"a$A", "${B:-x}", "'$A'", `"$A\"b"`, `\$A`, "${A#v}", "${A%%e}", "${A/a/$B}", "${C:+a'b'}", "${A:?x}", "$", "${", "$A$B-$C", "a\\"} {
		f.Add(s)
	}
	values := map[string]string{"A": "value", "B": "", "C": "c d", "AB": "x"}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 200 || !utf8.ValidString(text) || strings.ContainsRune(text, 0) || strings.Contains(text, "<") {
			return
		}
		env := &known{values: values}
		want, _, wantErr := shell.NewLex('\\').ProcessWord(text, env)
		if env.unknown {
			return
		}
		x := &expander{lookup: func(n string) (string, bool) { v, ok := values[n]; return v, ok }, escape: '\\'}
		got, err := x.word(text)
		if (err == nil) != (wantErr == nil) {
			if wantErr != nil && strings.Contains(wantErr.Error(), "not allowed to be") {
				return // ${A:?text} of an empty value: a build stops, here it stays as it is written
			}
			t.Fatalf("%q: error %v, BuildKit has %v", text, err, wantErr)
		}
		if err == nil && got != want {
			t.Fatalf("%q: got %q, BuildKit has %q", text, got, want)
		}
	})
}

type known struct {
	values  map[string]string
	unknown bool
}

func (k *known) Get(name string) (string, bool) {
	v, ok := k.values[name]
	k.unknown = k.unknown || !ok
	return v, ok
}

func (k *known) Keys() []string { return nil }

// BenchmarkParse reads a Dockerfile of usual size: three stages, 40 instructions.
func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	text.WriteString("ARG V=1.26\nFROM golang:${V} AS build\n")
	for i := range 12 {
		fmt.Fprintf(&text, "RUN apt-get update && apt-get install -y --no-install-recommends pkg%d=1.2 curl=7 && rm -rf /var/lib/apt/lists/*\nENV KEY%d=\"value ${V}\"\nCOPY --chown=1000:1000 src%d /app/src%d/\n", i, i, i, i)
	}
	text.WriteString("FROM gcr.io/distroless/static:nonroot\nCOPY --from=build /out /app\nUSER 65532\nENTRYPOINT [\"/app\"]\n")
	data := []byte(text.String())
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Parse("Dockerfile", data); err != nil {
			b.Fatal(err)
		}
	}
}
