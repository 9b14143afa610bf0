package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/sinew-rpc/sinew/protocol"
)

// bridgePath is where the header bridge is.
const bridgePath = "/invoke"

// The fields of a frame's header as HTTP headers, in their canonical form: a
// frame's field order, which is that of SPEC.md.
const (
	bridgeSeq       = "Rpc-Header-Seq"
	bridgeType      = "Rpc-Header-Message_type"
	bridgeCompress  = "Rpc-Header-Compress_type"
	bridgeSerialize = "Rpc-Header-Serialize_type"
	bridgeStatus    = "Rpc-Header-Status_code"
	bridgeService   = "Rpc-Header-Service_name"
	bridgeMethod    = "Rpc-Header-Method_name"
	bridgeError     = "Rpc-Header-Error"
	bridgeMeta      = "Rpc-Header-Meta_data"
	bridgeFlags     = "Rpc-Header-Flags"
)

// responseFlags are those that a request has no use for.
const responseFlags = protocol.FlagNotRun | protocol.FlagElsewhere | protocol.FlagDraining

// serveBridge is POST /invoke: the fields of a frame's header as HTTP headers,
// the body untouched.
func (g *Gateway) serveBridge(w http.ResponseWriter, r *http.Request) {
	m, err := bridgeRequest(r.Header)
	if err != nil {
		writeBridge(w, m, nil, err)
		return
	}
	if m.MessageType == protocol.TypeHeartbeat { // answered below everything, as a session does
		writeBridge(w, m, &protocol.Message{Header: protocol.Header{SerializeType: m.SerializeType}}, nil)
		return
	}
	g.trusted.dropFrom(m.MetaData) // a proxy sets such headers, and may not be contradicted
	call := *m                     // m is what is answered
	if err := g.admit(r, &call); err != nil {
		writeBridge(w, m, nil, err)
		return
	}
	body, release, err := g.ReadBody(w, r)
	if err != nil {
		writeBridge(w, m, nil, err)
		return
	}
	defer release()
	call.Body = body
	res, err := g.send(r, &call)
	writeBridge(w, m, res, err)
}

// bridgeRequest reads the header of a request, a oneway or a heartbeat. Status
// and error are a response's and not looked at. With an error it returns what it
// understood, for the answer.
func bridgeRequest(h http.Header) (*protocol.Message, error) {
	f := bridgeFields{header: h}
	m := &protocol.Message{Header: protocol.Header{
		Seq:           f.number(bridgeSeq, 64),
		MessageType:   protocol.MessageType(f.number(bridgeType, 8)),
		CompressType:  protocol.CompressType(f.number(bridgeCompress, 8)),
		SerializeType: protocol.SerializeType(f.number(bridgeSerialize, 8)),
		ServiceName:   f.text(bridgeService),
		MethodName:    f.text(bridgeMethod),
		MetaData:      f.meta(bridgeMeta),
		Flags:         protocol.Flags(f.number(bridgeFlags, 32)) &^ responseFlags,
	}}
	switch {
	case f.err != nil:
		return m, f.err
	case m.Flags&protocol.FlagsCritical != 0: // a backend may be further hops away, and flags are of one hop
		return m, notSent(protocol.Unimplemented, "critical flags %#x are not known here", uint32(m.Flags&protocol.FlagsCritical))
	case m.MessageType == protocol.TypeHeartbeat:
		return m, nil
	case m.MessageType != protocol.TypeRequest && m.MessageType != protocol.TypeOneway:
		return m, notSent(protocol.InvalidArgument, "%s is %d: 0 (request), 2 (heartbeat) and 3 (oneway) are taken", bridgeType, m.MessageType)
	case m.ServiceName == "" || m.MethodName == "":
		return m, notSent(protocol.InvalidArgument, "%s and %s say what is called: one is missing", bridgeService, bridgeMethod)
	}
	return m, nil
}

// bridgeFields reads headers until one is wrong.
type bridgeFields struct {
	header http.Header
	err    error
}

