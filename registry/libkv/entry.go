package libkv

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

// entry is the value of one child: a provider, whose it is, and the stamp by
// which others see that it lives.
type entry struct {
	provider registry.Provider
	instance string        // who wrote it; a new one for each registration
	claim    int64         // the greater, the later instance has the key: see rival.go
	ttl      time.Duration // clamped by decode
	stamp    string        // never the same twice
}

// How long readers let an entry stand still, whatever it says.
const (
	minTTL     = 3 * time.Second
	defaultTTL = 15 * time.Second
	maxTTL     = 10 * time.Minute
)

// clampTTL is what readers make of a TTL.
func clampTTL(ttl time.Duration) time.Duration {
	if ttl <= 0 {
		ttl = defaultTTL
	}
	return min(max(ttl, minTTL), maxTTL)
}

// The names of the values in an entry. What a reader does not know it passes
// over, so names may be added.
const (
	keyInstance = "instance"
	keyStamp    = "stamp"
	keyClaim    = "claim"
	keyTTL      = "ttl" // milliseconds
	keyStarted  = "started"
	keyWeight   = "weight"
	keyVersion  = "version"
	keyDraining = "draining"
	keyServices = "services" // JSON
	tagPrefix   = "tag."
)

// encode writes the entry as an URL-encoded query: ASCII, which every store
// keeps as it is, and never empty.
func (e *entry) encode() ([]byte, error) {
	q := url.Values{
		keyInstance: {e.instance},
		keyStamp:    {e.stamp},
		keyTTL:      {strconv.FormatInt(e.ttl.Milliseconds(), 10)},
	}
	if e.claim != 0 {
		q.Set(keyClaim, strconv.FormatInt(e.claim, 10))
	}
	p := &e.provider
	if !p.Started.IsZero() {
		q.Set(keyStarted, p.Started.UTC().Format(time.RFC3339Nano))
	}
	if p.Weight != 0 {
		q.Set(keyWeight, strconv.Itoa(p.Weight))
	}
	if p.Version != "" {
		q.Set(keyVersion, p.Version)
	}
	if p.Draining {
		q.Set(keyDraining, "true")
	}
	for k, v := range p.Tags {
		q.Set(tagPrefix+k, v)
	}
	if len(p.Services) > 0 {
		services, err := json.Marshal(p.Services)
		if err != nil {
			return nil, fmt.Errorf("services of %s: %w", p.ProviderKey, err)
		}
		q.Set(keyServices, string(services))
	}
	return []byte(q.Encode()), nil
}

// decodeEntry reads the value of the child called name.
func decodeEntry(name string, value []byte) (*entry, error) {
	if len(value) > maxEntry {
		return nil, fmt.Errorf("value of %.128q has %d bytes, over %d", name, len(value), maxEntry)
	}
	network, addr, err := providerOf(name)
	if err != nil {
		return nil, err
	}
	q, err := url.ParseQuery(string(value))
	if err != nil {
		return nil, fmt.Errorf("value of %.128q: %w", name, err)
	}
	e := &entry{instance: q.Get(keyInstance), stamp: q.Get(keyStamp)}
	if e.instance == "" || e.stamp == "" {
		return nil, fmt.Errorf("value of %.128q has no %s or no %s: it is no entry of a provider", name, keyInstance, keyStamp)
	}
	p := &e.provider
	p.Network, p.Addr = network, addr
	p.ProviderKey = registry.JoinKey(network, addr)
	p.Version, p.Draining = q.Get(keyVersion), q.Get(keyDraining) == "true"
	if err := e.decodeTyped(q); err != nil {
		return nil, fmt.Errorf("value of %.128q: %w", name, err)
	}
	for k, v := range q {
		if tag, ok := strings.CutPrefix(k, tagPrefix); ok {
			if p.Tags == nil {
				p.Tags = make(map[string]string)
			}
			p.Tags[tag] = v[0]
		}
	}
	return e, nil
}

// decodeTyped reads what is not text.
func (e *entry) decodeTyped(q url.Values) (err error) {
	p := &e.provider
	var ms int64
	if text := q.Get(keyTTL); text != "" {
		if ms, err = strconv.ParseInt(text, 10, 64); err != nil {
			return fmt.Errorf("%s: %w", keyTTL, err)
		}
	}
	ms = min(max(ms, 0), maxTTL.Milliseconds())
	e.ttl = clampTTL(time.Duration(ms) * time.Millisecond)
	if text := q.Get(keyClaim); text != "" {
		if e.claim, err = strconv.ParseInt(text, 10, 64); err != nil {
			return fmt.Errorf("%s: %w", keyClaim, err)
		}
		e.claim = min(max(e.claim, 0), maxClaim)
	}
	if text := q.Get(keyStarted); text != "" {
		if p.Started, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return fmt.Errorf("%s: %w", keyStarted, err)
		}
		if p.Started = p.Started.UTC(); p.Started.Year() < 1 || p.Started.Year() > 9999 {
			return fmt.Errorf("%s: %s is no time that can be written again", keyStarted, text)
		}
	}
	if text := q.Get(keyWeight); text != "" {
		if p.Weight, err = strconv.Atoi(text); err != nil {
			return fmt.Errorf("%s: %w", keyWeight, err)
		}
	}
	if text := q.Get(keyServices); text != "" {
		if err = json.Unmarshal([]byte(text), &p.Services); err != nil {
			return fmt.Errorf("%s: %w", keyServices, err)
		}
	}
	return nil
}
