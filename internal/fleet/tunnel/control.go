package tunnel

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"stockade.dev/stockade/internal/fleet/enrol"
)

// renewPath is what a connector asks on streams that it opens itself.
const renewPath = "/renew"

// papers are what a connector gets: PEM.
type papers struct {
	Certificate string `json:"certificate"`
	Authority   string `json:"authority"`
	Error       string `json:"error,omitempty"`
}

// application is what a connector without a certificate sends.
type application struct {
	Token   string `json:"token"`
	Request []byte `json:"request"` // DER
	Version string `json:"version"`
}

// control answers the connector's own requests on the tunnel until it ends: there is but one, for a new certificate.
func (s *Server) control(t *session) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+renewPath, func(w http.ResponseWriter, r *http.Request) {
		if !t.renewal.TryLock() {
			http.Error(w, "one renewal at a time", http.StatusTooManyRequests)
			return
		}
		defer t.renewal.Unlock()
		request, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLine))
		var answer papers
		if err == nil {
			answer, err = s.renew(r.Context(), t, request)
		}
		if err != nil {
			s.o.Log.Warn("connector's certificate not renewed", "cluster", t.target, "error", oneLine(err.Error()))
			w.WriteHeader(http.StatusForbidden)
			answer = papers{Error: reason(err)}
		}
		_ = json.NewEncoder(w).Encode(answer)
	})
	srv := &http.Server{Handler: mux, ReadTimeout: s.o.Timing.Answer, WriteTimeout: 3 * s.o.Timing.Answer, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
	_ = srv.Serve(t.mux) // ends with the tunnel
	_ = srv.Close()
}

func (s *Server) renew(ctx context.Context, t *session, request []byte) (papers, error) {
	cert, err := s.o.Authority.Renew(ctx, t.cert, request)
	if err != nil {
		return papers{}, err
	}
	s.o.Log.Info("connector's certificate renewed", "cluster", t.target, "serial", enrol.Serial(cert), "until", cert.NotAfter)
	return papers{Certificate: string(enrol.PEM(cert)), Authority: string(s.o.Authority.PEM())}, nil
}

// enrol exchanges a token for a certificate.
func (s *Server) enrol(ctx context.Context, conn *tls.Conn) error {
	line, err := readLine(conn)
	if err != nil {
		return err
	}
	var a application
	if err := json.Unmarshal([]byte(line), &a); err != nil {
		return errors.New("the application is not JSON")
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timing.Answer)
	defer cancel()
	target, cert, err := s.o.Authority.Enrol(ctx, a.Token, a.Request, conn.RemoteAddr().String())
	answer := papers{}
	if err != nil {
		answer.Error = reason(err)
		err = fmt.Errorf("enrolling: %w", err)
	} else {
		s.cutHere(target) // what the cluster's connector had before is revoked
		answer.Certificate, answer.Authority = string(enrol.PEM(cert)), string(s.o.Authority.PEM())
		s.o.Log.Info("connector enrolled", "cluster", target, "serial", enrol.Serial(cert), "remote", conn.RemoteAddr().String(), "version", oneLine(a.Version))
	}
	return errors.Join(err, json.NewEncoder(conn).Encode(answer))
}
