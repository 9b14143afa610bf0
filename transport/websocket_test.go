package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/protocol"
)

// webSocketEnds connects two ends; both are closed with the test.
func webSocketEnds(t *testing.T, network string) (dialled, accepted net.Conn) {
	t.Helper()
	server, client := testutil.Certificates(t)
	ln := listening(t, network, "127.0.0.1:0", ListenOptions{TLSConfig: server})
	dialled, err := Dial(testContext(t), network, ln.Addr().String(), DialOptions{TLSConfig: client})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close() })
	if accepted, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return dialled, accepted
}

func onBothWebSockets(t *testing.T, f func(t *testing.T, dialled, accepted net.Conn)) {
	t.Helper()
	for _, network := range []string{"ws", "wss"} {
		t.Run(network, func(t *testing.T) {
			dialled, accepted := webSocketEnds(t, network)
			t.Run("to the server", func(t *testing.T) { f(t, dialled, accepted) })
			dialled, accepted = webSocketEnds(t, network)
			t.Run("to the client", func(t *testing.T) { f(t, accepted, dialled) })
		})
	}
}

func TestWebSocketKeepsManyBytesInOrder(t *testing.T) {
	onBothWebSockets(t, func(t *testing.T, a, b net.Conn) {
		want := make([]byte, 3<<20)
		for i := range want {
			want[i] = byte(uint32(i) * 2654435761 >> 13)
		}
		wrote := make(chan error, 1)
		go func() {
			for rest := want; len(rest) > 0; {
				n := min(len(rest), 1+len(rest)%70001)
				if _, err := a.Write(rest[:n]); err != nil {
					wrote <- err
					return
				}
				rest = rest[n:]
			}
			wrote <- nil
		}()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("equal %v, %v", bytes.Equal(got, want), err)
		}
		if err := <-wrote; err != nil {
			t.Error(err)
		}
	})
}

func TestWebSocketKeepsTheBytesOfOneWriteTogether(t *testing.T) {
	onBothWebSockets(t, func(t *testing.T, a, b net.Conn) {
		const size = 100 << 10
		var writers sync.WaitGroup
		for _, letter := range []byte("xyz") {
			writers.Go(func() {
				if _, err := a.Write(bytes.Repeat([]byte{letter}, size)); err != nil {
					t.Error(err)
				}
			})
		}
		block := make([]byte, size)
		for range 3 {
			if _, err := io.ReadFull(b, block); err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(block, block[:1]); n != size {
				t.Errorf("a block of %q holds %d of them, want %d", block[0], n, size)
			}
		}
		writers.Wait()
	})
}

func TestWebSocketCloseWakesItsOwnReaderAndWriter(t *testing.T) {
	onBothWebSockets(t, func(t *testing.T, a, b net.Conn) {
		ended := make(chan error, 2)
		go func() {
			_, err := a.Read(make([]byte, 1))
			ended <- err
		}()
		go func() {
			_, err := a.Write(make([]byte, 64<<20))
			ended <- err
		}()
		// The writer is on its way when the first byte is here.
		if _, err := io.ReadFull(b, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		_ = a.Close() // over TLS it says that it could not say goodbye
		for range 2 {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("ended with %v", err)
			}
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a read after that: %v", err)
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a write after that: %v", err)
		}
	})
}

func TestWebSocketEndsAsOtherConnectionsDo(t *testing.T) {
	onBothWebSockets(t, func(t *testing.T, a, b net.Conn) {
		if _, err := a.Write([]byte("last words")); err != nil {
			t.Fatal(err)
		}
		closed := make(chan error, 1)
		go func() {
			closed <- a.(interface{ CloseWrite() error }).CloseWrite()
		}()
		go func() { _, _ = a.Read(make([]byte, 1)) }() // somebody must read the answer
		if got, err := io.ReadAll(b); string(got) != "last words" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		if err := <-closed; err != nil {
			t.Errorf("CloseWrite: %v", err)
		}
	})
	onBothWebSockets(t, func(t *testing.T, a, b net.Conn) {
		_ = a.Close()
		if n, err := b.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("after a Close without a word: %d, %v", n, err)
		}
	})
}

func TestWebSocketDeadlines(t *testing.T) {
	onBothWebSockets(t, func(t *testing.T, a, b net.Conn) {
		ended := make(chan error, 2)
		go func() {
			_, err := a.Read(make([]byte, 1))
			ended <- err
		}()
		go func() {
			_, err := a.Write(make([]byte, 64<<20))
			ended <- err
		}()
		if _, err := io.ReadFull(b, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := a.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("ended with %v", err)
			}
		}
		// What was read in part is lost: the direction is of no more use.
		if err := a.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a read after the one that failed: %v", err)
		}
	})
}

