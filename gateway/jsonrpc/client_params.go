package jsonrpc

import (
	"encoding/json"
	"errors"

	"github.com/sinew-rpc/sinew/protocol"
)

// encodeParams returns params as JSON, nil for none.
func encodeParams(params any) (json.RawMessage, error) {
	if params == nil {
		return nil, nil
	}
	text, err := protocol.Marshal(protocol.SerializeTypeJSON, nil, params)
	if err != nil {
		return nil, err
	}
	text = trim(text)
	if len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return nil, errors.New("they must be an object or an array: put a single value into a slice")
	}
	return text, nil
}
