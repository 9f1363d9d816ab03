//go:build unix

package main

// knownLimit is why a call is known to fail, with where that is written; "" if it should not.
func knownLimit(c encounter) string {
	switch {
	case c.What == "restart" && c.Peer == "aiortc":
		return "aiortc has no ICE restart: aiortc/aiortc#211"
	case c.What == "restart" && c.Peer == "libdatachannel":
		return "libdatachannel has no ICE restart: paullouisageneau/libdatachannel#545"
	case c.What == "restart" && c.Peer == "werift" && c.Offers:
		return "werift, which restarts since shinyoshiaki/werift-webrtc#430, changes its ICE role with who offers, Pion keeps its own: by their tie-breakers " +
			"(RFC 8445 §7.3.1.1) it finds a new path or does not"
	case c.What == "restart" && c.Peer == "gstreamer" && c.Offers:
		return "webrtcbin finds no new path if it made the first offer; its ICE restart is a basic one: gst-plugins-bad!1877"
	}
	return ""
}

// eitherWay tells if chance decides whether the limit shows.
func eitherWay(c encounter) bool { return c.What == "restart" && c.Peer == "werift" && c.Offers }
