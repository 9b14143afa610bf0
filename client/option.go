package client

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// What zero stands for in an Option.
const (
	DefaultRequestTimeout            = time.Second
	DefaultDialTimeout               = 3 * time.Second
	DefaultHeartbeatInterval         = 5 * time.Second
	DefaultHeartbeatDegradeThreshold = 3
	DefaultCompressThreshold         = 1 << 10
	DefaultMaxRequestsInFlight       = 1024
	DefaultMaxBytesInFlight          = 64 << 20
)

// Option is what a client needs to call a provider. Its zero value is ready:
// zero in a field stands for the default named there; in durations, thresholds
// and counts a negative value means off. Constructors copy it and what it
// refers to, and never write to it.
type Option struct {
	// SerializeType encodes requests; replies come in the same form. The
	// default is msgpack.
	SerializeType protocol.SerializeType
	// CompressType compresses requests from CompressThreshold on, where that
	// makes them smaller, and tells the provider that replies may be. The
	// default is none.
	CompressType protocol.CompressType
	// CompressThreshold is in bytes of the encoded body. The default is 1 KiB;
	// negative compresses every body.
	CompressThreshold int

	// TLSConfig is used on the networks tls and wss. A client that has one
	// refuses every other network unless AllowPlain is set. Its ServerName,
	// where set, is what is verified, whatever the registry says. It must not
	// be changed afterwards.
	TLSConfig *tls.Config
	// RequireTLS refuses networks other than tls and wss, also where TLSConfig
	// is nil (the system's roots verify then). Set it where calls bring Auth or
	// another secret.
	RequireTLS bool
	// AllowPlain lifts both refusals.
	AllowPlain bool
	// Mem is where the network mem dials. The default is
	// transport.DefaultMemNetwork().
	Mem *transport.MemNetwork

	// RequestTimeout bounds a whole call: wrappers, the wait for a connection,
	// and all attempts. The context's deadline counts where it is earlier, and
	// the error says which it was. The default is 1 s; negative is none.
	RequestTimeout time.Duration
	// DialTimeout bounds the making of one connection, TLS handshake included, and
	// the provider's first answer where it has just said goaway or was not to be
	// reached: no call is put on such a connection before.
	// A call waits for it no longer than its own time; one that could go on to
	// another provider, no longer than half of that. The default is 3 s; negative
	// is none, but for the first answer, which has 3 s then.
	DialTimeout time.Duration
	// WriteTimeout ends a connection whose socket takes nothing for so long,
	// and on Linux one whose peer acknowledges nothing. The default is 10 s,
	// for a negative value too.
	WriteTimeout time.Duration
	// FrameTimeout ends a connection whose peer begins a frame and does not
	// finish its header in that time. The default is 10 s, for a
	// negative value too.
	FrameTimeout time.Duration
	// RedialInitial is the longest pause after the first connection in a row
	// that failed; it doubles with each further one up to RedialMax. Half of
	// each pause is left to chance. The default, also for a negative value, is
	// 100 ms; at least 1 ms.
	RedialInitial time.Duration
	// RedialMax is the longest pause. The default, also for a negative value,
	// is 5 s; at least RedialInitial.
	RedialMax time.Duration

	// Heartbeat has an idle connection watched: whenever nothing was heard for
	// HeartbeatInterval a heartbeat is sent, which the peer answers below every
	// wrapper.
	Heartbeat bool
	// HeartbeatInterval is also how long an answer may take. The default, also
	// for a negative value, is 5 s.
	HeartbeatInterval time.Duration
	// HeartbeatDegradeThreshold is how many heartbeats in a row without any
	// sign of life end the connection; its calls fail with a *HeartbeatError as
	// cause. An SGClient, which has others to call, has them mark the provider
	// as Degraded instead, until the first sign of life, and ends the
	// connection, for a new one, after three times as many. The default is 3;
	// negative does neither.
	HeartbeatDegradeThreshold int

	// Auth goes with every call and with the first frame of each connection,
	// as sinew-auth. Empty sends none.
	Auth string
	// MetaData goes with every call. Keys are [a-z0-9._-]+ and do not begin
	// with "sinew-"; values hold no CR, LF or NUL; all together are at most
	// protocol.MaxMetaSize bytes. A call's own metadata wins.
	MetaData map[string]string
	// Identities are the names by which a provider finds this client, to call
	// it, if it accepts them. They are claimed anew on every connection, and a
	// connection that ends is made anew though no call needs it, after the pauses
	// that RedialInitial and RedialMax say; the first call makes the first one.
	// Without Heartbeat a client that makes no calls does not notice that its
	// provider is gone without a word. A name holds no comma, CR, LF or NUL.
	Identities []string

	// Wrappers are put round every call, the first outermost. One that
	// implements AttemptWrapper is put round every attempt too.
	Wrappers []Wrapper
	// OnStateChange is told of every change of every connection, in order per
	// connection, on a goroutine of the client and without a lock held. It
	// should return soon and must not shut the client down. May be nil.
	OnStateChange func(StateChange)

	// MaxMessageSize bounds header and body of a frame that is taken in, in
	// bytes, and an inflated body. The default is 16 MiB; negative stands for
	// 2 GiB - 1.
	MaxMessageSize int
	// MaxElements bounds the elements of a body, see protocol.Unmarshal. The
	// default is 1,000,000; negative is any number.
	MaxElements int
	// MaxQueued bounds the bytes that wait to be written on one connection; a
	// call that finds no room waits for it. The default is 1 MiB; negative
	// stands for 2 GiB - 1.
	MaxQueued int
	// MaxRequestsInFlight bounds what providers may call here at one time. The
	// default is 1024; negative is any number.
	MaxRequestsInFlight int
	// MaxBytesInFlight bounds the bodies of those requests, in bytes: as they
	// travel, and beside that as they are inflated; and with them headers of 1 KiB
	// and more. The default is 64 MiB; negative is any number.
	MaxBytesInFlight int64
}

