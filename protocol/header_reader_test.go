package protocol

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
)

// readThrice has a connection bring the same header again and again, which must be
// want each time.
func readThrice(t testing.TB, b []byte, want *Header) {
	t.Helper()
	var r HeaderReader
	for i := range 3 {
		var h Header
		if err := r.Parse(b, &h); err != nil {
			t.Fatalf("time %d: %v", i, err)
		}
		h.OwnMeta()
		if !reflect.DeepEqual(&h, want) {
			t.Fatalf("time %d: %+v, want %+v", i, h, *want)
		}
	}
}

func withMeta(t MessageType, meta map[string]string) []byte {
	return AppendHeader(nil, &Header{Seq: 7, MessageType: t, ServiceName: "A", MethodName: "B", MetaData: meta, Timeout: 5})
}

func TestHeaderReaderKeepsRequestsApart(t *testing.T) {
	var r HeaderReader
	read := func(b []byte) map[string]string {
		var h Header
		if err := r.Parse(b, &h); err != nil {
			t.Fatal(err)
		}
		h.OwnMeta()
		return h.MetaData
	}
	same, other := map[string]string{"k": "same"}, map[string]string{"k": "other"}
	for i, want := range []map[string]string{same, same, same, other, same, same, nil, same, {"k": "same", "l": "more"}, same, same} {
		got := read(withMeta(TypeRequest, want))
		if !maps.Equal(got, want) {
			t.Fatalf("request %d: %v, want %v", i, got, want)
		}
		if got != nil {
			got["k"] = "written by request's owner"
		}
	}
}

func TestHeaderReaderLendsOneMap(t *testing.T) {
	var r HeaderReader
	b := withMeta(TypeOneway, map[string]string{"sinew-tag-idc": "lf", "sinew-auth": "a token of some length"})
	var h Header
	parse := func() {
		if err := r.Parse(b, &h); err != nil {
			t.Fatal(err)
		}
	}
	parse()
	parse()
	if n := testing.AllocsPerRun(100, parse); n != 0 {
		t.Errorf("%v allocations for a header whose metadata is the last one's", n)
	}
}

func TestHeaderReaderRemembersNoResponse(t *testing.T) {
	var r HeaderReader
	b := withMeta(TypeResponse, map[string]string{"k": "v"})
	var first, second, third Header
	for _, h := range []*Header{&first, &second, &third} {
		if err := r.Parse(b, h); err != nil {
			t.Fatal(err)
		}
	}
	third.MetaData["k"] = "the caller's own"
	if second.MetaData["k"] != "v" || first.MetaData["k"] != "v" {
		t.Error("the metadata of two responses is one map")
	}
}

func TestHeaderReaderBoundsWhatItKeeps(t *testing.T) {
	var r HeaderReader
	long := withMeta(TypeRequest, map[string]string{"k": strings.Repeat("v", maxLastMeta)})
	for range 3 {
		var h Header
		if err := r.Parse(long, &h); err != nil {
			t.Fatal(err)
		}
	}
	if r.last != nil {
		t.Errorf("%d bytes of metadata are kept", len(r.last.encoded))
	}
}

func TestHeaderReaderRefusesWhatParseHeaderRefuses(t *testing.T) {
	good := withMeta(TypeRequest, map[string]string{"k": "v"})
	var r HeaderReader
	var h Header
	for range 2 {
		if err := r.Parse(good, &h); err != nil {
			t.Fatal(err)
		}
	}
	for cut := range good {
		if err := r.Parse(good[:cut], &h); !errors.Is(err, ErrMalformed) {
			t.Errorf("cut to %d bytes: %v", cut, err)
		}
	}
	if err := r.Parse(append(bytes.Clone(good), 0), &h); !errors.Is(err, ErrMalformed) {
		t.Errorf("with a byte more: %v", err)
	}
}
