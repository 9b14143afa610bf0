package bind_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/bind"
)

type line struct {
	Q    int    `json:"q"`
	Note string `json:"note"`
	Next *line  `json:"next"`
}

type parcel struct {
	Lines  []line  `json:"lines"`
	Others []*line `json:"others"`
}

// shipment has lists of every kind that names reach.
type shipment struct {
	parcel
	Parcels []parcel        `json:"parcels"`
	Pairs   [][2]line       `json:"pairs"`
	Years   struct{ Y int } `json:"years"`
	Sales   struct {
		Of2024 int `json:"2024"`
	} `json:"sales"`
}

// fill binds a form to v.
func fill(form url.Values, v any) error {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return bind.Request(r, v)
}

func TestAFewNamesMakeNoLongLists(t *testing.T) {
	many := func(n int, name func(i int) string) url.Values {
		values := make(url.Values)
		for i := range n {
			values.Set(name(i), "1")
		}
		return values
	}
	for about, form := range map[string]url.Values{
		"lists within a list": many(40, func(i int) string { return fmt.Sprintf("parcels.%d.lines.15999.q", i) }),
		"many short lists":    many(100, func(i int) string { return fmt.Sprintf("parcels.%d.lines.99.q", i) }),
		"cases":               many(1, func(int) string { return "PARCELS.0.Lines.15999.Q" }),
		"a promoted list":     many(1, func(int) string { return "lines.15999.q" }),
		"an embedded list":    many(1, func(int) string { return "parcel.lines.15999.q" }),
		"pointers":            many(1, func(int) string { return "others.15999.q" }),
		"arrays":              many(1, func(int) string { return "pairs.15999" }),
		"an element itself":   many(1, func(int) string { return "lines.15999" }),
		"the greatest number": many(1, func(int) string { return "lines.9223372036854775807.q" }),
		"one written often": many(200, func(i int) string {
			if i == 0 {
				return "lines.1190.q"
			}
			return "lines." + strings.Repeat("0", i) + ".q"
		}),
	} {
		t.Run(about, func(t *testing.T) {
			size := len(form.Encode())
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := fill(form, new(shipment))
			runtime.ReadMemStats(&after)
			if gateway.StatusOf(err) != http.StatusBadRequest {
				t.Errorf("status %d: %v", gateway.StatusOf(err), err)
			}
			if made, bound := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+20*size); made > bound {
				t.Errorf("%d bytes of names made %d bytes, want at most %d", size, made, bound)
			}
		})
	}
}

func TestListsThatAreNamed(t *testing.T) {
	dense := make(url.Values)
	want := shipment{Parcels: make([]parcel, 2000)}
	for i := range want.Parcels {
		dense.Set(fmt.Sprintf("parcels.%d.lines.0.q", i), strconv.Itoa(i))
		want.Parcels[i].Lines = []line{{Q: i}}
	}
	sparse := shipment{parcel: parcel{Lines: make([]line, 1001)}}
	sparse.Lines[1000].Q = 7
	sold := shipment{}
	sold.Sales.Of2024 = 8
	for about, test := range map[string]struct {
		form url.Values
		want shipment
	}{
		"thousands of elements": {dense, want},
		"a thousand left out":   {url.Values{"lines.1000.q": {"7"}}, sparse},
		"a field with a number": {url.Values{"sales.2024": {"8"}}, sold},
		"names of nothing":      {url.Values{"v.20261126": {"1"}, "years.99999.x": {"1"}, "lines": {"1"}, "parcels..lines.99999.q": {"1"}, "": {"1"}, ".99999": {"1"}}, shipment{}},
	} {
		t.Run(about, func(t *testing.T) {
			var got shipment
			if err := fill(test.form, &got); err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%v; %d lines, %d parcels", err, len(got.Lines), len(got.Parcels))
			}
		})
	}
}

// A type that holds itself is filled by a stack as deep as a name is.
func TestANameIsNotAsDeepAsItLikes(t *testing.T) {
	type chain struct {
		Next *chain  `json:"next"`
		Kids []chain `json:"kids"`
		V    int     `json:"v"`
	}
	for name, status := range map[string]int{
		strings.Repeat("next.", 255) + "v":     http.StatusOK,
		strings.Repeat("next.", 256) + "v":     http.StatusBadRequest,
		strings.Repeat("next.", 1<<12) + "v":   http.StatusBadRequest,
		strings.Repeat("kids.0.", 127) + "v":   http.StatusOK,
		strings.Repeat("kids.0.", 1<<12) + "v": http.StatusBadRequest,
		strings.Repeat("no.", 256) + "v":       http.StatusOK,
	} {
		if err := fill(url.Values{name: {"1"}}, new(chain)); gateway.StatusOf(err) != status {
			t.Errorf("%.10s, %d bytes: status %d, want %d", name, len(name), gateway.StatusOf(err), status)
		}
	}
}

// unsteady panics at some texts.
type unsteady struct{ text string }

func (u *unsteady) UnmarshalText(text []byte) error {
	u.text = string(text[:1])
	return nil
}

func TestNoValuePanics(t *testing.T) {
	type target struct {
		Counts []*int   `json:"counts"`
		Items  []item   `json:"items"`
		Word   unsteady `json:"word"`
	}
	for name, want := range map[string]string{
		"counts":            "InvalidArgument: a value does not fit",
		"word":              "InvalidArgument: a value does not fit",
		"items.-1.count":    "InvalidArgument: items.-1.count names an element before the first",
		"items.-9999.count": "InvalidArgument: items.-9999.count names an element before the first",
		"items.-1":          "InvalidArgument: items.-1 names an element before the first",
	} {
		err := fill(url.Values{name: {""}}, new(target))
		if err == nil || err.Error() != want || gateway.StatusOf(err) != http.StatusBadRequest {
			t.Errorf("%s: status %d, %v, want %s", name, gateway.StatusOf(err), err, want)
		}
	}
}
