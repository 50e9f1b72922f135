package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// Times and sizes of idempotency keys.
const (
	keyKept   = 24 * time.Hour
	keyBeat   = 10 * time.Second // signs of life while a request is done
	keyDead   = 4 * keyBeat      // without one, its server is gone
	keyWait   = 10 * time.Second // that a second request waits for the first one's answer
	keyAnswer = 1 << 20
)

type keyRow struct {
	bun.BaseModel `bun:"table:idempotency"`

	Owner     string     `bun:"owner,pk"`
	Key       string     `bun:"key,pk"`
	Route     string     `bun:"route,pk"`
	Done      bool       `bun:"done"`
	Hash      string     `bun:"hash"`
	Status    int        `bun:"status"`
	Answer    []byte     `bun:"answer"`
	CreatedAt store.Time `bun:"created_at"`
	AliveAt   store.Time `bun:"alive_at"`
}

type keptAnswer struct {
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}

// idempotent does a POST with an Idempotency-Key once: whoever sends it again gets the first answer. Answers that say that
// nothing was done (4xx, 5xx) are not kept. When the server stopped in the middle, whether it was done is not known, and the key
// says so instead of doing it twice.
func (a *API) idempotent(f Frame, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		who := owner(identity.From(r.Context()))
		if r.Method != http.MethodPost || key == "" || who == "" {
			next.ServeHTTP(w, r)
			return
		}
		if len(key) > 128 || f.Keys == nil {
			WriteProblem(w, r, http.StatusBadRequest, "Idempotency-Key: at most 128 characters, and the server needs a key to encrypt what it keeps")
			return
		}
		row := keyRow{Owner: who, Key: key, Route: r.Method + " " + r.URL.RequestURI(), CreatedAt: store.At(f.Now()), AliveAt: store.At(f.Now())}
		mine, err := row.claim(r.Context(), f.DB)
		switch {
		case err != nil:
			writeError(w, r, err)
		case mine:
			row.do(f, next, w, r)
		default:
			row.repeat(f, w, r)
		}
	})
}

// writeError answers with what Add would make of err.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	err = problem(r.Context(), err)
	var s interface{ GetStatus() int }
	var h interface{ GetHeaders() http.Header }
	status := http.StatusInternalServerError
	if errors.As(err, &s) {
		status = s.GetStatus()
	}
	if errors.As(err, &h) {
		for k, v := range h.GetHeaders() {
			w.Header()[k] = v
		}
	}
	WriteProblem(w, r, status, err.Error())
}

// claim makes the row; false: another request has it.
func (k *keyRow) claim(ctx context.Context, db *store.DB) (mine bool, err error) {
	err = db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewDelete().Model((*keyRow)(nil)).Where("owner = ? AND key = ? AND route = ? AND created_at < ?",
			k.Owner, k.Key, k.Route, store.At(k.CreatedAt.Add(-keyKept))).Exec(ctx); err != nil {
			return err
		}
		res, err := tx.NewInsert().Model(k).On("CONFLICT DO NOTHING").Exec(ctx)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		mine = n == 1
		return err
	})
	return mine, err
}

func (k *keyRow) place() string {
	sum := sha256.Sum256([]byte(k.Owner + "\x00" + k.Key + "\x00" + k.Route))
	return "idempotency/" + hex.EncodeToString(sum[:])
}

func (k *keyRow) where(q *bun.UpdateQuery) *bun.UpdateQuery {
	return q.Where("owner = ? AND key = ? AND route = ?", k.Owner, k.Key, k.Route)
}

// do runs the request and keeps its answer.
func (k *keyRow) do(f Frame, next http.Handler, w http.ResponseWriter, r *http.Request) {
	hash := sha256.New()
	body := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(body, hash), body}
	ctx := context.WithoutCancel(r.Context()) // the answer is kept for a client that left, too
	done := make(chan struct{})
	go k.live(ctx, f, done)
	c := &copied{ResponseWriter: w, status: http.StatusOK}
	finished := false
	defer func() {
		close(done)
		if !finished || c.status >= 400 { // a panic, or nothing was done
			k.release(ctx, f)
		}
	}()
	next.ServeHTTP(c, r)
	_, err := io.Copy(io.Discard, r.Body) // the rest of the body belongs to the hash
	finished = true
	if c.status >= 400 {
		return
	}
	if err != nil {
		hash.Reset()
	}
	k.Hash, k.Status = hex.EncodeToString(hash.Sum(nil)), c.status
	if c.tooLong {
		k.Status = 0
	} else {
		header := w.Header().Clone()
		header.Del("Set-Cookie")
		plain, _ := json.Marshal(keptAnswer{Header: keep(header), Body: c.body.Bytes()})
		if k.Answer, err = f.Keys.Seal(k.place(), plain); err != nil {
			f.Log.ErrorContext(ctx, "keeping an answer for its idempotency key", "err", err)
			k.Status = 0
		}
	}
	err = f.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := k.where(tx.NewUpdate().Model(k).Column("hash", "status", "answer").Set("done = ?", true)).Exec(ctx)
		return err
	})
	if err != nil {
		f.Log.ErrorContext(ctx, "keeping an answer for its idempotency key", "err", err)
	}
}

