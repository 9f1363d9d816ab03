package webtest

import "context"

// Click clicks the middle of the first element that matches the selector, with
// the mouse. It waits until the element is there, enabled, and not covered.
func (tab *Tab) Click(selector string) {
	tab.t.Helper()
	tab.click(selector, 1)
}

// DoubleClick clicks twice in a row where [Tab.Click] clicks once, whatever the first click puts
// there.
func (tab *Tab) DoubleClick(selector string) {
	tab.t.Helper()
	tab.click(selector, 2)
}

func (tab *Tab) click(selector string, times int) {
	tab.t.Helper()
	tab.Wait(reachable(selector))
	var at struct{ X, Y float64 }
	if err := tab.Eval(middle(selector), &at); err != nil {
		tab.Fatalf("%v", err)
	}
	tab.must("click "+selector, func(ctx context.Context) error { return tab.page.click(ctx, at.X, at.Y, times) })
}

// Type clicks a field, and types text in place of what it holds.
func (tab *Tab) Type(selector, text string) {
	tab.t.Helper()
	tab.Click(selector)
	tab.Wait("(e => { e.select(); return document.activeElement === e; })(document.querySelector(" + quote(selector) + "))")
	tab.must("type into "+selector, func(ctx context.Context) error { return tab.page.insert(ctx, text) })
}

// Press presses a key on what has the focus.
func (tab *Tab) Press(key Key) {
	tab.t.Helper()
	tab.must("press "+string(key), func(ctx context.Context) error { return tab.page.press(ctx, key) })
}

// reachable is true when a click in the middle of the element would hit it.
func reachable(selector string) string {
	return `(() => {
		const e = document.querySelector(` + quote(selector) + `);
		if (!e || e.disabled) return false;
		e.scrollIntoView({block: 'nearest', behavior: 'instant'});
		const r = e.getBoundingClientRect();
		if (!r.width || !r.height) return false;
		const hit = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2);
		return hit === e || e.contains(hit) || hit?.closest?.('label')?.control === e;
	})()`
}

func middle(selector string) string {
	return `(r => ({X: r.x + r.width / 2, Y: r.y + r.height / 2}))(document.querySelector(` + quote(selector) + `).getBoundingClientRect())`
}
