package whip

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"parley/signal"
)

// relICEServer is the relation of a Link header field that names an ICE server (section 4.6).
const relICEServer = "ice-server"

// ParseICEServers returns the ICE servers that the Link header fields of a message name, one for
// each URL. Links of another relation are ignored. The error says what is wrong with the first
// invalid field (RFC 8288 section 3).
func ParseICEServers(h http.Header) ([]signal.ICEServer, error) {
	total := 0
	var servers []signal.ICEServer
	for _, field := range h.Values("Link") {
		if total += len(field); total > MaxLink {
			return nil, fmt.Errorf("invalid Link: got more than %d bytes", MaxLink)
		}
		links, err := parseLinks(field)
		if err != nil {
			return nil, err
		}
		for _, l := range links {
			if !l.hasRelation(relICEServer) {
				continue
			}
			s := signal.ICEServer{URLs: []string{l.target}, Username: l.params["username"], Credential: l.params["credential"]}
			if kind := l.params["credential-type"]; kind != "" && !strings.EqualFold(kind, "password") {
				return nil, fmt.Errorf("invalid Link: got credential-type %q, want password", signal.Printable(kind))
			}
			if err := s.Check(); err != nil {
				return nil, fmt.Errorf("invalid Link: %w", err)
			}
			if servers = append(servers, s); len(servers) > signal.MaxICEServers {
				return nil, fmt.Errorf("invalid Link: got more than %d ICE servers", signal.MaxICEServers)
			}
		}
	}
	return servers, nil
}

// FormatICEServer returns the values of the Link header fields for an ICE server, one for each URL.
// Some clients split a field at every comma, so its caller sends each in a line of its own, and
// credentials should have no comma.
func FormatICEServer(s signal.ICEServer) []string {
	var links []string
	for _, u := range s.URLs {
		var b strings.Builder
		fmt.Fprintf(&b, "<%s>; rel=%q", u, relICEServer)
		if s.Username != "" {
			b.WriteString("; username=" + quoted(s.Username))
		}
		if s.Credential != "" {
			b.WriteString("; credential=" + quoted(s.Credential) + `; credential-type="password"`)
		}
		links = append(links, b.String())
	}
	return links
}

// quoted returns a text as a quoted-string (RFC 9110 section 5.6.4).
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// A link is one value of a Link header field.
type link struct {
	target string
	params map[string]string // by name in lower case; of a repeated one the first
}

// hasRelation reports whether a relation is among those of the link.
func (l link) hasRelation(name string) bool {
	for rel := range strings.FieldsSeq(l.params["rel"]) {
		if strings.EqualFold(rel, name) {
			return true
		}
	}
	return false
}

// maxLinkParams bounds the parameters of a link.
const maxLinkParams = 32

var errLink = errors.New(`invalid Link: want <URL>; rel="ice-server"; username="…"; credential="…" (RFC 8288 section 3)`)

// parseLinks reads the value of a Link header field.
func parseLinks(s string) ([]link, error) {
	var links []link
	for {
		s = strings.TrimLeft(s, " \t,") // empty elements are legal
		if s == "" {
			return links, nil
		}
		l, rest, err := parseLink(s)
		if err != nil {
			return nil, err
		}
		links = append(links, l)
		s = strings.TrimLeft(rest, " \t")
		if s != "" && s[0] != ',' {
			return nil, errLink
		}
	}
}

// parseLink reads the first link of a value, and returns what follows it.
func parseLink(s string) (link, string, error) {
	l := link{params: map[string]string{}}
	if s[0] != '<' {
		return l, "", errLink
	}
	target, rest, ok := strings.Cut(s[1:], ">")
	if !ok || target == "" || strings.ContainsAny(target, "<\"\\ \t") {
		return l, "", errLink
	}
	l.target = target
	for {
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" || rest[0] != ';' {
			return l, rest, nil
		}
		if rest = strings.TrimLeft(rest[1:], " \t"); rest == "" || rest[0] == ',' || rest[0] == ';' {
			continue // an empty parameter
		}
		n := tokenLength(rest)
		if n == 0 || len(l.params) == maxLinkParams {
			return l, "", errLink
		}
		name, value := strings.ToLower(rest[:n]), ""
		if rest = strings.TrimLeft(rest[n:], " \t"); rest != "" && rest[0] == '=' {
			if value, rest, ok = parseValue(strings.TrimLeft(rest[1:], " \t")); !ok {
				return l, "", errLink
			}
		}
		if _, repeated := l.params[name]; !repeated {
			l.params[name] = value
		}
	}
}

// parseValue reads a token or a quoted-string, and returns what follows it.
func parseValue(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		n := tokenLength(s)
		return s[:n], s[n:], n > 0
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// tokenLength returns the length of the token that a text begins with (RFC 9110 section 5.6.2).
func tokenLength(s string) int {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return i
		}
	}
	return len(s)
}
