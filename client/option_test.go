package client_test

import (
	"crypto/tls"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/transport"
)

func TestBadOptionsAreNamed(t *testing.T) {
	for _, test := range []struct {
		field  string
		change func(*client.SGOption)
	}{
		{"SerializeType", func(op *client.SGOption) { op.SerializeType = 200 }},
		{"CompressType", func(op *client.SGOption) { op.CompressType = 200 }},
		{"Wrappers[0]", func(op *client.SGOption) { op.Wrappers = []client.Wrapper{nil} }},
		{"Wrappers[0]", func(op *client.SGOption) { op.Wrappers = []client.Wrapper{wrapNil{}} }},
		{"Auth", func(op *client.SGOption) { op.Auth = "a\r\nb" }},
		{"Identities[0]", func(op *client.SGOption) { op.Identities = []string{"a,b"} }},
		{"Identities", func(op *client.SGOption) { op.Identities = []string{strings.Repeat("x", protocol.MaxMetaSize)} }},
		{"MetaData", func(op *client.SGOption) { op.MetaData = map[string]string{"sinew-auth": "x"} }},
		{"MetaData", func(op *client.SGOption) { op.MetaData = map[string]string{"Upper": "x"} }},
		{"Registry", func(op *client.SGOption) { op.Registry = nil }},
		{"AppKey", func(op *client.SGOption) { op.AppKey = "another" }},
		{"FailMode", func(op *client.SGOption) { op.FailMode = 77 }},
		{"Retries", func(op *client.SGOption) { op.Retries = 1 }},
		{"Retries", func(op *client.SGOption) { op.FailMode, op.Retries = client.FailSafe, 1 }},
		{"RetryBudget", func(op *client.SGOption) { op.RetryBudget = math.NaN() }},
		{"Idempotent[1]", func(op *client.SGOption) { op.Idempotent = []string{"A.*", "Echo"} }},
		{"CircuitBreakerThreshold", func(op *client.SGOption) { op.CircuitBreakerThreshold = 1 << 30 }},
		{"Tags", func(op *client.SGOption) { op.Tags = map[string]string{"Upper": "x"} }},
	} {
		t.Run(test.field, func(t *testing.T) {
			op := client.DefaultSGOption
			op.AppKey, op.Registry = "app", memory.NewRegistry("app")
			test.change(&op)
			_, err := client.NewSGClient(op)
			var bad *client.OptionError
			if !errors.As(err, &bad) || bad.Field != test.field {
				t.Errorf("got %v, want an OptionError of %s", err, test.field)
			}
		})
	}
}

type wrapNil struct{}

func (wrapNil) WrapCall(*client.SGOption, client.CallFunc) client.CallFunc { return nil }

func TestRPCClientRefusesWhatItCannotDial(t *testing.T) {
	var unknown *transport.UnknownNetworkError
	if _, err := client.NewRPCClient("pigeon", "a", nil); !errors.As(err, &unknown) {
		t.Errorf("unknown network: %v", err)
	}
	if _, err := client.NewRPCClient("tcp", "", nil); err == nil {
		t.Error("an empty address is taken")
	}
	var bad *client.OptionError
	if _, err := client.NewRPCClient("tcp", "a:1", &client.Option{TLSConfig: &tls.Config{}}); !errors.As(err, &bad) || bad.Field != "TLSConfig" {
		t.Errorf("plain with TLSConfig: %v", err)
	}
}

func TestARegistryThatCannotBeWatchedFailsTheConstructor(t *testing.T) {
	r := registry.NewPeer2PeerRegistry().WithProvider(registry.Provider{Network: "tcp"})
	if _, err := client.NewSGClient(client.SGOption{Registry: r}); err == nil {
		t.Error("no error")
	}
}
