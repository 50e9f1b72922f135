package message

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestAnswer(t *testing.T) {
	got := Answer("no\r\nsuch token: hunter22\x1b[31m\u202e!", "hunter22", "abc", "")
	if got != "no  such token: REDACTED [31m!" {
		t.Errorf("%q", got)
	}
	long := Answer(strings.Repeat("é", 1000))
	if len(long) > 500 || !utf8.ValidString(long) || !strings.HasSuffix(long, "…") {
		t.Errorf("%d bytes", len(long))
	}
}

func TestFailure(t *testing.T) {
	err := fmt.Errorf("sending: %w", &Failure{Permanent: true, After: time.Minute, Answer: "no", Err: errors.New("status 400")})
	if !Permanent(err) || Wait(err) != time.Minute || err.Error() != "sending: status 400: no" {
		t.Error(err)
	}
	if Permanent(errors.New("x")) || Wait(errors.New("x")) != 0 {
		t.Error("a plain error is permanent")
	}
}

// TestTexts has both languages for every title, and the counts in words.
func TestTexts(t *testing.T) {
	for topic, text := range topics {
		if text.EN == "" || text.ZH == "" {
			t.Errorf("%s lacks a language", topic)
		}
	}
	title, text := Changed("shop", Counts{Total: 4, New: 1, Reopened: 3, Severity: map[string]int{"critical": 1, "low": 3}})
	if title.EN != "shop: 1 new finding, 3 reopened" || text.EN != "1 critical, 3 low" || title.ZH != "shop:新发现 1 项,重新出现 3 项" || text.ZH != "致命 1,低危 3" {
		t.Error(title, text)
	}
	told, _ := Told("exception.decided", map[string]string{"exception": "7", "status": "approved"})
	if told.EN != "Exception 7: approved by -" {
		t.Error(told)
	}
	if More(0, "en")+More(1, "en")+More(2, "zh") != "and 1 more另有 2 项未列出" {
		t.Error(More(2, "zh"))
	}
}

// TestDocument writes every field in JSON, so that receivers and templates can count on it.
func TestDocument(t *testing.T) {
	data, err := json.Marshal((&Event{}).In("en"))
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	_ = json.Unmarshal(data, &m)
	for _, field := range []string{"schema", "id", "topic", "test", "at", "severity", "title", "text", "link", "target", "counts", "findings", "more", "details", "parts", "report"} {
		if _, ok := m[field]; !ok {
			t.Errorf("%s is absent", field)
		}
	}
	if string(data) == "" || m["findings"] == nil || m["details"] == nil {
		t.Errorf("null lists: %s", data)
	}
	d := Sample("x", time.UnixMilli(0), "").In("zh")
	if !d.Test || d.Findings[0].Title != "示例:特权容器" {
		t.Error(d)
	}
}

// TestProtection has both languages for what happened at the door.
func TestProtection(t *testing.T) {
	for _, topic := range []string{"protection.blocked", "protection.unchecked", "protection.turned"} {
		for _, d := range []Door{{Requests: 1, Groups: 1}, {Cluster: "shop", Requests: 7, Groups: 3, Bad: 2, Digest: true, Where: "x"}} {
			title, text := Protection(topic, d)
			if title.EN == "" || title.ZH == "" || title.EN == title.ZH || strings.HasPrefix(title.EN, "shop: ") != (d.Cluster != "") || strings.Contains(text.EN, "and 2 more") != (d.Groups == 3) {
				t.Errorf("%s %+v: %v %v", topic, d, title, text)
			}
		}
	}
}
