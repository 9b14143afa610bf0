package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
)

// What zero stands for in a ServerOption.
const (
	DefaultReadHeaderTimeout = 5 * time.Second
	DefaultReadTimeout       = 30 * time.Second
	DefaultWriteTimeout      = 90 * time.Second
	DefaultIdleTimeout       = 2 * time.Minute
	DefaultMaxHeaderBytes    = 64 << 10
	DefaultShutDownWait      = 12 * time.Second
)

// ServerOption is how a Server behaves. The zero value is a good one: in each
// field zero stands for the default, and in a duration a negative value switches
// the limit off. NewServer copies it.
type ServerOption struct {
	// TLSConfig, with a certificate in it, has the server speak TLS, with HTTP/2
	// for those that want it. The default, nil, is plain HTTP. It is cloned.
	TLSConfig *tls.Config
	// PlainHTTP2 takes HTTP/2 without TLS too, from clients that know that it is
	// spoken here (RFC 9113, 3.3).
	PlainHTTP2 bool

	// ReadHeaderTimeout is how long the header of a request may take to arrive.
	// The default is 5 s.
	ReadHeaderTimeout time.Duration
	// ReadTimeout is how long a whole request may take to arrive, its body
	// included; a slower one is answered 408. The default is 30 s.
	ReadTimeout time.Duration
	// WriteTimeout is how long a request may take from its header to the end of
	// its response, so it should be longer than ReadTimeout and
	// Option.RequestTimeout together. The default is 90 s.
	WriteTimeout time.Duration
	// IdleTimeout is how long a connection is kept without a request. The default
	// is 2 min.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds the header of a request; a longer one is answered
	// 431. The default is 64 KiB; it cannot be switched off.
	MaxHeaderBytes int
	// ShutDownWait bounds the drain of Shutdown. The default is 12 s; negative
	// leaves it to Shutdown's context.
	ShutDownWait time.Duration
}

// forever stands for a time limit that is switched off: some 146 years.
const forever = time.Duration(1 << 62)

func (o *ServerOption) prepare() (ServerOption, error) {
	var p ServerOption
	if o != nil {
		p = *o
	}
	if p.MaxHeaderBytes < 0 {
		return p, fmt.Errorf("gateway: ServerOption.MaxHeaderBytes is %d: a header's size is always bounded, 0 is %d", p.MaxHeaderBytes, DefaultMaxHeaderBytes)
	}
	if p.TLSConfig != nil {
		if p.PlainHTTP2 {
			return p, errors.New("gateway: ServerOption.PlainHTTP2: with TLSConfig nothing is plain")
		}
		if len(p.TLSConfig.Certificates) == 0 && p.TLSConfig.GetCertificate == nil && p.TLSConfig.GetConfigForClient == nil {
			return p, errors.New("gateway: ServerOption.TLSConfig has no certificate")
		}
		p.TLSConfig = p.TLSConfig.Clone()
	}
	const off = -1 // of net/http, where 0 stands for the ReadTimeout in some
	p.ReadHeaderTimeout = orOff(p.ReadHeaderTimeout, DefaultReadHeaderTimeout, off)
	p.ReadTimeout = orOff(p.ReadTimeout, DefaultReadTimeout, off)
	p.WriteTimeout = orOff(p.WriteTimeout, DefaultWriteTimeout, off)
	p.IdleTimeout = orOff(p.IdleTimeout, DefaultIdleTimeout, off)
	p.MaxHeaderBytes = orOff(p.MaxHeaderBytes, DefaultMaxHeaderBytes, 0)
	p.ShutDownWait = orOff(p.ShutDownWait, DefaultShutDownWait, forever)
	return p, nil
}

// Server is an http.Server with limits that stand by default: slow clients, long
// headers and idle connections cost it little. All methods may run concurrently.
// Its goroutines are those of net/http; they have ended when Serve returns, but
// for handlers that ignore that their request was cut.
type Server struct {
	option  ServerOption
	http    *http.Server
	ended   chan struct{} // closed when Shutdown or Close is through
	endOnce sync.Once
}

// NewServer returns a server of h, a Gateway or what stands round one. The error
// names the field of o that cannot be used; o may be nil.
func NewServer(h http.Handler, o *ServerOption) (*Server, error) {
	if h == nil {
		return nil, errors.New("gateway: the handler is nil")
	}
	option, err := o.prepare()
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(option.TLSConfig != nil)
	protocols.SetUnencryptedHTTP2(option.PlainHTTP2)
	return &Server{
		option: option,
		ended:  make(chan struct{}),
		http: &http.Server{
			Handler:           h,
			TLSConfig:         option.TLSConfig,
			Protocols:         protocols,
			ReadHeaderTimeout: option.ReadHeaderTimeout,
			ReadTimeout:       option.ReadTimeout,
			WriteTimeout:      option.WriteTimeout,
			IdleTimeout:       option.IdleTimeout,
			MaxHeaderBytes:    option.MaxHeaderBytes,
			ErrorLog:          stdlog.New(clientFaults{}, "", 0),
		},
	}, nil
}

// clientFaults takes what net/http logs: connections that broke their promises,
// and panics of handlers.
type clientFaults struct{}

// Write implements io.Writer.
func (clientFaults) Write(b []byte) (int, error) {
	text := strings.TrimSuffix(string(b), "\n")
	if strings.HasPrefix(text, "http: panic") {
		log.Errorf("sinew: gateway: %s", text)
	} else {
		log.V(1).Infof("sinew: gateway: %s", text)
	}
	return len(b), nil
}

// Serve answers the connections of ln until the server is closed or ln fails. It
// closes ln. After Shutdown and Close it returns http.ErrServerClosed, once they
// are through.
func (s *Server) Serve(ln net.Listener) error {
	var err error
	if s.option.TLSConfig != nil {
		err = s.http.ServeTLS(ln, "", "")
	} else {
		err = s.http.Serve(ln)
	}
	if errors.Is(err, http.ErrServerClosed) {
		<-s.ended
	}
	return err
}

// Shutdown takes no new connections, lets requests that are being served be
// answered, and closes idle connections. It waits until ctx ends or ShutDownWait
// has passed, cuts what is left then, and returns what ended the wait; nil when
// everything was answered. With a server of services beside the gateway, shut
// this one down first: its requests are that one's calls.
func (s *Server) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.option.ShutDownWait)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("gateway: requests were cut: %w", err), s.http.Close())
	}
	s.endOnce.Do(func() { close(s.ended) })
	return err
}

// Close ends all connections now; the contexts of their requests end.
func (s *Server) Close() error {
	err := s.http.Close()
	s.endOnce.Do(func() { close(s.ended) })
	return err
}
