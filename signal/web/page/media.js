// The camera and microphone of this side.

/**
 * Local holds what this side sends. Each kind ("audio", "video") is "off" (not
 * wanted), "pending" (the browser is being asked), "on" or "missing". Both tracks
 * belong to one MediaStream: the original video page shows nothing otherwise.
 */
export class Local {
  stream = new MediaStream();
  state = {audio: 'off', video: 'off'};
  words = ''; // what is missing and why, for the person at the page
  #wanted;
  #onchange;
  #asked = null; // the promise of the asking
  #turn = 0; // counts the times it was stopped

  constructor({audio, video}, onchange) {
    this.#wanted = {audio, video};
    this.#onchange = onchange;
  }

  /** Asks for what is wanted, once. */
  ask() {
    this.#asked ??= this.#ask();
    return this.#asked;
  }

  /** Resolves when the asking has ended, or after ms: a question nobody answers must not hold up a call. */
  settled(ms) {
    return Promise.race([this.ask(), new Promise(resolve => setTimeout(resolve, ms))]);
  }

  track(kind) {
    return this.stream.getTracks().find(t => t.kind === kind) ?? null;
  }

  stop() {
    for (const track of this.stream.getTracks()) {
      track.stop();
      this.stream.removeTrack(track);
    }
    this.#asked = null;
    this.#turn++;
    this.state = {audio: 'off', video: 'off'};
    this.words = '';
    this.#onchange();
  }

  async #ask() {
    const kinds = ['audio', 'video'].filter(kind => this.#wanted[kind]);
    for (const kind of kinds) this.state[kind] = 'pending';
    this.#onchange();
    const turn = this.#turn;
    const {tracks, error} = await getTracks(kinds);
    if (turn !== this.#turn) { // stopped meanwhile
      for (const track of tracks) track.stop();
      return;
    }
    for (const track of tracks) this.#add(track);
    const missing = kinds.filter(kind => !this.track(kind));
    for (const kind of kinds) this.state[kind] = this.track(kind) ? 'on' : 'missing';
    this.words = missing.length ? explain(missing, error) : '';
    this.#onchange();
  }

  #add(track) {
    this.stream.addTrack(track);
    track.onended = () => {
      this.state[track.kind] = 'missing';
      this.words = explain([track.kind], {name: 'Ended'});
      this.#onchange();
    };
  }
}

const video = {facingMode: 'user', width: {ideal: 640}, height: {ideal: 480}};

/** The tracks of these kinds that can be had, and why the others cannot. */
async function getTracks(kinds) {
  if (!kinds.length) return {tracks: [], error: null};
  if (!navigator.mediaDevices?.getUserMedia) return {tracks: [], error: {name: 'Insecure'}};
  const take = async list => {
    const stream = await navigator.mediaDevices.getUserMedia({audio: list.includes('audio'), video: list.includes('video') && video});
    return stream.getTracks();
  };
  try {
    return {tracks: await take(kinds), error: null};
  } catch (error) {
    // A "no" of the person covers both; a missing or busy device is only one of them.
    if (kinds.length < 2 || error.name === 'NotAllowedError' || error.name === 'SecurityError') return {tracks: [], error};
    const tracks = [];
    for (const kind of kinds) tracks.push(...await take([kind]).catch(() => []));
    return {tracks, error};
  }
}

function explain(missing, error) {
  const what = missing.map(kind => kind === 'audio' ? 'microphone' : 'camera').reverse().join(' and ');
  const still = 'You can still call, be called and chat.';
  switch (error?.name) {
    case 'Insecure':
      return `No ${what}: browsers give them only to pages opened by https or from localhost. ${still}`;
    case 'NotAllowedError':
    case 'SecurityError':
      return `No ${what}: the browser was told not to allow it. Its site settings, beside the address, can change that. ${still}`;
    case 'NotReadableError':
    case 'AbortError':
      return `No ${what}: another program may be using it. ${still}`;
    case 'Ended':
      return `The ${what} was taken away. ${still}`;
    default:
      return `No ${what} found. ${still}`;
  }
}
