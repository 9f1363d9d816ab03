// Full screen and picture-in-picture.

/**
 * Sets up the button for full screen. Phones of Apple show only a video that way.
 * @param {HTMLElement} stage
 * @param {HTMLVideoElement} video
 * @param {HTMLButtonElement} button
 * @returns {() => void} switches between the modes
 */
export function setUpFullScreen(stage, video, button) {
  const enter = stage.requestFullscreen ? () => stage.requestFullscreen() : /** @type {any} */ (video).webkitEnterFullscreen?.bind(video);
  button.hidden = !enter;
  const toggle = () => {
    if (document.fullscreenElement) leave('exitFullscreen');
    else Promise.resolve(enter?.()).catch(() => {}); // the browser has another reason
  };
  button.onclick = toggle;
  document.addEventListener('fullscreenchange', () => show(button, document.fullscreenElement !== null, 'Full screen', 'Leave full screen'));
  return toggle;
}

/**
 * Sets up the button for picture-in-picture. Firefox has a button of its own instead.
 * @param {HTMLVideoElement} video
 * @param {HTMLButtonElement} button
 * @returns {() => void} switches between the modes
 */
export function setUpPictureInPicture(video, button) {
  button.hidden = !document.pictureInPictureEnabled;
  const toggle = () => {
    if (button.hidden || button.disabled) return;
    if (document.pictureInPictureElement) leave('exitPictureInPicture');
    else video.requestPictureInPicture().catch(() => {}); // no video yet
  };
  button.onclick = toggle;
  const name = 'Picture-in-picture';
  video.addEventListener('enterpictureinpicture', () => show(button, true, name, `Leave ${name.toLowerCase()}`));
  video.addEventListener('leavepictureinpicture', () => show(button, false, name, `Leave ${name.toLowerCase()}`));
  return toggle;
}

/** Leaves both modes. */
export function leaveStageModes() {
  if (document.fullscreenElement) leave('exitFullscreen');
  if (document.pictureInPictureElement) leave('exitPictureInPicture');
}

/** @param {'exitFullscreen' | 'exitPictureInPicture'} how */
function leave(how) {
  document[how]().catch(() => {}); // left already
}

/**
 * @param {HTMLButtonElement} button
 * @param {boolean} on
 * @param {string} enter
 * @param {string} leave
 */
function show(button, on, enter, leave) {
  button.setAttribute('aria-pressed', String(on));
  button.title = on ? leave : enter;
  button.setAttribute('aria-label', button.title);
}
