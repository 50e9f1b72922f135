package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/finding"
)

func yes(en, zh string, a ...any) Answer     { return Answer{Yes, say(en, zh, a...)} }
func no(en, zh string, a ...any) Answer      { return Answer{No, say(en, zh, a...)} }
func unknown(en, zh string, a ...any) Answer { return Answer{Unknown, say(en, zh, a...)} }

// say is a sentence in both languages. Values that are texts or errors are put in each language; the Chinese may order values by
// %[2]s.
func say(en, zh string, a ...any) finding.Text {
	return finding.Text{EN: clean(en, values("en", a)...), ZH: clean(zh, values("zh", a)...)}
}

func values(lang string, a []any) []any {
	out := slices.Clone(a)
	for i, v := range out {
		switch v := v.(type) {
		case finding.Text:
			out[i] = v.In(lang)
		case error:
			out[i] = fault(v).In(lang)
		}
	}
	return out
}

// joined joins texts.
func joined(list []finding.Text, en, zh string) finding.Text {
	var ens, zhs []string
	for _, t := range list {
		ens, zhs = append(ens, t.EN), append(zhs, t.In("zh"))
	}
	return finding.Text{EN: strings.Join(ens, en), ZH: strings.Join(zhs, zh)}
}

// Errors of this room.
var (
	errTooLarge = errors.New("larger than what is read of such a file")
	errEntries  = fmt.Errorf("more than %d entries", mostEntries)
	errNested   = fmt.Errorf("archives nested more than %d deep", mostNesting)
	errSettings = fmt.Errorf("more than %d configuration files", mostSpring)
	errParse    = errors.New("cannot be parsed")
	errNoHTTP   = errors.New("the answer is not of HTTP")
)

// faults are errors in words: those of this room and of the file system, and what of the standard library is seen often. Others are
// shown as they are.
var faults = []finding.Text{
	{EN: errTooLarge.Error(), ZH: "超出此类文件的读取上限"},
	{EN: errEntries.Error(), ZH: fmt.Sprintf("条目超过 %d 个", mostEntries)},
	{EN: errNested.Error(), ZH: fmt.Sprintf("归档嵌套超过 %d 层", mostNesting)},
	{EN: errSettings.Error(), ZH: fmt.Sprintf("配置文件超过 %d 个", mostSpring)},
	{EN: errParse.Error(), ZH: "无法解析"},
	{EN: errNoHTTP.Error(), ZH: "应答不是 HTTP"},
	{EN: "is no regular file", ZH: "不是普通文件"},
	{EN: "too many symbolic links", ZH: "符号链接层数过多"},
	{EN: "no such file or directory", ZH: "文件或目录不存在"},
	{EN: "file does not exist", ZH: "文件不存在"},
	{EN: "permission denied", ZH: "权限不足"},
	{EN: "operation not permitted", ZH: "操作不被允许"},
	{EN: "not a directory", ZH: "不是目录"},
	{EN: "input/output error", ZH: "输入/输出错误"},
	{EN: "path escapes from parent", ZH: "路径超出根目录"},
	{EN: "context deadline exceeded", ZH: "超时"},
	{EN: "i/o timeout", ZH: "超时"},
	{EN: "unexpected EOF", ZH: "文件不完整"},
	{EN: "zip: not a valid zip file", ZH: "不是有效的 zip 文件"},
	{EN: "gzip: invalid header", ZH: "不是有效的 gzip 文件"},
	{EN: "connection reset by peer", ZH: "连接被对端重置"},
	{EN: "no route to host", ZH: "无法到达主机"},
}

// fault is an error in both languages, as far as its words are known.
func fault(err error) finding.Text {
	t := finding.Text{EN: err.Error(), ZH: err.Error()}
	for _, f := range faults {
		t.ZH = strings.ReplaceAll(t.ZH, f.EN, f.ZH)
	}
	return t
}

// mostEvidence bounds a sentence of evidence.
const mostEvidence = 500

// clean makes one line without control characters of what may hold names from a foreign file system.
func clean(format string, a ...any) string {
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(fmt.Sprintf(format, a...), "?"))
	if len(s) > mostEvidence {
		s = strings.ToValidUTF8(s[:mostEvidence], "") + " …"
	}
	return s
}
