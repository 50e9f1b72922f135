package oval

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/feed/feedtest"
)

func document1(criteria, platforms, rest string) string {
	return `<oval_definitions><definitions><definition id="oval:com.oracle.elsa:def:1" class="patch"><metadata><title>t</title><affected>` + platforms +
		`</affected><reference source="elsa" ref_id="ELSA-2024-1"/></metadata>` + criteria + `</definition></definitions>` + rest + `</oval_definitions>`
}

func TestDeep(t *testing.T) {
	open, end := strings.Repeat(`<criteria operator="AND">`, 200), strings.Repeat(`</criteria>`, 200)
	s, err := feedtest.Read(Reader, "oracle/x.xml", document1(open+end, "", ""))
	if err == nil || !strings.Contains(err.Error(), "nested") || len(s.Rows) > 0 {
		t.Error(err, s.Rows)
	}
}

// TestExplosion holds that packages times releases has an end: 3,000 names for 3,000 releases.
func TestExplosion(t *testing.T) {
	var platforms, values strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&platforms, "<platform>Oracle Linux %d</platform>", i%90+5)
		fmt.Fprintf(&values, "<value>package-%d</value>", i)
	}
	rest := `<tests><rpminfo_test id="t"><object object_ref="o"/><state state_ref="s"/></rpminfo_test></tests><objects><rpminfo_object id="o"><name var_ref="v"/></rpminfo_object></objects>` +
		`<states><rpminfo_state id="s"><evr operation="less than">0:1-1</evr></rpminfo_state></states><variables><constant_variable id="v">` + values.String() + `</constant_variable></variables>`
	start := time.Now()
	s, err := feedtest.Read(Reader, "oracle/x.xml", document1(`<criteria><criterion test_ref="t" comment="x"/></criteria>`, platforms.String(), rest))
	if err != nil || len(s.Rows) > 0 || s.Refusals["oracle-oval"]["more statements than a definition can have"] != 1 {
		t.Error(err, len(s.Rows), s.Refusals)
	}
	if time.Since(start) > 20*time.Second {
		t.Error("it took", time.Since(start))
	}
}
