// Command cluster runs three signaling servers that work as one, with three NATS servers and
// haproxy, on this machine, until it is interrupted or reads quit.
//
//	go run ./signal/signaltest/cluster -parley ./parley
//
// On standard input it reads commands that end processes and start them again, to see what users
// notice.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"parley/signal/signaltest/deployment"
)

// drainTimeout bounds the end of a node: its clients are disconnected within drain.
const (
	drain        = 5 * time.Second
	drainTimeout = 30 * time.Second
)

func main() {
	var o deployment.Options
	flag.StringVar(&o.Parley, "parley", "./parley", "path of the binary")
	flag.StringVar(&o.Listen, "listen", "127.0.0.1:9090", "address of the load balancer")
	flag.Parse()
	o.Nodes, o.NATS, o.Balancer, o.Args = 3, 3, true, []string{"--drain", drain.String(), "--page-auto", "--whip", "--whep"}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// run runs a cluster until ctx ends or quit is read.
func run(ctx context.Context, o deployment.Options, in io.Reader, out io.Writer) (err error) {
	if o.Dir, err = os.MkdirTemp("", "parley-cluster-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.Dir)
	fmt.Fprintln(out, "building nats-server")
	if o.NATSServer, err = deployment.BuildNATSServer(o.Dir); err != nil {
		return err
	}
	d, err := deployment.Start(ctx, o)
	if err != nil {
		return err
	}
	defer d.Close()
	describe(d, o, out)
	lines := make(chan string)
	go func() { // ends with the process: a read of standard input cannot be interrupted
		for s := bufio.NewScanner(in); s.Scan(); {
			lines <- s.Text()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			fmt.Fprintln(out, "ending")
			return nil
		case line := <-lines:
			if strings.TrimSpace(line) == "quit" {
				return nil
			}
			if err := execute(ctx, d, line); err != nil {
				fmt.Fprintln(out, err)
			}
			list(d, out)
		}
	}
}

func describe(d *deployment.Deployment, o deployment.Options, out io.Writer) {
	fmt.Fprintf(out, `
Load balancer   %[1]s/
In a browser    %[1]s/?as=alice
In another      %[1]s/?as=bob&call=alice
In a terminal   %[2]s answer --as carol --server %[3]s --video test --audio test
                %[2]s call alice --as dave --server %[3]s --video test
By WHIP         %[2]s call whip://%[4]s/whip/carol --video test

`, d.URL, o.Parley, d.Server, strings.TrimPrefix(d.URL, "http://"))
	list(d, out)
	fmt.Fprintf(out, "\nLogs are in %s. Commands: kill NAME, stop NAME, start NAME, such as kill node1; quit ends all.\n", o.Dir)
}

// list prints the processes.
func list(d *deployment.Deployment, out io.Writer) {
	urls := map[*deployment.Process]string{}
	for _, n := range d.Nodes {
		urls[n.Process] = n.URL + "/  " + n.Admin + "/metrics"
	}
	for _, n := range d.NATS {
		urls[n.Process] = n.URL + "  " + n.Monitor + "/"
	}
	for _, p := range d.Processes() {
		state := fmt.Sprint("process ", p.PID())
		if !p.Running() {
			state = "ended"
		}
		fmt.Fprintf(out, "%-9s%-16s%s\n", p.Name, state, urls[p])
	}
}

// execute runs a command.
func execute(ctx context.Context, d *deployment.Deployment, line string) error {
	words := strings.Fields(line)
	if len(words) != 2 {
		return fmt.Errorf("unknown command %q: want kill, stop or start and the name of a process, or quit", line)
	}
	for _, p := range d.Processes() {
		if p.Name != words[1] {
			continue
		}
		switch {
		case words[0] == "kill":
			p.Kill()
			return nil
		case words[0] == "stop":
			ctx, cancel := context.WithTimeout(ctx, drainTimeout)
			defer cancel()
			return p.Stop(ctx)
		case words[0] == "start" && p.Running():
			return fmt.Errorf("%s is running", p.Name)
		case words[0] == "start":
			return p.Start()
		}
		return fmt.Errorf("unknown command %q: want kill, stop or start", words[0])
	}
	return fmt.Errorf("no process %q", words[1])
}
