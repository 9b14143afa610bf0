package main

import (
	"fmt"
	"time"

	"github.com/sinew-rpc/sinew/internal/registryurl"
	"github.com/sinew-rpc/sinew/registry/libkv"
)

const (
	// defaultRegistry is a file of the user's, so that two terminals find each
	// other without a word.
	defaultRegistry = "bolt"
	servicePath     = "/sinew/demo"
	// registryPoll and registryTTL are short, so that one sees what happens.
	registryPoll = time.Second
	registryTTL  = 5 * time.Second
)

// openRegistry opens what -registry says.
func openRegistry(word, app string) (*libkv.KVRegistry, error) {
	location, err := parseRegistry(word)
	if err != nil {
		return nil, err
	}
	r, err := location.Open(app, servicePath, registryPoll)
	if err != nil {
		return nil, fmt.Errorf("-registry %s: %w", word, err)
	}
	return r, nil
}

func parseRegistry(word string) (registryurl.Location, error) {
	location, err := registryurl.Parse(word)
	if err != nil {
		return location, fmt.Errorf("-registry: %w", err)
	}
	return location, nil
}
