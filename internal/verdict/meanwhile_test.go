package verdict

import (
	"sync"
	"testing"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestPolicyChangesMeanwhile: a question that is being judged when the policies change does not leave the verdict of those from before
// behind, where it would count as one of today.
func TestPolicyChangesMeanwhile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ref := "registry.example.com/late@" + hex64(1)
		w.ask("registry.example.com/known@" + hex64(2))
		w.image(hex64(1), "", vulnerableTo("CVE-2026-0001", finding.High))
		var once sync.Once
		w.match = func(string) error {
			once.Do(func() {
				w.policies(policy.Policy{ID: 2, Name: "no high", Action: policy.Block, Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities, Severity: finding.High}}})
				if err := w.s.Keep(t.Context()); err != nil {
					t.Error(err)
				}
			})
			return nil
		}
		w.want(w.ask(ref)[0], "scanned 2/0:vulnerability")
		w.keep()
		w.want(w.ask(ref)[0], "scanned 2/0:vulnerability")
		c := w.changes(0)
		w.want(c.Verdicts[len(c.Verdicts)-1], "scanned 2/0:vulnerability")
	})
}

// TestPolicyIsNoTurn: a question that comes before the round of a changed policy does not make an image that turned bad of it.
func TestPolicyIsNoTurn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ref := "registry.example.com/good@" + hex64(1)
		w.image(hex64(1), "", vulnerableTo("CVE-2026-0001", finding.High))
		w.want(w.ask(ref)[0], "scanned")
		w.policies(policy.Policy{ID: 2, Name: "no high", Action: policy.Block, Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities, Severity: finding.High}}})
		w.want(w.ask(ref)[0], "scanned 2/0:vulnerability")
		w.keep()
		if len(w.turned) > 0 {
			t.Errorf("a policy that changed is no image that turned bad: %+v", w.turned)
		}
	})
}
