package server

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/people"
	"stockade.dev/stockade/internal/store"
)

// The columns of a row: who sends the request. Alpha and beta are clusters, shop is a namespace of alpha.
var actors = []struct {
	name   string
	grants func(w *world) []identity.Grant // nil: nobody signed in
	hidden []string                        // words that no answer to them may hold
}{
	{"nobody", nil, []string{markAlpha, markBeta, markBank, markPeople}},
	{"viewer of alpha", func(w *world) []identity.Grant { return grant(identity.Viewer, w.alpha, "") }, []string{markBeta, markPeople}},
	{"operator of alpha", func(w *world) []identity.Grant { return grant(identity.Operator, w.alpha, "") }, []string{markBeta, markPeople}},
	{"operator of beta", func(w *world) []identity.Grant { return grant(identity.Operator, w.beta, "") }, []string{markAlpha, markBank, markPeople}},
	{"operator of shop", func(w *world) []identity.Grant { return grant(identity.Operator, w.alpha, "shop") }, []string{markBeta, markBank, markPeople}},
	{"auditor", func(*world) []identity.Grant { return grant(identity.Auditor, 0, "") }, nil},
	{"approver of alpha", func(w *world) []identity.Grant { return grant(identity.Approver, w.alpha, "") }, []string{markBeta, markPeople}},
	{"administrator of beta", func(w *world) []identity.Grant { return grant(identity.Administrator, w.beta, "") }, []string{markAlpha, markBank, markPeople}},
	{"administrator", func(*world) []identity.Grant { return grant(identity.Administrator, 0, "") }, nil},
}

// Put these words into the names of things: answers to those who may not see the thing must not hold them.
const (
	markAlpha  = "only-in-alpha"
	markBeta   = "only-in-beta"
	markBank   = "only-in-bank" // in alpha, in another namespace than shop
	markPeople = "only-for-managers-of-people"
)

// Common rows.
const (
	forAll      = "200 200 200 200 200 200 200 200 200"
	forSignedIn = "401 200 200 200 200 200 200 200 200"
	forManagers = "401 403 403 403 403 403 403 403 200" // of the whole server
	forAuditors = "401 403 403 403 403 200 403 403 200"
)

func grant(r identity.Role, target int64, namespace string) []identity.Grant {
	return []identity.Grant{{Role: r, Target: target, Namespace: namespace}}
}

// row says of a route what each column is answered.
type row struct {
	want   string                            // a status a column
	path   func(w *world) string             // values of the path, "id=3": of things in alpha, made anew for each request that takes them away
	query  string                            // "limit=1"
	body   func(w *world, who string) string // JSON; nil: none
	stream bool                              // it is answered with events: the client leaves at once
	shows  string                            // a word that the answers to the operator of alpha and the administrator hold
	quiet  string                            // why what changes something does not stand in the audit log
}

// noun holds the rows of one file of the API.
type noun struct {
	fill func(w *world) // puts things into the database first; may be nil
	rows map[string]row // by operation id; "get-finding/bank" is a second row of get-finding
}

// nouns are all of the API. To add a route: give it a row in its noun; go test -run TestRoles prints the rows that are missing,
// ready to be pasted.
var nouns = []noun{admissionNoun, attackNoun, peopleNoun, sessionNoun, auditNoun, exceptionNoun, clusterNoun, findingNoun, evidenceNoun, complianceNoun, imageNoun, taskNoun, notifyNoun, policyNoun, protectionNoun, settingsNoun, verdictNoun, nodeNoun, urgentNoun}

// world is a server that is wired as always, with two clusters. Nothing runs in it but the requests of the test.
type world struct {
	t           *testing.T
	s           *Server
	rooms       rooms
	db          *store.DB
	alpha, beta int64
	principals  map[string]*identity.Principal // by column
	now         atomic.Int64                   // milliseconds; moves on by a minute a request
	count       int
}

// clock is the time in the world.
func (w *world) clock() time.Time { return time.UnixMilli(w.now.Load()).UTC() }

// next is a number that was not given before, for names.
func (w *world) next() int { w.count++; return w.count }

