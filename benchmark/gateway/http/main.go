// Command http is the limit of the gateway's benchmark: net/http and encoding/json,
// with nothing round the handler.
package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/sinew-rpc/sinew/benchmark/internal/jsonecho"
	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

const path = "/Echo/Echo"

func main() {
	os.Exit(load.Main(load.Row{
		Name:     "limit/http",
		Settings: "net/http, a ServeMux; io.ReadAll and encoding/json; no bounds, deadlines or checks",
		Serve:    serve,
		Dial:     jsonecho.Dial(path),
	}))
}

func serve(ln net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+path, echo)
	return http.Serve(ln, mux)
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var request jsonecho.Message
	if err := json.Unmarshal(body, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	reply, err := json.Marshal(&request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(reply)))
	_, _ = w.Write(reply) // a caller that left is told nothing
}
