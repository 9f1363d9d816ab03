// Command attacks runs attacks against a signaling server that 100 honest clients use, and prints
// what they noticed.
//
//	go build -o parley ./cmd/parley
//	go run ./signal/signaltest/attacks -parley ./parley
//
// Every attack gets a server process of its own, `parley serve` with the flags that the attack
// needs. The honest clients log in from loopback addresses of their own (Linux: all of 127/8), call
// each other in pairs, log out and in again, and open relays or fetch what an operator fetches,
// where the attack is on that. They do so for a while without an attack, which is the baseline, and
// then during it. The attacker has one address. Refused connections and logins, error messages,
// lost messages, messages that come late beside the baseline, and failed fetches are noticed; an
// attack that got what a server must not give counts as well. The program prints a Markdown table,
// and exits 1 if anything was noticed.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// plan is what is run.
type plan struct {
	parley string        // the binary
	honest int           // clients
	quiet  time.Duration // the time without an attack
	span   time.Duration // the time of attacks by volume
	only   *regexp.Regexp
	late   lateness
}

// lateness bounds the p99 of the honest clients' round trips during an attack.
type lateness struct {
	factor float64 // of the baseline
	slack  time.Duration
}

func (l lateness) bound(baseline time.Duration) time.Duration {
	return time.Duration(l.factor*float64(baseline)) + l.slack
}

func main() {
	p := plan{late: lateness{factor: 3, slack: 100 * time.Millisecond}}
	flag.StringVar(&p.parley, "parley", "./parley", "the binary that serves")
	flag.IntVar(&p.honest, "honest", 100, "honest clients")
	flag.DurationVar(&p.quiet, "quiet", 3*time.Second, "time of the baseline before each attack")
	flag.DurationVar(&p.span, "span", 5*time.Second, "time of attacks by volume")
	only := flag.String("only", "", "regular expression of the attacks to run, such as 'S2$|S9'")
	flag.Parse()
	var err error
	if p.only, err = regexp.Compile(*only); err != nil {
		fmt.Fprintln(os.Stderr, "attacks:", err)
		os.Exit(2)
	}
	noticed, err := p.run(context.Background(), os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "attacks:", err)
		os.Exit(2)
	case noticed:
		os.Exit(1)
	}
}

// run runs the attacks one after the other and writes a row for each. It reports whether an honest
// client noticed one, or one got what it must not.
func (p plan) run(ctx context.Context, out io.Writer) (noticed bool, err error) {
	fmt.Fprintf(out, "| attack | what it did | what it got | %d honest clients: calls, round trip p99 quiet → attacked | noticed |\n|---|---|---|---|---|\n", p.honest)
	for _, a := range attacks() {
		if !p.only.MatchString(a.id) {
			continue
		}
		r, err := p.attack(ctx, a)
		if err != nil {
			return noticed, fmt.Errorf("%s: %w", a.id, err)
		}
		noticed = noticed || len(r.noticed) > 0
		what := "nothing"
		if len(r.noticed) > 0 {
			what = "**" + strings.Join(r.noticed, "; ") + "**"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %d, %s → %s | %s |\n", a.id, a.title, r.got, r.calls, r.quiet.Round(10*time.Microsecond),
			r.attacked.Round(10*time.Microsecond), what)
	}
	return noticed, nil
}

// result is what came of one attack.
type result struct {
	got             string // by the attacker
	calls           int
	quiet, attacked time.Duration // p99 of round trips
	noticed         []string
}

// attack runs one attack against a server of its own.
func (p plan) attack(ctx context.Context, a attack) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	s, err := startServer(ctx, p.parley, a)
	if err != nil {
		return result{got: "nothing", noticed: []string{err.Error()}}, nil // a server that lacks the protection
	}
	defer s.stop()
	c := newCrowd(s, p.honest, a.habits, p.span)
	if err := c.start(ctx); err != nil {
		return result{}, err
	}
	defer c.stop()
	if err := c.watch(ctx, p.quiet); err != nil {
		return result{}, err
	}
	if noticed := c.noticed(); len(noticed) > 0 {
		return result{}, fmt.Errorf("the clients noticed something before the attack: %s", strings.Join(noticed, "; "))
	}
	c.attacked.Store(true)
	got, breach := a.run(ctx, s, c)
	if err := c.watch(ctx, time.Second); err != nil { // what comes of it
		return result{}, err
	}
	c.stop()
	r := result{got: got, calls: c.calls, quiet: percentile99(c.trips[0]), attacked: percentile99(c.trips[1]), noticed: c.noticed()}
	if breach != nil {
		r.noticed = append(r.noticed, breach.Error())
	}
	if bound := p.late.bound(r.quiet); r.attacked > bound {
		r.noticed = append(r.noticed, fmt.Sprintf("late: p99 %s, want at most %s", r.attacked.Round(time.Millisecond), bound.Round(time.Millisecond)))
	}
	return r, nil
}

func percentile99(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	return all[len(all)*99/100]
}