func TestWebSocketEmptyReadAndWrite(t *testing.T) {
	a, _ := webSocketEnds(t, "ws")
	if n, err := a.Read(nil); n != 0 || err != nil {
		t.Errorf("Read(nil) = %d, %v", n, err)
	}
	if n, err := a.Write(nil); n != 0 || err != nil {
		t.Errorf("Write(nil) = %d, %v", n, err)
	}
}

func TestWebSocketTellsItsTLSState(t *testing.T) {
	_, plain := webSocketEnds(t, "ws")
	if _, ok := plain.(interface{ ConnectionState() tls.ConnectionState }); ok {
		t.Error("ws has a TLS state")
	}
	_, secure := webSocketEnds(t, "wss")
	c, ok := secure.(interface{ ConnectionState() tls.ConnectionState })
	if !ok || c.ConnectionState().PeerCertificates[0].Subject.CommonName != "client" {
		t.Error("wss does not tell who the client is")
	}
	for _, conn := range []net.Conn{plain, secure} {
		if _, ok := conn.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn); !ok {
			t.Errorf("%T hides the TCP connection", conn)
		}
		if err := SetUserTimeout(conn, time.Second); err != nil {
			t.Error(err)
		}
	}
}

func TestWebSocketAddresses(t *testing.T) {
	for _, c := range []struct{ network, addr, host, path string }{
		{"ws", "127.0.0.1:80", "127.0.0.1:80", "/sinew"},
		{"ws", "example.com", "example.com:80", "/sinew"},
		{"wss", "example.com", "example.com:443", "/sinew"},
		{"wss", "example.com/rpc/v1", "example.com:443", "/rpc/v1"},
		{"wss", "example.com:8443/", "example.com:8443", "/"},
		{"ws", "[::1]:80/x", "[::1]:80", "/x"},
		{"ws", "[::1]", "[::1]:80", "/sinew"},
		{"ws", ":0", ":0", "/sinew"},
	} {
		if host, path := splitWebSocketAddr(c.network, c.addr); host != c.host || path != c.path {
			t.Errorf("%s %s: %q %q", c.network, c.addr, host, path)
		}
	}
}

func TestWebSocketPath(t *testing.T) {
	ln := listening(t, "ws", "127.0.0.1:0/rpc", ListenOptions{})
	addr := ln.Addr().String()
	if !strings.HasSuffix(addr, "/rpc") || NetworkOf(ln) != "ws" || ln.Addr().Network() != "ws" {
		t.Errorf("it listens on %s %s", ln.Addr().Network(), addr)
	}
	c, err := Dial(testContext(t), "ws", addr, DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	_, err = Dial(testContext(t), "ws", strings.TrimSuffix(addr, "/rpc"), DialOptions{})
	if err == nil || !strings.Contains(err.Error(), "/sinew with HTTP 404") || !strings.Contains(err.Error(), "put the path") {
		t.Errorf("another path: %v", err)
	}
}

func TestWebSocketHandlerOnAMuxOfTheUsers(t *testing.T) {
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	defer web.Close()
	addr := strings.TrimPrefix(web.URL, "http://") + "/in/here"
	h := NewWebSocketHandler("ws", addr)
	defer h.Close()
	mux.Handle("/in/here", h)
	if NetworkOf(h) != "ws" || h.Addr().String() != addr {
		t.Errorf("it is reached at %s %s", NetworkOf(h), h.Addr())
	}

	dialled, err := Dial(testContext(t), "ws", addr, DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer dialled.Close()
	accepted, err := h.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if _, err := dialled.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(accepted, got); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}

	resp, err := http.Get(web.URL + "/in/here")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("a request for no WebSocket is answered %s", resp.Status)
	}
	_, resp, err = websocket.Dial(testContext(t), web.URL+"/in/here", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.test"}}})
	if err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another origin: %v", err)
	}

	h.Close()
	if _, err := h.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if _, err := Dial(testContext(t), "ws", addr, DialOptions{}); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a dial after Close: %v", err)
	}
}

// A page of a browser reaches no provider that listens by itself, by whatever name
// it found it: a name that was pointed at the provider makes page and provider one
// host.
func TestWebSocketListenerRefusesPages(t *testing.T) {
	ln, err := Listen("ws", "127.0.0.1:0", ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	for _, test := range []struct{ origin, host string }{
		{"https://evil.test", addr},
		{"http://" + addr, addr},
		{"http://evil.test", "evil.test"},
		{"null", addr},
		{"", addr},
	} {
		_, resp, err := websocket.Dial(testContext(t), "ws://"+addr+"/sinew", &websocket.DialOptions{Host: test.host, HTTPHeader: http.Header{"Origin": {test.origin}}})
		if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("origin %q for host %q: %v, %v", test.origin, test.host, resp, err)
		}
	}
}

