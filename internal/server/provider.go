package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/protect"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
)

// The rooms that providers speak to.
type (
	guardian interface {
		Bundle(ctx context.Context, target int64) (*policy.Bundle, error)
		Beat(ctx context.Context, target int64, b protocol.Beat) (*protocol.BeatAnswer, error)
	}
	verdicts interface {
		Images(ctx context.Context, target int64, q protocol.ImagesRequest) (*protocol.ImagesAnswer, error)
		Changes(ctx context.Context, target, after int64) (*protocol.Changes, error)
	}
	serials interface {
		Serial(ctx context.Context, target int64) (int64, error)
	}
	admissions interface {
		Take(ctx context.Context, target int64, b protocol.Batch) error
		Beat(ctx context.Context, target int64) error
	}
)

// doors answers the providers of protected clusters. Every request shows a certificate; which cluster it is of says nothing else.
type doors struct {
	authority  *enrol.Authority
	protect    guardian
	verdict    verdicts   // nil: nothing is known of images
	admission  admissions // nil: what was admitted is not kept
	hub        *live.Hub
	stop       <-chan struct{}
	now        func() time.Time
	wait       time.Duration // of long polls; 0 is the protocol's
	mu         sync.Mutex
	checked    map[string]time.Time // serials that were good a moment ago
	perCluster map[int64]int        // requests under way
}

// Limits of what providers send.
const (
	maxBeat        = 64 << 10
	maxQuestion    = 2 << 20 // 1,000 images with names as long as they get
	maxUnderWay    = 128     // requests of one cluster, long polls too
	checkedFor     = 5 * time.Second
	bundleLookTime = 5 * time.Second // between looks of a long poll: exceptions end by themselves, and tell nobody
	maxProviders   = 10_000          // certificates that are remembered as good
	bodyTime       = 30 * time.Second
)

// handler answers /provider/v1/.
func (d *doors) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+protocol.BundlePath, d.door(d.bundle))
	mux.HandleFunc("POST "+protocol.ImagesPath, d.door(d.images))
	mux.HandleFunc("GET "+protocol.ChangesPath, d.door(d.changes))
	mux.HandleFunc("POST "+protocol.AdmissionsPath, d.door(d.admissions))
	mux.HandleFunc("POST "+protocol.BeatPath, d.door(d.beat))
	mux.HandleFunc("/provider/", func(w http.ResponseWriter, r *http.Request) {
		api.WriteProblem(w, r, http.StatusNotFound, "there is no such thing")
	})
	return mux
}

// fit marks errors that are the provider's fault.
type fit struct {
	status int
	text   string
}

func (f *fit) Error() string { return f.text }

// door lets providers in, and nobody else.
func (d *doors) door(f func(w http.ResponseWriter, r *http.Request, target int64) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		target, err := d.caller(r)
		if err != nil {
			d.refuse(w, r, err)
			return
		}
		if !d.enter(target) {
			w.Header().Set("Retry-After", "5")
			api.WriteProblem(w, r, http.StatusTooManyRequests, "too many requests of this cluster are under way")
			return
		}
		defer d.leave(target)
		w.Header().Set("Cache-Control", "no-store")
		if err := f(w, r, target); err != nil {
			d.refuse(w, r, err)
		}
	}
}

func (d *doors) enter(target int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.perCluster == nil {
		d.perCluster = map[int64]int{}
	}
	if d.perCluster[target] >= maxUnderWay {
		return false
	}
	d.perCluster[target]++
	return true
}

func (d *doors) leave(target int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.perCluster[target]--; d.perCluster[target] <= 0 {
		delete(d.perCluster, target)
	}
}

// caller is the cluster that the request's certificate is of.
func (d *doors) caller(r *http.Request) (int64, error) {
	unknown := &fit{http.StatusUnauthorized, "show the certificate of a cluster's provider"}
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.PeerCertificates) == 0 {
		return 0, unknown
	}
	cert := r.TLS.PeerCertificates[0]
	h, err := enrol.HolderOf(cert)
	if err != nil || h.Kind != enrol.Provider || h.Target() == 0 {
		return 0, unknown
	}
	serial, now := enrol.Serial(cert), d.now()
	d.mu.Lock()
	at, ok := d.checked[serial]
	d.mu.Unlock()
	if ok && now.Sub(at) < checkedFor && !now.Before(at) {
		return h.Target(), nil
	}
	if err := d.authority.Check(r.Context(), cert); err != nil {
		if errors.Is(err, enrol.ErrRevoked) {
			return 0, &fit{http.StatusForbidden, "this certificate was revoked: the cluster's protection was ended"}
		}
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.checked == nil || len(d.checked) >= maxProviders {
		d.checked = map[string]time.Time{}
	}
	d.checked[serial] = now
	return h.Target(), nil
}

// refuse answers an error. What is the server's own trouble says little: the log has it.
func (d *doors) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var f *fit
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &f):
		api.WriteProblem(w, r, f.status, f.text)
	case errors.As(err, &tooLarge):
		api.WriteProblem(w, r, http.StatusRequestEntityTooLarge, "the request is too large")
	case errors.Is(err, store.ErrNotFound):
		api.WriteProblem(w, r, http.StatusForbidden, "the cluster is not there any more")
	case errors.Is(err, protect.ErrInvalid), errors.Is(err, api.ErrInvalid):
		api.WriteProblem(w, r, http.StatusUnprocessableEntity, err.Error())
	default:
		api.Blame(r.Context(), err)
		w.Header().Set("Retry-After", "5")
		api.WriteProblem(w, r, http.StatusServiceUnavailable, "the server could not do this now")
	}
}

