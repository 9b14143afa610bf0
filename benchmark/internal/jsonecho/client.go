package jsonecho

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/valyala/fasthttp"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

// Dial returns the Dial of a row whose server takes the message by POST at path.
// The client is fasthttp's, because it leaves most of the machine to the server: a
// connection for each call that is under way, kept and used again. It asks for no
// compression.
func Dial(path string) func(load.DialOptions) (load.Client, error) {
	return func(o load.DialOptions) (load.Client, error) {
		p := &poster{url: "http://" + o.Addr + path}
		p.http = &fasthttp.HostClient{Addr: o.Addr, MaxConns: math.MaxInt32}
		return load.Shared(p.call, p.close), nil
	}
}

type poster struct {
	url  string
	http *fasthttp.HostClient
}

func (p *poster) close() error {
	p.http.CloseIdleConnections()
	return nil
}

func (p *poster) call(_ context.Context, id int64, body []byte) (int64, []byte, error) {
	message, err := json.Marshal(&Message{ID: id, Body: body})
	if err != nil {
		return 0, nil, fmt.Errorf("jsonecho: request: %w", err)
	}
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.Header.SetMethod(fasthttp.MethodPost)
	request.Header.SetContentType("application/json")
	request.SetRequestURI(p.url)
	request.SetBodyRaw(message)
	if err := p.http.Do(request, response); err != nil {
		return 0, nil, fmt.Errorf("jsonecho: post: %w", err)
	}
	return reply(response)
}

func reply(response *fasthttp.Response) (int64, []byte, error) {
	if code := response.StatusCode(); code != fasthttp.StatusOK {
		return 0, nil, fmt.Errorf("jsonecho: status %d: %.200s", code, response.Body())
	}
	var m Message
	if err := json.Unmarshal(response.Body(), &m); err != nil {
		return 0, nil, fmt.Errorf("jsonecho: reply: %w", err)
	}
	return m.ID, m.Body, nil
}
