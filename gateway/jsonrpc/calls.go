package jsonrpc

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
)

// calls are those of one HTTP request.
type calls struct {
	handler *Handler
	request *http.Request
	room    *room
	header  http.Header // of the HTTP response; nil in a batch, whose calls run at once
}

// answer returns what is answered to a body, nothing where nobody wants to know.
func (c *calls) answer(body []byte) []byte {
	if fault := check(body, c.handler.option.MaxDepth); fault != nil {
		return failure(null, fault)
	}
	value := trim(body)
	if kind(value) != '[' {
		return c.one(value)
	}
	requests, fault := c.batch(value)
	if fault != nil {
		return failure(null, fault)
	}
	c.header = nil
	return joined(c.all(requests))
}

// batch returns the requests of a batch.
func (c *calls) batch(array json.RawMessage) ([]json.RawMessage, *Error) {
	limit := c.handler.option.MaxBatch
	if limit < 0 {
		return nil, newError(InvalidRequest, "batches are not served here")
	}
	var requests []json.RawMessage
	for v := range elements(array) {
		if len(requests) == limit {
			return nil, newError(InvalidRequest, fmt.Sprintf("a batch of more than %d requests", limit))
		}
		requests = append(requests, v)
	}
	if len(requests) == 0 {
		return nil, newError(InvalidRequest, "")
	}
	return requests, nil
}

// all makes the calls of a batch, some at a time, and returns the answers in the
// order of the requests.
func (c *calls) all(requests []json.RawMessage) [][]byte {
	answers := make([][]byte, len(requests))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(len(requests), c.handler.option.BatchConcurrency) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(requests)); i = next.Add(1) - 1 {
				answers[i] = c.one(requests[i])
			}
		})
	}
	workers.Wait()
	return answers
}

// joined returns the answers as an array, nothing where there are none.
func joined(answers [][]byte) []byte {
	var b []byte
	for _, a := range answers {
		if len(a) == 0 {
			continue
		}
		if b == nil {
			b = append(b, '[')
		} else {
			b = append(b, ',')
		}
		b = append(b, a...)
	}
	if b == nil {
		return nil
	}
	return append(b, ']')
}

// one makes one call and returns its answer, nothing for a notification. A panic of
// what the user gave, Resolve or an authoriser, costs that call: those of a batch
// run on goroutines where nobody else would catch it.
func (c *calls) one(value json.RawMessage) (answer []byte) {
	q, fault := parseRequest(value)
	defer func() {
		if p := recover(); p != nil {
			log.Errorf("sinew: jsonrpc: %.128q panicked: %v\n%s", q.method, p, debug.Stack())
			answer = nil
			if q.id != nil {
				answer = failure(q.id, newError(InternalError, "the gateway panicked; its log has the stack"))
			}
		}
	}()
	if fault != nil {
		return failure(q.id, fault)
	}
	if q.id == nil {
		c.notify(&q)
		return nil
	}
	result, fault := c.call(&q)
	if fault != nil {
		return failure(q.id, fault)
	}
	return success(q.id, result)
}

// call passes q on and returns its result.
func (c *calls) call(q *request) (json.RawMessage, *Error) {
	m, fault := c.message(q)
	if fault != nil {
		return nil, fault
	}
	res, err := c.handler.gateway.Call(c.request, m)
	if err != nil {
		return nil, fromProtocol(err)
	}
	result, err := c.room.result(res)
	if err == nil && c.header != nil {
		err = gateway.WriteMeta(c.header, res.MetaData)
	}
	if err != nil {
		return nil, fromProtocol(err)
	}
	return result, nil
}

// notify passes q on. Who sent it may leave at once, and is told nothing.
func (c *calls) notify(q *request) {
	m, fault := c.message(q)
	if fault == nil {
		m.MessageType = protocol.TypeOneway
		staying := c.request.WithContext(context.WithoutCancel(c.request.Context()))
		if _, err := c.handler.gateway.Call(staying, m); err != nil {
			fault = fromProtocol(err)
		}
	}
	if v := log.V(2); bool(v) && fault != nil {
		v.Infof("sinew: jsonrpc: notification %.128q: %v: %s", q.method, fault, fault.Data)
	}
}

// message is the frame of a request.
func (c *calls) message(q *request) (*protocol.Message, *Error) {
	o := &c.handler.option
	service, method, ok := o.Resolve(c.request, q.method)
	if !ok {
		return nil, newError(MethodNotFound, "")
	}
	body, fault := q.body(o.Positional[service+"."+method])
	if fault != nil {
		return nil, fault
	}
	return &protocol.Message{
		Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON, ServiceName: service, MethodName: method},
		Body:   body,
	}, nil
}
