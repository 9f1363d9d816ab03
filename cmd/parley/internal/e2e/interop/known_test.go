//go:build unix

package interop

// knownLimit is why a call is known to fail, with where that is written; "" if it should not.
func knownLimit(c encounter) string {
	switch {
	case c.What == "restart" && c.Peer == "aiortc":
		return "aiortc has no ICE restart: aiortc/aiortc#211, closed for its age"
	case c.What == "restart" && c.Peer == "libdatachannel":
		return "libdatachannel has no ICE restart: paullouisageneau/libdatachannel#545"
	case c.What == "restart" && c.Peer == "werift" && c.Offers:
		return "werift, which restarts since shinyoshiaki/werift-webrtc#430, sets its ICE role by who made the last offer, against RFC 8445 §9; " +
			"Pion keeps its own, and does not follow the error that requests a change (§7.2.5.1): whether a path is found depends on the tie-breakers"
	case c.What == "restart" && c.Peer == "gstreamer" && c.Offers:
		return "webrtcbin sets its ICE role by who made the last offer, against RFC 8445 §9, and finds no new path if it made the first offer; " +
			"its restart works for the peer that begins it: gstreamer/gst-plugins-bad!1877"
	}
	return ""
}

// eitherWay reports whether chance decides whether the limit shows.
func eitherWay(c encounter) bool { return c.What == "restart" && c.Peer == "werift" && c.Offers }
