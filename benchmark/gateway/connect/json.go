package main

import (
	"encoding/json"

	"connectrpc.com/connect"
)

// plainJSON is connect's codec "json" for plain structs.
type plainJSON struct{}

var _ connect.Codec = plainJSON{}

// Name implements connect.Codec.
func (plainJSON) Name() string { return "json" }

// Marshal implements connect.Codec.
func (plainJSON) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal implements connect.Codec.
func (plainJSON) Unmarshal(b []byte, v any) error { return json.Unmarshal(b, v) }