// asRoot is a context of the administrator.
func (w *world) asRoot() context.Context {
	return identity.With(context.Background(), w.principals["administrator"])
}

// asSystem is a context of the server itself.
func (w *world) asSystem() context.Context {
	return identity.With(context.Background(), identity.System)
}

// insert writes a row and returns its id.
func (w *world) insert(query string, args ...any) int64 {
	w.t.Helper()
	var id int64
	err := w.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(query+" RETURNING id", args...).Scan(ctx, &id)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// password is that of all users.
const password = "a long enough secret 1"

func newWorld(t *testing.T) *world {
	w := &world{t: t, principals: map[string]*identity.Principal{}}
	w.now.Store(time.Now().UnixMilli())
	var err error
	if w.s, err = Open(context.Background(), Options{Data: t.TempDir(), Listen: "127.0.0.1:0", Version: "test", Now: w.clock, Demo: smallDemo, Emergencies: smallEmergencies}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(w.rooms.tasks.Stop(context.Background()), w.s.Close()); err != nil {
			t.Error(err)
		}
	})
	w.rooms, w.db = w.s.rooms, w.s.db
	if err := w.rooms.tasks.Start(context.Background(), false); err != nil { // the queue, and nobody who works
		t.Fatal(err)
	}
	w.alpha, w.beta = w.addCluster(markAlpha), w.addCluster(markBeta)
	ctx := context.Background()
	token, err := w.rooms.people.SetupToken(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.rooms.people.SetUp(ctx, token, "root-of-all", password, people.Fields{}); err != nil {
		t.Fatal(err)
	}
	system := w.asSystem()
	for i, c := range actors {
		if c.grants == nil {
			w.principals[c.name] = nil
			continue
		}
		name := strings.ReplaceAll(c.name, " ", "-")
		u, err := w.rooms.people.Add(system, name, people.Fields{}, c.grants(w))
		if err != nil {
			t.Fatal(err)
		}
		link, _, err := w.rooms.people.Reset(system, u.ID)
		if err != nil {
			t.Fatal(err)
		}
		w.now.Add(60_000)
		if err := w.rooms.people.Redeem(ctx, link, password); err != nil {
			t.Fatal(err)
		}
		w.principals[c.name] = &identity.Principal{UserID: u.ID, Name: name, Via: "session", Session: strconv.Itoa(1_000_000 + i), Grants: c.grants(w)}
	}
	return w
}

// TestRoles sends every request of the API as everybody: what may not be done is refused and changes nothing, what may not be
// seen is not there, what is done stands in the audit log. A route without a row fails.
func TestRoles(t *testing.T) {
	w := newWorld(t)
	mux := http.NewServeMux()
	a := api.New(mux, "test")
	routes(a, w.rooms)
	rows := map[string]row{}
	for _, n := range nouns {
		if n.fill != nil {
			n.fill(w)
		}
		for id, r := range n.rows {
			if _, twice := rows[id]; twice {
				t.Errorf("%s has two rows", id)
			}
			rows[id] = r
		}
	}
	all := map[string]api.Route{}
	for _, r := range a.Routes() {
		all[r.ID] = r
	}
	named := map[string][]string{} // rows of each route
	for id := range rows {
		route, _, _ := strings.Cut(id, "/")
		if _, ok := all[route]; !ok {
			t.Errorf("there is a row for %s, which is no route", id)
		}
		named[route] = append(named[route], id)
	}
	seen := newWitness(w)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		route := all[id]
		if len(named[id]) == 0 {
			t.Errorf("%s %s has no row: add\n\t%q: {want: %q%s%s},", route.Method, route.Path, id, guess(w, route), missingPath(route), missingBody(route))
		}
		slices.Sort(named[id])
		for _, name := range named[id] {
			seen.row(t, mux, route, name, rows[name])
		}
	}
}

