package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
)

// callOnce makes one call with a JSON body and prints the reply as it came, so
// that every number keeps its digits.
func callOnce(ctx context.Context, s settings, out io.Writer) error {
	c, end, err := newClient(s)
	if err != nil {
		return err
	}
	defer end()
	reply, err := callJSON(ctx, c, s.method, []byte(s.body))
	if err != nil {
		return adviseCall(fmt.Errorf("%s: %w", s.method, err), s)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, reply, "", "  "); err != nil {
		return fmt.Errorf("%s answered what is no JSON: %w", s.method, err)
	}
	_, err = fmt.Fprintln(out, indented.String())
	return err
}

// callJSON calls serviceMethod with body as it is.
func callJSON(ctx context.Context, c client.SGClient, serviceMethod string, body []byte) ([]byte, error) {
	dot := strings.LastIndexByte(serviceMethod, '.')
	reply, err := c.Do(ctx, &protocol.Message{
		Header: protocol.Header{
			MessageType:   protocol.TypeRequest,
			SerializeType: protocol.SerializeTypeJSON,
			ServiceName:   serviceMethod[:dot],
			MethodName:    serviceMethod[dot+1:],
		},
		Body: body,
	})
	if err != nil {
		return nil, err
	}
	return reply.Body, nil
}
