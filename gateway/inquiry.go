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
	// askTimeout bounds one question.
	askTimeout = 2 * time.Second
	// askLeast is how long a question must have been waited for to have failed. That a
	// caller had less time, or left before, says nothing of the provider, and must not
	// keep others from asking.
	askLeast = 250 * time.Millisecond
)

// inquiry is what a provider said of its types when it was asked: a registry lists
// methods, and leaves out the schemas of most where they are many.
type inquiry struct {
	asking chan struct{}               // holds what may ask: one at a time
	known  atomic.Pointer[knownShapes] // replaced, never changed; kept while nobody answers
	silent sync.Once                   // says so in the log
	vain   atomic.Int64                // until when who has less time than askLeast does not ask, in Unix nanoseconds
}

func newInquiry() *inquiry {
	i := &inquiry{asking: make(chan struct{}, 1)}
	i.asking <- struct{}{}
	i.known.Store(new(knownShapes))
	return i
}

// shapeOf returns the shape of m's request, nil where nobody says. Where the list of
// services has none, a provider is asked, on behalf of r. What is not known at once
// is waited for during half of m's time at most, and the rest is left of it.
func (g *Gateway) shapeOf(r *http.Request, m *protocol.Message) *shape {
	name := m.ServiceName + "." + m.MethodName
	if listed := g.shapes.known.Load(); listed != nil && listed.fresh() {
		if listed.tell(name) {
			return listed.byMethod[name]
		}
		if asked := g.inquiry.known.Load(); asked.fresh() {
			return asked.byMethod[name]
		}
	}
	if m.Timeout > 0 {
		begun := time.Now()
		ctx, cancel := context.WithTimeout(r.Context(), m.Timeout/2)
		defer cancel()
		defer func() { m.Timeout = max(1, m.Timeout-time.Since(begun)) }()
		r = r.WithContext(ctx)
	}
	return g.learnShape(r, m, name)
}

// learnShape is shapeOf with the time that the context of r has.
func (g *Gateway) learnShape(r *http.Request, m *protocol.Message, name string) *shape {
	if listed := g.shapes.ask(r.Context(), g.backend); listed != nil && listed.tell(name) {
		return listed.byMethod[name]
	}
	known := g.inquiry.of(r.Context(), func() (*knownShapes, error) { return g.askForShapes(r, m) })
	return known.byMethod[name]
}

// tell tells whether a list of services has the last word on a method: it has its
// shape, or is the list of a server, which is whole.
func (k *knownShapes) tell(name string) bool {
	return k.byMethod[name] != nil || k.services[introspection]
}

// of returns what is known, after ask where that was long ago. Who knows something
// does not wait for another who asks.
func (i *inquiry) of(ctx context.Context, ask func() (*knownShapes, error)) *knownShapes {
	known := i.known.Load()
	if known.fresh() || i.isInVain(ctx) {
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
	known = i.known.Load() // another may have asked meanwhile
	if known.fresh() || ctx.Err() != nil {
		return known
	}
	begun := time.Now()
	answer, err := ask()
	if err != nil {
		if ctx.Err() != nil && time.Since(begun) < askLeast {
			i.vain.Store(time.Now().Add(askPause).UnixNano())
			return known
		}
		i.silent.Do(func() {
			log.V(1).Infof("sinew: gateway: no provider tells of its types; what is bound guesses numbers and truths until one does: %v", err)
		})
		answer = &knownShapes{byMethod: known.byMethod, until: time.Now().Add(askPause)}
	}
	i.known.Store(answer)
	return answer
}

// isInVain tells whether a caller with as little time as ctx has was not answered in it
// a moment ago.
func (i *inquiry) isInVain(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < askLeast && time.Now().UnixNano() < i.vain.Load()
}

// askForShapes asks a provider to which the call m may go, with what m brings.
func (g *Gateway) askForShapes(r *http.Request, m *protocol.Message) (*knownShapes, error) {
	question := &protocol.Message{Header: protocol.Header{
		SerializeType: protocol.SerializeTypeJSON, ServiceName: introspection, MethodName: listing,
		MetaData: m.MetaData, Timeout: askTimeout,
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
