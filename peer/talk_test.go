package peer

import (
	"slices"
	"testing"

	"github.com/pion/webrtc/v4"
)

func TestTalk(t *testing.T) {
	own := &Channel{dc: &webrtc.DataChannel{}}
	theirs := &Channel{dc: &webrtc.DataChannel{}, byPeer: true}
	for name, c := range map[string]struct {
		do    func(*talk)
		where *Channel
	}{
		"nothing is open":                          {func(*talk) {}, nil},
		"ours opened a moment ago":                 {func(t *talk) { t.opened(own) }, nil},
		"ours opened and the moment is over":       {func(t *talk) { t.opened(own); t.certain = true }, own},
		"ours opened and they wrote on it":         {func(t *talk) { t.opened(own); t.heard(own) }, own},
		"they opened theirs as well":               {func(t *talk) { t.opened(own); t.opened(theirs) }, theirs},
		"theirs came late":                         {func(t *talk) { t.opened(own); t.certain = true; t.opened(theirs) }, theirs},
		"only theirs":                              {func(t *talk) { t.opened(theirs) }, theirs},
		"theirs closed, ours is known to be heard": {func(t *talk) { t.opened(own); t.heard(own); t.opened(theirs); t.closed(theirs) }, own},
	} {
		t.Run(name, func(t *testing.T) {
			var talk talk
			talk.say("one")
			talk.say("two")
			c.do(&talk)
			ch, lines := talk.due()
			if ch != c.where {
				t.Fatalf("says it on %p, want %p", ch, c.where)
			}
			if ch != nil && !slices.Equal(lines, []string{"one", "two"}) {
				t.Errorf("says %q", lines)
			}
		})
	}
}
