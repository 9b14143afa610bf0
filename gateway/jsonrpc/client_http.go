package jsonrpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// headerTimeout is how long the caller waits, a Go duration: gateways of sinew and
// dubbo-go heed it.
const headerTimeout = "Timeout"

// post sends a body and returns what was answered, empty for nothing.
func (c *Client) post(ctx context.Context, body []byte) ([]byte, error) {
	var connected atomic.Bool // before that no byte of the request is sent
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	r, err := http.NewRequestWithContext(traced, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, protocol.Errorf(protocol.InvalidArgument, "jsonrpc: %w", err).WithOutcome(protocol.NotSent)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	if deadline, ok := ctx.Deadline(); ok {
		r.Header.Set(headerTimeout, max(time.Until(deadline), time.Millisecond).String())
	}
	if c.option.Prepare != nil {
		c.option.Prepare(r)
	}
	res, err := c.option.HTTPClient.Do(r)
	if err != nil {
		return nil, failed(err, connected.Load())
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, c.option.MaxResponse+1))
	switch {
	case err != nil:
		return nil, failed(err, true)
	case int64(len(answer)) > c.option.MaxResponse:
		return nil, protocol.Errorf(protocol.ResourceExhausted, "a response of more than %d bytes (MaxResponse)", c.option.MaxResponse).WithOutcome(protocol.MaybeRun)
	}
	return answer, statusError(res, answer)
}

// failed is the error of a request that got no answer.
func failed(err error, connected bool) error {
	code, outcome := protocol.Unavailable, protocol.NotSent
	if connected {
		outcome = protocol.MaybeRun
	}
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.Canceled):
		code = protocol.Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		code = protocol.DeadlineExceeded
	}
	return protocol.Errorf(code, "jsonrpc: %w", err).WithOutcome(outcome)
}

// statusError returns what an HTTP status says, nil where the body says more:
// some servers send error objects with a status of their own.
func statusError(res *http.Response, answer []byte) error {
	if res.StatusCode/100 == 2 {
		return nil
	}
	if responses, err := parseResponses(answer, true); err == nil && len(responses) > 0 {
		return nil
	}
	code, outcome := codeOfStatus(res.StatusCode)
	return protocol.NewError(code, fmt.Sprintf("HTTP status %d: %.256q", res.StatusCode, answer)).WithOutcome(outcome)
}

// codeOfStatus is the table of HTTP statuses. What is answered before a method
// can have run is Refused.
func codeOfStatus(status int) (protocol.Code, protocol.Outcome) {
	switch status {
	case http.StatusBadRequest, http.StatusUnsupportedMediaType:
		return protocol.InvalidArgument, protocol.Refused
	case http.StatusUnauthorized:
		return protocol.Unauthenticated, protocol.Refused
	case http.StatusForbidden:
		return protocol.PermissionDenied, protocol.Refused
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return protocol.Unimplemented, protocol.Refused
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return protocol.ResourceExhausted, protocol.Refused
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return protocol.Unavailable, protocol.MaybeRun
	case http.StatusGatewayTimeout:
		return protocol.DeadlineExceeded, protocol.MaybeRun
	}
	return protocol.Unknown, protocol.MaybeRun
}
