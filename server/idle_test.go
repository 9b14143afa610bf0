package server_test

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// What a connection said costs nothing while it is idle afterwards: a peer chooses what
// that is, and how many connections it has.
func TestAnIdleConnectionKeepsNothingOfWhatItSaid(t *testing.T) {
	many := make(map[string]string)
	for i := range 13_000 {
		many[strconv.FormatInt(int64(i), 36)] = ""
	}
	for name, said := range map[string]protocol.Header{
		"compressors":    {MessageType: protocol.TypeHello, MetaData: map[string]string{protocol.MetaCompress: strings.Repeat(",", 16_000)}},
		"a heartbeat":    {MessageType: protocol.TypeHeartbeat, MetaData: many},
		"a reason to go": {MessageType: protocol.TypeGoAway, Error: strings.Repeat("x", 65_000)},
		"a request":      {MessageType: protocol.TypeRequest, ServiceName: "Arith", MethodName: "Add", MetaData: many},
		"an answer":      {MessageType: protocol.TypeResponse, MetaData: many},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, mem := on(t, server.Option{})
				running(t, s)
				connect := func(h protocol.Header) {
					dialRaw(t, mem).sendFrame(h, nil)
					synctest.Wait()
				}
				const n = 20
				connect(protocol.Header{MessageType: protocol.TypeHeartbeat})
				before := heap()
				for range n {
					connect(said)
				}
				if each := (heap() - before) / n; each > 256<<10 { // most of it is the network's own
					t.Errorf("%d bytes are held for each connection", each)
				}
			})
		})
	}
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
