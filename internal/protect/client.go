package protect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	numbers64 "k8s.io/apimachinery/pkg/util/json" // whole numbers stay whole
	"k8s.io/client-go/rest"
)

// object is an object as it goes to and comes from the API server.
type object = unstructured.Unstructured

// client asks the API server of a cluster. It knows the paths of the kinds that it is used for, and so needs no discovery.
type client struct {
	http *http.Client
	base string
}

// maxAnswer bounds one answer of an API server: a page of a list.
const maxAnswer = 64 << 20

func newClient(rc *rest.Config) (*client, error) {
	h, err := rest.HTTPClientFor(rc)
	if err != nil {
		return nil, err
	}
	base, _, err := rest.DefaultServerUrlFor(rc)
	if err != nil {
		return nil, err
	}
	return &client{http: h, base: strings.TrimSuffix(base.String(), "/")}, nil
}

// refusal is an answer of the API server that is no success.
type refusal struct {
	Code    int
	Reason  string
	Message string
}

func (r *refusal) Error() string {
	if r.Message == "" {
		return fmt.Sprintf("the API server answers %d", r.Code)
	}
	return r.Message
}

func status(err error, code int) bool {
	var r *refusal
	return errors.As(err, &r) && r.Code == code
}

// missing reports whether an object, or its whole kind, is not there.
func missing(err error) bool { return status(err, http.StatusNotFound) }

// forbidden reports whether the credentials are not allowed to.
func forbidden(err error) bool {
	return status(err, http.StatusForbidden) || status(err, http.StatusUnauthorized)
}

// away reports whether the API server could not be asked at all, or cannot answer now.
func away(err error) bool {
	var r *refusal
	if errors.As(err, &r) {
		return r.Code == http.StatusTooManyRequests || r.Code >= 500 && r.Code != http.StatusInternalServerError
	}
	return err != nil
}

// call sends one request and decodes the answer into out, if it is not nil.
func (c *client) call(ctx context.Context, method, path string, query url.Values, accept, contentType string, body []byte, out any) (http.Header, error) {
	u := c.base + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if accept == "" {
		accept = "application/json"
	}
	req.Header.Set("Accept", accept)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxAnswer {
		return nil, fmt.Errorf("the API server's answer is larger than %d MiB", maxAnswer>>20)
	}
	if resp.StatusCode/100 != 2 {
		r := &refusal{Code: resp.StatusCode}
		var s struct{ Reason, Message string }
		if json.Unmarshal(data, &s) == nil {
			r.Reason, r.Message = s.Reason, oneLine(s.Message)
		}
		return resp.Header, r
	}
	if out == nil {
		return resp.Header, nil
	}
	if o, ok := out.(*object); ok {
		return resp.Header, o.UnmarshalJSON(data)
	}
	return resp.Header, json.Unmarshal(data, out)
}

// get reads an object.
func (c *client) get(ctx context.Context, r ref) (*object, error) {
	out := &object{}
	_, err := c.call(ctx, http.MethodGet, r.path(), nil, "", "", nil, out)
	return out, err
}

// apply applies an object with our field manager; whatever others set of the same fields is put back.
func (c *client) apply(ctx context.Context, o *object) (*object, error) {
	data, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	out := &object{}
	q := url.Values{"fieldManager": {Manager}, "force": {"true"}}
	_, err = c.call(ctx, http.MethodPatch, refOf(o).path(), q, "", "application/apply-patch+yaml", data, out)
	return out, err
}

// create makes an object; the refusal of one that is there has Code 409.
func (c *client) create(ctx context.Context, o *object, manager string, query url.Values) (http.Header, error) {
	data, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	q := url.Values{"fieldManager": {manager}}
	for k, v := range query {
		q[k] = v
	}
	return c.call(ctx, http.MethodPost, refOf(o).collection(), q, "", "application/json", data, nil)
}

// remove deletes an object with what it owns. One that is not there is removed.
func (c *client) remove(ctx context.Context, r ref) error {
	_, err := c.call(ctx, http.MethodDelete, r.path(), nil, "", "application/json", []byte(`{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Background"}`), nil)
	if missing(err) {
		return nil
	}
	return err
}

// partial asks for what is about objects, and not for what is in them.
const partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

// maxListed bounds the objects of one list that are looked at.
const maxListed = 200_000

// list calls each with every object of a collection. selector and accept may be empty. It returns whether the bound cut it off. A
// kind that the cluster does not have is an empty list.
func (c *client) list(ctx context.Context, collection, selector, accept string, each func(*object) error) (cut bool, err error) {
	q := url.Values{"limit": {"500"}}
	if selector != "" {
		q.Set("labelSelector", selector)
	}
	for n := 0; ; {
		var page struct {
			Metadata struct {
				Continue string `json:"continue"`
			} `json:"metadata"`
			Items []json.RawMessage `json:"items"`
		}
		if _, err := c.call(ctx, http.MethodGet, collection, q, accept, "", nil, &page); err != nil {
			if missing(err) {
				return false, nil
			}
			return false, err
		}
		for _, data := range page.Items {
			var item map[string]any
			if err := numbers64.Unmarshal(data, &item); err != nil {
				return false, err
			}
			if err := each(&object{Object: item}); err != nil {
				return false, err
			}
		}
		if n += len(page.Items); page.Metadata.Continue == "" {
			return false, nil
		}
		if n >= maxListed {
			return true, nil
		}
		q.Set("continue", page.Metadata.Continue)
	}
}

// version asks for the version of Kubernetes, as v1.34.4.
func (c *client) version(ctx context.Context) (string, error) {
	var v struct {
		GitVersion string `json:"gitVersion"`
	}
	_, err := c.call(ctx, http.MethodGet, "/version", nil, "", "", nil, &v)
	return oneLine(v.GitVersion), err
}

// minorOf is the second number of a version; 0 when it cannot be read.
func minorOf(version string) int {
	major, rest, ok := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if !ok || major != "1" {
		return 0
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		rest = rest[:end]
	}
	n, err := strconv.Atoi(rest)
	if err != nil {
		return 0
	}
	return n
}
