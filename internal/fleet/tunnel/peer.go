package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/store"
)

// Row is a row of tunnels: which replica holds a cluster's tunnel.
type Row struct {
	bun.BaseModel `bun:"table:tunnels" json:"-"`

	TargetID int64      `bun:"target_id,pk" json:"-"`
	Replica  string     `bun:"replica,pk" json:"replica"`
	Address  string     `bun:"address" json:"-"`
	Remote   string     `bun:"remote" json:"remote"`
	Version  string     `bun:"version" json:"version"`
	Since    store.Time `bun:"since" json:"since" format:"date-time"`
	Seen     store.Time `bun:"seen" json:"seen" format:"date-time"`
}

// fresh is how many beats a row may be old before its replica counts as dead.
const fresh = 6

// Rows lists the tunnels of a cluster that live.
func (s *Server) Rows(ctx context.Context, target int64) ([]Row, error) {
	var rows []Row
	err := s.o.DB.R.NewSelect().Model(&rows).Where("target_id = ? AND seen > ?", target, store.At(s.o.Now().Add(-fresh*s.o.Timing.Beat))).
		Order("since DESC").Limit(16).Scan(ctx)
	return rows, err
}

// Live lists the clusters that have a tunnel at some replica.
func (s *Server) Live(ctx context.Context) (map[int64]bool, error) {
	var ids []int64
	err := s.o.DB.R.NewSelect().Model((*Row)(nil)).Column("target_id").Where("seen > ?", store.At(s.o.Now().Add(-fresh*s.o.Timing.Beat))).Scan(ctx, &ids)
	live := make(map[int64]bool, len(ids))
	for _, id := range ids {
		live[id] = true
	}
	return live, err
}

// what replicas ask of each other, with the target's id behind.
const (
	askStream = "stream "
	askCut    = "cut "
)

// peer serves another replica.
func (s *Server) peer(ctx context.Context, conn *tls.Conn) error {
	if _, _, err := caller(conn, enrol.Replica); err != nil {
		return err
	}
	line, err := readLine(conn)
	if err != nil {
		return err
	}
	if id, ok := strings.CutPrefix(line, askCut); ok {
		target, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return err
		}
		s.cutHere(target)
		_, err = io.WriteString(conn, accept+"\n")
		return err
	}
	id, ok := strings.CutPrefix(line, askStream)
	target, err := strconv.ParseInt(id, 10, 64)
	if !ok || err != nil {
		return fmt.Errorf("a replica asks %q", oneLine(line))
	}
	wait, cancel := context.WithTimeout(ctx, s.o.Timing.Answer)
	defer cancel()
	stream, err := s.local(wait, target)
	if err != nil {
		_, _ = io.WriteString(conn, refuse+oneLine(err.Error())+"\n")
		return nil
	}
	if _, err := io.WriteString(conn, accept+"\n"); err != nil {
		return errors.Join(err, stream.Close())
	}
	established(ctx, conn)
	join(conn, stream)
	return nil
}

// ask opens a connection to another replica and says what for.
func (s *Server) ask(ctx context.Context, row Row, what string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timing.Answer)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{PeerProtocol}, InsecureSkipVerify: true, Time: s.o.Now, // VerifyConnection does it
		VerifyConnection: func(cs tls.ConnectionState) error { return verified(cs, s.o.Authority.Roots(), s.o.Now()) },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return s.own.get(enrol.Replica, s.o.Replica)
		}}}
	conn, err := d.DialContext(ctx, "tcp", row.Address)
	if err != nil {
		return nil, fmt.Errorf("replica %s at %s: %w", row.Replica, row.Address, err)
	}
	_ = conn.SetDeadline(time.Now().Add(s.o.Timing.Answer))
	if _, err = io.WriteString(conn, what+strconv.FormatInt(row.TargetID, 10)+"\n"); err == nil {
		err = verdict(conn)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("replica %s at %s: %w", row.Replica, row.Address, err), conn.Close())
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

