package jwt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"

	gojwt "github.com/golang-jwt/jwt/v5"
)

// Key verifies tokens. It prints without its material.
type Key struct {
	// ID is the "kid" of the tokens that it verifies; empty for those that name
	// none.
	ID string
	// Algorithm is the one that it is used with, as in RFC 7518 and RFC 8037:
	// HS256, RS256, PS256, ES256, those of 384 and 512 bits, or EdDSA.
	Algorithm string
	// Material is a []byte for HS, as long as the algorithm's hash at least; an
	// *rsa.PublicKey of 2048 bits at least for RS and PS; an *ecdsa.PublicKey on
	// the algorithm's curve for ES; an ed25519.PublicKey for EdDSA. It must not
	// be changed afterwards.
	Material any
}

// String names the key without its material.
func (k Key) String() string { return fmt.Sprintf("%.16s key %.64q", k.Algorithm, k.ID) }

// GoString is String.
func (k Key) GoString() string { return k.String() }

const minRSABits = 2048 // RFC 7518, 3.3

// check says why k cannot be used.
func (k Key) check() error {
	var err error
	switch method := gojwt.GetSigningMethod(k.Algorithm).(type) {
	case *gojwt.SigningMethodHMAC:
		err = checkSecret(method, k.Material)
	case *gojwt.SigningMethodRSA:
		err = checkRSA(k.Material)
	case *gojwt.SigningMethodRSAPSS:
		err = checkRSA(k.Material)
	case *gojwt.SigningMethodECDSA:
		err = checkECDSA(method, k.Material)
	case *gojwt.SigningMethodEd25519:
		if material, ok := k.Material.(ed25519.PublicKey); !ok || len(material) != ed25519.PublicKeySize {
			err = fmt.Errorf("the material is a %T: want an ed25519.PublicKey", k.Material)
		}
	default:
		err = errAlgorithm
	}
	if err != nil {
		return fmt.Errorf("jwt: %v: %w", k, err)
	}
	return nil
}

var errAlgorithm = fmt.Errorf("the algorithm is none of HS, RS, PS, ES with 256, 384 or 512, or EdDSA")

// checkSecret wants the length of RFC 7518, 3.2, and no key of another kind.
func checkSecret(method *gojwt.SigningMethodHMAC, material any) error {
	secret, ok := material.([]byte)
	switch {
	case !ok:
		return fmt.Errorf("the material is a %T: want a []byte", material)
	case len(secret) < method.Hash.Size():
		return fmt.Errorf("the secret has %d bytes: at least %d are needed", len(secret), method.Hash.Size())
	case bytes.HasPrefix(bytes.TrimSpace(secret), []byte("-----BEGIN ")):
		return fmt.Errorf("the secret is a PEM block, which others may know: want random bytes")
	}
	return nil
}

func checkRSA(material any) error {
	public, ok := material.(*rsa.PublicKey)
	switch {
	case !ok || public == nil || public.N == nil:
		return fmt.Errorf("the material is a %T: want an *rsa.PublicKey", material)
	case public.N.BitLen() < minRSABits:
		return fmt.Errorf("the key has %d bits: at least %d are needed", public.N.BitLen(), minRSABits)
	}
	return nil
}

func checkECDSA(method *gojwt.SigningMethodECDSA, material any) error {
	public, ok := material.(*ecdsa.PublicKey)
	switch {
	case !ok || public == nil || public.Curve == nil:
		return fmt.Errorf("the material is a %T: want an *ecdsa.PublicKey", material)
	case public.Curve.Params().BitSize != method.CurveBits:
		return fmt.Errorf("the key is on %s: want a curve of %d bits", public.Curve.Params().Name, method.CurveBits)
	}
	return nil
}
