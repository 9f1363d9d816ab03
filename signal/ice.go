package signal

import (
	"errors"
	"fmt"
	"strings"
)

// ICEServer is RTCIceServer (W3C WebRTC, 4.2.2) as the server hands it out.
type ICEServer struct {
	// URLs are of the schemes stun, stuns, turn and turns (RFC 7064, RFC 7065).
	URLs []string `json:"urls"`
	// Username and Credential are for turn and turns.
	Username   string `json:"username,omitempty"`
	Credential string `json:"credential,omitempty"`
}

const (
	// maxICEServers, maxICEURLs and maxICEText bound what is handed out and taken.
	maxICEServers = 16
	maxICEURLs    = 8
	maxICEText    = 512
)

// Check tells why a peer could not use s, or nil.
func (s ICEServer) Check() error {
	if len(s.URLs) == 0 || len(s.URLs) > maxICEURLs {
		return fmt.Errorf("an ICE server needs 1 to %d URLs", maxICEURLs)
	}
	for _, url := range s.URLs {
		scheme, rest, _ := strings.Cut(url, ":")
		switch strings.ToLower(scheme) {
		case "stun", "stuns", "turn", "turns":
		default:
			return fmt.Errorf("the ICE server %q needs a URL of the scheme stun, stuns, turn or turns", printable(url))
		}
		if rest == "" || !iceText(url) || strings.ContainsAny(url, " \"<>\\@") {
			return fmt.Errorf("the ICE server %q is no URL like turn:host:3478?transport=udp", printable(url))
		}
	}
	if !iceText(s.Username) || !iceText(s.Credential) {
		return errors.New("the ICE server's user name or credential is too long or cannot be shown")
	}
	return nil
}

func iceText(text string) bool {
	return len(text) <= maxICEText && !strings.ContainsFunc(text, unprintable)
}

// appendICEServers appends the member of a login reply that carries servers: those that are fit for it.
func appendICEServers(dst []byte, servers []ICEServer) []byte {
	dst = append(dst, `,"iceServers":[`...)
	n := 0
	for _, s := range servers {
		if n == maxICEServers || s.Check() != nil {
			continue
		}
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		dst = appendICEServer(dst, s)
	}
	return append(dst, ']')
}

func appendICEServer(dst []byte, s ICEServer) []byte {
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

// iceServersOf returns the usable servers in a JSON value: an array of objects whose urls is a string or an array of strings.
func iceServersOf(value []byte) []ICEServer {
	var servers []ICEServer
	for element := range elements(value) {
		o, ok := openObject(element)
		if !ok {
			continue
		}
		if s := iceServerOf(o); s.Check() == nil {
			servers = append(servers, s)
		}
		if len(servers) == maxICEServers {
			break
		}
	}
	return servers
}

func iceServerOf(o object) ICEServer {
	members := lastOf(o, "urls", "username", "credential")
	var s ICEServer
	if url, ok := unquote(members["urls"]); ok {
		s.URLs = []string{url}
	}
	for element := range elements(members["urls"]) {
		url, _ := unquote(element)
		s.URLs = append(s.URLs, url)
		if len(s.URLs) > maxICEURLs {
			break
		}
	}
	s.Username, _ = unquote(members["username"])
	s.Credential, _ = unquote(members["credential"])
	return s
}
