package openapi_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/openapi"
	"github.com/sinew-rpc/sinew/server"
)

func ExampleMount() {
	s, err := server.NewSGServer(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if err := s.Register(Orders{}); err != nil {
		log.Fatal(err)
	}
	gw, err := gateway.New(s, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := openapi.Mount(gw, &openapi.Option{Title: "Shop", Version: "1.2"}); err != nil {
		log.Fatal(err)
	}
	for _, path := range []string{"/openapi.json", "/docs"} {
		w := httptest.NewRecorder()
		gw.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(w.Code, w.Header().Get("Content-Type"))
	}
	// Output:
	// 200 application/json
	// 200 text/html; charset=utf-8
}
