package peer

import (
	"slices"
	"testing"

	"parley/peer/datachannel"
)

func TestTextChannels(t *testing.T) {
	own, theirs := &datachannel.Channel{}, &datachannel.Channel{}
	ownOpens := func(t *textChannels) { t.opened(own, textChannel{}) }
	theirsOpens := func(t *textChannels) { t.opened(theirs, textChannel{byPeer: true}) }
	for name, c := range map[string]struct {
		do    func(*textChannels)
		where *datachannel.Channel
	}{
		"nothing is open":                {func(*textChannels) {}, nil},
		"ours opened a moment ago":       {ownOpens, nil},
		"ours opened, the grace is over": {func(t *textChannels) { ownOpens(t); t.certain = true }, own},
		"ours is negotiated":             {func(t *textChannels) { t.opened(own, textChannel{negotiated: true}) }, own},
		"the peer sent on ours":          {func(t *textChannels) { ownOpens(t); t.received(own) }, own},
		"both opened":                    {func(t *textChannels) { ownOpens(t); theirsOpens(t) }, theirs},
		"the peer's opened late":         {func(t *textChannels) { ownOpens(t); t.certain = true; theirsOpens(t) }, theirs},
		"only the peer's":                {theirsOpens, theirs},
		"the peer's closed, it listens on ours": {func(t *textChannels) {
			ownOpens(t)
			t.received(own)
			theirsOpens(t)
			t.closed(theirs)
		}, own},
	} {
		t.Run(name, func(t *testing.T) {
			var text textChannels
			text.add("one")
			text.add("two")
			c.do(&text)
			ch, lines := text.due()
			if ch != c.where {
				t.Fatalf("sends on %p, want %p", ch, c.where)
			}
			if ch != nil && !slices.Equal(lines, []string{"one", "two"}) {
				t.Errorf("sends %q", lines)
			}
		})
	}
}