// complete checks o and replaces every zero by its default, in a copy that
// shares nothing with the caller's that either may write to.
func (o Option) complete() (Option, error) {
	if err := o.check(); err != nil {
		return o, err
	}
	o.CompressThreshold = max(0, cmp.Or(o.CompressThreshold, DefaultCompressThreshold))
	o.RequestTimeout = max(0, cmp.Or(o.RequestTimeout, DefaultRequestTimeout))
	o.DialTimeout = max(0, cmp.Or(o.DialTimeout, DefaultDialTimeout))
	o.WriteTimeout = positive(o.WriteTimeout, transport.DefaultWriteTimeout)
	o.FrameTimeout = positive(o.FrameTimeout, transport.DefaultFrameTimeout)
	o.HeartbeatInterval = positive(o.HeartbeatInterval, DefaultHeartbeatInterval)
	o.HeartbeatDegradeThreshold = cmp.Or(o.HeartbeatDegradeThreshold, DefaultHeartbeatDegradeThreshold)
	o.MaxMessageSize = unbounded(cmp.Or(o.MaxMessageSize, protocol.DefaultMaxMessageSize))
	o.MaxQueued = unbounded(cmp.Or(o.MaxQueued, transport.DefaultMaxQueued))
	o.MaxRequestsInFlight = cmp.Or(o.MaxRequestsInFlight, DefaultMaxRequestsInFlight)
	o.MaxBytesInFlight = cmp.Or(o.MaxBytesInFlight, DefaultMaxBytesInFlight)
	o.MetaData = maps.Clone(o.MetaData)
	o.Identities = slices.Clone(o.Identities)
	o.Wrappers = slices.Clone(o.Wrappers)
	if o.TLSConfig != nil {
		o.TLSConfig = o.TLSConfig.Clone()
	}
	return o, nil
}

func positive(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

func unbounded(n int) int {
	if n < 0 {
		return math.MaxInt32
	}
	return n
}

// check says which field cannot be used.
func (o *Option) check() error {
	if _, ok := protocol.SerializerOf(o.SerializeType); !ok {
		return &OptionError{"SerializeType", fmt.Sprintf("%d is not registered: see protocol.RegisterSerializer", o.SerializeType)}
	}
	if _, ok := protocol.CompressorOf(o.CompressType); !ok && o.CompressType != protocol.CompressTypeNone {
		return &OptionError{"CompressType", fmt.Sprintf("%d is not registered: see protocol.RegisterCompressor", o.CompressType)}
	}
	for i, w := range o.Wrappers {
		if w == nil {
			return &OptionError{fmt.Sprintf("Wrappers[%d]", i), "is nil: leave it out"}
		}
	}
	if err := protocol.CheckMeta(map[string]string{protocol.MetaAuth: o.Auth}); err != nil {
		return &OptionError{"Auth", "holds CR, LF or NUL, or is too long"}
	}
	for i, id := range o.Identities {
		if id == "" || strings.ContainsAny(id, ",\r\n\x00") {
			return &OptionError{fmt.Sprintf("Identities[%d]", i), fmt.Sprintf("%.64q is empty or holds a comma, CR, LF or NUL", id)}
		}
	}
	if err := protocol.CheckMeta(helloMeta(o)); err != nil {
		return &OptionError{"Identities", fmt.Sprintf("with Auth they are too much to be said on a connection: %v", err)}
	}
	return o.checkMeta()
}

func (o *Option) checkMeta() error {
	for k := range o.MetaData {
		if strings.HasPrefix(k, protocol.MetaReserved) {
			return &OptionError{"MetaData", fmt.Sprintf("key %.64q: keys that begin with %q are the framework's", k, protocol.MetaReserved)}
		}
	}
	if err := protocol.CheckMeta(o.MetaData); err != nil {
		return &OptionError{"MetaData", err.Error()}
	}
	return nil
}

// refuseNetwork says why a provider on this network is not called.
func (o *Option) refuseNetwork(network string) error {
	if !slices.Contains(transport.Networks(), network) {
		return &transport.UnknownNetworkError{Network: network}
	}
	if network == "tls" || network == "wss" || o.AllowPlain {
		return nil
	}
	switch {
	case o.TLSConfig != nil:
		return &OptionError{"TLSConfig", fmt.Sprintf("is set, and network %q is plain: set AllowPlain to call it all the same", network)}
	case o.RequireTLS:
		return &OptionError{"RequireTLS", fmt.Sprintf("is set, and network %q is plain: set AllowPlain to call it all the same", network)}
	}
	return nil
}
