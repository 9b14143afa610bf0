package jsonrpc

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// Client calls one JSON-RPC 2.0 server over HTTP. Make it with [NewClient]; all
// its methods may run concurrently.
//
// Every error is a *protocol.Error, and protocol.OutcomeOf tells what is known of
// the method. errors.As finds the *[Error] in those that the server said. A
// response that is no JSON-RPC, has another id, or is larger than allowed is
// Internal, outcome MaybeRun.
//
// Ids are numbers from 1 to 2^31-1, which old Java peers can read; none is used
// twice at a time.
type Client struct {
	endpoint string
	option   ClientOption
	own      *http.Transport // nil: the option's HTTPClient is used
	ids      ids
}

// NewClient returns a client of the server at endpoint, "http://host:port/path".
// It connects when it is first used. option may be nil; it is copied. The error
// names what is wrong with the arguments.
func NewClient(endpoint string, option *ClientOption) (*Client, error) {
	if err := checkEndpoint(endpoint); err != nil {
		return nil, err
	}
	o, err := option.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{endpoint: endpoint, option: o}
	if o.HTTPClient == nil {
		c.own = newTransport()
		c.option.HTTPClient = &http.Client{Transport: c.own, CheckRedirect: noRedirect}
	}
	return c, nil
}

// newTransport is one like http.DefaultTransport, whatever the program has put in
// its place.
func newTransport() *http.Transport {
	if common, ok := http.DefaultTransport.(*http.Transport); ok {
		return common.Clone()
	}
	return &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: 90 * time.Second}
}

// noRedirect takes a redirection for the answer: a POST that is sent on may run
// twice.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Call calls method with params and decodes the result into result, a pointer; a
// nil result ignores it. params is encoded as JSON, which must be an object or an
// array; nil sends none. A json.RawMessage travels as it is, both ways.
func (c *Client) Call(ctx context.Context, method string, params, result any) error {
	call := &BatchCall{Method: method, Params: params, Result: result}
	if err := c.send(ctx, []*BatchCall{call}, false); err != nil {
		return err
	}
	return call.Err
}

// Notify calls method and gets no answer: nil means that the server took the
// request, and says nothing of the method.
func (c *Client) Notify(ctx context.Context, method string, params any) error {
	call := &BatchCall{Method: method, Params: params, Notify: true}
	return c.send(ctx, []*BatchCall{call}, false)
}

// BatchCall is one call of a [Client.Batch].
type BatchCall struct {
	// Method, Params and Result are those of Client.Call.
	Method string
	Params any
	Result any
	// Notify makes it a notification: it has no result, and no error of its own.
	Notify bool

	// Err is set by Batch: how the call ended.
	Err error

	id int32
}

// Batch makes all calls in one request; the server may run them in any order, or
// at once. The error is that of the batch as a whole, and then that of every
// call too; what became of single calls is in their Err. No calls are no request.
func (c *Client) Batch(ctx context.Context, calls ...*BatchCall) error {
	if len(calls) == 0 {
		return nil
	}
	err := c.send(ctx, calls, true)
	if err != nil {
		for _, call := range calls {
			call.Err = err
		}
	}
	return err
}

// Close closes connections that are idle, unless they are of the option's
// HTTPClient. Calls that run go on. It returns nil, and may be called more than
// once.
func (c *Client) Close() error {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
	return nil
}

// send makes calls in one request, and sets the Err of each unless it fails as a
// whole.
func (c *Client) send(ctx context.Context, calls []*BatchCall, batch bool) error {
	if c.option.RequestTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.option.RequestTimeout)
		defer cancel()
	}
	wanted := c.number(calls)
	defer c.release(wanted)
	body, err := encode(calls, batch)
	if err != nil {
		return err
	}
	answer, err := c.post(ctx, body)
	if err != nil {
		return err
	}
	if len(wanted) == 0 {
		return refusal(answer)
	}
	responses, err := parseResponses(answer, batch)
	if err != nil {
		return err
	}
	return settle(wanted, responses)
}

// number gives every call but notifications an id, and returns them by it.
func (c *Client) number(calls []*BatchCall) map[int32]*BatchCall {
	wanted := make(map[int32]*BatchCall, len(calls))
	for _, call := range calls {
		call.id, call.Err = 0, nil
		if !call.Notify {
			call.id = c.ids.take()
			wanted[call.id] = call
		}
	}
	return wanted
}

func (c *Client) release(wanted map[int32]*BatchCall) {
	for id := range wanted {
		c.ids.give(id)
	}
}

// clientRequest is a request object.
type clientRequest struct {
	Version string          `json:"jsonrpc"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params,omitempty"`
	ID      int32           `json:"id,omitempty"` // 0: a notification
}

// encode returns the body of a request.
func encode(calls []*BatchCall, batch bool) ([]byte, error) {
	requests := make([]clientRequest, len(calls))
	for i, call := range calls {
		params, err := encodeParams(call.Params)
		if err != nil {
			return nil, protocol.Errorf(protocol.InvalidArgument, "the params of %.128q: %w", call.Method, err).WithOutcome(protocol.NotSent)
		}
		requests[i] = clientRequest{Version: version, Method: call.Method, Params: params, ID: call.id}
	}
	if batch {
		return marshal(requests), nil
	}
	return marshal(requests[0]), nil
}
