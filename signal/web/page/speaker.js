// The speaker by which the page plays audio.

const maxId = 512; // characters of a device id

/** Speaker directs the audio of media elements to the device that the user has chosen. */
export class Speaker {
  #elements;
  #store;
  id = '';

  /**
   * @param {HTMLMediaElement[]} elements
   * @param {{read(): unknown, write(value: unknown): void}} store of the choice
   */
  constructor(elements, store) {
    this.#elements = elements;
    this.#store = store;
    const stored = store.read();
    if (typeof stored === 'string' && stored.length <= maxId && stored) this.choose(stored);
  }

  /** Reports whether the browser can play by another speaker than its default. */
  get isPossible() { return typeof this.#elements[0].setSinkId === 'function'; }

  /** Reports whether the browser has a list of speakers of its own. */
  get canAsk() { return typeof /** @type {any} */ (navigator.mediaDevices)?.selectAudioOutput === 'function'; }

  /** Has the browser ask the user for a speaker. */
  async ask() {
    try {
      const device = await /** @type {any} */ (navigator.mediaDevices).selectAudioOutput();
      await this.choose(device.deviceId);
    } catch { /* cancelled, or there is none */ }
  }

  /**
   * Plays by a device. One that is not there leaves the speaker as it was.
   * @param {string} id
   */
  async choose(id) {
    if (!this.isPossible) return;
    try {
      for (const element of this.#elements) await element.setSinkId(id);
      this.id = id;
      this.#store.write(id);
    } catch { /* unplugged, or no longer allowed */ }
  }
}
