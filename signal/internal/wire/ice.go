package wire

import (
	"iter"

	"parley/signal"
)

// parseICEServers returns the valid servers in a JSON value: an array of objects whose urls is a
// string or an array of strings.
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
		rest := skipSpace(value)
		if len(rest) == 0 || rest[0] != '[' {
			return
		}
		for rest = rest[1:]; ; {
			if rest = skipSeparator(rest, ','); len(rest) == 0 || rest[0] == ']' {
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

// appendICEServerList appends the member iceServers with the valid ones of servers.
func appendICEServerList(dst []byte, servers []signal.ICEServer) []byte {
	dst = append(dst, `,"iceServers":[`...)
	n := 0
	for _, s := range servers {
		if n == signal.MaxICEServers || s.Check() != nil {
			continue
		}
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		dst = appendICEServer(dst, s)
	}
	return append(dst, ']')
}

func appendICEServer(dst []byte, s signal.ICEServer) []byte {
	dst = append(dst, `{"urls":[`...)
	for i, url := range s.URLs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, url)
	}
	dst = append(dst, ']')
	if s.Username != "" || s.Credential != "" {
		dst = appendString(append(dst, `,"username":`...), s.Username)
		dst = appendString(append(dst, `,"credential":`...), s.Credential)
	}
	return append(dst, '}')
}
