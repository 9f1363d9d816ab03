// The notification of a call that rings while the page is hidden.

const tag = 'parley-call';

/** CallNotification shows at most one notification at a time. */
export class CallNotification {
  /** @type {Notification | null} */
  #shown = null;

  /** "granted", "denied", "default" (the user was not asked), or "none" where the browser has no notifications. */
  get permission() { return typeof Notification === 'undefined' || !isSecureContext ? 'none' : Notification.permission; }

  /** Asks the user for the permission. Browsers allow that only after a click. */
  async ask() {
    if (this.permission === 'default') await Notification.requestPermission();
    return this.permission;
  }

  /** @param {string} name of the caller, as it may be shown */
  show(name) {
    this.close();
    if (this.permission !== 'granted' || !document.hidden) return;
    try {
      const shown = this.#shown = new Notification(`${name} is calling`, {body: 'Parley', icon: 'icon.svg', tag, requireInteraction: true});
      shown.onclick = () => {
        window.focus();
        this.close();
      };
    } catch { /* Chrome on Android has them for service workers alone */ }
  }

  close() {
    this.#shown?.close();
    this.#shown = null;
  }
}