// keep chooses the header fields that belong to the answer and not to this connection.
func keep(h http.Header) http.Header {
	out := http.Header{}
	for _, name := range []string{"Content-Type", "Location", "Content-Language", "Content-Disposition"} {
		if v := h.Get(name); v != "" {
			out.Set(name, v)
		}
	}
	return out
}

// live shows that the request is being done.
func (k *keyRow) live(ctx context.Context, f Frame, done <-chan struct{}) {
	tick := time.NewTicker(keyBeat)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			err := f.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
				_, err := k.where(tx.NewUpdate().Model((*keyRow)(nil)).Set("alive_at = ?", store.At(f.Now()))).Exec(ctx)
				return err
			})
			if err != nil {
				f.Log.WarnContext(ctx, "idempotency key", "err", err)
			}
		}
	}
}

func (k *keyRow) release(ctx context.Context, f Frame) {
	err := f.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Model(k).WherePK().Exec(ctx)
		return err
	})
	if err != nil {
		f.Log.ErrorContext(ctx, "releasing an idempotency key", "err", err)
	}
}

// repeat answers with what the first request got, waiting for it a little.
func (k *keyRow) repeat(f Frame, w http.ResponseWriter, r *http.Request) {
	hash := sha256.New()
	if _, err := io.Copy(hash, r.Body); err != nil {
		WriteProblem(w, r, http.StatusBadRequest, "the request broke off")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), keyWait)
	defer cancel()
	for {
		err := store.NotFound(f.DB.R.NewSelect().Model(k).WherePK().Scan(ctx))
		switch {
		case errors.Is(err, store.ErrNotFound):
			w.Header().Set("Retry-After", "1")
			WriteProblem(w, r, http.StatusConflict, "the first request with this Idempotency-Key failed while this one waited: send it again")
			return
		case err != nil && ctx.Err() == nil:
			writeError(w, r, err)
			return
		case err == nil && k.Done:
			k.replay(f, hex.EncodeToString(hash.Sum(nil)), w, r)
			return
		case err == nil && f.Now().Sub(k.AliveAt.Time) > keyDead:
			WriteProblem(w, r, http.StatusConflict, "the server stopped while it did the first request with this Idempotency-Key: look whether it was done, and use a new key")
			return
		}
		select {
		case <-ctx.Done():
			w.Header().Set("Retry-After", "5")
			WriteProblem(w, r, http.StatusConflict, "the first request with this Idempotency-Key is still being done")
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (k *keyRow) replay(f Frame, hash string, w http.ResponseWriter, r *http.Request) {
	if hash != k.Hash {
		WriteProblem(w, r, http.StatusUnprocessableEntity, "this Idempotency-Key was used for another request body")
		return
	}
	var kept keptAnswer
	if k.Status != 0 {
		plain, err := f.Keys.Open(k.place(), k.Answer)
		if err == nil {
			err = json.Unmarshal(plain, &kept)
		}
		if err != nil {
			f.Log.ErrorContext(r.Context(), "reading the answer of an idempotency key", "err", err)
			k.Status = 0
		}
	}
	if k.Status == 0 {
		WriteProblem(w, r, http.StatusConflict, "this was done before; its answer was not kept")
		return
	}
	for name, v := range kept.Header {
		w.Header()[name] = v
	}
	w.Header().Set("Idempotency-Replayed", "true")
	w.WriteHeader(k.Status)
	_, _ = w.Write(kept.Body) // the client is gone
}

// copied keeps a copy of an answer that is not too long.
type copied struct {
	http.ResponseWriter
	status  int
	body    bytes.Buffer
	tooLong bool
}

func (c *copied) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *copied) Write(b []byte) (int, error) {
	if c.body.Len()+len(b) > keyAnswer {
		c.tooLong = true
	} else if !c.tooLong {
		c.body.Write(b)
	}
	return c.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (c *copied) Flush() { _ = http.NewResponseController(c.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (c *copied) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Forget removes idempotency keys that are older than a day. The leader calls it every hour.
func Forget(ctx context.Context, db *store.DB, now time.Time) error {
	return db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Model((*keyRow)(nil)).Where("created_at < ?", store.At(now.Add(-keyKept))).Exec(ctx)
		return err
	})
}
