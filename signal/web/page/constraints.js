// What to ask getUserMedia for, and what its errors mean.

/** @typedef {'audio' | 'video'} Kind */

/**
 * @typedef {object} Choice the devices that the user has chosen; '' where the browser chooses
 * @property {string} audio device id of the microphone
 * @property {string} video device id of the camera
 * @property {'user' | 'environment'} facing of the camera, unless one is chosen by its id
 * @property {string} size of the video, a key of videoSizes
 */

/** The sizes of video, by name. */
export const videoSizes = {
  '640x360': {width: 640, height: 360},
  '1280x720': {width: 1280, height: 720},
  '1920x1080': {width: 1920, height: 1080},
};

/** @type {Choice} */
export const defaultChoice = {audio: '', video: '', facing: 'user', size: '1280x720'};

const maxId = 512; // characters of a device id

/**
 * Returns a stored choice with defaults in place of what is not valid.
 * @param {any} stored
 * @returns {Choice}
 */
export function parseChoice(stored) {
  const id = (/** @type {unknown} */ value) => typeof value === 'string' && value.length <= maxId ? value : '';
  return {
    audio: id(stored?.audio),
    video: id(stored?.video),
    facing: stored?.facing === 'environment' ? 'environment' : 'user',
    size: Object.hasOwn(videoSizes, stored?.size) ? stored.size : defaultChoice.size,
  };
}

/**
 * Returns the constraints for devices of these kinds. A size is ideal: a camera that lacks it gives
 * the nearest one.
 * @param {Kind[]} kinds
 * @param {Choice} choice
 * @returns {MediaStreamConstraints}
 */
export function newConstraints(kinds, choice) {
  const {width, height} = videoSizes[/** @type {keyof typeof videoSizes} */ (choice.size)];
  const size = {width: {ideal: width}, height: {ideal: height}, frameRate: {ideal: 30}};
  const camera = choice.video ? {deviceId: {exact: choice.video}} : {facingMode: {ideal: choice.facing}};
  return {
    audio: kinds.includes('audio') && (choice.audio ? {deviceId: {exact: choice.audio}} : true),
    video: kinds.includes('video') && {...camera, ...size},
  };
}

/**
 * Returns the tracks of these kinds that can be opened, and the error of each kind that cannot.
 * @param {Kind[]} kinds
 * @param {Choice} choice
 * @returns {Promise<{tracks: MediaStreamTrack[], errors: Partial<Record<Kind, {name: string}>>}>}
 */
export async function openTracks(kinds, choice) {
  if (!kinds.length) return {tracks: [], errors: {}};
  if (!navigator.mediaDevices?.getUserMedia) return {tracks: [], errors: byKind(kinds, {name: 'Insecure'})};
  try {
    return {tracks: await getUserMedia(kinds, choice), errors: {}};
  } catch (error) {
    // A refusal is about both; a missing or busy device is only one of them.
    if (kinds.length < 2 || isRefusal(error)) return {tracks: [], errors: byKind(kinds, error)};
    const each = [];
    for (const kind of kinds) each.push(await openTracks([kind], choice));
    return {tracks: each.flatMap(one => one.tracks), errors: Object.assign({}, ...each.map(one => one.errors))};
  }
}

/**
 * @param {Kind[]} kinds
 * @param {Choice} choice
 */
async function getUserMedia(kinds, choice) {
  const open = async (/** @type {Choice} */ chosen) => (await navigator.mediaDevices.getUserMedia(newConstraints(kinds, chosen))).getTracks();
  try {
    return await open(choice);
  } catch (error) {
    // The chosen device is no longer there.
    if (error.name !== 'OverconstrainedError' && error.name !== 'NotFoundError') throw error;
    if (!kinds.some(kind => choice[kind])) throw error;
    return open({...choice, audio: '', video: ''});
  }
}

/** @param {{name: string}} error */
function isRefusal(error) {
  return error.name === 'NotAllowedError' || error.name === 'SecurityError';
}

/**
 * @param {Kind[]} kinds
 * @param {{name: string}} error
 */
function byKind(kinds, error) {
  return Object.fromEntries(kinds.map(kind => [kind, error]));
}

/**
 * Returns which devices are missing and why, in a sentence, or ''.
 * @param {Partial<Record<Kind, {name: string}>>} errors
 */
export function explainErrors(errors) {
  const {audio, video} = errors;
  if (audio && video && audio.name === video.name) return explain('camera and microphone', audio.name);
  return [video && explain('camera', video.name), audio && explain('microphone', audio.name)].filter(Boolean).join(' ');
}

/**
 * @param {string} what
 * @param {string} name of the error
 */
function explain(what, name) {
  const still = 'You can still call, be called and chat.';
  switch (name) {
    case 'Insecure':
      return `No ${what}: browsers give them only to pages opened by https or from localhost. ${still}`;
    case 'NotAllowedError':
    case 'SecurityError':
      return `No ${what}: the browser does not allow it. Its site settings, beside the address, can change that. ${still}`;
    case 'NotReadableError':
    case 'AbortError':
      return `No ${what}: another program may be using it. ${still}`;
    case 'Ended':
      return `The ${what} has stopped: it was disconnected, or the browser no longer allows it. ${still}`;
    default:
      return `No ${what} found. ${still}`;
  }
}
