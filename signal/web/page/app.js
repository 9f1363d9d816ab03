// Puts the parts together and does what the address asks for:
//
//   ?as=NAME     signs in by itself
//   &call=NAME   calls by itself, once signed in and the camera is ready
//   &answer=1    answers without asking, whatever the setting says
//   &say=TEXT    sends a line when the channel opens; repeatable
//   &files=1     takes files without asking
//   &video=0     sends no camera
//   &audio=0     sends no microphone
//   #token=TOKEN signs in where the server wants one; behind the #, it is in no log.
//                The page takes it out of the address. Another one renews the session

import {Chat} from './chat.js';
import {Files, listed} from './filecards.js';
import {Local} from './media.js';
import {Page} from './page.js';
import {Phone} from './phone.js';
import {Signaling, serverURL} from './signaling.js';
import {clock, shownName, shownText, typedName} from './text.js';
import {verificationCode} from './verify.js';

const params = new URLSearchParams(location.search);
const byId = id => document.getElementById(id);
const page = new Page();
const chat = new Chat(byId('chatarea'));
const local = new Local({audio: params.get('audio') !== '0', video: params.get('video') !== '0'}, () => {
  page.local(local);
  phone?.call?.useLateTracks();
});
const files = new Files({
  card: element => chat.add(element),
  channel: () => phone.call.openFiles(),
  takes: () => params.get('files') === '1',
});
let toCall = typedName(params.get('call') ?? ''); // once

let over = ''; // why the session ended while a call went on

const signaling = new Signaling(serverURL(), takeToken(), {
  login(refusal) {
    if (refusal !== null) {
      page.login(refusal);
      return;
    }
    page.server('here');
    page.room(signaling.name);
    local.ask().then(() => {
      if (toCall && signaling.name !== null && phone.phase === 'idle') dial(toCall);
      toCall = '';
    });
  },
  lost: () => page.server('away'),
  ended(words) {
    if (phone.phase === 'talking') {
      over = words;
      page.server('away');
      page.notice(words);
    } else {
      phone.hangUp();
      signedOut(words);
    }
  },
  message: m => phone.receive(m),
});

const phone = new Phone({
  signaling, local,
  asks: () => byId('askInput').checked && params.get('answer') !== '1',
  on: {
    phase(phase, peer) {
      page.phase(phase, peer);
      chatPossible();
      if (phase === 'talking') files.talking(peer);
      else files.over();
      if (phase === 'idle' && over) signedOut(over);
    },
    state: state => page.connection(state),
    remote: stream => page.remote(stream),
    negotiated() {
      chatPossible();
      showCode(phone.call);
    },
    offerRejected: (why, byPeer) => page.notice(byPeer ? `${shownName(phone.call.peer)} did not take a change of the call: ${shownText(why)}`
      : `A change that ${shownName(phone.call.peer)} wanted was not made, because this browser cannot take it: ${shownText(why)}`),
    answerRejected: (why, byPeer) => chat.note(byPeer ? 'Our answer was not taken by ' : 'Nothing changes, because this browser cannot take the answer of ',
      {name: phone.call.peer}, `: ${shownText(why)}`),
    rebuilt: why => chat.note('This browser cannot go on by the connection with ', {name: phone.call.peer}, `, and makes another: ${shownText(why)}`),
    open() {
      for (const text of params.getAll('say')) phone.say(text);
    },
    files: channel => files.take(channel, phone.call.peer),
    text: text => chat.say(phone.call.peer, text, false),
    binary: bytes => chat.note({name: phone.call.peer}, ` sent ${bytes} bytes that are no text`),
    sent: text => chat.say(signaling.name, text, true),
    unsent: (text, error) => chat.note('Not sent', error ? ` (${error.message})` : '', ': ', {name: text}),
    busy: peer => chat.note({name: peer}, ' called and heard that you are busy'),
    error: message => page.notice(`The server says: ${shownName(message)}`),
    ended,
  },
});

function chatPossible() {
  const inCall = phone.call !== null && phone.phase !== 'ringing';
  if (inCall && !phone.call.textPossible) page.chat(false, 'The other side takes no messages');
  else page.chat(inCall);
  page.files(phone.phase === 'talking' && phone.call.textPossible);
}

/** Sends what was picked, or dropped on the conversation. */
function useFiles() {
  const input = byId('filesInput'), drop = byId('panel');
  byId('filesBtn').onclick = () => input.click();
  input.onchange = async () => {
    const list = await listed(input);
    input.value = '';
    files.send(list);
  };
  const wanted = e => phone.phase === 'talking' && phone.call.textPossible && [...e.dataTransfer.types].includes('Files');
  addEventListener('dragover', e => {
    e.preventDefault(); // else the browser leaves this page for the file
    drop.classList.toggle('drop', wanted(e));
    e.dataTransfer.dropEffect = wanted(e) ? 'copy' : 'none';
  });
  addEventListener('dragleave', e => { if (!e.relatedTarget) drop.classList.remove('drop'); });
  addEventListener('drop', async e => {
    e.preventDefault();
    drop.classList.remove('drop');
    if (!wanted(e)) return;
    try {
      files.send(await listed(e.dataTransfer));
    } catch (error) {
      page.notice(`These files cannot be read: ${error.message}`);
    }
  });
}

