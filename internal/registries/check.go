package registries

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/notify/guard"
	"stockade.dev/stockade/internal/store"
)

// The verdicts of a check.
const (
	OK          = "ok"
	Refused     = "refused"      // the address is one that the server does not call
	Unknown     = "unknown-name" // no such host
	Unreachable = "unreachable"
	Slow        = "slow"
	Untrusted   = "untrusted" // its certificate
	NoRegistry  = "no-registry"
	Denied      = "denied"  // the credentials
	Missing     = "missing" // credentials are wanted, and there are none
)

// Check is what a test of a registry saw.
type Check struct {
	State       string `json:"state" enum:"ok,refused,unknown-name,unreachable,slow,untrusted,no-registry,denied,missing"`
	Reachable   bool   `json:"reachable"`
	Secure      bool   `json:"secure" doc:"by TLS with a certificate that is trusted"`
	Credentials string `json:"credentials" enum:"accepted,refused,missing,not-needed,unknown"`
	Scheme      string `json:"scheme,omitempty" enum:"none,basic,bearer" doc:"how it wants to be asked"`
	Product     string `json:"product,omitempty" doc:"what it says it is"`
	Detail      string `json:"detail,omitempty" doc:"of the failure, in English"`
	Millis      int64  `json:"tookMs"`
}

const (
	patience  = 15 * time.Second // for the whole check
	maxAnswer = 1 << 20
	maxDetail = 300
)

// Check tries a saved registry and keeps what it saw.
func (b *Book) Check(ctx context.Context, id int64) (*Check, error) {
	r, err := byID(ctx, b.o.DB.R, id)
	if err != nil {
		return nil, err
	}
	password := ""
	if len(r.Secret) > 0 {
		plain, err := b.o.Keys.Open(place(id), r.Secret)
		if err != nil {
			return nil, invalid("its password cannot be read: give it again")
		}
		password = string(plain)
	}
	c := b.try(ctx, r, password)
	err = b.o.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error { // of the row as it was tried
		_, err := tx.NewUpdate().Table("registries").Set("checked_at = ?, checked = ?", store.At(b.o.Now()), audited(c)).
			Where("id = ? AND updated_at = ?", id, r.UpdatedAt).Exec(ctx)
		return err
	})
	return c, err
}

// Try tries a registry that is not saved, or one that is with what people would change of it.
func (b *Book) Try(ctx context.Context, id int64, in Input) (*Check, error) {
	r := &row{}
	password := ""
	if in.Password != nil {
		password = *in.Password
	}
	if err := b.fill(r, in); err != nil {
		return nil, err
	}
	if id != 0 && in.Password == nil {
		old, err := byID(ctx, b.o.DB.R, id)
		if err != nil {
			return nil, err
		}
		if len(old.Secret) > 0 {
			if old.Address != r.Address || r.Insecure && !old.Insecure || r.CA != old.CA && r.CA != "" {
				return nil, invalid("the password would go to another place, or with less care: give it again, or empty")
			}
			plain, err := b.o.Keys.Open(place(id), old.Secret)
			if err != nil {
				return nil, invalid("its password cannot be read: give it again")
			}
			password = string(plain)
		}
	}
	return b.try(ctx, r, password), nil
}

func (b *Book) try(ctx context.Context, r *row, password string) *Check {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	started := time.Now()
	t := &trial{b: b, r: r, password: password, check: &Check{State: NoRegistry, Credentials: "unknown"}}
	t.run(ctx)
	t.check.Millis = time.Since(started).Milliseconds()
	return t.check
}

// trial is one check.
type trial struct {
	b        *Book
	r        *row
	password string
	client   *http.Client
	base     string // https://host
	check    *Check
}