// others are the other replicas that hold a tunnel of the cluster and can be reached.
func (s *Server) others(ctx context.Context, target int64) ([]Row, error) {
	rows, err := s.Rows(ctx, target)
	var others []Row
	for _, r := range rows {
		if r.Replica != s.o.Replica && r.Address != "" {
			others = append(others, r)
		}
	}
	return others, err
}

func (s *Server) throughPeer(ctx context.Context, target int64) (net.Conn, error) {
	rows, err := s.others(ctx, target)
	if err != nil {
		return nil, err
	}
	err = ErrNoConnector
	for _, row := range rows {
		conn, failed := s.ask(ctx, row, askStream)
		if failed == nil {
			return conn, nil
		}
		err = fmt.Errorf("%w (%w)", ErrNoConnector, failed)
	}
	return nil, err
}

func (s *Server) cutAtPeers(ctx context.Context, target int64) {
	rows, err := s.others(ctx, target)
	if err != nil {
		s.o.Log.Warn("tunnels of other replicas are cut at their next beat", "error", err)
	}
	for _, row := range rows {
		conn, err := s.ask(ctx, row, askCut)
		if err != nil {
			s.o.Log.Warn("the tunnel is cut at that replica's next beat", "error", err)
			continue
		}
		_ = conn.Close()
	}
}

// register writes the row of a tunnel; when the database cannot, the next beat does.
func (s *Server) register(sessions ...*session) {
	if len(sessions) == 0 {
		return
	}
	rows := make([]Row, 0, len(sessions))
	for _, t := range sessions {
		rows = append(rows, Row{TargetID: t.target, Replica: s.o.Replica, Address: s.o.Address, Remote: t.remote, Version: t.version,
			Since: store.At(t.since), Seen: store.At(s.o.Now())})
	}
	s.write("registering tunnels", func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&rows).On("CONFLICT (target_id, replica) DO UPDATE").Set("address = EXCLUDED.address").
			Set("remote = EXCLUDED.remote").Set("version = EXCLUDED.version").Set("since = EXCLUDED.since").Set("seen = EXCLUDED.seen").Exec(ctx)
		return err
	})
}

func (s *Server) unregister(target int64) {
	s.write("forgetting a tunnel", func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Model((*Row)(nil)).Where("target_id = ? AND replica = ?", target, s.o.Replica).Exec(ctx)
		return err
	})
}

func (s *Server) write(what string, f func(ctx context.Context, tx bun.Tx) error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.o.Timing.Answer)
	defer cancel()
	if err := s.o.DB.Write(ctx, f); err != nil {
		s.o.Log.Warn(what, "error", err)
	}
}

// Run keeps the rows of this process's tunnels fresh and cuts tunnels whose certificate was revoked or has expired, until ctx ends;
// then it closes all.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close()
	ticks := time.NewTicker(s.o.Timing.Beat)
	defer ticks.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
		if err := s.beat(ctx, n%2 == 0); err != nil && ctx.Err() == nil {
			s.o.Log.Warn("looking after tunnels", "error", err)
		}
	}
}

// beat looks at every tunnel that ends here. Rows are written at every second one.
func (s *Server) beat(ctx context.Context, rows bool) error {
	s.mu.Lock()
	var all, newest []*session
	for _, list := range s.sessions {
		all = append(all, list...)
		newest = append(newest, list[len(list)-1])
	}
	s.mu.Unlock()
	serials := make([]string, 0, len(all))
	for _, t := range all {
		serials = append(serials, t.serial)
	}
	lapsed, err := s.o.Authority.Lapsed(ctx, serials)
	for _, serial := range lapsed {
		for _, t := range all {
			if t.serial == serial {
				s.o.Log.Warn("tunnel cut: its certificate was revoked or has expired", "cluster", t.target, "remote", t.remote)
				_ = t.mux.Close()
			}
		}
	}
	if rows {
		s.register(newest...)
	}
	return err
}

// Sweep forgets the rows of replicas that ended without a word.
func (s *Server) Sweep(ctx context.Context) error {
	return s.o.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Model((*Row)(nil)).Where("seen < ?", store.At(s.o.Now().Add(-10*fresh*s.o.Timing.Beat))).Exec(ctx)
		return err
	})
}
