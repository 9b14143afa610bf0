package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
)

func newCall(t *target) *cobra.Command {
	var meta map[string]string
	c := &cobra.Command{
		Use:   "call Type.Method [JSON]",
		Short: "Call a method and print its reply",
		Long: `Calls a method with a JSON body and prints the reply as JSON. Without a body it is
{}; the body - is read from the standard input.`,
		Example:           `  sinew call Arith.Add '{"A":1,"B":2}' --addr 127.0.0.1:8888`,
		Args:              atMost(2, "a method and one JSON body, in single quotes"),
		ValidArgsFunction: completeMethod(t),
		RunE: func(c *cobra.Command, args []string) error {
			call, err := newJSONCall(c.Context(), args, c.InOrStdin())
			if err != nil {
				return err
			}
			call.meta = meta
			return callOnce(c.Context(), t, call, c.OutOrStdout())
		},
	}
	c.Flags().StringToStringVar(&meta, "meta", nil, "metadata to send: key=value")
	return c
}

// jsonCall is a method and what it is called with.
type jsonCall struct {
	service, method string
	body            []byte
	meta            map[string]string
}

// newJSONCall checks the words of a command line.
func newJSONCall(ctx context.Context, args []string, in io.Reader) (jsonCall, error) {
	if len(args) == 0 {
		return jsonCall{}, misused(`which method? Write Type.Method; "sinew ls" lists those that there are`)
	}
	dot := strings.LastIndexByte(args[0], '.')
	if dot < 1 || dot == len(args[0])-1 {
		return jsonCall{}, misused("%q names no method: write Type.Method, such as Arith.Add", args[0])
	}
	call := jsonCall{service: args[0][:dot], method: args[0][dot+1:], body: []byte("{}")}
	if len(args) > 1 {
		call.body = []byte(args[1])
	}
	if string(call.body) == "-" {
		var err error
		if call.body, err = readAll(ctx, in); err != nil {
			return call, fmt.Errorf("reading the body: %w", err)
		}
	}
	var parsed json.RawMessage
	if err := json.Unmarshal(call.body, &parsed); err != nil {
		return call, misused(`the body %.128q is no JSON (%w): write such as '{"A":1,"B":2}', in single quotes`, call.body, err)
	}
	return call, nil
}

// readAll reads in to its end, or until ctx ends. Not every read can be called off,
// one of a terminal cannot: its goroutine then stays until in says something, or
// the program ends.
func readAll(ctx context.Context, in io.Reader) ([]byte, error) {
	var all []byte
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		all, err = io.ReadAll(in)
	}()
	select {
	case <-done:
		return all, err
	case <-ctx.Done():
		if f, ok := in.(interface{ SetReadDeadline(time.Time) error }); ok && f.SetReadDeadline(time.Now()) == nil {
			<-done
		}
		return nil, context.Cause(ctx)
	}
}

// name is the method as callers write it.
func (j *jsonCall) name() string { return j.service + "." + j.method }

// do makes the call; the reply is as it came, so that every number keeps its
// digits.
func (j *jsonCall) do(ctx context.Context, c client.SGClient) ([]byte, error) {
	for k, v := range j.meta {
		ctx = protocol.WithMeta(ctx, k, v)
	}
	reply, err := c.Do(ctx, &protocol.Message{
		Header: protocol.Header{
			MessageType:   protocol.TypeRequest,
			SerializeType: protocol.SerializeTypeJSON,
			ServiceName:   j.service,
			MethodName:    j.method,
		},
		Body: j.body,
	})
	if err != nil {
		return nil, err
	}
	return reply.Body, nil
}

func callOnce(ctx context.Context, t *target, call jsonCall, out io.Writer) error {
	c, end, err := t.governed(ctx)
	if err != nil {
		return err
	}
	defer end()
	reply, err := call.do(ctx, c)
	if err != nil {
		return adviseCall(fmt.Errorf("%s: %w", call.name(), err))
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, reply, "", "  "); err != nil {
		return fmt.Errorf("%s answered what is no JSON: %w", call.name(), err)
	}
	_, err = fmt.Fprintln(out, indented.String())
	return err
}
