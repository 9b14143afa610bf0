// Package jwt lets wrapper.Auth accept JSON Web Tokens (RFC 7519), on
// github.com/golang-jwt/jwt/v5.
//
//	keys, err := jwt.NewKeySet(jwt.Key{ID: "2026-11", Algorithm: "RS256", Material: publicKey})
//	verifier, err := jwt.NewVerifier(jwt.Option{Algorithms: []string{"RS256"}, Keys: keys, Issuer: "https://id.example"})
//	auth := &wrapper.Auth{Verifier: verifier}
//
// The algorithms are fixed when the Verifier is made, and each key is for one of
// them: what a token's header says chooses among keys, and decides nothing else.
// So a token that names "none", or that is signed by HS256 with an RSA key's
// public half, is refused (RFC 8725, 3.1).
//
// Keys are replaced while the server runs: put the new one into the KeySet, have
// tokens signed with it, remove the old one when its last token has expired.
// Tokens that were accepted before count no more from that moment.
// wrapper/jwt/kvkey keeps a KeySet as a key-value store has it.
package jwt