// row sends one request as everybody.
func (c *witness) row(t *testing.T, h http.Handler, route api.Route, name string, r row) {
	t.Helper()
	want := strings.Fields(r.want)
	if len(want) != len(actors) {
		t.Errorf("%s: %d statuses for %d columns", name, len(want), len(actors))
		return
	}
	for i, who := range actors {
		c.w.now.Add(60_000)
		q := request{id: name, column: who.name, hidden: who.hidden, method: route.Method, path: "/api/v1" + route.Path, want: want[i], stream: r.stream, shows: r.shows,
			quiet: r.quiet != "" || route.Method == http.MethodGet}
		if r.path != nil {
			for pair := range strings.FieldsSeq(r.path(c.w)) {
				name, value, _ := strings.Cut(pair, "=")
				q.path = strings.ReplaceAll(q.path, "{"+name+"}", value)
			}
		}
		if r.query != "" {
			q.path += "?" + r.query
		}
		if r.body != nil {
			q.body = r.body(c.w, who.name)
		}
		c.check(t, h, q)
	}
}

// guess is what the guard alone would answer.
func guess(w *world, r api.Route) string {
	var out []string
	for _, who := range actors {
		p := w.principals[who.name]
		switch {
		case p == nil && r.Action != identity.Anyone:
			out = append(out, "401")
		case !p.May(r.Action):
			out = append(out, "403")
		case r.Status != 0:
			out = append(out, strconv.Itoa(r.Status))
		default:
			out = append(out, "200")
		}
	}
	return strings.Join(out, " ")
}

func missingPath(r api.Route) string {
	if !strings.Contains(r.Path, "{") {
		return ""
	}
	return `, path: func(w *world) string { return fmt.Sprint("id=", w.TODO) }`
}

func missingBody(r api.Route) string {
	if r.Method == http.MethodGet || r.Method == http.MethodDelete {
		return ""
	}
	return ", body: text(`{}`)"
}

// text is a body that is the same for all.
func text(s string) func(*world, string) string { return func(*world, string) string { return s } }

// witness looks at what requests do to the database.
type witness struct {
	w    *world
	conn bun.Conn
}

func newWitness(w *world) *witness {
	conn, err := w.db.R.Conn(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	return &witness{w, conn}
}

// version changes with every commit of another connection.
func (c *witness) version() (n int64) {
	c.number(&n, "PRAGMA data_version")
	return n
}

func (c *witness) audited() (n int64) {
	c.number(&n, "SELECT count(*) FROM audit")
	return n
}

func (c *witness) number(n *int64, query string) {
	if err := c.conn.QueryRowContext(context.Background(), query).Scan(n); err != nil && err != sql.ErrNoRows {
		c.w.t.Fatal(err)
	}
}

type request struct {
	id, column, method, path, body, want, shows string
	hidden                                      []string
	quiet, stream                               bool
}

func (c *witness) check(t *testing.T, h http.Handler, q request) {
	t.Helper()
	r := httptest.NewRequest(q.method, "https://stockade.example.com"+q.path, strings.NewReader(q.body))
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if p := c.w.principals[q.column]; p != nil {
		r = r.WithContext(identity.With(r.Context(), p))
	}
	if q.stream {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		r = r.WithContext(ctx)
	}
	version, audited := c.version(), c.audited()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	what := fmt.Sprintf("%s (%s %s) as %s", q.id, q.method, q.path, q.column)
	if strconv.Itoa(answer.Code) != q.want {
		t.Errorf("%s: %d, want %s: %.300s", what, answer.Code, q.want, answer.Body)
	}
	if answer.Code >= 400 {
		if c.version() != version {
			t.Errorf("%s: refused with %d, but the database was changed", what, answer.Code)
		}
		if !json.Valid(answer.Body.Bytes()) || answer.Header().Get("Content-Type") != api.ContentProblem {
			t.Errorf("%s: an error as %s", what, answer.Header().Get("Content-Type"))
		}
	} else if !q.quiet && c.audited() == audited {
		t.Errorf("%s: nothing stands in the audit log", what)
	}
	if (q.column == "operator of alpha" || q.column == "administrator") && !strings.Contains(answer.Body.String(), q.shows) {
		t.Errorf("%s: the answer does not hold %q: %.500s", what, q.shows, answer.Body)
	}
	for _, word := range q.hidden {
		if strings.Contains(answer.Body.String(), word) {
			t.Errorf("%s: the answer holds %q: %.500s", what, word, answer.Body)
		}
	}
}
