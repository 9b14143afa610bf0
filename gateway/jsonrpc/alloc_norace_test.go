//go:build !race

package jsonrpc

import "testing"

// TestParsingAllocatesNothingButTheMethod: ids and params are parts of the body.
func TestParsingAllocatesNothingButTheMethod(t *testing.T) {
	body := []byte(`{"jsonrpc":"2.0","method":"Arith.Add","params":{"A":1,"B":[2,{"c":"d"}]},"id":9007199254740993}`)
	var q request
	n := testing.AllocsPerRun(1000, func() {
		if fault := check(body, 256); fault != nil {
			t.Fatal(fault)
		}
		var fault *Error
		if q, fault = parseRequest(trim(body)); fault != nil {
			t.Fatal(fault)
		}
	})
	if n > 1 || q.method != "Arith.Add" {
		t.Errorf("%v allocations", n)
	}
}
