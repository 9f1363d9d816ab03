package tui

// Event is something that happened: to a call, or at the keyboard.
type Event interface{ event() }

// What happens at the keyboard.
type (
	// Entered is a whole line, where there is no screen.
	Entered struct{ Line string }
	// Key is a key that was pressed: its name, as Bubble Tea has it, and its
	// text, if it is a character.
	Key struct{ Name, Text string }
	// Pasted is text that was pasted.
	Pasted struct{ Text string }
	// Resized has the size of the screen in cells.
	Resized struct{ Columns, Rows int }
	// InputEnded is the end of the lines.
	InputEnded struct{}
	// Listed answers ListFiles: the paths that begin with Prefix.
	Listed struct {
		Prefix string
		Paths  []string
	}
)

// What happens in calls.
type (
	// Moved has the new state of a call.
	Moved struct {
		Peer string
		To   Phase
	}
	// Said is a line of a conversation.
	Said struct {
		Peer, Text string
		Mine       bool
	}
	// Refused is a line of ours that will not be sent. Noted has the reason, unless the
	// call is over: then the lines that waited for it are reported together.
	Refused struct {
		Peer, Text string
		CallOver   bool
	}
	// Served reports whether the signaling server is there. Calls that are up go on
	// without it.
	Served struct{ Lost bool }
	// Noted is a sentence of ours, printable, about a call or, with no Peer,
	// about all. Without a screen it has been printed already.
	Noted struct {
		Peer, Text string
		Alert      bool // something went wrong
	}
	// Progress is what goes on right now, printable; "" for nothing.
	Progress struct{ Text string }
	// Asked is a question, printable, that Answer answers.
	Asked struct {
		ID         int
		Peer, Text string
	}
	// Settled is a question that needs no answer any more.
	Settled struct{ ID int }
	// Coded has the verification code of a call.
	Coded struct {
		Peer, Code string
	}
)

func (Entered) event()    {}
func (Key) event()        {}
func (Pasted) event()     {}
func (Resized) event()    {}
func (InputEnded) event() {}
func (Listed) event()     {}
func (Moved) event()      {}
func (Said) event()       {}
func (Refused) event()    {}
func (Served) event()     {}
func (Noted) event()      {}
func (Progress) event()   {}
func (Asked) event()      {}
func (Settled) event()    {}
func (Coded) event()      {}

// Phase is the state of the call with somebody.
type Phase int

// The phases.
const (
	Apart        Phase = iota // no call
	Calling                   // not connected yet
	Connected                 // up
	Disconnected              // nothing comes, it may come back
)

// Action is what a person wants done.
type Action interface{ action() }

type (
	// Call begins a call.
	Call struct{ Peer string }
	// Hangup ends one.
	Hangup struct{ Peer string }
	// Say sends a line.
	Say struct{ Peer, Text string }
	// Send offers files in the call.
	Send struct {
		Peer  string
		Paths []string
	}
	// Mute makes what is sent of Kind, or all if it is "", silent or not.
	Mute struct {
		Peer, Kind string
		Muted      bool
	}
	// Stats asks for the statistics of a call.
	Stats struct{ Peer string }
	// Answer answers a question.
	Answer struct {
		ID  int
		Yes bool
	}
	// ListFiles wants Listed.
	ListFiles struct{ Prefix string }
	// Print prints a line where there is no screen; the screen has it already.
	Print struct {
		Text  string
		Alert bool
	}
	// Quit ends the chat. It comes once.
	Quit struct {
		Interrupted bool // by Ctrl-C
		InputOver   bool // the input has ended, and all of it is sent
	}
)

func (Call) action()      {}
func (Hangup) action()    {}
func (Say) action()       {}
func (Send) action()      {}
func (Mute) action()      {}
func (Stats) action()     {}
func (Answer) action()    {}
func (ListFiles) action() {}
func (Print) action()     {}
func (Quit) action()      {}
