package bind_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/bind"
)

// Key is embedded: its fields have two names each.
type Key struct {
	ID   int    `json:"id"`
	Shop string `json:"shop"`
}

// serial is a text on its own, and a struct to those who know its fields.
type serial struct{ Number string }

func (s *serial) UnmarshalText(text []byte) error {
	s.Number = string(text)
	return nil
}

type keyed struct {
	Key
	Serial serial `json:"serial"`
	Colour string `json:"colour,omitempty"`
}

// ask binds a request to POST /orders/{id}/{serial}.
func ask(query, form string, v any) error {
	err := errors.New("the handler was not asked")
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders/{id}/{serial}", func(_ http.ResponseWriter, r *http.Request) { err = bind.Request(r, v) })
	r := httptest.NewRequest(http.MethodPost, "/orders/7/s7?"+query, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	mux.ServeHTTP(httptest.NewRecorder(), r)
	return err
}

// The path is what middleware looks at: nothing else in a request fills its fields.
func TestNothingWinsOverThePath(t *testing.T) {
	for _, name := range []string{"id", "ID", "Key.id", "key.ID", "serial", "serial.Number", "Serial.number"} {
		for _, sent := range []struct{ query, form string }{{name + "=9", ""}, {"", name + "=9"}, {name + "=8", name + "=9"}} {
			for range 100 {
				var got keyed
				if err := ask(sent.query, sent.form, &got); err != nil || got.ID != 7 || got.Serial.Number != "s7" {
					t.Fatalf("query %q, form %q: %+v, %v", sent.query, sent.form, got, err)
				}
			}
		}
	}
}

func TestAFormWinsOverTheQuery(t *testing.T) {
	for _, sent := range []struct{ query, form string }{{"shop=corner", "Key.shop=mill"}, {"Key.shop=corner", "shop=mill"}, {"SHOP=corner", "shop=mill"}} {
		for range 100 {
			var got keyed
			if err := ask(sent.query+"&colour=red", sent.form, &got); err != nil || got.Shop != "mill" || got.Colour != "red" {
				t.Fatalf("query %q, form %q: %+v, %v", sent.query, sent.form, got, err)
			}
		}
	}
}

// The decoder has an option "required", for all values of a request together.
func TestWhatIsRequiredMayStandAnywhere(t *testing.T) {
	type needy struct {
		ID   int    `json:"id"`
		Shop string `json:"shop"`
		//lint:ignore SA5008 the option is the decoder's
		Till string `json:"till,required"`
	}
	var got needy
	if err := ask("till=2", "shop=mill", &got); err != nil || got != (needy{7, "mill", "2"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := ask("", "shop=mill", new(needy)); gateway.StatusOf(err) != http.StatusBadRequest {
		t.Errorf("without a till: %v", err)
	}
}
