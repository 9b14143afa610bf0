package opentracing

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"strings"
	"unicode/utf8"

	ot "github.com/opentracing/opentracing-go"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
)

const (
	// encodedPrefix begins the keys of pairs that metadata cannot hold as they
	// are: the key follows in hex, and the value is in base64.
	encodedPrefix = "ot-x-"
	// maxCarried bounds what a call carries with its span, in bytes, so that
	// baggage does not make it fail: the rest is for the keys of the framework.
	maxCarried = protocol.MaxMetaSize - 4<<10
	// maxWhole bounds that together with the keys of the framework that are known: a
	// client adds more of a call's own, such as its priority.
	maxWhole = protocol.MaxMetaSize - 1<<10
)

// outgoing collects what a tracer says of a span, as metadata.
type outgoing map[string]string

// Set implements opentracing.TextMapWriter.
func (o outgoing) Set(key, value string) {
	if plainKey(key) && plainValue(value) {
		o[key] = value
		return
	}
	o[encodedPrefix+hex.EncodeToString([]byte(key))] = base64.RawURLEncoding.EncodeToString([]byte(value))
}

// plainKey reports whether a key may stand in metadata as it is.
func plainKey(key string) bool {
	if key == "" || strings.HasPrefix(key, protocol.MetaReserved) || strings.HasPrefix(key, encodedPrefix) {
		return false
	}
	for i := range len(key) {
		switch c := key[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

func plainValue(value string) bool {
	return !strings.ContainsAny(value, "\r\n\x00") && utf8.ValidString(value)
}

// load is how many bytes of metadata there are.
type load struct {
	own       int
	framework int // of keys of the framework
}

func loadOf(meta map[string]string) (l load) {
	for k, v := range meta {
		if strings.HasPrefix(k, protocol.MetaReserved) {
			l.framework += len(k) + len(v)
		} else {
			l.own += len(k) + len(v)
		}
	}
	return l
}

// loadOfAll is what each call of a client carries.
func loadOfAll(option *client.SGOption) load {
	if option == nil {
		return load{}
	}
	all := load{own: protocol.MetaSize(option.MetaData), framework: protocol.MetaSize(option.Tags)}
	all.framework += len(option.Tags) * len(protocol.MetaTagPrefix)
	if option.Auth != "" {
		all.framework += len(protocol.MetaAuth) + len(option.Auth)
	}
	return all
}

// passedOnKey is the context key of the load that the message of a call brings of
// itself.
type passedOnKey struct{}

// inject returns a context whose calls carry span. All calls carry beside as well.
func inject(ctx context.Context, tracer ot.Tracer, span ot.Span, beside load) context.Context {
	carried := make(outgoing)
	if err := tracer.Inject(span.Context(), ot.TextMap, carried); err != nil {
		span.LogKV("event", "the span does not travel", "message", err.Error())
		return ctx
	}
	passedOn, _ := ctx.Value(passedOnKey{}).(load)
	own := protocol.MetaSize(carried) + protocol.MetaSize(protocol.OutgoingMeta(ctx)) + passedOn.own + beside.own
	whole := own + passedOn.framework + beside.framework
	if own > maxCarried || whole > maxWhole {
		span.LogKV("event", "the span does not travel", "message", "it does not fit into the metadata", "size", whole)
		return ctx
	}
	for k, v := range carried {
		ctx = protocol.WithMeta(ctx, k, v)
	}
	return ctx
}

// supersede returns m without the span that it brought, which would win over the
// one that its call is to carry. m is not changed.
func supersede(tracer ot.Tracer, span ot.Span, m *protocol.Message) *protocol.Message {
	carried := make(outgoing)
	if len(m.MetaData) == 0 || tracer.Inject(span.Context(), ot.TextMap, carried) != nil {
		return m
	}
	rest := maps.Clone(m.MetaData)
	maps.DeleteFunc(rest, func(k, _ string) bool { _, ours := carried[k]; return ours })
	passedOn := *m
	passedOn.MetaData = rest
	return &passedOn
}

// incoming shows a tracer the metadata of a request, without the keys of the
// framework: a token is none of its business.
type incoming map[string]string

// ForeachKey implements opentracing.TextMapReader.
func (in incoming) ForeachKey(handler func(key, value string) error) error {
	for k, v := range in {
		if strings.HasPrefix(k, protocol.MetaReserved) {
			continue
		}
		if encoded, ok := strings.CutPrefix(k, encodedPrefix); ok {
			if k, v, ok = decode(encoded, v); !ok {
				continue // not of our making
			}
		}
		if err := handler(k, v); err != nil {
			return err
		}
	}
	return nil
}

func decode(key, value string) (k, v string, ok bool) {
	plain, err := hex.DecodeString(key)
	if err != nil {
		return "", "", false
	}
	text, err := base64.RawURLEncoding.DecodeString(value)
	return string(plain), string(text), err == nil
}

// extract returns the span that a request brought, nil for none. One that cannot
// be read is none: whoever sent it gets a trace of its own.
func extract(tracer ot.Tracer, meta map[string]string) ot.SpanContext {
	if len(meta) == 0 {
		return nil
	}
	cause, err := tracer.Extract(ot.TextMap, incoming(meta))
	if err != nil {
		return nil
	}
	return cause
}
