// The camera and microphone of this page.

/**
 * @typedef {'audio' | 'video'} Kind
 * @typedef {'off' | 'pending' | 'on' | 'muted' | 'missing'} DeviceState off: not requested; pending:
 *   the browser asks the user; missing: denied, absent or in use
 * @typedef {{audio: boolean, video: boolean}} Kinds
 */

/** @type {Kind[]} */
export const kinds = ['audio', 'video'];

/**
 * LocalMedia holds what this page sends. Both tracks belong to one MediaStream: the original video
 * page shows nothing otherwise. The devices are open from open() to close(), and the camera is
 * closed while it is muted: its light is off then.
 */
export class LocalMedia {
  stream = new MediaStream();
  /** @type {Record<Kind, DeviceState>} */
  state = {audio: 'off', video: 'off'};
  problem = ''; // what is missing and why, for the user
  /** @type {{audio: boolean | MediaTrackConstraints, video: boolean | MediaTrackConstraints}} */
  constraints = {audio: true, video: {facingMode: 'user', width: {ideal: 640}, height: {ideal: 480}}};
  #onchange;
  /** @type {Promise<unknown>} */
  #asking = Promise.resolve();
  #opening = 0; // counts the times that it was closed

  /** @param {() => void} onchange */
  constructor(onchange) {
    this.#onchange = onchange;
  }

  /**
   * Opens the requested devices that are not open. A device that is missing is tried again.
   * @param {Kinds} requested
   */
  open(requested) {
    const closed = kinds.filter(kind => requested[kind] && (this.state[kind] === 'off' || this.state[kind] === 'missing'));
    return this.#open(closed);
  }

  /** Closes all devices. */
  close() {
    for (const track of this.stream.getTracks()) this.#remove(track);
    this.#asking = Promise.resolve();
    this.#opening++;
    this.state = {audio: 'off', video: 'off'};
    this.problem = '';
    this.#onchange();
  }

  /**
   * Resolves when nothing is being opened, or after ms: a question of the browser that nobody
   * answers must not hold up a call.
   * @param {number} ms
   */
  settled(ms) {
    return Promise.race([this.#asking, new Promise(resolve => setTimeout(resolve, ms))]);
  }

  /** @param {Kind} kind @returns {MediaStreamTrack | null} */
  track(kind) {
    return this.stream.getTracks().find(t => t.kind === kind) ?? null;
  }

  /**
   * Reports whether something of a kind is sent, or will be once the user has answered the browser.
   * @param {Kind} kind
   */
  sends(kind) {
    return this.state[kind] === 'on' || this.state[kind] === 'pending';
  }

  /**
   * Mutes the microphone or closes the camera, or goes on. What was never opened is opened.
   * @param {Kind} kind
   * @param {boolean} muted
   */
  setMuted(kind, muted) {
    const track = this.track(kind);
    if (muted && !track || this.state[kind] === 'pending') return;
    if (kind === 'video' && muted && track) this.#remove(track);
    if (!muted && !track) {
      this.#open([kind]);
      return;
    }
    if (kind === 'audio' && track) track.enabled = !muted;
    this.state[kind] = muted ? 'muted' : 'on';
    this.#onchange();
  }

  /**
   * Sends another track of the same kind, such as that of another device, in place of the one there is.
   * @param {MediaStreamTrack} track
   */
  replace(track) {
    const kind = /** @type {Kind} */ (track.kind), before = this.track(kind);
    if (before) this.#remove(before);
    this.#add(track);
    track.enabled = this.state[kind] !== 'muted';
    if (this.state[kind] !== 'muted') this.state[kind] = 'on';
    this.#onchange();
  }

  /** @param {Kind[]} opened */
  #open(opened) {
    if (!opened.length) return Promise.resolve();
    for (const kind of opened) this.state[kind] = 'pending';
    this.#onchange();
    const done = this.#ask(opened, this.#opening);
    this.#asking = Promise.all([this.#asking, done]);
    return done;
  }

  /** @param {Kind[]} asked @param {number} opening */
  async #ask(asked, opening) {
    const {tracks, error} = await getTracks(asked, this.constraints);
    if (opening !== this.#opening) { // closed meanwhile
      for (const track of tracks) track.stop();
      return;
    }
    for (const track of tracks) this.#add(track);
    const missing = asked.filter(kind => !this.track(kind));
    for (const kind of asked) this.state[kind] = this.track(kind) ? 'on' : 'missing';
    this.problem = missing.length ? explain(missing, error) : '';
    this.#onchange();
  }

  /** @param {MediaStreamTrack} track */
  #add(track) {
    this.stream.addTrack(track);
    track.onended = () => {
      this.#remove(track);
      this.state[/** @type {Kind} */ (track.kind)] = 'missing';
      this.problem = explain([/** @type {Kind} */ (track.kind)], {name: 'Ended'});
      this.#onchange();
    };
  }

  /** @param {MediaStreamTrack} track */
  #remove(track) {
    track.onended = null;
    track.stop();
    this.stream.removeTrack(track);
  }
}

/**
 * Returns the tracks that the browser gives, and why it does not give the others.
 * @param {Kind[]} asked
 * @param {{audio: boolean | MediaTrackConstraints, video: boolean | MediaTrackConstraints}} constraints
 * @returns {Promise<{tracks: MediaStreamTrack[], error: {name: string} | null}>}
 */
async function getTracks(asked, constraints) {
  if (!navigator.mediaDevices?.getUserMedia) return {tracks: [], error: {name: 'Insecure'}};
  const get = async (/** @type {Kind[]} */ list) => {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: list.includes('audio') && constraints.audio, video: list.includes('video') && constraints.video,
    });
    return stream.getTracks();
  };
  try {
    return {tracks: await get(asked), error: null};
  } catch (e) {
    const error = /** @type {Error} */ (e);
    // A "no" of the user covers both; a missing or busy device is only one of them.
    if (asked.length < 2 || error.name === 'NotAllowedError' || error.name === 'SecurityError') return {tracks: [], error};
    const tracks = [];
    for (const kind of asked) tracks.push(...await get([kind]).catch(() => []));
    return {tracks, error};
  }
}

/**
 * Returns why devices are missing, and what the user can do.
 * @param {Kind[]} missing
 * @param {{name: string} | null} error
 */
function explain(missing, error) {
  const what = missing.map(kind => kind === 'audio' ? 'microphone' : 'camera').reverse().join(' and ');
  const still = 'You can still call, be called and chat.';
  switch (error?.name) {
    case 'Insecure':
      return `No ${what}: browsers give them only to pages opened by https or from localhost. ${still}`;
    case 'NotAllowedError':
    case 'SecurityError':
      return `No ${what}: the browser does not allow it. Its site settings, beside the address, can change that. ${still}`;
    case 'NotReadableError':
    case 'AbortError':
      return `No ${what}: another program may be using it. ${still}`;
    case 'Ended':
      return `The ${what} is no longer connected. ${still}`;
    default:
      return `No ${what} found. ${still}`;
  }
}
