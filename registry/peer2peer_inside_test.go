package registry

import "testing"

// A list that is brought up to date for ever does not grow by what was replaced.
func TestPeer2PeerKeepsNothingThatWasReplaced(t *testing.T) {
	r := NewPeer2PeerRegistry().WithProvider(Provider{ProviderKey: "tcp@b:1"})
	for weight := range 100 {
		r.WithProvider(Provider{ProviderKey: "tcp@a:1", Weight: weight})
	}
	if n := len(r.providers); n != 2 {
		t.Errorf("%d entries are kept, want those of 2 providers", n)
	}
	ps, _, err := r.Providers(t.Context())
	if err != nil || len(ps) != 2 || ps[0].Weight != 99 {
		t.Errorf("Providers = %v, %v; want the last state of each", ps, err)
	}
}