// Who connects and says nothing, or too much, keeps nobody out and is cut off.
func TestWebSocketListenerAmongTheSilentAndTheLoud(t *testing.T) {
	ln := listening(t, "ws", "127.0.0.1:0", ListenOptions{HandshakeTimeout: 50 * time.Millisecond})
	silent, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	good, err := Dial(testContext(t), "ws", ln.Addr().String(), DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	good.Close()
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the silent one: %v", err)
	}
	loud, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer loud.Close()
	_, _ = io.WriteString(loud, "GET /sinew HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 64<<10)) // it may be cut off meanwhile
	answer, _ := io.ReadAll(loud)
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 431")) {
		t.Errorf("the loud one was answered %.40q", answer)
	}
}

func TestWebSocketMessagesThatAreNotBinary(t *testing.T) {
	ln := listening(t, "ws", "127.0.0.1:0", ListenOptions{})
	ws, _, err := websocket.Dial(testContext(t), "ws://"+ln.Addr().String()+"/sinew", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if err := ws.Write(testContext(t), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := accepted.Read(make([]byte, 9)); err == nil || !strings.Contains(err.Error(), "only binary") {
		t.Errorf("a text message: %v", err)
	}
}

func TestWebSocketDialErrors(t *testing.T) {
	gone := listening(t, "ws", "127.0.0.1:0", ListenOptions{})
	addr := gone.Addr().String()
	gone.Close()
	if _, err := Dial(testContext(t), "ws", addr, DialOptions{}); !errors.Is(err, syscall.ECONNREFUSED) || !strings.HasPrefix(err.Error(), "dial ws "+addr+": ") {
		t.Errorf("nobody there: %v", err)
	}
	if _, err := Listen("wss", "127.0.0.1:0", ListenOptions{}); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("wss without a certificate: %v", err)
	}
	silent := listening(t, "tcp", "127.0.0.1:0", ListenOptions{})
	_, err := Dial(testContext(t), "ws", silent.Addr().String(), DialOptions{Timeout: 20 * time.Millisecond})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a server that does not answer: %v", err)
	}
	loud := listening(t, "tcp", "127.0.0.1:0", ListenOptions{})
	go func() {
		c, err := loud.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nX: ")
		_, _ = io.Copy(c, strings.NewReader(strings.Repeat("x", 1<<20)))
		_, _ = io.Copy(io.Discard, c)
	}()
	if _, err := Dial(testContext(t), "ws", loud.Addr().String(), DialOptions{}); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a server whose answer does not end: %v", err)
	}
}

// A session over a WebSocket drains as over any other connection, although there
// is no half-close.
func TestSessionOverWebSocket(t *testing.T) {
	for _, network := range []string{"ws", "wss"} {
		t.Run(network, func(t *testing.T) {
			a, b := webSocketEnds(t, network)
			release := make(chan struct{})
			cfg := newConfig(&service{method: func(task *serviceTask) {
				if task.h.MethodName == "Slow" {
					<-release
				}
			}})
			cfg.Room = NewRoom(0, 0)
			defer cfg.Workers.Close()
			client, server := start(t, a, cfg), start(t, b, cfg)
			defer server.Close()
			defer client.Close()
			if client.sock.try != nil {
				t.Error("a write that cannot be resumed would be tried")
			}
			for _, size := range []int{0, 100, 1 << 20} {
				want := strings.Repeat("x", size)
				for _, s := range []*Session{client, server} {
					if got, err := ask(s, "Echo", want, 10*time.Second); err != nil || got != want {
						t.Errorf("%d bytes: %d came back, %v", size, len(got), err)
					}
				}
			}
			slow := make(chan error, 1)
			go func() { _, err := ask(client, "Slow", "", time.Minute); slow <- err }()
			for tasks := 0; tasks == 0; _, tasks = server.Load() { // else the goaway would refuse it
				time.Sleep(time.Millisecond)
			}
			server.GoAway("deploy")
			for client.Usable() {
				time.Sleep(time.Millisecond)
			}
			_, err := ask(client, "Echo", "", time.Second)
			wantError(t, err, protocol.Unavailable, protocol.NotSent)
			close(release)
			if err := <-slow; err != nil {
				t.Errorf("the call in flight: %v", err)
			}
			for name, s := range map[string]*Session{"client": client, "server": server} {
				<-s.Done()
				if !errors.Is(s.Cause(), errDrained) {
					t.Errorf("%s: ended by %v", name, s.Cause())
				}
			}
		})
	}
}
