// Puts the parts together, and does what the address of the page requests.

import {isPermitted, parseAddress, takeToken} from './address.js';
import {CallTools} from './calltools.js';
import {Chat} from './chat.js';
import {serverURL} from './connection.js';
import {MuteButtons, useFileInputs} from './controls.js';
import {byId, inputById, onSubmit} from './dom.js';
import {Files} from './filecards.js';
import {LoginView} from './login.js';
import {ManualSignaling} from './manual.js';
import {LocalMedia} from './media.js';
import {failure, remark} from './outcomes.js';
import {Page} from './page.js';
import {Phone} from './phone.js';
import {Ringing} from './ringing.js';
import {Signaling} from './signaling.js';
import {localStore, sessionStore} from './storage.js';
import {shownName, shownText, typedName} from './text.js';
import {verificationCode} from './verify.js';

const address = parseAddress(location.search), permitted = isPermitted();
const devices = {audio: address.audio, video: address.video};
const login = new LoginView(address, sessionStore('name'));
const ringing = new Ringing(devices, {accept: chosen => phone.accept(chosen), decline: () => phone.hangUp()});
const page = new Page(ringing);
const chat = new Chat(byId('chatarea'));
const local = new LocalMedia(() => localChanged(), localStore('devices'));
const muteButtons = new MuteButtons(local);
const tools = new CallTools({
  local, devices,
  name: () => signaling.name ?? '',
  dial: name => dial(name),
  notice: text => page.notice(text),
  ontitle: prefix => page.titlePrefix(prefix),
});
const files = new Files({
  card: card => chat.add(card),
  channel: () => /** @type {import('./call.js').Call} */ (phone.call).openFiles(),
  takes: () => address.files && permitted,
});
const maxText = 16000; // characters of a message: any peer takes as many
let toCall = address.call; // once
let chatOwner = ''; // whose messages are shown
let endedBecause = ''; // why the session ended while a call went on

/** @type {import('./signaling.js').SignalingEvents} */
const signalingEvents = {
  login(refusal) {
    if (refusal !== null) {
      login.show(refusal);
      return;
    }
    const isNew = byId('callPage').hidden === true, name = signaling.name ?? '';
    login.hide(name);
    page.signedIn(name, isNew);
    if (isNew) showMessages(name);
    phone.sessionRenewed();
    if (toCall && phone.phase === 'idle') dial(toCall);
    toCall = '';
  },
  connected: () => page.server('here'),
  lost: () => page.server('away'),
  ended(why) {
    if (phone.phase === 'talking') {
      endedBecause = why;
      page.server('away');
      page.notice(why);
    } else {
      phone.hangUp();
      signedOut(why);
    }
  },
  message: m => phone.receive(m),
};
const manual = address.manual ? new ManualSignaling(() => phone.call?.pc ?? null, () => dial('peer'), signalingEvents) : null;
const signaling = manual ?? new Signaling(serverURL(), takeToken(), signalingEvents);

const phone = new Phone({
  signaling, local,
  answersWith: () => address.answer && permitted ? devices : null,
  on: {
    phase(phase, peer) {
      page.phase(phase, peer);
      muteButtons.update(phase !== 'idle');
      tools.phase(phase, peer, phone.call?.pc ?? null);
      updateChat();
      manual?.phase(phase);
      if (phase === 'talking') files.talking(peer);
      else files.over();
      if (phase === 'idle' && endedBecause) signedOut(endedBecause);
    },
    state: state => page.connection(state),
    remote: stream => page.remote(stream),
    peerMedia: media => page.peerMedia(media),
    negotiated() {
      updateChat();
      showCode();
    },
    offerRejected: (why, byPeer) => page.notice(byPeer ? `${peerName()} did not take a change of the call: ${shownText(why)}`
      : `A change that ${peerName()} wanted was not made, because this browser cannot take it: ${shownText(why)}`),
    answerRejected: (why, byPeer) => chat.note(byPeer ? 'Our answer was not taken by ' : 'Nothing changes, because this browser cannot take the answer of ',
      {name: phone.call?.peer ?? ''}, `: ${shownText(why)}`),
    rebuilt: why => chat.note('This browser cannot go on by the connection with ', {name: phone.call?.peer ?? ''}, `, and makes another: ${shownText(why)}`),
    open() {
      for (const text of address.say) phone.say(text);
    },
    files: channel => files.take(channel, phone.call?.peer ?? ''),
    text: text => say(phone.call?.peer ?? '', text, false),
    binary: bytes => chat.note({name: phone.call?.peer ?? ''}, ` sent ${bytes} bytes that are no text`),
    sent: text => say(signaling.name ?? '', text, true),
    unsent: (text, error) => chat.note('Not sent', error ? ` (${error.message})` : '', ': ', {name: text}),
    busy: peer => chat.note({name: peer}, ' called while you were busy'),
    error: message => page.notice(`The server says: ${shownName(message)}`),
    ended(reason, peer, phase, error) {
      const ended = {reason, peer, phase, error}, parts = remark(ended), why = failure(ended);
      if (parts) chat.note(...parts);
      if (why) page.notice(why);
    },
  },
});

