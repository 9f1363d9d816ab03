// The <dialog> elements of the page. The browser keeps the focus inside an open one, closes it by
// Escape, and gives the focus back to what opened it.

/**
 * Sets up a dialog. Its buttons with the attribute data-close close it, and so does a click beside it.
 * @param {string} id
 * @param {{opener?: string, onopen?: () => void, onclose?: () => void}} [options] opener is the id of
 *   the button that opens it
 */
export function newDialog(id, {opener = '', onopen, onclose} = {}) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById(id));
  const open = () => {
    if (dialog.open) return;
    closeDialogs();
    onopen?.();
    dialog.showModal();
  };
  dialog.addEventListener('click', e => {
    const target = /** @type {Element} */ (e.target);
    if (target === dialog || target.closest('[data-close]')) dialog.close();
  });
  if (onclose) dialog.addEventListener('close', onclose);
  document.getElementById(opener)?.addEventListener('click', open);
  return {open, close: () => dialog.close(), get isOpen() { return dialog.open; }};
}

/** Closes whatever is open: a call that rings must be reachable. */
export function closeDialogs() {
  for (const dialog of document.querySelectorAll('dialog')) dialog.close();
}
