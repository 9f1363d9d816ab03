// The ring tone: two notes, made by Web Audio.

const notes = [880, 1108.73]; // Hz
const noteLength = 0.18, period = 2; // s
const volume = 0.12;

/** RingTone rings from start to stop. A page that nobody has clicked is silent: browsers see to that. */
export class RingTone {
  /** @type {AudioContext | null} */
  #context = null;
  #timer = 0;

  start() {
    if (this.#context || typeof AudioContext === 'undefined') return;
    const context = this.#context = new AudioContext();
    const ring = () => {
      // Notes of a time without a click would all be played at the click.
      if (context.state === 'running') for (let i = 0; i < 2 * notes.length; i++) playNote(context, notes[i % notes.length], i * noteLength);
    };
    context.onstatechange = ring;
    ring();
    this.#timer = setInterval(ring, period * 1000);
  }

  stop() {
    clearInterval(this.#timer);
    const context = this.#context;
    this.#context = null;
    if (!context) return;
    context.onstatechange = null;
    context.close().catch(() => {});
  }
}

/** Plays a note that fades. */
function playNote(/** @type {AudioContext} */ context, /** @type {number} */ hz, /** @type {number} */ delay) {
  const start = context.currentTime + delay, end = start + noteLength;
  const oscillator = context.createOscillator(), gain = context.createGain();
  oscillator.frequency.value = hz;
  gain.gain.setValueAtTime(volume, start);
  gain.gain.exponentialRampToValueAtTime(0.001, end);
  oscillator.connect(gain).connect(context.destination);
  oscillator.start(start);
  oscillator.stop(end);
}