function peerName() {
  return shownName(phone.call?.peer ?? '');
}

/** Shows the messages that were kept of a user, and not those of the one before. */
function showMessages(/** @type {string} */ name) {
  if (name !== chatOwner) chat.clear();
  chatOwner = name;
  tools.signedIn(name, line => chat.say(line.name, line.text, line.mine));
}

/** @param {string} name @param {string} text @param {boolean} mine */
function say(name, text, mine) {
  tools.message({name, text, mine});
  chat.say(name, text, mine);
}

function localChanged() {
  page.local(local);
  tools.localChanged();
  muteButtons.update(phone.phase !== 'idle');
  phone.call?.sendLocal();
}

function updateChat() {
  const inCall = phone.call !== null && phone.phase !== 'ringing', takesText = phone.call?.textPossible ?? false;
  if (inCall && !takesText) page.chat(false, `${peerName()} takes no messages`);
  else page.chat(inCall);
  page.files(phone.phase === 'talking' && takesText);
}

/** Shows the code of the call, once. */
async function showCode() {
  const {call} = phone;
  if (!call) return;
  const code = await verificationCode(...call.descriptions);
  if (!code || call !== phone.call || call.code === code) return;
  call.code = code;
  chat.note('Verification code ', {name: code}, ': the peer shows the same, unless the call is intercepted');
}

function signIn(/** @type {string} */ name) {
  if (!name) {
    login.show('Type the name you want to be called by.');
  } else if (typeof RTCPeerConnection === 'undefined') {
    login.show('This browser has no WebRTC, or it is turned off.');
  } else {
    login.signingIn(name);
    signaling.signIn(name);
  }
}

function dial(/** @type {string} */ name) {
  if (!name) page.notice('Type the name of whom to call.');
  else if (name === signaling.name) page.notice('That is your own name.');
  else if (phone.call?.peer !== name) phone.dial(name, devices);
  else if (phone.phase === 'ringing') phone.accept(devices);
  else if (phone.phase === 'talking') page.notice(`You are in a call with ${peerName()} already.`);
}

function signOut() {
  endedBecause = '';
  phone.hangUp();
  signaling.signOut();
  chat.clear();
  login.forget();
  signedOut('');
}

function signedOut(/** @type {string} */ why) {
  endedBecause = '';
  tools.signedOut();
  login.show(why);
}

onSubmit('loginForm', () => signIn(typedName(inputById('usernameInput').value)));
onSubmit('callForm', () => dial(typedName(inputById('callToUsernameInput').value)));
onSubmit('msgForm', () => {
  const input = inputById('msgInput');
  const {length} = input.value;
  if (!length) return;
  if (length > maxText) {
    page.notice(`This message has ${length.toLocaleString()} characters; at most ${maxText.toLocaleString()} can be sent. A file can be longer.`);
    return;
  }
  phone.say(input.value);
  input.value = '';
  input.focus();
});
byId('hangUpBtn').onclick = () => phone.hangUp();
byId('signOutBtn').onclick = signOut;
useFileInputs({
  isPossible: () => phone.phase === 'talking' && !!phone.call?.textPossible,
  files: list => files.send(list),
  failed: error => page.notice(`These files cannot be read: ${error.message}`),
});
addEventListener('hashchange', () => { // a new token, given to the open page
  const token = takeToken();
  if (token !== null) signaling.renew(token);
});
addEventListener('pagehide', () => {
  phone.hangUp();
  signaling.suspend();
});
// Firefox has closed the socket by then. Of a call that stands the server notifies the peer; of one
// that rings, only we can.
addEventListener('beforeunload', () => { if (phone.phase !== 'talking') phone.hangUp(); });
page.phase('idle', '');
page.local(local);
page.chat(false);
page.files(false);
if (permitted && address.name !== null) signIn(address.name);
