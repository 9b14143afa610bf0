package server_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// picky refuses one method by its header.
type picky struct {
	server.BaseWrapper
	method string
}

func (p picky) Admit(_ context.Context, h *protocol.Header, _ int) error {
	switch h.MethodName {
	case p.method:
		return protocol.NewError(protocol.PermissionDenied, "not this one")
	case "Panic":
		panic("admission is broken")
	}
	return nil
}

// WrapHandleRequest takes longer than a request that names a limit has.
func (picky) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	return func(ctx context.Context, req, res *protocol.Message) error {
		time.Sleep(2 * req.Timeout)
		return next(ctx, req, res)
	}
}

type Moody struct{}

func (Moody) Add(context.Context, *AddRequest, *AddReply) error   { return nil }
func (Moody) Panic(context.Context, *AddRequest, *AddReply) error { return nil }
func (Moody) Burst(context.Context, *AddRequest, *AddReply) error { panic("burst") }

// TestStatsTellRefusalsApart makes one request for each reason to refuse it, and
// one oneway.
func TestStatsTellRefusalsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{
			Tags:           map[string]string{"idc": "lf"},
			TagsOptional:   true,
			MaxMessageSize: 4096,
			Wrappers:       []server.Wrapper{picky{method: "Add"}},
		})
		if err := s.RegisterName("Moody", Moody{}); err != nil {
			t.Fatal(err)
		}
		running(t, s)
		conn := dialRaw(t, mem)
		body := marshal(t, &AddRequest{1, 2})
		seq := uint64(0)
		ask := func(h protocol.Header, body []byte, want protocol.Code) {
			t.Helper()
			seq++
			h.Seq = seq
			conn.sendFrame(h, body)
			if answer, _ := conn.next(); answer.StatusCode != want || answer.Seq != seq {
				t.Errorf("%s.%s: answered %+v, want %v", h.ServiceName, h.MethodName, answer, want)
			}
		}
		ask(protocol.Header{ServiceName: "Nobody", MethodName: "Add"}, body, protocol.Unimplemented)
		ask(protocol.Header{ServiceName: "Moody", MethodName: "Nothing"}, body, protocol.Unimplemented)
		ask(protocol.Header{ServiceName: "Moody", MethodName: "Burst", SerializeType: 99}, body, protocol.Unimplemented)
		ask(protocol.Header{ServiceName: "Moody", MethodName: "Burst"}, []byte("no msgpack"), protocol.InvalidArgument)
		ask(protocol.Header{ServiceName: "Moody", MethodName: "Burst", MetaData: map[string]string{"sinew-tag-idc": "bj"}}, body, protocol.FailedPrecondition)
		ask(protocol.Header{ServiceName: "Moody", MethodName: "Add"}, body, protocol.PermissionDenied)
		ask(protocol.Header{ServiceName: "Moody", MethodName: "Panic"}, body, protocol.Internal)
		ask(protocol.Header{ServiceName: "Moody", MethodName: "Burst"}, make([]byte, 8192), protocol.ResourceExhausted)
		ask(protocol.Header{ServiceName: "Moody", MethodName: "Burst"}, body, protocol.Internal)
		ask(protocol.Header{ServiceName: "Moody", MethodName: "Burst", Timeout: time.Second}, body, protocol.DeadlineExceeded)
		conn.sendFrame(protocol.Header{Seq: 100, MessageType: protocol.TypeOneway, ServiceName: "Moody", MethodName: "Add"}, body)
		synctest.Wait()

		got := s.Stats()
		want := server.Refusals{Unknown: 2, Unreadable: 2, Tags: 1, Admission: 3, Size: 1, Expired: 1}
		if got.Refused != want {
			t.Errorf("refused %+v, want %+v", got.Refused, want)
		}
		if got.RefusedOneways != 1 || got.Panics != 1 || got.Requests != 3 {
			t.Errorf("%d oneways refused, %d panics, %d requests; want 1, 1, 3", got.RefusedOneways, got.Panics, got.Requests)
		}
	})
}

func TestStatsCountWhatIsCarried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{MaxConnections: 1})
		running(t, s)
		before := s.Stats()
		conn := dialRaw(t, mem)
		h := request(1)
		frame := protocol.AppendFrame(nil, &h, marshal(t, &AddRequest{1, 2}))
		conn.send(frame)
		conn.next()
		synctest.Wait()
		now := s.Stats()
		if now.Connections != 1 || now.ConnectionsAccepted != 1 || now.Requests != 1 || now.RequestsInFlight != 0 {
			t.Errorf("with one connection: %+v", now)
		}
		if read := now.BytesRead - before.BytesRead; read != uint64(len(frame)) {
			t.Errorf("%d bytes read, %d were sent", read, len(frame))
		}
		if now.BytesWritten == 0 {
			t.Error("nothing written, and an answer came")
		}

		dialRaw(t, mem).wantEnd()
		conn.Close()
		time.Sleep(time.Second)
		gone := s.Stats()
		if gone.Connections != 0 || gone.ConnectionsAccepted != 2 || gone.ConnectionsRefused != 1 {
			t.Errorf("after one was turned away and the other left: %+v", gone)
		}
		if gone.Requests != now.Requests || gone.BytesRead < now.BytesRead || gone.BytesWritten <= now.BytesWritten {
			t.Errorf("what a connection carried is forgotten with it: %+v, then %+v", now, gone)
		}
	})
}

func TestStatsOfRequestsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{MaxRequestsInFlight: 1, ReadPause: -1})
		entered, _ := stuck(t, s)
		running(t, s)
		conn := dialRaw(t, mem)
		body := marshal(t, map[string]any{"X": make([]byte, 100)})
		conn.sendFrame(protocol.Header{Seq: 1, ServiceName: "Stuck", MethodName: "Wait"}, body)
		<-entered
		conn.sendFrame(request(2), body)
		conn.next()
		if got := s.Stats(); got.RequestsInFlight != 1 || got.BytesInFlight != int64(len(body)) || got.Refused.Room != 1 {
			t.Errorf("with one stuck and one refused: %+v", got)
		}
		_, err := s.Do(context.Background(), &protocol.Message{Header: request(0), Body: marshal(t, &AddRequest{1, 2})})
		wantError(t, err, protocol.ResourceExhausted, protocol.Refused)
		conn.sendFrame(protocol.Header{Seq: 1, MessageType: protocol.TypeCancel}, nil)
		conn.next()
		if _, err := s.Do(context.Background(), &protocol.Message{Header: request(0), Body: marshal(t, &AddRequest{1, 2})}); err != nil {
			t.Error(err)
		}
		if got := s.Stats(); got.RequestsInFlight != 0 || got.Refused.Room != 2 || got.Requests != 2 {
			t.Errorf("afterwards: %+v", got)
		}
	})
}
