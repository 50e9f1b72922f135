package golang

import "testing"

func TestSpecific(t *testing.T) {
	symbols, custom := Specific([]byte(`{"imports": [{"path": "net/http", "symbols": ["Server.Serve"], "goos": ["linux"]}, {"symbols": ["x"]}], "custom_ranges": [{"type": "ECOSYSTEM"}]}`))
	if len(symbols) != 1 || symbols[0].Import != "net/http" || symbols[0].Names[0] != "Server.Serve" || symbols[0].GOOS[0] != "linux" || string(custom) != `[{"type": "ECOSYSTEM"}]` {
		t.Errorf("%+v %s", symbols, custom)
	}
	for _, raw := range []string{"", "7", `{"imports": 7}`, "{}"} {
		if symbols, custom := Specific([]byte(raw)); symbols != nil || custom != nil {
			t.Errorf("%q: %v %s", raw, symbols, custom)
		}
	}
}
