package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
)

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	Field   string `json:"field"`   // as the caller writes it, such as "items.0.count"
	Message string `json:"message"` // such as "must be a number"
}

// errorBody is a failure in JSON, as Connect has it; fields is ours.
type errorBody struct {
	Code    string       `json:"code"`
	Message string       `json:"message,omitempty"`
	Fields  []FieldError `json:"fields,omitempty"`
}

// FieldErrors is implemented by errors that know which fields are at fault:
// WriteError tells the caller.
type FieldErrors interface {
	error
	FieldErrors() []FieldError
}

// WriteError answers with err, which is not nil, as JSON: {"code", "message"},
// with the status of its code, its metadata as headers, Retry-After where it says
// when to come back, and its outcome in Sinew-Outcome. It is also for handlers
// of routes: an error that is no *protocol.Error is Unknown.
func WriteError(w http.ResponseWriter, err error) {
	writeErrorHeader(w.Header(), err)
	body := errorBody{Code: CodeName(protocol.CodeOf(err)), Message: messageOf(err)}
	var fields FieldErrors
	if errors.As(err, &fields) {
		body.Fields = fields.FieldErrors()
	}
	encoded, encodeErr := json.Marshal(body)
	if encodeErr != nil { // strings always encode
		encoded = []byte(`{"code":"internal"}`)
	}
	w.Header().Set(headerContentType, contentJSON)
	w.WriteHeader(StatusOf(err))
	_, _ = w.Write(encoded) // a caller that left is told nothing
}

// messageOf is err's text without the code, which is told beside it.
func messageOf(err error) string {
	var e *protocol.Error
	if errors.As(err, &e) && e != nil {
		return e.Message
	}
	return err.Error()
}

// publicError is in the chain of an error whose text is not for callers from
// outside: a client.Explanation is one.
type publicError interface {
	error
	Public() string
}

// outward is what the caller is told of the backend's error.
func (g *Gateway) outward(m *protocol.Message, err error) error {
	if err == nil || g.option.ErrorDetails {
		return err
	}
	var public publicError
	var e *protocol.Error
	if !errors.As(err, &public) || !errors.As(err, &e) || e == nil {
		return err
	}
	log.V(2).Infof("sinew: gateway: request %s: %.128q.%.128q: %v", m.MetaData[protocol.MetaRequestID], m.ServiceName, m.MethodName, err)
	told := e.WithCause(err)
	told.Message = public.Public()
	return told
}

// writeErrorHeader is what each form's errors have in common.
func writeErrorHeader(h http.Header, err error) {
	h.Del("Content-Encoding") // of the answer that it takes the place of
	h.Del("Content-Length")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(headerOutcome, protocol.OutcomeOf(err).String())
	var e *protocol.Error
	if !errors.As(err, &e) || e == nil {
		return
	}
	// Metadata that is no header's is left out of what is an error already.
	_ = WriteMeta(h, e.MetaData)
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if e.Code == protocol.Unauthenticated && h.Get("Www-Authenticate") == "" {
		h.Set("Www-Authenticate", "Bearer")
	}
}
