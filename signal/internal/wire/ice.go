package wire

import (
	"bytes"
	"iter"

	"parley/signal"
)

// parseICEServers returns the valid servers in a JSON value: an array of objects whose urls is a string or
// an array of strings.
func parseICEServers(value []byte) []signal.ICEServer {
	var servers []signal.ICEServer
	for element := range elements(value) {
		o, ok := openObject(element)
		if !ok {
			continue
		}
		if s := parseICEServer(o); s.Check() == nil {
			servers = append(servers, s)
		}
		if len(servers) == signal.MaxICEServers {
			break
		}
	}
	return servers
}

func parseICEServer(o object) signal.ICEServer {
	members := lastMembers(o, "urls", "username", "credential")
	var s signal.ICEServer
	if url, ok := unquote(members["urls"]); ok {
		s.URLs = []string{url}
	}
	for element := range elements(members["urls"]) {
		url, _ := unquote(element)
		s.URLs = append(s.URLs, url)
		if len(s.URLs) > signal.MaxICEURLs {
			break
		}
	}
	s.Username, _ = unquote(members["username"])
	s.Credential, _ = unquote(members["credential"])
	return s
}

// elements iterates over the elements of a JSON array. Any other value has none.
func elements(value []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		rest := bytes.TrimLeft(value, " \t\r\n")
		if len(rest) == 0 || rest[0] != '[' {
			return
		}
		for rest = rest[1:]; ; {
			if rest = bytes.TrimLeft(rest, " \t\r\n,"); len(rest) == 0 || rest[0] == ']' {
				return
			}
			n := valueLen(rest)
			if !yield(rest[:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}
