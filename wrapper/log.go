package wrapper

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// Log writes a line for each call: its method, its request id if it has one, what
// it came to, and how long it took. A name or an error with a character that could
// begin a line of its own is quoted. Lines are written at V(2), failed calls too,
// since their error is the caller's to handle; where glog's -v (or the handler given
// to sinew.SetLogger) has that off, a call costs one atomic load and nothing is
// formatted.
type Log struct {
	server.BaseWrapper
}

var (
	_ client.Wrapper = (*Log)(nil)
	_ server.Wrapper = (*Log)(nil)
)

// callLevel is the verbosity at which single calls are logged.
const callLevel = 2

// WrapCall implements client.Wrapper.
func (*Log) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc {
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		if !log.V(callLevel) {
			return next(ctx, serviceMethod, req, resp)
		}
		begun := time.Now()
		err := next(ctx, serviceMethod, req, resp)
		line(ctx, "call", serviceMethod, begun, err)
		return err
	}
}

// WrapHandleRequest implements server.Wrapper.
func (*Log) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	return func(ctx context.Context, req, res *protocol.Message) error {
		if !log.V(callLevel) {
			return next(ctx, req, res)
		}
		begun := time.Now()
		err := next(ctx, req, res)
		line(ctx, "serve", req.ServiceName+"."+req.MethodName, begun, err)
		return err
	}
}

func line(ctx context.Context, what, serviceMethod string, begun time.Time, err error) {
	took := time.Since(begun)
	if id := RequestIDFrom(ctx); fitRequestID(id) {
		what = "[" + id + "] " + what
	}
	name := inLine(fmt.Sprintf("%.128s", serviceMethod))
	if err == nil {
		log.V(callLevel).Infof("sinew: %s %s: OK in %v", what, name, took)
		return
	}
	log.V(callLevel).Infof("sinew: %s %s: %s in %v, outcome %v", what, name, inLine(err.Error()), took, protocol.OutcomeOf(err))
}

// inLine returns text as it may stand in a line: quoted, where not all of it is
// printed, since both names and errors can be of somebody outside.
func inLine(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return text
	}
	return strconv.Quote(text)
}
