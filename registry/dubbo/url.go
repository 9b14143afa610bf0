package dubbo

import (
	"errors"
	"net/url"
	"strings"
)

// dubboURL is one of Dubbo's URLs, its parts decoded.
type dubboURL struct {
	protocol string
	host     string // with a port, as a rule
	path     string // without the slash before it
	params   map[string]string
}

var errNoURL = errors.New("it is not of the form protocol://host:port/path?parameters")

// parseNode takes the name of a node apart.
func parseNode(name string) (dubboURL, error) {
	text, err := url.QueryUnescape(name)
	if err != nil {
		return dubboURL{}, err
	}
	protocol, rest, found := strings.Cut(text, "://")
	if !found || protocol == "" {
		return dubboURL{}, errNoURL
	}
	u := dubboURL{protocol: protocol, params: make(map[string]string)}
	rest, query, _ := strings.Cut(rest, "?")
	u.host, u.path, _ = strings.Cut(rest, "/")
	if i := strings.LastIndexByte(u.host, '@'); i >= 0 {
		u.host = u.host[i+1:] // behind user and password
	}
	for pair := range strings.SplitSeq(query, "&") {
		if k, v, _ := strings.Cut(pair, "="); k != "" {
			u.params[decoded(k)] = decoded(v)
		}
	}
	return u, nil
}

// decoded returns what a part of a query says. Dubbo for Java and dubbo-go write
// values as they are, so what is no escape is none.
func decoded(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

// node returns the name of u's node.
func (u *dubboURL) node() string {
	query := make(url.Values, len(u.params))
	for k, v := range u.params {
		if v != "" {
			query.Set(k, v)
		}
	}
	text := u.protocol + "://" + u.host + "/" + u.path + "?" + readable.Replace(query.Encode())
	return url.QueryEscape(text)
}

// readable takes escapes away that a query does not need: Dubbo for Java does not
// decode values once more.
var readable = strings.NewReplacer("%2C", ",", "%3A", ":", "%2F", "/", "%2A", "*", "%24", "$")