/** Shows the code of the call, once. */
async function showCode(call) {
  const code = await verificationCode(...call.descriptions);
  if (!code || call !== phone.call || call.code === code) return;
  call.code = code;
  chat.note('Verification code ', {name: code}, ': the other end shows the same, unless somebody sits between');
}

/** Says why the call is over. */
function ended(reason, peer, phase, error) {
  const name = shownName(peer);
  switch (reason) {
    case 'hung up':
      if (phase === 'talking') chat.note('Call with ', {name: peer}, ' ended');
      break;
    case 'left':
      chat.note({name: peer}, phase === 'ringing' ? ' gave up' : phase === 'calling' ? ' is busy or declined' : ' hung up');
      break;
    case 'absent':
      page.notice(`${name} is not signed in.`);
      break;
    case 'unanswered':
      page.notice(`${name} does not answer.`);
      break;
    case 'failed':
      page.notice(`No connection with ${name}: the network between you let nothing through.`);
      break;
    case 'lost':
      page.notice(`The connection with ${name} was closed.`);
      break;
    case 'negotiation':
      page.notice(`This browser and ${name} cannot agree on a call: ${error?.message ?? 'no reason given'}`);
      break;
  }
}

function signIn(name) {
  if (!name) {
    page.login('Type the name you want to be called by.');
    return;
  }
  if (typeof RTCPeerConnection === 'undefined') {
    page.login('This browser has no WebRTC, or it is turned off.');
    return;
  }
  page.signingIn(name);
  signaling.signIn(name);
}

function dial(name) {
  if (!name) page.notice('Type the name of whom to call.');
  else if (name === signaling.name) page.notice('That is your own name.');
  else phone.dial(name);
}

function signOut() {
  over = '';
  phone.hangUp();
  signaling.signOut();
  signedOut('');
}

function signedOut(words) {
  over = '';
  local.stop();
  page.login(words);
}

/**
 * The token behind the #, which leaves the address bar, where others see it and
 * copies of the address carry it on. The history entry keeps it for a reload.
 */
function takeToken() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const token = hash.get('token');
  if (token === null) return history.state?.token ?? null;
  hash.delete('token');
  const rest = String(hash);
  history.replaceState({token}, '', location.pathname + location.search + (rest && `#${rest}`));
  return token;
}

/** A button that turns a track of ours off and on. */
function toggle(id, kind, off, on) {
  const button = byId(id);
  button.onclick = () => {
    const track = local.track(kind);
    if (!track) return;
    track.enabled = !track.enabled;
    button.setAttribute('aria-pressed', String(!track.enabled));
    button.title = track.enabled ? off : on;
    button.setAttribute('aria-label', button.title);
  };
}

function onSubmit(id, act) {
  byId(id).addEventListener('submit', e => {
    e.preventDefault();
    act();
  });
}

/** The one setting; a browser that forbids storage forgets it. */
function rememberAsk() {
  const input = byId('askInput'), key = 'parley.ask';
  try {
    input.checked = localStorage.getItem(key) === '1';
  } catch { /* forbidden */ }
  input.onchange = () => {
    try {
      localStorage.setItem(key, input.checked ? '1' : '0');
    } catch { /* forbidden */ }
  };
}

onSubmit('loginForm', () => signIn(typedName(byId('usernameInput').value)));
onSubmit('callForm', () => dial(typedName(byId('callToUsernameInput').value)));
onSubmit('msgForm', () => {
  const input = byId('msgInput');
  if (input.value === '') return;
  phone.say(input.value);
  input.value = '';
  input.focus();
});
byId('hangUpBtn').onclick = () => phone.hangUp();
byId('acceptBtn').onclick = () => phone.accept();
byId('declineBtn').onclick = () => phone.hangUp();
byId('signOutBtn').onclick = signOut;
toggle('micBtn', 'audio', 'Mute the microphone', 'Unmute the microphone');
toggle('camBtn', 'video', 'Turn the camera off', 'Turn the camera on');
rememberAsk();
useFiles();
addEventListener('hashchange', () => { // a new token, given to the open page
  const token = takeToken();
  if (token !== null) signaling.renew(token);
});
addEventListener('pagehide', () => phone.hangUp());
// Firefox has closed the socket by then. Of a call that stands the server tells the
// other; of one that rings, only we can.
addEventListener('beforeunload', () => { if (phone.phase !== 'talking') phone.hangUp(); });
page.phase('idle', '');
page.chat(false);
page.files(false);
if (params.has('as')) signIn(typedName(params.get('as')));
