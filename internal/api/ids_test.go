package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/identity"
)

// Deep and Flat are parts of a body.
type Deep struct {
	ID int64 `json:"id,string" minimum:"0"`
}

// TestIDs: ids are strings in requests and answers, wherever they stand.
func TestIDs(t *testing.T) {
	type body struct {
		Deep
		Target int64  `json:"targetId,string,omitempty"`
		Parts  []Deep `json:"parts,omitempty"`
		Number int64  `json:"number,omitempty"`
	}
	mux := http.NewServeMux()
	a := api.New(mux, "test")
	api.Add(a, api.Route{Method: "POST", Path: "/echo", ID: "echo", Tag: "Test", Summary: "Echo", Action: identity.Anyone},
		func(_ context.Context, in *struct{ Body body }) (*api.One[body], error) {
			return &api.One[body]{Body: in.Body}, nil
		})
	for sent, want := range map[string]int{
		`{"id":"9223372036854775807","targetId":"12","parts":[{"id":"3"}],"number":4}`: 200,
		`{"id":"1"}`:                         200,
		`{"id":1}`:                           422,
		`{"id":"x"}`:                         422,
		`{"id":""}`:                          422,
		`{"id":"1","targetId":12}`:           422,
		`{"id":"1","parts":[{"id":3}]}`:      422,
		`{"id":"1","number":"4"}`:            422,
		`{"id":"99999999999999999999"}`:      422,
		`{"id":"9999999999999999999"}`:       422, // 19 digits, too large for 64 bits
		`{"id":"1","parts":[{"id":"3 "}]}`:   422,
		`{"id":"1","targetId":"0x10"}`:       422,
		`{"id":"1","targetId":"1","id":"2"}`: 200,
	} {
		r := httptest.NewRequest("POST", "/api/v1/echo", strings.NewReader(sent))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d, want %d: %s", sent, w.Code, want, w.Body)
		}
	}
}

type small struct {
	Name string `json:"name"`
}

// TestEmbedded: a part of a body whose fields would be passed over does not get as far as a release.
func TestEmbedded(t *testing.T) {
	a := api.New(http.NewServeMux(), "test")
	route := api.Route{Method: "POST", Path: "/small", ID: "small", Tag: "Test", Summary: "Small", Action: identity.Anyone}
	defer func() {
		if text, ok := recover().(string); !ok || !strings.Contains(text, "small") {
			t.Error("a struct that is embedded without being exported passes")
		}
	}()
	api.Add(a, route, func(context.Context, *struct{ Body struct{ small } }) (*struct{}, error) { return nil, nil })
}
