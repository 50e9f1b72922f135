package images

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/collect/image"
)

func TestZZDump(t *testing.T) {
	m := matcher(t)
	for _, c := range systems() {
		if !strings.HasPrefix(c.label, os.Getenv("SYS")) {
			continue
		}
		s := scan(t, Layout(t, c.layers(t, false)...), image.Options{})
		r := m.Match(s)
		fmt.Println("==", c.label)
		for _, v := range r.Vulnerabilities {
			fmt.Println("VULN", v.ID, v.Package.Name, v.Package.Version, v.Fixed, v.State, v.Evidence, v.Open, v.Row.Feed, v.Row.Advisory, v.Subscription)
		}
		fmt.Println(r.Gaps)
	}
}
