package redis

import (
	_ "embed"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed gcra.lua
var gcraSource string

// gcra is sent once to each server, and named by its hash from then on.
var gcra = goredis.NewScript(gcraSource)
