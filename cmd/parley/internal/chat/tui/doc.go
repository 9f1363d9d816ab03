// Package tui draws the terminal screen of "parley chat" and handles its keys. It
// has no calls and no network.
//
//	keys, lines ──► Event ──► State.Update ──► Action ──► the owner, who calls,
//	calls, texts ──►             │                        answers, says, hangs up
//	                             ▼
//	                        State.View ──► Frame ──► Screen (Bubble Tea)
//
// Update decides everything and does nothing: it has no clock, no terminal and
// no goroutine, so what a person sees and causes is tested as a table. Without a
// screen the same State takes whole lines (Entered), and what it has to say
// comes as Print actions.
//
// Texts and names come from strangers. They are kept as they came, because a
// name is also an address, and each goes through Options.Clean on its way to
// the screen. What is kept is bounded: lines and bytes of each conversation, the
// number of conversations, of questions, and of lines to recall.
package tui
