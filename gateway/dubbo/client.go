package dubbo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/gateway/jsonrpc"
	"github.com/sinew-rpc/sinew/protocol"
)

// Endpoints returns the URLs at which an interface is provided, such as
// "http://10.0.0.7:20000/com.example.UserProvider": the method of that name of
// registry/dubbo's Registry, or a function that knows. It may run concurrently.
type Endpoints func(ctx context.Context) ([]string, error)

// ClientOption governs a [Client]. The zero value is a good one.
type ClientOption struct {
	// RequestTimeout bounds a call; the earlier of it and the context counts. The
	// default is 1 s; a negative value is no bound.
	RequestTimeout time.Duration
	// MaxResponse bounds the body of a response in bytes. The default is 16 MiB.
	MaxResponse int64
	// HTTPClient makes the requests. It may be shared and stays the caller's. The
	// default makes a connection for each call, as dubbo-go does, whose server
	// closes one that was kept when the time of its last call is up, perhaps while
	// the next is on its way.
	HTTPClient *http.Client
	// Header is sent with every call, as Dubbo sends attachments.
	Header http.Header
	// MethodName spells a method as the providers do. The default is JavaMethod.
	MethodName func(string) string
}

// Client calls one Dubbo interface over Dubbo's protocol jsonrpc, at each provider
// in turn. Make it with [NewClient]; all its methods may run concurrently.
//
// It is a client.Caller, with its errors: a call whose request was certainly not
// sent is made again at another provider, at most once each; every other error is
// the caller's at once.
type Client struct {
	inter     string
	endpoints Endpoints
	option    ClientOption
	turn      atomic.Uint64

	mu sync.Mutex
	// Guarded by mu. Clients of endpoints that were listed lately.
	clients map[string]*jsonrpc.Client
}

// NewClient returns a client of the interface inter, which endpoints finds. It
// connects when it is first used. option may be nil; it is copied.
func NewClient(inter string, endpoints Endpoints, option *ClientOption) (*Client, error) {
	switch {
	case inter == "":
		return nil, errors.New("dubbo: NewClient needs the name of an interface")
	case endpoints == nil:
		return nil, errors.New("dubbo: NewClient needs endpoints: those of a registry/dubbo.Registry, or a function of your own")
	case option != nil && option.MaxResponse < 0:
		return nil, fmt.Errorf("dubbo: ClientOption.MaxResponse is %d: a response cannot be without bound", option.MaxResponse)
	}
	c := &Client{inter: inter, endpoints: endpoints, clients: make(map[string]*jsonrpc.Client)}
	if option != nil {
		c.option = *option
	}
	c.option.RequestTimeout = cmp.Or(c.option.RequestTimeout, jsonrpc.DefaultRequestTimeout)
	c.option.Header = c.option.Header.Clone()
	if c.option.MethodName == nil {
		c.option.MethodName = JavaMethod
	}
	if c.option.HTTPClient == nil {
		c.option.HTTPClient = &http.Client{Transport: newTransport(), CheckRedirect: noRedirect}
	}
	return c, nil
}

// newTransport is one like http.DefaultTransport, whatever the program has put in
// its place, without connections that are kept.
func newTransport() *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment}
	if common, ok := http.DefaultTransport.(*http.Transport); ok {
		t = common.Clone()
	}
	t.DisableKeepAlives = true
	return t
}

// noRedirect takes a redirection for the answer: a POST that is sent on may run
// twice.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Args are several parameters of one call.
type Args []any

