package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
)

const (
	// askPause is how long nobody is asked after a failure. It is short, since who
	// may not ask fails for those who may.
	askPause = time.Second
	// askTimeout bounds one question. It takes at most half of its request's time.
	askTimeout = 2 * time.Second
)

// inquiry is what a provider said of its types when it was asked: a registry lists
// methods, and leaves out the schemas of most where they are many.
type inquiry struct {
	asking chan struct{}               // holds what may ask: one at a time
	known  atomic.Pointer[knownShapes] // replaced, never changed; kept while nobody answers
	silent sync.Once                   // says so in the log
}

func newInquiry() *inquiry {
	i := &inquiry{asking: make(chan struct{}, 1)}
	i.asking <- struct{}{}
	i.known.Store(new(knownShapes))
	return i
}

// shapeOf returns the shape of m's request, nil where nobody says. Where the list of
// services has none, a provider is asked, on behalf of r and in the time of m.
func (g *Gateway) shapeOf(r *http.Request, m *protocol.Message) *shape {
	name := m.ServiceName + "." + m.MethodName
	listed := g.shapes.ask(r.Context(), g.backend)
	if listed != nil && (listed.byMethod[name] != nil || listed.services[introspection]) { // the list of a server is whole
		return listed.byMethod[name]
	}
	begun := time.Now()
	known := g.inquiry.of(r.Context(), func() (*knownShapes, error) { return g.askForShapes(r, m) })
	if m.Timeout > 0 {
		m.Timeout = max(1, m.Timeout-time.Since(begun))
	}
	return known.byMethod[name]
}

// of returns what is known, after ask where that was long ago. Who knows something
// does not wait for another who asks.
func (i *inquiry) of(ctx context.Context, ask func() (*knownShapes, error)) *knownShapes {
	known := i.known.Load()
	if known.fresh() {
		return known
	}
	if known.byMethod != nil {
		select {
		case <-i.asking:
		default:
			return known
		}
	} else {
		select {
		case <-i.asking:
		case <-ctx.Done():
			return known
		}
	}
	defer func() { i.asking <- struct{}{} }()
	if known = i.known.Load(); known.fresh() { // by who asked meanwhile
		return known
	}
	answer, err := ask()
	if err != nil {
		i.silent.Do(func() {
			log.V(1).Infof("sinew: gateway: no provider tells of its types; what is bound guesses numbers and truths until one does: %v", err)
		})
		answer = &knownShapes{byMethod: known.byMethod, until: time.Now().Add(askPause)}
	}
	i.known.Store(answer)
	return answer
}

// askForShapes asks a provider to which the call m may go, with what m brings.
func (g *Gateway) askForShapes(r *http.Request, m *protocol.Message) (*knownShapes, error) {
	question := &protocol.Message{Header: protocol.Header{
		SerializeType: protocol.SerializeTypeJSON, ServiceName: introspection, MethodName: listing,
		MetaData: m.MetaData, Timeout: shortest(m.Timeout/2, askTimeout),
	}}
	res, err := g.sendJSON(r, question, []byte("{}"))
	if err != nil {
		return nil, err
	}
	var list protocol.ServiceList
	if err := json.Unmarshal(res.Body, &list); err != nil {
		return nil, err
	}
	if len(list.Services) == 0 { // every provider serves what was asked; FailSafe says nothing
		return nil, errNothingTold
	}
	return readShapes(list.Services), nil
}

var errNothingTold = errors.New("the answer lists no service")
