package webtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// slice is how long one script waits inside the page before it reports back, and
// late is how long after that it counts as lost: Firefox never answers for a script
// whose document was left.
const (
	slice = time.Second
	late  = 3 * time.Second
)

// Wait waits until a JavaScript expression (or what it promises, within three
// seconds) is true. The condition is watched inside the page, whenever the document changes and
// every 20 ms. When 45 seconds have not made it true, the test fails with its last value.
func (tab *Tab) Wait(js string) {
	tab.t.Helper()
	ctx, cancel := tab.context()
	defer cancel()
	if err := tab.Until(ctx, js); err != nil {
		tab.Fatalf("%v", err)
	}
}

// Until is Wait that returns an error, for any goroutine and any deadline.
func (tab *Tab) Until(ctx context.Context, js string) error {
	last := "never evaluated"
	for {
		var r struct {
			Held bool
			Last json.RawMessage
			Err  string
		}
		once, cancel := context.WithTimeout(ctx, slice+late)
		err := tab.eval(once, watch(js, slice), &r)
		cancel()
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("waited in vain for %s; last: %s", short(js), last)
		case err != nil && !gone(err) && !errors.Is(err, context.DeadlineExceeded):
			return err
		case err != nil:
			last = err.Error() // the page is being left: look again in the next one
			if wait(ctx, 50*time.Millisecond) != nil {
				return fmt.Errorf("waited in vain for %s; last: %s", short(js), last)
			}
		case r.Held:
			return nil
		default:
			last = short(string(r.Last)) + r.Err
		}
	}
}

// watch is a promise of {Held, Last, Err}.
func watch(js string, most time.Duration) string {
	return fmt.Sprintf(`new Promise(resolve => {
		const ends = performance.now() + %d;
		let busy = false, finished = false;
		const observer = new MutationObserver(look);
		const timer = setInterval(look, 20);
		function finish(result) {
			finished = true;
			observer.disconnect();
			clearInterval(timer);
			resolve(result);
		}
		async function look() {
			if (busy || finished) return;
			busy = true;
			let Last, Err = '';
			try { Last = await (%s
				); } catch (e) { Err = String(e); }
			busy = false;
			if (finished) return;
			if (!Err && Last) finish({Held: true, Last: null, Err});
			else if (performance.now() > ends) finish({Held: false, Last: typeof Last === 'object' ? null : Last ?? null, Err});
		}
		observer.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
		look();
	})`, most.Milliseconds(), js)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
