// Package cli runs the command line of parley.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/docs"
	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/show"
	"parley/cmd/parley/internal/stdio"
)

// Run runs the command line and returns the exit code. The first signal ends ctx, which hangs up
// and finishes files. The second one exits at once with 128 plus its number, also where the process
// was started with the signal ignored, as a shell does in the background of a script. SIGHUP is not
// a second one: a terminal that is closed sends several.
func Run(ctx context.Context, std stdio.Streams, args []string) exit.Code {
	ctx, interrupt := context.WithCancelCause(ctx)
	defer interrupt(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, endingSignals()...)
	defer signal.Stop(signals)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case s := <-signals:
				number, _ := s.(syscall.Signal)
				if ctx.Err() != nil && number != syscall.SIGHUP {
					os.Exit(128 + int(number))
				}
				interrupt(&exit.SignalError{Signal: s})
			case <-done:
				return
			}
		}
	}()
	err := Root(std).Run(ctx, show.WithValue(args))
	var reported *exit.ReportedError
	if err != nil && !errors.As(err, &reported) {
		fmt.Fprintf(std.Err, "parley: %s\n", sanitize.Lines(err.Error()))
	}
	return exit.CodeOf(err)
}

// endingSignals returns the signals that end a command: those of Ctrl-C, of a service manager, and
// of a terminal that is closed, unless nohup has had the last one ignored.
func endingSignals() []os.Signal {
	all := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}

func Root(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:  "parley",
		Usage: "a WebRTC peer for the terminal: the other end of a call",
		Description: wrapDescription(`Call a browser tab, or another parley, by name. In a terminal:

   parley serve                    # signaling server and web page on :9090

Open http://localhost:9090/?as=tab in a browser, sign in, and in another terminal:

   parley call tab --video test --audio test

The call rings in the browser.

Without any of that, "parley demo" shows a whole call on this machine.

Every flag has an environment variable: --server is PARLEY_SERVER. The variables of
flags that only one command has include its name: PARLEY_SERVE_LISTEN.`, columnsOf(std.Out)-descriptionIndent),
		CustomRootCommandHelpTemplate: cli.RootCommandHelpTemplate + "\nTOPICS (parley help TOPIC):\n" + docs.List() + exitStatusHelp(),

		Reader: std.In, Writer: std.Out, ErrWriter: std.Err,
		HideVersion:                     true,
		Suggest:                         true,
		EnableShellCompletion:           true,
		ConfigureShellCompletionCommand: func(c *cli.Command) { setCompletion(std, c) },
		Commands:                        commands(std),
		Action:                          unknownCommand,
		OnUsageError:                    config.UsageError,
		ExitErrHandler:                  func(context.Context, *cli.Command, error) {}, // run does it
	}
}

// unknownCommand answers a command line that names no command.
func unknownCommand(_ context.Context, cmd *cli.Command) error {
	if name := cmd.Args().First(); name != "" {
		return exit.Usagef("unknown command %q; see parley --help", sanitize.Text(name))
	}
	return cli.ShowRootCommandHelp(cmd)
}

// commands are the subcommands, in the order of --help.
func commands(std stdio.Streams) []*cli.Command {
	all := []*cli.Command{
		config.NoOperands(serveCommand(std)),
		callCommand(std), answerCommand(std), echoCommand(std),
		pipeCommand(std), chatCommand(std), sendCommand(std), receiveCommand(std),
		probeCommand(std), verifyCommand(std), config.NoOperands(demoCommand(std)),
		snapshotCommand(std), config.NoOperands(devicesCommand(std)), doctorCommand(std), config.NoOperands(benchCommand(std)), config.NoOperands(versionCommand(std)), helpCommand(std),
	}
	config.SetVariables(all)
	for _, c := range all {
		if c.ShellComplete == nil {
			c.ShellComplete = complete
		}
		c.DisableSliceFlagSeparator = true // a comma in --say or --ice-server belongs to the value
		withHelp(c, columnsOf(std.Out))
	}
	return all
}
