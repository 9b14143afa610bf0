package middleware

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"net/http"

	"github.com/rs/cors"

	"github.com/sinew-rpc/sinew/gateway"
)

// CORSOption opens a gateway to pages of other origins. Without CORS it is
// closed: browsers keep such pages away.
type CORSOption struct {
	// Origins may call, such as "https://app.example.org"; one star in a name
	// stands for any part of it, and "*" alone for every origin. At least one.
	Origins []string
	// Methods that they may use. The default is GET, HEAD and POST.
	Methods []string
	// Headers that they may send. The default is what calls need: Content-Type,
	// Authorization, the Connect protocol's, Timeout and X-Request-Id.
	Headers []string
	// Expose names headers of responses that they may read, besides
	// Sinew-Outcome, Retry-After and X-Request-Id.
	Expose []string
	// Credentials lets them send cookies and TLS certificates. A star is then the
	// port, "http://localhost:*", or a whole label before a domain of two at least,
	// "https://*.example.org": hosts of "*", "https://*example.org" or "https://*.com"
	// may be anybody's. That nobody else has names below the domain, as below co.uk,
	// is for the user to know.
	Credentials bool
	// MaxAge is how long browsers may remember this. The default is 5 s, that of
	// browsers.
	MaxAge time.Duration
}

// CORS answers browsers that ask what another origin may do, on
// github.com/rs/cors. Put it outermost. The error names the field that cannot be
// used.
func CORS(o CORSOption) (gateway.Middleware, error) {
	if len(o.Origins) == 0 {
		return nil, errors.New("middleware: CORSOption.Origins is empty: name the origins that may call, or leave CORS out")
	}
	for i, origin := range o.Origins {
		if origin != "*" && !strings.Contains(origin, "://") || strings.HasSuffix(origin, "/") {
			return nil, fmt.Errorf("middleware: CORSOption.Origins[%d] is %q: an origin is scheme://host, without a path", i, origin)
		}
	}
	if o.Credentials && slices.ContainsFunc(o.Origins, isAnywhere) {
		return nil, errors.New(`middleware: CORSOption.Credentials: not for an origin that may be anybody's, such as "*", "https://*example.org" or "https://*.com": any page could act for whoever reads it`)
	}
	if o.MaxAge < 0 {
		return nil, errors.New("middleware: CORSOption.MaxAge is negative")
	}
	c := cors.New(cors.Options{
		AllowedOrigins:   o.Origins,
		AllowedMethods:   orDefault(o.Methods, http.MethodGet, http.MethodHead, http.MethodPost),
		AllowedHeaders:   orDefault(o.Headers, "Content-Type", "Authorization", "Connect-Protocol-Version", "Connect-Timeout-Ms", "Timeout", "X-Request-Id"),
		ExposedHeaders:   append([]string{"Sinew-Outcome", "Retry-After", "X-Request-Id"}, o.Expose...),
		AllowCredentials: o.Credentials,
		MaxAge:           int(o.MaxAge / time.Second),
	})
	return c.Handler, nil
}

// isAnywhere tells an origin that stands for hosts of anybody's choice: its star,
// which any text matches, is neither the port nor all that stands before a domain.
func isAnywhere(origin string) bool {
	before, after, starred := strings.Cut(origin, "*")
	if !starred || isBeforePort(before) {
		return false
	}
	host, _, _ := strings.Cut(after, ":")
	domain, isBelow := strings.CutPrefix(host, ".")
	_, parent, _ := strings.Cut(domain, ".")
	return !strings.HasSuffix(before, "://") || !isBelow || parent == ""
}

// isBeforePort tells what ends in the colon before a port, which is none of those
// within an IPv6 address.
func isBeforePort(s string) bool {
	return strings.HasSuffix(s, "]:") || strings.HasSuffix(s, ":") && !strings.Contains(s, "[")
}

func orDefault(given []string, byDefault ...string) []string {
	if given == nil {
		return byDefault
	}
	return slices.Clone(given)
}
