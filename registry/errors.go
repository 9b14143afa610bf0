package registry

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is what a Registry and its watchers return after the
	// Registry's Close. Make a new one to go on.
	ErrClosed = errors.New("registry: closed; make a new one")
	// ErrWatcherClosed is what Next returns after the Watcher's Close. Watch
	// again to go on.
	ErrWatcherClosed = errors.New("registry: watcher closed; call Watch for a new one")
	// ErrSuperseded is why a provider is not listed, or not marked as draining,
	// though the registry answers: an instance that came later has its
	// ProviderKey, and lives. Who was superseded by another process is listed again
	// by itself when that one has gone; who was by another of its own Registry was
	// replaced, and has to Register again. Two that live for good have one address
	// too many: see RegisterOption.Advertise.
	ErrSuperseded = errors.New("registry: superseded by a later instance with the same ProviderKey")
)

// ProviderError says why a Provider cannot be listed. Nothing was written.
type ProviderError struct {
	// ProviderKey is the key as far as it is known.
	ProviderKey string
	// Reason names the field and says what to do.
	Reason string
}

// Error implements error.
func (e *ProviderError) Error() string {
	return fmt.Sprintf("registry: provider %q: %s", e.ProviderKey, e.Reason)
}

// AdvertiseError says why RegisterOption.Advertise cannot be what consumers dial.
type AdvertiseError struct {
	// Advertise is the field.
	Advertise string
	// Reason is what is wrong with it.
	Reason string
}

// Error implements error.
func (e *AdvertiseError) Error() string {
	return fmt.Sprintf("RegisterOption.Advertise %q %s: write host:port, or a host alone to keep the port listened on", e.Advertise, e.Reason)
}

// AppKeyError says that a registration named another application than the one
// that the registry serves. Nothing was written.
type AppKeyError struct {
	// Registry is the application that the registry serves.
	Registry string
	// Option is RegisterOption.AppKey.
	Option string
}

// Error implements error.
func (e *AppKeyError) Error() string {
	return fmt.Sprintf("registry: RegisterOption.AppKey is %q, but the registry serves %q: make them agree or leave the option empty", e.Option, e.Registry)
}
