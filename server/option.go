package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/transport"
)

// Defaults of Option.
const (
	DefaultCompressThreshold   = 1 << 10 // bytes
	DefaultShutDownWait        = 12 * time.Second
	DefaultHandshakeTimeout    = 10 * time.Second
	DefaultRequestTimeout      = time.Second
	DefaultMaxConnections      = 1 << 16
	DefaultMaxRequestsInFlight = 1 << 14
	DefaultMaxBytesInFlight    = 64 << 20 // bytes
)

// IdentifyFunc decides which of the identities that a client claims in its
// hello are its own. ctx ends with the connection or after FrameTimeout, and
// TLSState and PeerFrom work on it. h is the hello; "sinew-auth" in its MetaData
// is what the client authenticates with. What it returns is what Peer.Identity
// and SGServer.Peers know; with an error the client has none, and its connection
// goes on. It may wait, and runs concurrently for many connections.
type IdentifyFunc func(ctx context.Context, h *protocol.Header, claimed []string) ([]string, error)

// Option is how a server behaves. The zero value is a good one: in each field
// zero stands for the default, and in a duration, threshold or count a negative
// value switches the thing off. NewSGServer copies it.
type Option struct {
	// ProtocolType is the form of frames: protocol.Default, the only one.
	ProtocolType protocol.ProtocolType
	// SerializeType encodes what this server sends of its own accord, by
	// Peer.Call; a reply uses its request's. The default is msgpack.
	SerializeType protocol.SerializeType
	// CompressType is used for Peer.Call, and for replies to requests that came
	// uncompressed, with peers that announced it; a reply to a compressed
	// request uses the request's. The default is none.
	CompressType protocol.CompressType
	// CompressThreshold is the size of a body, in bytes, from which it is
	// compressed. The default is 1 KiB; negative compresses nothing, replies to
	// compressed requests included.
	CompressThreshold int

	// TransportType is the network of a Serve whose network is empty: tcp,
	// tcp4, tcp6, tls, unix, ws, wss or mem. A Serve that names another is an
	// error. The default leaves both to Serve.
	TransportType string
	// TLSConfig is needed to serve "tls" and "wss", with a certificate in it;
	// for mutual TLS set ClientAuth and ClientCAs. It is cloned.
	TLSConfig *tls.Config
	// Mem is where "mem" listens. The default is transport.DefaultMemNetwork.
	Mem *transport.MemNetwork

	// Registry is told where this server serves. The default, nil, serves
	// without discovery. The server does not close it.
	Registry registry.Registry
	// RegisterOption governs the registration; see there. An AppKey that
	// differs from the registry's is an error.
	RegisterOption registry.RegisterOption
	// Tags are registered with each provider, and only requests are served that
	// have the same value for each key. The default, none, serves all.
	Tags map[string]string
	// TagsOptional serves requests that lack a key too.
	TagsOptional bool

	// ShutDownWait bounds the drain of Shutdown. The default is 12 s; negative
	// leaves it to Shutdown's context.
	ShutDownWait time.Duration
	// HandshakeTimeout bounds a TLS handshake, and the request for a WebSocket.
	// The default is 10 s.
	HandshakeTimeout time.Duration
	// MaxConnectionAge is how long a connection is used, one tenth more or less by
	// chance, until its client is told to make another one; calls on it are
	// finished first, and none fails. So clients behind a balancer come to
	// providers that are new. The default, as a negative value, is no limit.
	MaxConnectionAge time.Duration
	// FrameTimeout is how long the prefix and header of a frame may take to
	// arrive once they have begun, and the span over which a body must bring
	// 16 KiB/s, or a sixtieth of its rest each second when other bodies found no
	// room in it to arrive. It also bounds Identify. The default is 10 s.
	FrameTimeout time.Duration
	// WriteTimeout ends a connection whose peer takes nothing for so long, or
	// acknowledges nothing (TCP on Linux). The default is 10 s.
	WriteTimeout time.Duration
	// ReadPause is how long a connection is not read when requests or bytes in
	// flight are at their bound, before requests are refused. The default is
	// 20 ms; negative refuses at once.
	ReadPause time.Duration
	// RequestTimeout bounds Peer.Call and Peer.Notify where their context does
	// not. The default is 1 s.
	RequestTimeout time.Duration

	// MaxMessageSize bounds the header and body of a frame, in bytes, before
	// and after compression. The default is 16 MiB; it cannot be switched off.
	MaxMessageSize int
	// MaxElements bounds the values in one body, counted before it is decoded.
	// The default is 1,000,000.
	MaxElements int
	// MaxConnections bounds the connections that are served; one more is told
	// why by a goaway. The default is 65,536.
	MaxConnections int
	// MaxRequestsInFlight bounds the requests being served on all connections
	// together. The default is 16,384.
	MaxRequestsInFlight int
	// MaxRequestsPerConnection bounds those of one connection, so that a peer
	// which keeps methods busy leaves room for the others; one more is refused at
	// once, before its body is read. All callers of a client share a connection,
	// and so do all of a gateway. The default, as a negative value, is no bound
	// besides MaxRequestsInFlight.
	MaxRequestsPerConnection int
	// MaxBytesInFlight bounds the bodies of those requests, in bytes: as they
	// travel, and beside that as they are inflated; and with them headers of 1 KiB
	// and more. The default is 64 MiB.
	MaxBytesInFlight int64

	// Identify accepts identities that clients claim. The default, nil, accepts
	// none. See IdentifyFunc.
	Identify IdentifyFunc
	// AdminAuthorize decides who may call sinew.Admin, which drains this server.
	// The default, nil, does not serve it. See AdminAuthorizeFunc.
	AdminAuthorize AdminAuthorizeFunc
	// Wrappers are put round Serve and round each request, the first outermost.
	Wrappers []Wrapper
}

