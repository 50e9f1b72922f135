package check

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// answerWithin is how long a local port may take.
const answerWithin = 5 * time.Second

// answersWithoutCertificate asks a local port for one page by GET, with TLS unless told otherwise, and without a certificate of ours.
// Nothing is sent beside the request line, the host and an agent's name; of the answer, the status line is read.
func answersWithoutCertificate(ctx context.Context, s *Subject, _ *Target, a Args) Answer {
	if s.Dial == nil {
		return unknown("requests to local ports are not made here", "此处不向本机端口发送请求")
	}
	port, _ := strconv.Atoi(a.text("port"))
	page := a.text("path")
	if page == "" {
		page = "/"
	}
	if !strings.HasPrefix(page, "/") || strings.ContainsAny(page, " \r\n") {
		return unknown("the path %q is none", "路径 %q 无效", page)
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	plain := a.text("tls") == "no"
	status, err := ask(ctx, s, port, page, plain)
	if err == nil {
		return yes("port %d answers a GET of %s without a certificate: %s", "端口 %d 在无证书时应答了 GET %s：%s", port, page, status)
	}
	var alert tls.AlertError
	var refused net.Error
	switch {
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls:"):
		return no("port %d refuses callers without a certificate (%v)", "端口 %d 拒绝无证书的访问（%v）", port, err)
	case errors.As(err, &refused) && refused.Timeout(), ctx.Err() != nil:
		return unknown("port %d did not answer within %v", "端口 %d 在 %v 内未应答", port, answerWithin)
	case isRefused(err):
		return no("nothing listens on port %d of this host", "本机没有进程监听端口 %d", port)
	case errors.As(err, new(tls.RecordHeaderError)):
		return no("port %d does not speak TLS", "端口 %d 未使用 TLS", port)
	}
	return unknown("port %d: %v", "端口 %d：%v", port, err)
}

func isRefused(err error) bool { return strings.Contains(err.Error(), "connection refused") }

func ask(ctx context.Context, s *Subject, port int, page string, plain bool) (status string, err error) {
	conn, err := s.Dial(ctx, port)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var rw net.Conn = conn
	if !plain {
		// Whose certificate it is does not matter here: nothing secret is said, and only that it answers is believed.
		t := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", MinVersion: tls.VersionTLS12})
		if err := t.HandshakeContext(ctx); err != nil {
			return "", err
		}
		rw = t
	}
	if _, err := io.WriteString(rw, "GET "+page+" HTTP/1.0\r\nHost: localhost\r\nUser-Agent: stockade\r\n\r\n"); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(io.LimitReader(rw, 256)).ReadString('\n')
	if !strings.HasPrefix(line, "HTTP/") {
		if err == nil || err == io.EOF {
			err = errNoHTTP
		}
		return "", err
	}
	return strings.TrimSpace(line), nil
}
