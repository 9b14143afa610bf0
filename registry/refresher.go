package registry

// Refresher is implemented by registries that may be asked to look for changes
// before their time, by a client that could not reach a provider, say.
type Refresher interface {
	// Refresh asks for a new list soon, where it has changed. It does not wait,
	// and may be called as often as one likes: how often the registry really is
	// asked is bounded.
	Refresh()
}
