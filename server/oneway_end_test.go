package server_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// TestOnewayAfterAnOrderlyEnd: a client that says goaway and leaves cancels no
// oneway of its own; the server's end does.
func TestOnewayAfterAnOrderlyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := on(t, server.Option{})
		ended := make(chan error, 1)
		err := server.Handle(s, "Log.Write", func(ctx context.Context, _ *string) (*string, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		running(t, s)
		c := dialRaw(t, n)
		c.sendFrame(protocol.Header{Seq: 1, MessageType: protocol.TypeOneway, SerializeType: protocol.SerializeTypeJSON, ServiceName: "Log", MethodName: "Write"}, []byte(`"line"`))
		c.sendFrame(protocol.Header{MessageType: protocol.TypeGoAway}, nil)
		if h, _, err := c.read(); err != nil || h.MessageType != protocol.TypeHello { // what is not read would reset the connection
			t.Fatalf("%v, %v", h.MessageType, err)
		}
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		select {
		case err := <-ended:
			t.Fatalf("the oneway was cancelled by an orderly end: %v", err)
		default:
		}
		begun := time.Now()
		_ = s.Close() // returns nil
		if err := <-ended; err != context.Canceled || time.Since(begun) != 0 {
			t.Errorf("the server's end came to the oneway as %v after %v", err, time.Since(begun))
		}
	})
}
