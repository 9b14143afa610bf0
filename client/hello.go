package client

import (
	"strconv"
	"strings"

	"github.com/sinew-rpc/sinew/protocol"
)

// helloMeta is the first frame of every connection: who the client is, and
// where what it takes differs from the default. It is empty when there is
// nothing to say.
func helloMeta(o *Option) map[string]string {
	m := make(map[string]string)
	if len(o.Identities) > 0 {
		m[protocol.MetaIdentity] = strings.Join(o.Identities, ",")
	}
	if o.Auth != "" {
		m[protocol.MetaAuth] = o.Auth
	}
	if o.MaxMessageSize != protocol.DefaultMaxMessageSize {
		m[protocol.MetaMaxMessage] = strconv.Itoa(o.MaxMessageSize)
	}
	if o.CompressType != protocol.CompressTypeNone {
		m[protocol.MetaCompress] = protocol.CompressorName(o.CompressType)
	}
	return m
}
