package jsonrpc

import (
	"encoding/json"
	"strconv"

	"github.com/sinew-rpc/sinew/protocol"
)

// response is a response object; either result or fault is set.
type response struct {
	id     json.RawMessage
	result json.RawMessage
	fault  *Error
}

// malformed says that what came back is no response to what was sent.
func malformed(why string) error {
	return protocol.NewError(protocol.Internal, "the server's response is no JSON-RPC 2.0: "+why).WithOutcome(protocol.MaybeRun)
}

// parseResponses returns what a server answered: one response, or, to a batch,
// many.
func parseResponses(body []byte, batch bool) ([]response, error) {
	if fault := check(body, protocol.MaxDepth); fault != nil {
		return nil, malformed(fault.Error())
	}
	value := trim(body)
	if kind(value) != '[' {
		r, err := parseResponse(value)
		if err != nil {
			return nil, err
		}
		if batch && r.fault == nil {
			return nil, malformed("one response to a batch")
		}
		return []response{r}, nil
	}
	if !batch {
		return nil, malformed("an array in answer to one request")
	}
	var responses []response
	for v := range elements(value) {
		r, err := parseResponse(v)
		if err != nil {
			return nil, err
		}
		responses = append(responses, r)
	}
	return responses, nil
}

// parseResponse takes a value apart. Members that are not the specification's are
// passed over: what a server adds harms nobody.
func parseResponse(value json.RawMessage) (response, error) {
	if kind(value) != '{' {
		return response{}, malformed("a response that is no object")
	}
	var r response
	var isVersion bool
	var fault json.RawMessage
	for name, v := range members(value) {
		switch name {
		case "jsonrpc":
			isVersion = kind(v) == '"' && decodeString(v) == version
		case "id":
			r.id = v
		case "result":
			r.result = v
		case "error":
			fault = v
		}
	}
	if fault != nil && r.result != nil { // some servers send both: dubbo-go's an empty result
		if string(fault) == "null" {
			fault = nil
		} else {
			r.result = nil
		}
	}
	switch {
	case !isVersion:
		return r, malformed(`its member jsonrpc is not "2.0"`)
	case (fault == nil) == (r.result == nil):
		return r, malformed("it needs either a result or an error")
	case fault != nil:
		var err error
		r.fault, err = parseError(fault)
		return r, err
	}
	return r, nil
}

// parseError returns an error object.
func parseError(value json.RawMessage) (*Error, error) {
	if kind(value) != '{' {
		return nil, malformed("its error is no object")
	}
	e := new(Error)
	for name, v := range members(value) {
		switch name {
		case "code":
			code, err := strconv.Atoi(string(v))
			if err != nil {
				return nil, malformed("the code of its error is no integer")
			}
			e.Code = code
		case "message":
			if kind(v) != '"' {
				return nil, malformed("the message of its error is no string")
			}
			e.Message = decodeString(v)
		case "data":
			e.Data = v
		}
	}
	return e, nil
}

// settle gives every call its response, and makes it nil in wanted. A response with
// the id null says something of the request as a whole.
func settle(wanted map[int32]*BatchCall, responses []response) error {
	for _, call := range wanted {
		call.Err = malformed("it holds no response with the call's id")
	}
	for _, r := range responses {
		if r.fault != nil && (r.id == nil || string(r.id) == "null") {
			return toProtocol(r.fault)
		}
		id, err := strconv.ParseInt(string(r.id), 10, 32)
		call := wanted[int32(id)]
		if err != nil || call == nil {
			return malformed("it has the id " + strconv.Quote(cut(string(r.id))) + ", which nobody waits for")
		}
		wanted[int32(id)] = nil // the id stays, to be released
		call.Err = r.into(call.Result)
	}
	return nil
}

// into decodes the result.
func (r *response) into(result any) error {
	if r.fault != nil {
		return toProtocol(r.fault)
	}
	if result == nil {
		return nil
	}
	if err := protocol.Unmarshal(protocol.SerializeTypeJSON, r.result, result, 0); err != nil {
		return protocol.Errorf(protocol.Internal, "the result: %w", err).WithOutcome(protocol.Ran)
	}
	return nil
}

// refusal returns the error that was answered to notifications, which get none
// unless the request as a whole was refused.
func refusal(answer []byte) error {
	if len(trim(answer)) == 0 {
		return nil
	}
	responses, err := parseResponses(answer, true)
	if err != nil {
		return nil // such servers answer what was not asked; the request arrived
	}
	for _, r := range responses {
		if r.fault != nil {
			return toProtocol(r.fault)
		}
	}
	return nil
}

// cut returns what an error message shows of a foreign text.
func cut(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
