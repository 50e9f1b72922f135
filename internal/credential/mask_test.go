package credential

import "testing"

func TestMasked(t *testing.T) {
	const key = "-----BEGIN RSA PRIVATE KEY-----"
	for name, c := range map[string]struct {
		text, want string
		known      map[int]int
	}{
		"nothing":          {"a: b\nc: d\r\n", "a: b\nc: d\r\n", nil},
		"by name":          {"image: x\npassword: hunter22\nport: 80\n", "image: x\npassword: ****\nport: 80\n", nil},
		"in a comment":     {"# password: hunter22\n", "# password: ****\n", nil},
		"in a URL":         {"url: postgres://shop:s3cret99@db/x\n", "url: postgres://shop:****@db/x\n", nil},
		"by form":          {"- echo AKIA" + "IOSFODNN7EXAMPLQ now\n", "- echo **** now\n", nil},
		"template":         {"password: {{ .Values.password }}\n", "password: {{ .Values.password }}\n", nil},
		"known":            {"- name: A\n  value: b c d\n- x\n", "- name: A\n  value: ****\n- x\n", map[int]int{2: 10}},
		"known, flow":      {"- {name: A, value: b}\n", "- {name: A, value: ****\n", map[int]int{1: 20}},
		"known, no column": {"  value: b\n", "  value: ****\n", map[int]int{1: 0}},
		"known, below":     {"a: |\n  one\n\n  two\nb: c\n", "a: |\n  ****\n\n  ****\nb: c\n", map[int]int{1: 4}},
		"known, in a list": {"- key: 'one\n    two'\n- b\n", "- key: ****\n    ****\n- b\n", map[int]int{1: 8}},
		"a key":            {"k: |\n  " + key + "\n  MIIEpAIBAAKCAQEA\n  -----END RSA PRIVATE KEY-----\nz: 1\n", "k: |\n  ****\n  ****\n  ****\nz: 1\n", nil},
		"wide characters":  {"密: 值值\n", "密: ****\n", map[int]int{1: 4}},
	} {
		if got := Masked(c.text, c.known); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", name, got, c.want)
		}
	}
}