func (t *trial) run(ctx context.Context) {
	roots, err := guard.Roots(t.r.CA)
	if err != nil { // fill has read it
		t.fail(Untrusted, err)
		return
	}
	t.client = t.b.guard.Client(patience, roots)
	transport, ok := t.client.Transport.(*http.Transport)
	if ok {
		transport.TLSClientConfig.InsecureSkipVerify = t.r.Insecure //nolint:gosec // only when asked for
	}
	address := t.r.Address
	if address == registry.Host("docker.io") {
		address = "registry-1.docker.io"
	}
	t.base = "https://" + address
	resp, body, err := t.get(ctx, t.base+"/v2/", "")
	if err != nil && t.r.Insecure && ctx.Err() == nil && !errors.Is(err, guard.ErrRefused) {
		t.base = "http://" + address
		resp, body, err = t.get(ctx, t.base+"/v2/", "")
	}
	if err != nil {
		t.failed(ctx, err)
		return
	}
	t.check.Secure = strings.HasPrefix(t.base, "https://") && !t.r.Insecure
	t.check.Product = product(resp.Header, address)
	switch {
	case resp.StatusCode == http.StatusOK && registryAnswer(resp, body):
		t.check.Scheme, t.check.Credentials, t.check.State = "none", "not-needed", OK
	case resp.StatusCode == http.StatusUnauthorized:
		t.authenticate(ctx, resp)
	default:
		t.fail(NoRegistry, fmt.Errorf("GET /v2/ was answered with %s%s", resp.Status, leads(resp)))
	}
}

// registryAnswer reports whether an answer to GET /v2/ is one of a registry, not the front page of something else.
func registryAnswer(resp *http.Response, body []byte) bool {
	if strings.HasPrefix(resp.Header.Get("Docker-Distribution-Api-Version"), "registry/2") {
		return true
	}
	return len(strings.TrimSpace(string(body))) == 0 || json.Valid(body)
}

// leads says where a redirect leads; it is not followed.
func leads(resp *http.Response) string {
	if u, err := resp.Location(); err == nil {
		return " to " + cut(u.Host, 100) + ", which is not followed"
	}
	return ""
}

func (t *trial) authenticate(ctx context.Context, resp *http.Response) {
	scheme, params := challenge(resp.Header.Values("WWW-Authenticate"))
	t.check.Scheme = scheme
	if p := known[params["service"]]; p != "" {
		t.check.Product = p
	}
	has := t.password != ""
	header, err := "", error(nil)
	switch {
	case scheme == "basic" && !has, scheme == "":
		if scheme == "" {
			t.fail(NoRegistry, errors.New("it wants credentials but does not say how"))
			return
		}
	case scheme == "bearer" && has && t.r.Username == "":
		header = "Bearer " + t.password
	case scheme == "bearer":
		header, err = t.token(ctx, params)
	default:
		header = basic(t.r.Username, t.password)
	}
	var denied *deniedError
	if errors.As(err, &denied) {
		t.denied(err)
		return
	}
	if err != nil {
		t.failed(ctx, err)
		return
	}
	if header == "" {
		t.denied(errors.New("it wants a user and password"))
		return
	}
	again, _, err := t.get(ctx, t.base+"/v2/", header)
	switch {
	case err != nil:
		t.failed(ctx, err)
	case again.StatusCode == http.StatusOK:
		t.check.State, t.check.Credentials = OK, "accepted"
		if !has {
			t.check.Credentials = "not-needed"
		}
	case again.StatusCode == http.StatusUnauthorized || again.StatusCode == http.StatusForbidden:
		t.denied(fmt.Errorf("GET /v2/ was answered with %s", again.Status))
	default:
		t.fail(NoRegistry, fmt.Errorf("GET /v2/ was answered with %s%s", again.Status, leads(again)))
	}
}

// denied notes that the credentials, or having none, were not enough.
func (t *trial) denied(err error) {
	t.check.Credentials = "refused"
	if t.password == "" {
		t.check.Credentials = "missing"
		t.fail(Missing, err)
		return
	}
	t.fail(Denied, err)
}

// deniedError is a token that was refused.
type deniedError struct{ status string }

func (e *deniedError) Error() string { return "a token was refused: " + e.status }

