//go:build unix

package main

// knownLimit is why a call is known to fail, with where that is written; "" if it should not.
func knownLimit(c encounter) string {
	switch {
	case c.What == "restart" && c.Peer == "aiortc":
		return "aiortc has no ICE restart: aiortc/aiortc#211, closed for its age"
	case c.What == "restart" && c.Peer == "libdatachannel":
		return "libdatachannel has no ICE restart: paullouisageneau/libdatachannel#545"
	case c.What == "restart" && c.Peer == "werift" && c.Offers:
		return "werift, which restarts since shinyoshiaki/werift-webrtc#430, changes its ICE role with who offers, against RFC 8445 §9; " +
			"Pion keeps its own, and heeds no error that tells it to change (§7.2.5.1): by their tie-breakers they find a new path or do not"
	case c.What == "restart" && c.Peer == "gstreamer" && c.Offers:
		return "webrtcbin changes its ICE role with who offers, against RFC 8445 §9, and finds no new path if it made the first offer; " +
			"its restart is made for who begins it: gstreamer/gst-plugins-bad!1877"
	}
	return ""
}

// eitherWay tells if chance decides whether the limit shows.
func eitherWay(c encounter) bool { return c.What == "restart" && c.Peer == "werift" && c.Offers }
