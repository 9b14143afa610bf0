// Package kvkey keeps the keys of wrapper/jwt as a key-value store has them, so
// that every server of an application changes its keys at one place and none is
// restarted.
//
// The value is a JSON Web Key Set (RFC 7517) of public keys, or of secrets for
// HS256 and its kin where the store is as safe as they must be:
//
//	{"keys": [{"kid": "2026-11", "alg": "ES256", "kty": "EC", "crv": "P-256", "x": "…", "y": "…"}]}
//
// To replace a key, write a set with both, sign with the new one, and write a
// set without the old one when its last token has expired. The set is read anew
// every Interval, so all servers know within that time; a watch of the store
// would be sooner at best, and says nothing for certain.
//
// A key that is not understood, is for something else or cannot be used is left out,
// with a warning in the log: the others count as they are written, and those that the
// set does not hold any more do not. A set that cannot be read, none of whose keys can
// be used, or that has two usable ones of one "kid", changes nothing: the last good
// keys count for as long as the store is away, or its value is missing or wrong. To
// refuse all tokens, write {"keys": []}.
//
// The store is one of github.com/docker/libkv; this package links none of its
// drivers.
package kvkey
