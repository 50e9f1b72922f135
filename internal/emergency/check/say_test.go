package check

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/finding"
)

var (
	han  = regexp.MustCompile(`\p{Han}`)
	verb = regexp.MustCompile(`%(?:\[(\d+)\])?[a-z]`)
)

// sayers are the functions that take a sentence in both languages, with the place of the English one.
var sayers = map[string]int{"yes": 0, "no": 0, "unknown": 0, "say": 0, "missing": 1}

// untold says what is wrong with a sentence: Chinese that is missing, or values that are in one language only.
func untold(en, zh string) string {
	order := func(s string) []int {
		var out []int
		for i, m := range verb.FindAllStringSubmatch(s, -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				n = i + 1
			}
			out = append(out, n)
		}
		slices.Sort(out)
		return out
	}
	switch {
	case strings.ContainsAny(verb.ReplaceAllString(en, ""), "abcdefghijklmnopqrstuvwxyz") && !han.MatchString(zh):
		return "no Chinese"
	case han.MatchString(en):
		return "Chinese in place of English"
	case !slices.Equal(order(en), order(zh)):
		return "other values in the Chinese"
	}
	return ""
}

// TestSentences: every sentence that a check can say is there in both languages, with the same values.
func TestSentences(t *testing.T) {
	names, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	found, set := 0, token.NewFileSet()
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.Ident)
			if !ok {
				return true
			}
			at, ok := sayers[f.Name]
			if !ok || len(call.Args) < at+2 {
				return true
			}
			en, zh := call.Args[at], call.Args[at+1]
			if _, passed := en.(*ast.Ident); passed { // on from the caller, whose sentence is looked at there
				return true
			}
			found++
			if why := untold(literal(t, en), literal(t, zh)); why != "" {
				t.Errorf("%s: %s", set.Position(call.Pos()), why)
			}
			return true
		})
	}
	if found < 100 {
		t.Errorf("only %d sentences were found", found)
	}
	for _, list := range []map[string]finding.Text{said, saidNot} {
		for k, text := range list {
			if why := untold(text.EN, text.ZH); why != "" {
				t.Errorf("%s: %s", k, why)
			}
		}
	}
	for _, word := range slices.Concat(containerWords, podWords) {
		if said[word].EN == "" {
			t.Errorf("no words for %s", word)
		}
	}
	for _, f := range faults {
		if why := untold(f.EN, f.ZH); why != "" {
			t.Errorf("%s: %s", f.EN, why)
		}
	}
}

func literal(t *testing.T, e ast.Expr) string {
	t.Helper()
	b, ok := e.(*ast.BasicLit)
	if !ok || b.Kind != token.STRING {
		t.Fatalf("%T is no text", e)
	}
	s, err := strconv.Unquote(b.Value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSentencesCanFail: a sentence without Chinese, or with other values, is noticed.
func TestSentencesCanFail(t *testing.T) {
	for _, s := range [][2]string{{"%s is there", ""}, {"%s is there", "%s is there"}, {"%s is there", "存在"}, {"%s of %s", "%[2]s 的 %[2]s"}, {"存在 %s", "存在 %s"}} {
		if untold(s[0], s[1]) == "" {
			t.Errorf("%q was taken", s)
		}
	}
	if why := untold("%s of %s", "%[2]s 的 %[1]s"); why != "" {
		t.Error(why)
	}
}

// TestSay puts texts and errors of values into each language, and errors that nobody translated as they are.
func TestSay(t *testing.T) {
	err := fmt.Errorf("/a.jar: %w", errTooLarge)
	got := say("%s runs%s: %v", "%s 正在运行%s：%v", "sshd", within("a/b/c"), err)
	if got.EN != "sshd runs in the container a/b/c: /a.jar: larger than what is read of such a file" || got.ZH != "sshd 正在运行（容器 a/b/c）：/a.jar: 超出此类文件的读取上限" {
		t.Errorf("%+v", got)
	}
	if got := say("%v", "无法读取：%v", &fs.PathError{Op: "open", Path: "/x", Err: fs.ErrPermission}); got.ZH != "无法读取：open /x: 权限不足" {
		t.Errorf("%+v", got)
	}
	if got := say("%v", "无法读取：%v", fmt.Errorf("strange after %v", time.Second)); got.ZH != "无法读取：strange after 1s" {
		t.Errorf("%+v", got)
	}
	got = words(map[string]string{"root": "true", "userNamespace": "false", "cap": "CAP_SYS_ADMIN"})
	if got.EN != "has the capability CAP_SYS_ADMIN and runs as root and has no user namespace of its own" || got.ZH != "拥有能力 CAP_SYS_ADMIN，且以 root 运行，且没有独立的用户命名空间" {
		t.Errorf("%+v", got)
	}
}
