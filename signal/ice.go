package signal

import (
	"errors"
	"fmt"
	"strings"
)

// ICEServer is RTCIceServer (W3C WebRTC section 4.2.2) as a server sends it to its clients.
type ICEServer struct {
	// URLs are of the schemes stun, stuns, turn and turns (RFC 7064, RFC 7065).
	URLs []string `json:"urls"`
	// Username and Credential are for turn and turns.
	Username   string `json:"username,omitempty"`
	Credential string `json:"credential,omitempty"`
}

const (
	// MaxICEServers, MaxICEURLs and MaxICEText bound a list of servers, the URLs of a server, and
	// the bytes of each string.
	MaxICEServers = 16
	MaxICEURLs    = 8
	MaxICEText    = 512
)

// Check returns why a peer could not use s.
func (s ICEServer) Check() error {
	if len(s.URLs) == 0 || len(s.URLs) > MaxICEURLs {
		return fmt.Errorf("an ICE server needs 1 to %d URLs", MaxICEURLs)
	}
	for _, url := range s.URLs {
		scheme, rest, _ := strings.Cut(url, ":")
		switch strings.ToLower(scheme) {
		case "stun", "stuns", "turn", "turns":
		default:
			return fmt.Errorf("the ICE server %q needs a URL of the scheme stun, stuns, turn or turns", Printable(url))
		}
		if rest == "" || !iceText(url) || strings.ContainsAny(url, " \"<>\\@") {
			return fmt.Errorf("the ICE server %q is no URL like turn:host:3478?transport=udp", Printable(url))
		}
	}
	if !iceText(s.Username) || !iceText(s.Credential) {
		return errors.New("the ICE server's user name or credential is too long or cannot be shown")
	}
	return nil
}

func iceText(text string) bool {
	return len(text) <= MaxICEText && !strings.ContainsFunc(text, unprintable)
}