// token asks the place that the registry names for a token.
func (t *trial) token(ctx context.Context, params map[string]string) (string, error) {
	u, err := url.Parse(params["realm"])
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !t.r.Insecure) {
		return "", errors.New("the registry names a place for tokens that is not asked: no https address")
	}
	q := u.Query()
	if params["service"] != "" {
		q.Set("service", params["service"])
	}
	u.RawQuery = q.Encode()
	header := ""
	if t.password != "" {
		header = basic(t.r.Username, t.password)
	}
	resp, body, err := t.get(ctx, u.String(), header)
	if err != nil {
		return "", err
	}
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusBadRequest:
		return "", &deniedError{resp.Status}
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("the place for tokens answered with %s%s", resp.Status, leads(resp))
	}
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Token == "" && answer.AccessToken == "" {
		return "", errors.New("the place for tokens answered with something that is no token")
	}
	if answer.Token == "" {
		answer.Token = answer.AccessToken
	}
	return "Bearer " + answer.Token, nil
}

func basic(user, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

// get asks for a small answer. Redirects are not followed.
func (t *trial) get(ctx context.Context, address, authorization string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("User-Agent", "stockade")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	t.check.Reachable = true
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errors.New("the answer is larger than 1 MiB")
	}
	return resp, body, err
}

func (t *trial) fail(state string, err error) {
	t.check.State = state
	t.check.Detail = cut(t.without(err.Error()), maxDetail)
}

// without takes the password out of a text, where somebody answered with it.
func (t *trial) without(text string) string {
	if len(t.password) >= 4 {
		text = strings.ReplaceAll(text, t.password, "REDACTED")
	}
	return text
}

// failed gives an error of the network its verdict.
func (t *trial) failed(ctx context.Context, err error) {
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var wrong x509.HostnameError
	var bad x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the address is known, and may be long
	}
	switch {
	case errors.Is(err, guard.ErrRefused):
		t.fail(Refused, err)
	case errors.As(err, &dns) && dns.IsNotFound:
		t.fail(Unknown, err)
	case errors.As(err, &authority), errors.As(err, &wrong), errors.As(err, &bad), errors.As(err, &verify):
		t.check.Reachable = true
		t.fail(Untrusted, err)
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), timeout(err):
		t.fail(Slow, fmt.Errorf("no whole answer within %v", patience))
	case t.check.Reachable:
		t.fail(NoRegistry, err)
	default:
		t.fail(Unreachable, err)
	}
}

func timeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

var parameter = regexp.MustCompile(`([a-zA-Z_]+)="([^"]{0,1000})"`)

// challenge reads the first scheme of WWW-Authenticate that is known (RFC 9110, section 11.6.1).
func challenge(values []string) (scheme string, params map[string]string) {
	for _, v := range values {
		name, rest, _ := strings.Cut(strings.TrimSpace(v), " ")
		if name = strings.ToLower(name); name != "basic" && name != "bearer" || scheme == "bearer" {
			continue
		}
		scheme, params = name, map[string]string{}
		for _, m := range parameter.FindAllStringSubmatch(cut(rest, 8192), 32) {
			params[strings.ToLower(m[1])] = m[2]
		}
	}
	return scheme, params
}

// known are registries by the service that they name in their challenge.
var known = map[string]string{
	"harbor-registry": "Harbor", "registry.docker.io": "Docker Hub", "container_registry": "GitLab", "ghcr.io": "GitHub", "quay.io": "Quay",
}

// product is what a registry says it is.
func product(h http.Header, host string) string {
	server := h.Get("Server")
	switch {
	case h.Get("X-JFrog-Version") != "" || strings.Contains(server, "Artifactory"):
		return "Artifactory"
	case strings.HasPrefix(server, "Nexus"):
		return "Nexus"
	case strings.Contains(strings.Join(h.Values("Set-Cookie"), ";"), "_gorilla_csrf") && h.Get("X-Harbor-Csrf-Token") != "", h.Get("X-Harbor-Csrf-Token") != "":
		return "Harbor"
	case strings.HasSuffix(host, ".amazonaws.com"):
		return "Amazon ECR"
	case strings.HasSuffix(host, ".azurecr.io"):
		return "Azure Container Registry"
	case strings.HasSuffix(host, ".pkg.dev"), strings.HasSuffix(host, "gcr.io"):
		return "Google Artifact Registry"
	case strings.HasPrefix(h.Get("Docker-Distribution-Api-Version"), "registry/2"):
		return "Distribution"
	}
	return ""
}

// cut keeps a foreign text short and on one line.
func cut(s string, n int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "..."
	}
	return s
}
