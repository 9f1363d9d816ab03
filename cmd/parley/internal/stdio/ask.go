package stdio

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
)

// Asker asks one question after the other, for several calls may have one.
type Asker struct {
	mu      sync.Mutex // held while a question is open
	Instead asking     // in place of the terminal, nil for that
}

// asking asks a question about a peer.
type asking func(ctx context.Context, peer, question string) (bool, error)

// Ask asks a question at the terminal itself, because stdin may carry data.
func (a *Asker) Ask(ctx context.Context, peer, question string) (bool, error) {
	if a.Instead != nil {
		return a.Instead(ctx, peer, question)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	in, _ := console()
	tty, err := os.OpenFile(in, os.O_RDONLY, 0)
	if err != nil {
		return false, fmt.Errorf("there is no terminal to ask at: %w", err)
	}
	defer tty.Close()
	// The end of the call ends the wait for an answer.
	defer context.AfterFunc(ctx, func() { _ = tty.Close() })()
	if err := WriteTerminal(question); err != nil {
		return false, err
	}
	line, err := bufio.NewReader(tty).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("the terminal gave no answer: %w", err)
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", nil
}

// console names the terminal of this process, whatever stdin and stdout are.
func console() (in, out string) {
	if runtime.GOOS == "windows" {
		return "CONIN$", "CONOUT$"
	}
	return "/dev/tty", "/dev/tty"
}

// WriteTerminal writes to the terminal.
func WriteTerminal(text string) error {
	_, out := console()
	f, err := os.OpenFile(out, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("there is no terminal to ask at: %w", err)
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