// Call calls a method: serviceMethod is the interface, or what stands behind its
// last dot, a dot, and the method's name in Go's spelling or Java's. req is the
// only parameter, or several as [Args]; nil is none. The result is decoded into
// resp, a pointer; nil ignores it. The error is a *protocol.Error whose outcome
// tells what is known of the method.
func (c *Client) Call(ctx context.Context, serviceMethod string, req, resp any) error {
	method, err := c.method(serviceMethod)
	if err != nil {
		return err
	}
	if c.option.RequestTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.option.RequestTimeout)
		defer cancel()
	}
	endpoints, err := c.listed(ctx)
	if err != nil {
		return err
	}
	first := c.turn.Add(1)
	for i := range uint64(len(endpoints)) {
		err = c.callAt(ctx, endpoints[(first+i)%uint64(len(endpoints))], method, req, resp)
		if protocol.OutcomeOf(err) != protocol.NotSent || protocol.CodeOf(err) != protocol.Unavailable {
			return err
		}
	}
	return err
}

// method returns the name of a method as the providers spell it.
func (c *Client) method(serviceMethod string) (string, error) {
	i := strings.LastIndexByte(serviceMethod, '.')
	if i < 0 || i == len(serviceMethod)-1 {
		return "", notSent(protocol.InvalidArgument, "%.128q is not of the form Interface.Method", serviceMethod)
	}
	if service := serviceMethod[:i]; service != c.inter && service != shortName(c.inter) {
		return "", notSent(protocol.InvalidArgument, "%.128q: this client calls %s", serviceMethod, c.inter)
	}
	return c.option.MethodName(serviceMethod[i+1:]), nil
}

// listed returns where the interface is provided now.
func (c *Client) listed(ctx context.Context) ([]string, error) {
	endpoints, err := c.endpoints(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, notSent(protocol.CodeOf(ctx.Err()), "no list of the providers of %s: %w", c.inter, err)
	case err != nil:
		return nil, notSent(protocol.Unavailable, "no list of the providers of %s: %w", c.inter, err)
	case len(endpoints) == 0:
		return nil, notSent(protocol.Unavailable, "nobody provides %s", c.inter)
	}
	return c.prepare(endpoints)
}

// prepare makes the clients of endpoints that are new, and forgets the others. It
// returns the endpoints that can be called: anybody may write nonsense into a
// registry, and it speaks against nobody else. The error is that of nonsense alone.
func (c *Client) prepare(endpoints []string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var refused error
	for _, e := range endpoints {
		if c.clients[e] != nil {
			continue
		}
		client, err := jsonrpc.NewClient(e, &jsonrpc.ClientOption{
			HTTPClient:     c.option.HTTPClient,
			Prepare:        c.header,
			RequestTimeout: -1, // Call has its own
			MaxResponse:    c.option.MaxResponse,
		})
		if err != nil {
			refused = notSent(protocol.InvalidArgument, "a provider of %s: %w", c.inter, err)
			continue
		}
		c.clients[e] = client
	}
	if len(c.clients) > 2*len(endpoints) {
		for e := range c.clients {
			if !slices.Contains(endpoints, e) {
				delete(c.clients, e)
			}
		}
	}
	if refused == nil {
		return endpoints, nil
	}
	usable := slices.DeleteFunc(slices.Clone(endpoints), func(e string) bool { return c.clients[e] == nil })
	if len(usable) == 0 {
		return nil, refused
	}
	return usable, nil
}

// header adds what Dubbo's clients send.
func (c *Client) header(r *http.Request) {
	for name, values := range c.option.Header {
		r.Header[name] = values
	}
	r.Header.Set("X-Services", c.inter)
}

func (c *Client) callAt(ctx context.Context, endpoint, method string, req, resp any) error {
	c.mu.Lock()
	client := c.clients[endpoint]
	c.mu.Unlock()
	if client == nil { // it vanished from a list that came later
		return notSent(protocol.Unavailable, "%s is no longer listed", endpoint)
	}
	return client.Call(ctx, method, params(req), resp)
}

// params returns the parameters by position.
func params(req any) Args {
	switch args := req.(type) {
	case nil:
		return Args{}
	case Args:
		return args
	}
	return Args{req}
}

func notSent(code protocol.Code, format string, args ...any) error {
	return protocol.Errorf(code, format, args...).WithOutcome(protocol.NotSent)
}
