package registryserver

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Requests is what a server has been asked, by its own count.
type Requests struct{ Reads, Writes uint64 }

// Sub returns what was asked since before.
func (r Requests) Sub(before Requests) Requests {
	return Requests{r.Reads - before.Reads, r.Writes - before.Writes}
}

// ZooKeeperRequests counts reads, among them those that set a watch, and updates.
func ZooKeeperRequests(t testing.TB, s *Server) Requests {
	t.Helper()
	answer, err := fourLetters(s.addr, "mntr")
	if err != nil {
		t.Fatal(err)
	}
	n := numbers(answer)
	return Requests{Reads: uint64(n["zk_cnt_readlatency"]), Writes: uint64(n["zk_cnt_updatelatency"])}
}

// EtcdRequests counts ranges, and puts, deletes and transactions.
func EtcdRequests(t testing.TB, s *Server) Requests {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	r, err := client.Get("http://" + s.addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	n := numbers(page)
	handled := func(method string) uint64 {
		return uint64(n[fmt.Sprintf(`grpc_server_handled_total{grpc_code="OK",grpc_method=%q,grpc_service="etcdserverpb.KV",grpc_type="unary"}`, method)])
	}
	return Requests{Reads: handled("Range"), Writes: handled("Put") + handled("DeleteRange") + handled("Txn")}
}

// numbers reads lines of a name, white space, and a number; others it passes over.
func numbers(text []byte) map[string]float64 {
	n := make(map[string]float64)
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		at := strings.LastIndexAny(line, " \t")
		if at < 0 {
			continue
		}
		if v, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			n[strings.TrimSpace(line[:at])] = v
		}
	}
	return n
}
