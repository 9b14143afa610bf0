package jsonrpc

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"time"
)

// The defaults of ClientOption.
const (
	DefaultRequestTimeout = time.Second
	DefaultMaxResponse    = 16 << 20
)

// ClientOption governs a [Client]. The zero value is a good one.
type ClientOption struct {
	// HTTPClient makes the requests; its Timeout counts too. It may be shared and
	// stays the caller's. The default is one with connections of its own.
	HTTPClient *http.Client
	// Prepare changes a request before it is sent, its headers say. The call's
	// context is the request's. It may run concurrently.
	Prepare func(r *http.Request)
	// RequestTimeout bounds a call, a notification or a batch; the earlier of it
	// and the context counts. The default is 1 s; a negative value is no bound.
	RequestTimeout time.Duration
	// MaxResponse bounds the body of a response in bytes. The default is 16 MiB.
	MaxResponse int64
}

// withDefaults returns a copy of o, which may be nil, with every zero replaced.
func (o *ClientOption) withDefaults() (ClientOption, error) {
	var c ClientOption
	if o != nil {
		c = *o
	}
	if c.MaxResponse < 0 {
		return c, fmt.Errorf("jsonrpc: ClientOption.MaxResponse is %d: a response cannot be without bound; leave it zero for %d", c.MaxResponse, DefaultMaxResponse)
	}
	c.MaxResponse = min(cmp.Or(c.MaxResponse, DefaultMaxResponse), math.MaxInt64-1) // one byte more is read, to see that there is one
	if c.RequestTimeout == 0 {
		c.RequestTimeout = DefaultRequestTimeout
	}
	return c, nil
}

// checkEndpoint returns why endpoint cannot be called.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return fmt.Errorf("jsonrpc: endpoint: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("jsonrpc: endpoint %.128q: it has the form http://host:port/path", endpoint)
	}
	return nil
}
