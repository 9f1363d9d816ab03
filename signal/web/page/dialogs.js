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
  let pressedBeside = false; // a press that began in the dialog may end beside it, as when text is selected
  dialog.addEventListener('mousedown', e => { pressedBeside = isBeside(dialog, e); });
  dialog.addEventListener('click', e => {
    // The second click of a double click on what opens the dialog falls on it.
    const isMeant = pressedBeside && isBeside(dialog, e) && e.detail < 2;
    if (isMeant || /** @type {Element} */ (e.target).closest('[data-close]')) dialog.close();
  });
  if (onclose) dialog.addEventListener('close', onclose);
  document.getElementById(opener)?.addEventListener('click', open);
  return {open, close: () => dialog.close(), get isOpen() { return dialog.open; }};
}

/**
 * Reports whether a point is on the backdrop of a dialog.
 * @param {HTMLDialogElement} dialog
 * @param {MouseEvent} e
 */
function isBeside(dialog, e) {
  const {left, right, top, bottom} = dialog.getBoundingClientRect();
  return e.target === dialog && (e.clientX < left || e.clientX >= right || e.clientY < top || e.clientY >= bottom);
}

/** Closes whatever is open: a call that rings must be reachable. */
export function closeDialogs() {
  for (const dialog of document.querySelectorAll('dialog')) dialog.close();
}
