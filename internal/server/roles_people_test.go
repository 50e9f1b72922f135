package server

import (
	"errors"
	"fmt"
	"testing"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/people"
	"stockade.dev/stockade/internal/store"
)

// someone makes a user whom only those who manage people may see.
func someone(w *world) *people.User {
	w.t.Helper()
	name := markPeople + "@" + fmt.Sprint(w.next())
	u, err := w.rooms.people.Add(w.asRoot(), fmt.Sprint("user-", w.next()), people.Fields{DisplayName: &name}, grant(identity.Viewer, w.alpha, ""))
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

func someoneID(w *world) string { return fmt.Sprint("id=", someone(w).ID) }

func providerID(w *world) string {
	return fmt.Sprint("id=", w.insert(`INSERT INTO providers (name, issuer, client_id, scopes, mappings, disabled, created_at, changed_at)
		VALUES (?, 'https://id.example.com', 'stockade', '[]', '[]', TRUE, 1, 1)`, fmt.Sprint(markPeople, " ", w.next())))
}

var peopleNoun = noun{rows: map[string]row{
	"list-users":     {want: forManagers, query: "search=user"},
	"add-user":       {want: "401 403 403 403 403 403 403 403 201", body: func(w *world, _ string) string { return fmt.Sprintf(`{"name":"new-%d"}`, w.next()) }},
	"get-user":       {want: forManagers, path: someoneID},
	"change-user":    {want: forManagers, path: someoneID, body: text(`{"disabled":true}`)},
	"remove-user":    {want: "401 403 403 403 403 403 403 403 204", path: someoneID},
	"list-assignees": {want: "401 403 200 200 200 403 200 200 200"},
	"set-grants": {want: forManagers, path: someoneID,
		body: func(w *world, _ string) string {
			return fmt.Sprintf(`{"grants":[{"role":"operator","targetId":"%d"}]}`, w.alpha)
		}},
	"reset-password":     {want: forManagers, path: someoneID},
	"list-user-sessions": {want: forManagers, path: someoneID},
	"end-user-sessions":  {want: "401 403 403 403 403 403 403 403 204", path: someoneID},
	"list-user-tokens":   {want: forManagers, path: someoneID},
	"list-providers":     {want: forManagers},
	"add-provider": {want: "401 403 403 403 403 403 403 403 201", body: func(w *world, _ string) string {
		return fmt.Sprintf(`{"name":"provider %d","issuer":"https://id.example.com","clientId":"stockade","disabled":true}`, w.next())
	}},
	"get-provider": {want: forManagers, path: providerID},
	"change-provider": {want: forManagers, path: providerID, body: func(w *world, _ string) string {
		return fmt.Sprintf(`{"name":"provider %d","issuer":"https://id.example.com","clientId":"stockade","disabled":true}`, w.next())
	}},
	"remove-provider": {want: "401 403 403 403 403 403 403 403 204", path: providerID},
}}

// sessionID is a session of somebody else.
func sessionID(w *world) string {
	return fmt.Sprint("id=", w.insert(`INSERT INTO sessions (hash, user_id, created_at, seen_at, expires_at, ends_at, data) VALUES (?, ?, 1, 1, ?, ?, '')`,
		fmt.Sprint("hash ", w.next()), someone(w).ID, w.now.Load()+1e9, w.now.Load()+1e9))
}

// tokenID is a token of somebody else.
func tokenID(w *world) string {
	return fmt.Sprint("id=", w.insert(`INSERT INTO tokens (user_id, name, hash, created_at, expires_at) VALUES (?, ?, 'x', 1, ?)`, someone(w).ID, markPeople, w.now.Load()+1e9))
}

var sessionNoun = noun{rows: map[string]row{
	"sign-in":           {want: forAll, body: text(`{"name":"root-of-all","password":"` + password + `"}`)},
	"sign-out":          {want: "401 204 204 204 204 204 204 204 204", quiet: "these principals have no session in the database"},
	"list-sign-ins":     {want: forAll},
	"begin-oidc":        {want: "404 404 404 404 404 404 404 404 404", path: func(*world) string { return "id=999999" }},
	"finish-oidc":       {want: "302 302 302 302 302 302 302 302 302", query: "state=x&code=y&session_state=z"},
	"set-up":            {want: "410 410 410 410 410 410 410 410 410", body: text(`{"token":"x","name":"second","password":"` + password + `"}`)},
	"redeem-password":   {want: "410 410 410 410 410 410 410 410 410", body: text(`{"token":"x","password":"` + password + `"}`)},
	"change-password":   {want: "401 204 204 204 204 204 204 204 204", body: text(`{"old":"` + password + `","new":"` + password + `"}`)},
	"get-profile":       {want: forSignedIn},
	"change-profile":    {want: forSignedIn, body: text(`{"language":"zh"}`)},
	"list-sessions":     {want: forSignedIn},
	"end-session":       {want: "401 404 404 404 404 404 404 404 204", path: sessionID},
	"list-tokens":       {want: forSignedIn},
	"add-token":         {want: "401 201 201 201 201 201 201 201 201", body: text(`{"name":"ci"}`)},
	"list-preferences":  {want: forSignedIn},
	"set-preference":    {want: "401 204 204 204 204 204 204 204 204", path: func(*world) string { return "key=theme" }, body: text(`"dark"`), quiet: "a choice of columns or theme is seen by its user alone"},
	"forget-preference": {want: "401 204 204 204 204 204 204 204 204", path: func(*world) string { return "key=theme" }, quiet: "as set-preference"},
	"end-token":         {want: "401 404 404 404 404 404 404 404 204", path: tokenID},
}}

var auditNoun = noun{rows: map[string]row{
	"list-audit":   {want: forAuditors, query: "limit=5&action=user"},
	"export-audit": {want: forAuditors, query: "form=jsonl&actor=root-of-all"},
}}

// TestResetPassword is the way back in for whoever has the machine.
func TestResetPassword(t *testing.T) {
	where := Place{Data: t.TempDir()}
	s, err := Open(t.Context(), Options{Data: where.Data, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	link, err := s.rooms.people.SetupToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.rooms.people.SetUp(t.Context(), link, "root-of-all", password, people.Fields{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ResetPassword(t.Context(), where, "root-of-all"); !errors.Is(err, store.ErrInUse) {
		t.Errorf("while the server runs: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ResetPassword(t.Context(), where, "nobody"); err == nil {
		t.Error("a link for nobody")
	}
	token, _, err := ResetPassword(t.Context(), where, "root-of-all")
	if err != nil || len(token) != 43 {
		t.Error(len(token), err)
	}
}
