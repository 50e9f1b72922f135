package verdict

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/scan"
)

// TestCauses: what registries answer to those who read images has a cause each, that people read in their language.
func TestCauses(t *testing.T) {
	answer := func(status int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/" {
				http.Error(w, "no", status)
			}
		}))
		t.Cleanup(s.Close)
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		return u.Host
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for what, c := range map[string]struct {
		host string
		want policy.Cause
	}{
		"forbidden":    {answer(http.StatusForbidden), policy.CauseForbidden},
		"unauthorized": {answer(http.StatusUnauthorized), policy.CauseForbidden},
		"not found":    {answer(http.StatusNotFound), policy.CauseNotFound},
		"too often":    {answer(http.StatusTooManyRequests), policy.CauseThrottled},
		"error of its": {answer(http.StatusBadGateway), policy.CauseUnreachable},
		"away":         {gone.Listener.Addr().String(), policy.CauseUnreachable},
		"certificate":  {secure.Listener.Addr().String(), policy.CauseCertificate},
	} {
		o := image.Options{Registry: registry.Options{Retries: -1}}
		if what != "certificate" {
			o.Registry.Insecure = []string{c.host}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err := examine.NewReader(o).Resolve(ctx, scan.Use{Reference: c.host + "/shop/till:1"})
		cancel()
		if err == nil {
			t.Fatalf("%s: no error", what)
		}
		if got := policy.CauseOf(because(err)); got != c.want {
			t.Errorf("%s: the cause is %q, not %q: %v", what, got, c.want, err)
		}
	}
	for _, c := range []struct {
		code finding.Code
		why  string
		want policy.Cause
	}{
		{finding.Unreachable, "r: registry cannot be reached: context deadline exceeded", policy.CauseSlow},
		{finding.Broken, "r: blob sha256:1 is larger than 10 bytes", policy.CauseTooLarge},
		{finding.Broken, "manifest: unexpected end of JSON input", policy.CauseBroken},
		{finding.Skipped, "not read because of --offline", policy.CauseSkipped},
		{"", "something else", ""},
	} {
		if got := policy.CauseOf(caused(string(c.code), c.why)); got != c.want {
			t.Errorf("%s: the cause is %q, not %q", c.why, got, c.want)
		}
	}
	if policy.CauseOf(because(errSlow)) != policy.CauseSlow || policy.CauseOf(because(errSaved)) != policy.CauseSkipped {
		t.Error("our own errors have no cause")
	}
}