func (f *bridgeFields) get(name string) string {
	values := f.header[name]
	if len(values) > 1 && f.err == nil {
		f.err = notSent(protocol.InvalidArgument, "the request has %d headers %s: send one", len(values), name)
	}
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func (f *bridgeFields) fail(name, value, want string) {
	if f.err == nil {
		f.err = notSent(protocol.InvalidArgument, "%s is %.64q: it takes %s", name, value, want)
	}
}

func (f *bridgeFields) number(name string, bits int) uint64 {
	value := f.get(name)
	if value == "" {
		return 0
	}
	n, err := strconv.ParseUint(value, 10, bits)
	if err != nil {
		f.fail(name, value, fmt.Sprintf("a decimal number of %d bits", bits))
		return 0
	}
	return n
}

func (f *bridgeFields) text(name string) string {
	value := f.get(name)
	if !strings.Contains(value, "%") {
		return value
	}
	plain, err := url.PathUnescape(value)
	if err != nil {
		f.fail(name, value, "text, percent-encoded where it is not printable ASCII")
	}
	return plain
}

func (f *bridgeFields) meta(name string) map[string]string {
	value := f.get(name)
	if value == "" {
		return nil
	}
	var meta map[string]string
	if err := json.Unmarshal([]byte(value), &meta); err != nil {
		f.fail(name, value, "a JSON object of strings")
		return nil
	}
	return meta
}

// writeBridge answers request m with res, or with err.
func writeBridge(w http.ResponseWriter, m, res *protocol.Message, err error) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(headerContentType, "application/octet-stream")
	out := protocol.Header{Seq: m.Seq, MessageType: protocol.TypeResponse, SerializeType: m.SerializeType}
	if err == nil {
		out.SerializeType, out.CompressType = res.SerializeType, res.CompressType
		out.MetaData, out.Flags = res.MetaData, res.Flags&^protocol.FlagsCritical
		setBridge(h, &out)
		_, _ = w.Write(res.Body) // a caller that left is told nothing
		return
	}
	notRun := protocol.OutcomeOf(err) == protocol.NotSent || protocol.OutcomeOf(err) == protocol.Refused
	var e *protocol.Error
	if errors.As(err, &e) && e != nil {
		out.StatusCode, out.Error, out.MetaData = e.Code, e.Message, e.MetaData
		if e.Elsewhere {
			out.Flags |= protocol.FlagElsewhere
		}
	}
	if notRun {
		out.Flags |= protocol.FlagNotRun
	}
	if protocol.IsDraining(err) {
		out.Flags |= protocol.FlagDraining
	}
	writeErrorHeader(h, err)
	setBridge(h, &out)
	w.WriteHeader(StatusOf(err))
}

func setBridge(h http.Header, out *protocol.Header) {
	set := func(name, value string) { h[name] = []string{value} }
	set(bridgeSeq, strconv.FormatUint(out.Seq, 10))
	set(bridgeType, strconv.Itoa(int(out.MessageType)))
	set(bridgeCompress, strconv.Itoa(int(out.CompressType)))
	set(bridgeSerialize, strconv.Itoa(int(out.SerializeType)))
	set(bridgeStatus, strconv.Itoa(int(out.StatusCode)))
	set(bridgeFlags, strconv.FormatUint(uint64(out.Flags), 10))
	if out.Error != "" {
		set(bridgeError, percentEncode(out.Error))
	}
	if meta := bridgeMetaJSON(out.MetaData); meta != "" {
		set(bridgeMeta, meta)
	}
}

// bridgeMetaJSON is the metadata of a reply as JSON in ASCII, without keys of the
// framework; empty where nothing is left.
func bridgeMetaJSON(meta map[string]string) string {
	left := make(map[string]string, len(meta))
	for k, v := range meta {
		if !strings.HasPrefix(k, protocol.MetaReserved) {
			left[k] = v
		}
	}
	if len(left) == 0 {
		return ""
	}
	encoded, err := json.Marshal(left)
	if err != nil { // strings always encode
		return ""
	}
	var ascii strings.Builder
	for _, r := range string(encoded) {
		switch {
		case r < 0x7f:
			ascii.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&ascii, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&ascii, `\u%04x\u%04x`, high, low)
		}
	}
	return ascii.String()
}

// percentEncode keeps printable ASCII but '%', as gRPC's grpc-message does.
func percentEncode(s string) string {
	const hexDigits = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			out.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}