// prepare returns a copy of o that is whole: checked, defaults filled in, what
// is switched off as large as can be. o itself is not changed.
func (o *Option) prepare() (Option, error) {
	var p Option
	if o != nil {
		p = *o
	}
	if err := p.check(); err != nil {
		return Option{}, err
	}
	p.Tags = maps.Clone(p.Tags)
	p.Wrappers = slices.Clone(p.Wrappers)
	if p.TLSConfig != nil {
		p.TLSConfig = p.TLSConfig.Clone()
	}
	p.fill()
	return p, nil
}

// check says which field is wrong and why.
func (o *Option) check() error {
	if o.ProtocolType != protocol.Default {
		return wrong("ProtocolType is %d: protocol.Default is the only one", o.ProtocolType)
	}
	if _, ok := protocol.SerializerOf(o.SerializeType); !ok {
		return wrong("SerializeType %d is not known: register it with protocol.RegisterSerializer first", o.SerializeType)
	}
	if _, ok := protocol.CompressorOf(o.CompressType); !ok && o.CompressType != protocol.CompressTypeNone {
		return wrong("CompressType %d is not known: register it with protocol.RegisterCompressor first", o.CompressType)
	}
	if o.TransportType != "" && !slices.Contains(transport.Networks(), o.TransportType) {
		return wrong("TransportType %q is not known: use one of %s", o.TransportType, strings.Join(transport.Networks(), ", "))
	}
	if o.MaxMessageSize < 0 {
		return wrong("MaxMessageSize is %d: a frame's size is always bounded, 0 is %d", o.MaxMessageSize, protocol.DefaultMaxMessageSize)
	}
	for k, v := range o.Tags {
		if err := protocol.CheckMeta(map[string]string{protocol.MetaTagPrefix + k: v}); err != nil || k == "" {
			return wrong("Tags: key %q with value %q does not travel as metadata: keys are [a-z0-9._-]+, values hold no CR, LF or NUL", k, v)
		}
	}
	for i, w := range o.Wrappers {
		if w == nil {
			return wrong("Wrappers[%d] is nil", i)
		}
	}
	return o.checkRegistry()
}

func (o *Option) checkRegistry() error {
	if keyed, ok := o.Registry.(registry.AppKeyed); ok {
		if own, key := keyed.AppKey(), o.RegisterOption.AppKey; own != "" && key != "" && own != key {
			return wrong("RegisterOption.AppKey is %q, but the registry serves %q: make them agree or leave the option empty", key, own)
		}
	}
	if hosts := o.TransportType != "unix" && o.TransportType != "mem"; hosts {
		if err := o.RegisterOption.CheckAdvertise(); err != nil {
			return wrong("%w", err)
		}
	}
	if fixed, ok := o.Registry.(*registry.Peer2PeerRegistry); ok && fixed != nil {
		if _, _, err := fixed.Providers(context.Background()); err != nil { // never waits
			return wrong("Registry: %w", err)
		}
	}
	return nil
}

// wrong is an error about a field of Option, with which the format begins.
func wrong(format string, args ...any) error {
	return fmt.Errorf("server: Option."+format, args...)
}

// forever stands for a time limit that is switched off: some 146 years.
const forever = time.Duration(1 << 62)

func (o *Option) fill() {
	o.CompressThreshold = orOff(o.CompressThreshold, DefaultCompressThreshold, math.MaxInt)
	o.ShutDownWait = orOff(o.ShutDownWait, DefaultShutDownWait, forever)
	o.HandshakeTimeout = orOff(o.HandshakeTimeout, DefaultHandshakeTimeout, forever)
	o.FrameTimeout = orOff(o.FrameTimeout, transport.DefaultFrameTimeout, forever)
	o.WriteTimeout = orOff(o.WriteTimeout, transport.DefaultWriteTimeout, forever)
	o.RequestTimeout = orOff(o.RequestTimeout, DefaultRequestTimeout, 0)
	o.MaxMessageSize = cmp.Or(o.MaxMessageSize, protocol.DefaultMaxMessageSize)
	o.MaxConnections = orOff(o.MaxConnections, DefaultMaxConnections, math.MaxInt)
	o.MaxRequestsInFlight = orOff(o.MaxRequestsInFlight, DefaultMaxRequestsInFlight, 0)
	o.MaxRequestsPerConnection = max(0, o.MaxRequestsPerConnection)
	o.MaxBytesInFlight = orOff(o.MaxBytesInFlight, DefaultMaxBytesInFlight, 0)
}

// orOff returns v, or byDefault for 0, or off for a negative one.
func orOff[T ~int | ~int64](v, byDefault, off T) T {
	switch {
	case v == 0:
		return byDefault
	case v < 0:
		return off
	}
	return v
}

// userTimeout is WriteTimeout for the kernel, which takes 0 for its own limit.
func (o *Option) userTimeout() time.Duration {
	if o.WriteTimeout == forever {
		return 0
	}
	return o.WriteTimeout
}
