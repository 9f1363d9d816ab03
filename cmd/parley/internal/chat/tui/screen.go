package tui

import (
	"io"

	tea "charm.land/bubbletea/v2"
)

// Screen is the terminal while a chat has it.
type Screen struct {
	program *tea.Program
	done    chan struct{} // closed when the terminal is given back
	err     error         // valid then
}

// Open takes the terminal. What is typed is posted, from another goroutine; post
// must not wait for Draw.
func Open(in io.Reader, out io.Writer, post func(Event)) *Screen {
	s := &Screen{done: make(chan struct{})}
	s.program = tea.NewProgram(&drawing{post: post}, tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler())
	go func() {
		defer close(s.done)
		_, s.err = s.program.Run()
	}()
	return s
}

// Draw shows a frame.
func (s *Screen) Draw(f Frame) { s.program.Send(f) }

// Done is closed when the screen is over, by Close or because of an error.
func (s *Screen) Done() <-chan struct{} { return s.done }

// Close gives the terminal back.
func (s *Screen) Close() error {
	s.program.Quit()
	<-s.done
	return s.err
}

// drawing is the model of Bubble Tea: it shows frames and posts what is typed.
type drawing struct {
	post  func(Event)
	frame Frame
}

// Init implements tea.Model.
func (d *drawing) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (d *drawing) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case Frame:
		d.frame = msg
	case tea.WindowSizeMsg:
		d.post(Resized{msg.Width, msg.Height})
	case tea.PasteMsg:
		d.post(Pasted{msg.Content})
	case tea.KeyPressMsg:
		if msg.String() == "ctrl+l" {
			return d, tea.ClearScreen
		}
		name := msg.Keystroke()
		d.post(Key{name, msg.Text})
	}
	return d, nil
}

// View implements tea.Model.
func (d *drawing) View() tea.View {
	v := tea.NewView(d.frame.Content)
	v.AltScreen = true
	v.Cursor = tea.NewCursor(d.frame.X, d.frame.Y)
	return v
}
