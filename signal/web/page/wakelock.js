// Keeps the screen on (W3C Screen Wake Lock).

/** WakeLock keeps the screen on while it is wanted. Browsers end a lock when the page is hidden. */
export class WakeLock {
  #wanted = false;
  /** @type {WakeLockSentinel | null} */
  #lock = null;

  constructor() {
    document.addEventListener('visibilitychange', () => this.#update());
  }

  /** @param {boolean} wanted */
  set(wanted) {
    this.#wanted = wanted;
    this.#update();
  }

  async #update() {
    if (!this.#wanted) {
      this.#lock?.release().catch(() => {});
      this.#lock = null;
      return;
    }
    if (document.visibilityState !== 'visible' || this.#lock && !this.#lock.released) return;
    try {
      const lock = await navigator.wakeLock.request('screen');
      if (!this.#wanted || this.#lock && !this.#lock.released) await lock.release();
      else this.#lock = lock;
    } catch { /* the browser has none, or its battery is low */ }
  }
}
