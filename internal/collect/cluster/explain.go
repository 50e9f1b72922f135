package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/collect/decode"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
)

// explain makes a fault.Input error of a failed request, with what the user can do about it.
func (s *Source) explain(err error) error {
	return &fault.Error{Kind: fault.Input, Op: "reading the cluster at " + s.base.Redacted(), Err: err, Hint: hint(err)}
}

func hint(err error) string {
	var (
		dns       *net.DNSError
		unknownCA x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		status    *statusError
		stall     *stallError
		text      *notJSONError
	)
	switch {
	case errors.As(err, &dns):
		return "the name of the server cannot be resolved: check the server field of the kubeconfig, DNS and VPN"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: check the address and port in the kubeconfig and that the API server runs"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to this address: check network, VPN and firewall"
	case errors.As(err, &unknownCA):
		return "the server's certificate is not signed by the certificate authority in the kubeconfig: it is another cluster, " +
			"or certificate-authority-data is outdated"
	case errors.As(err, &hostname):
		return "the server's certificate is for another name: use one of its names as the server address, or set tls-server-name"
	case errors.As(err, &invalid):
		return "the server's certificate is not valid: check its dates and the clock of this machine"
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the server does not speak TLS on this port: check the scheme and port of the server address"
	case errors.As(err, &alert):
		return "the server refuses the client certificate: it is expired or of another cluster"
	case errors.As(err, &stall):
		return "the server accepts connections but does not answer: it may be overloaded, or something between drops packets"
	case errors.As(err, &text), errors.As(err, &status) && status.html:
		return "something else answers in the place of the API server: a proxy, a login page or a wrong address"
	case errors.As(err, &status) && status.code == http.StatusUnauthorized:
		return "the credentials are not accepted: log in again, or the token or certificate is expired or of another cluster"
	case errors.As(err, &status) && status.code == http.StatusForbidden:
		return "the user may not read this: apply deploy/rbac and scan with its service account"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "the server does not answer in time: check network, VPN and firewall"
	}
	return ""
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// transient reports whether the same request may succeed a moment later.
func transient(err error) bool {
	var (
		dns      *net.DNSError
		ca       x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		record   tls.RecordHeaderError
		text     *notJSONError
		notList  *decode.NotListError
	)
	switch {
	case errors.As(err, &ca), errors.As(err, &hostname), errors.As(err, &invalid), errors.As(err, &record), errors.As(err, &text),
		errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &notList):
		return notList.Start == "" // cut before the first byte
	case errors.As(err, &dns):
		return dns.IsTemporary
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), isTimeout(err):
		return true
	}
	// HTTP/2 reports a broken connection or stream by types of its own.
	text2 := err.Error()
	return strings.Contains(text2, "http2:") || strings.Contains(text2, "stream error") || strings.Contains(text2, "connection reset") ||
		strings.Contains(text2, "use of closed network connection") || strings.Contains(text2, "connection lost")
}

// unread makes the entry for a kind that could not be read, or not to the end.
func (s *Source) unread(k *collect.Kind, err error, read int) finding.NotScanned {
	n := finding.NotScanned{Target: s.info.Name, What: k.GroupResource(), Code: finding.Unreachable}
	if read > 0 {
		n.What = fmt.Sprintf("%s after the first %d", n.What, read)
	}
	var (
		status  *statusError
		notList *decode.NotListError
		text    *notJSONError
		syntax  = errors.Is(err, decode.ErrSyntax) || errors.Is(err, decode.ErrWire)
	)
	n.Reason = err.Error()
	switch {
	case errors.As(err, &status) && (status.code == http.StatusForbidden || status.code == http.StatusUnauthorized || status.code == http.StatusNotFound):
		n.Code = finding.Forbidden
		n.Reason = fmt.Sprintf("%v; grant {apiGroups: [%q], resources: [%q], verbs: [\"get\", \"list\"]} (deploy/rbac does)", err, k.Group, k.Resource)
		if status.code == http.StatusUnauthorized {
			n.Reason = fmt.Sprintf("%v; %s", err, hint(err))
		}
	case errors.As(err, &notList):
		n.Code = finding.Broken
		if notList.Start != "" {
			n.Reason = fmt.Sprintf("%v: it begins %q; something else answers in the place of the API server", err, notList.Start)
		}
	case errors.As(err, &text), syntax:
		n.Code = finding.Broken
	default:
		if h := hint(err); h != "" {
			n.Reason += "; " + h
		}
	}
	return n
}
