package credential

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// hidden stands for what is masked.
const hidden = "****"

// Masked is the text of a file for people to read, with the credentials in it masked; its lines stay where they are. known are
// values that are credentials: by line, the column where the value begins, both from 1 and in characters. What stands deeper below
// such a line belongs to the value. A line is rather masked too much than too little.
func Masked(text string, known map[int]int) string {
	var out strings.Builder
	out.Grow(len(text))
	number, below := 0, -1 // below: the indent of a line whose value goes on
	inKey := false
	for line := range strings.Lines(text) {
		number++
		body := strings.TrimRight(line, "\r\n")
		end := line[len(body):]
		indent := len(body) - len(strings.TrimLeft(body, " \t"))
		blank := indent == len(body)
		switch col, ok := known[number]; {
		case ok:
			body, inKey = maskFrom(body, col), false
			below = keyIndent(line)
		case inKey:
			inKey = !strings.Contains(body, "-----END")
			body = body[:indent] + hidden
		case below >= 0 && (blank || indent > below):
			if !blank {
				body = body[:indent] + hidden
			}
		default:
			below = -1
			if strings.Contains(body, "PRIVATE KEY") && privateKey.MatchString(body) {
				inKey = !strings.Contains(body, "-----END")
				body = body[:strings.Index(body, "-----BEGIN")] + hidden
			} else {
				body = maskLine(body)
			}
		}
		out.WriteString(body)
		out.WriteString(end)
	}
	return out.String()
}

// keyIndent is how deep the key of a line stands: the dashes of a list count.
func keyIndent(line string) int {
	return len(line) - len(strings.TrimLeft(line, " \t-"))
}

// blockScalar is how a value begins that stands on the lines below.
var blockScalar = regexp.MustCompile(`^[|>][+-]?[0-9]?[+-]?\s*$`)

// maskFrom masks a line from a column on. Without a column that the line has, everything behind the first key goes.
func maskFrom(body string, col int) string {
	at := 0
	for n := 1; n < col && at < len(body); n++ {
		_, size := utf8.DecodeRuneInString(body[at:])
		at += size
	}
	if at >= len(body) || strings.TrimSpace(body[:at]) == "" {
		if i := strings.IndexAny(body, ":="); i >= 0 {
			at = min(i+2, len(body))
		} else {
			at = len(body) - len(strings.TrimLeft(body, " \t-"))
		}
	}
	if rest := body[at:]; blockScalar.MatchString(rest) {
		return body
	}
	return body[:at] + hidden
}

// maskLine masks what a line alone tells to be a credential.
func maskLine(body string) string {
	if len(body) > maxText {
		return hidden
	}
	if strings.Contains(body, "://") && strings.Contains(body, "@") {
		body = userInfo.ReplaceAllStringFunc(body, func(m string) string {
			if parts := userInfo.FindStringSubmatch(m); !placeholder(parts[2]) {
				return parts[1] + hidden + "@"
			}
			return m
		})
	}
	trimmed := strings.TrimLeft(strings.TrimSpace(body), "#;/ \t")
	if trimmed == "" {
		return body
	}
	if name, value := assignment(trimmed); name != "" && value != "" {
		if _, found := Find(name, value); found {
			if i := strings.LastIndex(body, value); i >= 0 {
				return body[:i] + hidden + body[i+len(value):]
			}
			return hidden
		}
	}
	if _, found := Find("", trimmed); !found {
		return body
	}
	masked := words.ReplaceAllStringFunc(body, func(w string) string {
		if _, found := Find("", w); found {
			return hidden
		}
		return w
	})
	if _, found := Find("", strings.TrimSpace(masked)); found {
		return body[:len(body)-len(strings.TrimLeft(body, " \t"))] + hidden
	}
	return masked
}

// words are what a line is taken apart into.
var words = regexp.MustCompile(`[^\s"'=:,;{}\[\]()<>]{8,}`)