// read decodes a body that may not be larger than most.
func read(w http.ResponseWriter, r *http.Request, most int64, into any) error {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // not of every kind of connection
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		return &fit{http.StatusBadRequest, "the request could not be read to its end"}
	}
	if err := json.Unmarshal(data, into); err != nil {
		return &fit{http.StatusBadRequest, "the request is not what the protocol says"}
	}
	return nil
}

func write(w http.ResponseWriter, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // the provider is gone: it asks again
	return nil
}

func (d *doors) waits() time.Duration {
	if d.wait > 0 {
		return d.wait
	}
	return protocol.Wait
}

// bundle waits until another bundle than the provider's is in force.
func (d *doors) bundle(w http.ResponseWriter, r *http.Request, target int64) error {
	have := r.URL.Query().Get("have")
	ctx, cancel := context.WithTimeout(r.Context(), d.waits())
	defer cancel()
	var news <-chan live.Event
	if d.hub != nil {
		news = d.hub.Subscribe(ctx, func(e live.Event) bool { return e.Topic == protect.Policies && (e.Target == 0 || e.Target == target) })
	}
	look := time.NewTicker(min(bundleLookTime, d.waits()/2+time.Millisecond))
	defer look.Stop()
	for {
		b, err := d.protect.Bundle(r.Context(), target)
		if err != nil {
			return err
		}
		if b.Generation != have {
			return write(w, b)
		}
		select {
		case <-d.stop:
			w.WriteHeader(http.StatusNoContent)
			return nil
		case <-ctx.Done():
			w.WriteHeader(http.StatusNoContent)
			return nil
		case _, open := <-news:
			if !open {
				news = nil
			}
		case <-look.C:
		}
	}
}

// images answers with a verdict for each image.
func (d *doors) images(w http.ResponseWriter, r *http.Request, target int64) error {
	var q protocol.ImagesRequest
	if err := read(w, r, maxQuestion, &q); err != nil {
		return err
	}
	if len(q.Images) > protocol.MaxImages {
		return &fit{http.StatusUnprocessableEntity, "more than " + strconv.Itoa(protocol.MaxImages) + " images in one question"}
	}
	if d.verdict == nil {
		return errors.New("nobody judges images")
	}
	a, err := d.verdict.Images(r.Context(), target, q)
	if err != nil {
		return err
	}
	return write(w, a)
}

// changes answers with verdicts that are others now.
func (d *doors) changes(w http.ResponseWriter, r *http.Request, target int64) error {
	after, err := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	if err != nil || after < 0 {
		return &fit{http.StatusBadRequest, "after: want the serial of the last answer"}
	}
	if d.verdict == nil {
		return errors.New("nobody judges images")
	}
	ctx, cancel := context.WithTimeout(r.Context(), d.waits()+10*time.Second)
	defer cancel()
	go func() { // a server that stops keeps nobody waiting
		select {
		case <-d.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	c, err := d.verdict.Changes(ctx, target, after)
	if err != nil && ctx.Err() == nil {
		return err
	}
	if c == nil || err != nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return write(w, c)
}

// admissions takes a part of the log.
func (d *doors) admissions(w http.ResponseWriter, r *http.Request, target int64) error {
	var b protocol.Batch
	if err := read(w, r, protocol.MaxBatch, &b); err != nil {
		return err
	}
	if d.admission == nil {
		return errors.New("nobody keeps the log of admissions")
	}
	if err := d.admission.Take(r.Context(), target, b); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// beat takes a replica's word of itself.
func (d *doors) beat(w http.ResponseWriter, r *http.Request, target int64) error {
	var b protocol.Beat
	if err := read(w, r, maxBeat, &b); err != nil {
		return err
	}
	a, err := d.protect.Beat(r.Context(), target, b)
	if err != nil {
		return err
	}
	if d.admission != nil && !a.Gone {
		if err := d.admission.Beat(r.Context(), target); err != nil {
			return err
		}
	}
	if a.Gone {
		return write(w, a)
	}
	if d.admission != nil { // it tells when nobody was there
		if err := d.admission.Beat(r.Context(), target); err != nil {
			return err
		}
	}
	if s, ok := d.verdict.(serials); ok {
		if a.Serial, err = s.Serial(r.Context(), target); err != nil {
			return err
		}
	}
	return write(w, a)
}

// letProviders has the TLS side ask providers for their certificate, and show them one of the server's own authority: what browsers
// are shown may come from elsewhere, and nobody else is asked for anything.
func letProviders(cfg *tls.Config, authority *enrol.Authority, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), now func() time.Time) {
	before := cfg.GetConfigForClient
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, protocol.Mark) {
			return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Roots(),
				GetCertificate: certificate, SessionTicketsDisabled: true, Time: now}, nil
		}
		if before != nil {
			return before(hello)
		}
		return nil, nil
	}
}
