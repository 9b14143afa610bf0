package registry

// Presence is implemented by registries that can lose an entry which was
// registered (an outage, a wipe, a foreign hand) and that bring it back by
// themselves. A nil error from Register then says that the entry was there
// once; Registered says whether it is there now.
type Presence interface {
	// Registered reports whether p, which this process registered, was in the
	// registry when it was last looked for; if not, err says why, nil before
	// the first attempt has ended and for what was never registered. It does
	// not wait.
	Registered(p Provider) (ok bool, err error)
}
