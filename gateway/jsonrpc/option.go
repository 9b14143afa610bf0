package jsonrpc

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/sinew-rpc/sinew/protocol"
)

// The defaults of Option.
const (
	DefaultMaxReply         = 16 << 20
	DefaultMaxBatch         = 100
	DefaultBatchConcurrency = 8
)

// Option governs a [Handler]. The zero value is a good one.
type Option struct {
	// Resolve finds the service and the method that a JSON-RPC method name means;
	// ok is false where it means none, which is answered with -32601. It may run
	// concurrently. The default cuts "Service.Method" at its last dot.
	Resolve func(r *http.Request, name string) (service, method string, ok bool)

	// Positional names the parameters of methods, by "Service.Method" as Resolve
	// found it: params by position become an object with these names. See the
	// package's description for methods that are not in it.
	Positional map[string][]string

	// MaxReply bounds the results of a batch together, and of a single call, in
	// bytes; one beyond that is replaced with an error. The default is 16 MiB.
	MaxReply int
	// MaxDepth is how deep arrays and objects may nest. The default, and the most,
	// is protocol.MaxDepth.
	MaxDepth int
	// MaxBatch is how many requests a batch may hold. The default is 100; a
	// negative value refuses batches.
	MaxBatch int
	// BatchConcurrency is how many requests of a batch run at once. The default
	// is 8.
	BatchConcurrency int
}

// withDefaults returns a copy of o, which may be nil, with every zero replaced.
func (o *Option) withDefaults() (Option, error) {
	var c Option
	if o != nil {
		c = *o
	}
	switch {
	case c.MaxReply < 0:
		return c, fmt.Errorf("jsonrpc: Option.MaxReply is %d: a reply cannot be without bound; leave it zero for %d", c.MaxReply, DefaultMaxReply)
	case c.MaxDepth < 0 || c.MaxDepth > protocol.MaxDepth:
		return c, fmt.Errorf("jsonrpc: Option.MaxDepth is %d: it can be 1 to %d, or zero for %[2]d", c.MaxDepth, protocol.MaxDepth)
	case c.BatchConcurrency < 0:
		return c, fmt.Errorf("jsonrpc: Option.BatchConcurrency is %d: leave it zero for %d; a negative MaxBatch refuses batches", c.BatchConcurrency, DefaultBatchConcurrency)
	}
	c.MaxReply = cmp.Or(c.MaxReply, DefaultMaxReply)
	c.MaxDepth = cmp.Or(c.MaxDepth, protocol.MaxDepth)
	c.MaxBatch = cmp.Or(c.MaxBatch, DefaultMaxBatch)
	c.BatchConcurrency = cmp.Or(c.BatchConcurrency, DefaultBatchConcurrency)
	c.Positional = maps.Clone(c.Positional)
	if c.Resolve == nil {
		c.Resolve = cutMethod
	}
	return c, nil
}

// cutMethod is the default of Option.Resolve.
func cutMethod(_ *http.Request, name string) (service, method string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || i == len(name)-1 {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}
