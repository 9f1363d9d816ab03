import {spawn} from 'node:child_process';
import {createInterface} from 'node:readline';
import {expect as playwrightExpect, test as playwrightTest} from '@playwright/test';

/** @typedef {import('./events.js').Event} Event */
/** @typedef {import('./events.js').EventName} EventName */
/**
 * @template {EventName} N
 * @typedef {import('./events.js').EventOf<N>} EventOf
 */

/**
 * How the fixture runs Parley: test.use({parleyOptions: {command: '/opt/parley'}}).
 * @typedef {object} ParleyOptions
 * @property {string} [command] the program; default: $PARLEY, or parley in $PATH
 * @property {string} [server] the signaling server, a ws:// or wss:// URL; default: $PARLEY_SERVER, or a server that
 * the fixture starts
 * @property {number} [timeout] how long a wait takes at most, in milliseconds; default: 10,000
 * @property {Record<string, string>} [env] variables beside those of this process
 */

/**
 * What a peer sends and expects. Options of the command line have these names in camel case.
 * @typedef {object} PeerOptions
 * @property {string} [as] its name; default: peer
 * @property {string} [video] source of video: test, a file, camera, or exec:COMMAND
 * @property {string} [audio] source of audio: test, tone:HZ, a file, microphone, or exec:COMMAND
 * @property {string[]} [say] texts to send when the data channel opens
 * @property {string[]} [expect] checks, such as video.frames>=30, for {@link Peer.expect}
 * @property {string} [record] file to record to
 * @property {string[]} [args] further options of the command line
 */

/** The milliseconds that a wait takes unless parleyOptions.timeout is set. */
const patience = 10_000;

/** A running Parley and its events. */
class Process {
  /** What it wrote to stderr. */
  stderr = '';
  /** All events so far, in their order. @type {Event[]} */
  events = [];
  /** Its exit code once it has ended, null if a signal ended it. @type {Promise<number | null>} */
  exited;
  /** @type {import('node:child_process').ChildProcess} */
  #child;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {string | undefined} */
  #end;
  #patience;

  /**
   * @param {string[]} args
   * @param {ParleyOptions} options
   */
  constructor(args, options) {
    this.args = args;
    this.#patience = options.timeout ?? patience;
    const command = options.command ?? process.env.PARLEY ?? 'parley';
    this.#child = spawn(command, args, {env: {...process.env, ...options.env}, stdio: ['pipe', 'pipe', 'pipe']});
    const child = /** @type {import('node:child_process').ChildProcessWithoutNullStreams} */ (this.#child);
    child.stdin.on('error', () => {}); // it has ended: exited has the result
    child.stderr.setEncoding('utf8').on('data', text => { this.stderr = (this.stderr + text).slice(-64 * 1024); });
    const lines = createInterface({input: child.stdout, crlfDelay: Infinity});
    lines.on('line', line => this.#read(line));
    this.exited = new Promise(resolve => {
      child.on('error', error => {
        this.#ended(`${command} does not start: ${error.message}; set PARLEY or parleyOptions.command to its path`);
        resolve(null);
      });
      child.on('close', (code, signal) => {
        this.#ended(`${this} ended with ${signal ?? `exit code ${code}`}: ${this.stderr.trim()}`);
        resolve(code);
      });
    });
  }

  /** @param {string} line */
  #read(line) {
    try {
      this.events.push(JSON.parse(line));
    } catch {
      this.stderr += `no event: ${line}\n`;
    }
    this.#changed();
  }

  /** @param {string} why */
  #ended(why) {
    this.#end ??= why;
    this.#changed();
  }

  #changed() {
    for (const listener of this.#listeners) listener();
  }

  /**
   * Waits for an event, which may have come already, and returns it. It rejects when the process ends before, or after
   * the timeout in milliseconds.
   * @template {EventName} N
   * @param {N} name
   * @param {(event: EventOf<N>) => boolean} [matches] default: any
   * @param {{timeout?: number, after?: Event}} [options] after: an event that this one has to follow
   * @returns {Promise<EventOf<N>>}
   */
  waitFor(name, matches = () => true, {timeout = this.#patience, after} = {}) {
    let next = after ? this.events.indexOf(after) + 1 : 0;
    return new Promise((resolve, reject) => {
      /** @param {() => void} settle */
      const done = settle => {
        clearTimeout(timer);
        this.#listeners.delete(look);
        settle();
      };
      const look = () => {
        for (; next < this.events.length; next++) {
          const event = /** @type {EventOf<N>} */ (this.events[next]);
          if (event.event === name && matches(event)) {
            done(() => resolve(event));
            return;
          }
        }
        if (this.#end !== undefined) done(() => reject(new Error(`no event ${name}: ${this.#end}`)));
      };
      const timer = setTimeout(() => done(() => reject(new Error(`no event ${name} of ${this} within ${timeout} ms; ${this.summary()}`))), timeout);
      this.#listeners.add(look);
      look();
    });
  }

  /** The names of the last events and the last statistics, for messages. */
  summary() {
    const names = this.events.filter(e => e.event !== 'stats' && e.event !== 'candidate').map(e => e.event);
    const tracks = /** @type {EventOf<'stats'> | undefined} */ (this.events.findLast(e => e.event === 'stats'))?.tracks;
    return `its last events were ${names.slice(-12).join(', ') || 'none'}${tracks ? `, its last statistics ${JSON.stringify(tracks)}` : ''}`;
  }

  /** @param {string} line */
  write(line) { this.#child.stdin?.write(line + '\n'); }

  /** Interrupts it, kills it after five seconds, and returns its exit code. */
  async stop() {
    this.#child.kill('SIGINT');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5000);
    const code = await this.exited;
    clearTimeout(timer);
    return code;
  }

  toString() { return `parley ${this.args.join(' ')}`; }
}

/** parley serve. */
export class Server extends Process {
  /** The address of its page, without a slash at its end. */
  url = '';
  /** The address of its signaling. */
  signaling = '';

  /** Waits until it listens. */
  async ready() {
    const {url = ''} = await this.waitFor('listening', e => e.url !== undefined);
    this.url = url.replace(/\/$/, '');
    this.signaling = this.url.replace(/^http/, 'ws');
    return this;
  }
}

/** A peer: parley answer, call or echo. */
export class Peer extends Process {
  #commands = 0;
  #checks;

  /**
   * @param {string} name
   * @param {string[]} args
   * @param {PeerOptions} peer
   * @param {ParleyOptions} options
   */
  constructor(name, args, peer, options) {
    super(args, options);
    this.name = name;
    this.#checks = peer.expect ?? [];
  }

  /**
   * Waits until a check of the option expect holds, and returns what it saw.
   * @param {string} check
   * @param {{timeout?: number, after?: Event}} [options]
   */
  async expect(check, options) {
    if (!this.#checks.includes(check)) throw new Error(`${this.name} does not expect ${check}: add it to the option expect`);
    try {
      return (await this.waitFor('expect', e => e.check === check && e.held, options)).saw;
    } catch (error) {
      throw new Error(`${check} does not hold: ${/** @type {Error} */ (error).message}`, {cause: error});
    }
  }

  /**
   * Waits until the call is connected.
   * @param {{timeout?: number, after?: Event}} [options]
   */
  connected(options) { return this.waitFor('state', e => e.connection === 'connected', options); }

  /**
   * Waits until a text has come.
   * @param {string | RegExp} text
   * @param {{timeout?: number, after?: Event}} [options]
   */
  received(text, options) {
    return this.waitFor('text', e => e.direction === 'in' && (typeof text === 'string' ? e.text === text : text.test(e.text)), options);
  }

  /**
   * Waits until the call has ended.
   * @param {{timeout?: number, after?: Event}} [options]
   */
  ended(options) { return this.waitFor('end', undefined, options); }

  /**
   * Runs a command of parley help events in the call, such as source. It rejects when the command fails.
   * @param {string} command
   * @param {Record<string, unknown>} [members]
   */
  async command(command, members = {}) {
    const id = ++this.#commands;
    this.write(JSON.stringify({id, command, ...members}));
    const reply = await this.waitFor('reply', e => e.id === id);
    if (!reply.ok) throw new Error(`${command}: ${reply.error}`);
  }

  /**
   * Sends a text.
   * @param {string} text
   */
  say(text) { return this.command('say', {text}); }

  /** Ends the call. */
  hangup() { return this.command('hangup'); }

  /**
   * Stops sending.
   * @param {'audio' | 'video'} [kind] default: both
   */
  mute(kind) { return this.command('mute', {kind}); }

  /**
   * Sends again.
   * @param {'audio' | 'video'} [kind] default: both
   */
  unmute(kind) { return this.command('unmute', {kind}); }
}

/** What a test runs: the fixture parley. */
export class Parley {
  #options;
  /** @type {Process[]} */
  #processes = [];
  /** @type {Promise<Server> | undefined} */
  #server;

  /** @param {ParleyOptions} options */
  constructor(options) { this.#options = options; }

  /**
   * @template {Process} P
   * @param {P} process
   */
  #add(process) {
    this.#processes.push(process);
    return process;
  }

  /**
   * Starts a signaling server on a free port of this machine, and waits until it listens. Peers that start later log in
   * there.
   * @param {string[]} [args] further options of parley serve
   */
  serve(args = []) {
    const all = ['serve', '--listen', '127.0.0.1:0', '--limits', 'off', '--output', 'ndjson', ...args];
    this.#server = this.#add(new Server(all, this.#options)).ready();
    return this.#server;
  }

  /** The address of the signaling server, which is started if there is none. */
  async signaling() {
    return this.#options.server ?? process.env.PARLEY_SERVER ?? (await (this.#server ?? this.serve())).signaling;
  }

  /**
   * @param {'answer' | 'call' | 'echo'} command
   * @param {string[]} operands
   * @param {PeerOptions} peer
   */
  async #peer(command, operands, peer) {
    const name = peer.as ?? 'peer';
    const args = [command, ...operands, '--as', name, '--server', await this.signaling(), '--output', 'ndjson'];
    if (command !== 'echo') args.push('--input', 'ndjson', '--stats-interval', '500ms');
    for (const flag of /** @type {const} */ (['video', 'audio', 'record'])) {
      if (peer[flag] !== undefined) args.push(`--${flag}`, peer[flag]);
    }
    for (const text of peer.say ?? []) args.push('--say', text);
    for (const check of peer.expect ?? []) args.push('--expect', check);
    if (peer.expect?.length) args.push('--linger', '1h'); // the test decides when it ends
    const started = this.#add(new Peer(name, [...args, ...peer.args ?? []], peer, this.#options));
    await started.waitFor('login', e => e.success);
    return started;
  }

  /**
   * Starts a peer that answers calls, and waits until it is logged in.
   * @param {string} name
   * @param {PeerOptions} [options]
   */
  answer(name, options = {}) { return this.#peer('answer', [], {...options, as: name}); }

  /**
   * Starts a peer that calls a name, and waits until it is logged in.
   * @param {string} name
   * @param {PeerOptions} [options]
   */
  call(name, options = {}) { return this.#peer('call', [name], options); }

  /**
   * Starts a peer that sends back what it receives, and waits until it is logged in.
   * @param {string} [name]
   */
  echo(name = 'echo') { return this.#peer('echo', [], {as: name}); }

  /** Stops everything, and returns what each process wrote, by its command line. */
  async close() {
    await Promise.all(this.#processes.map(p => p.stop()));
    return this.#processes.map(p => ({name: String(p), body: p.events.map(e => JSON.stringify(e)).join('\n') + '\n' + p.stderr}));
  }
}

/** The test of Playwright with the fixture parley. */
export const test = playwrightTest.extend(
  /** @type {import('@playwright/test').Fixtures<{parley: Parley, parleyOptions: ParleyOptions}>} */ ({
    parleyOptions: [{}, {option: true}],
    parley: async ({parleyOptions}, use, testInfo) => {
      const parley = new Parley(parleyOptions);
      await use(parley);
      const logs = await parley.close();
      if (testInfo.status === testInfo.expectedStatus) return;
      for (const {name, body} of logs) await testInfo.attach(name, {body, contentType: 'text/plain'});
    },
  }));

/**
 * Makes a matcher of a wait: it passes when the wait resolves.
 * @param {(peer: Peer, wanted: any, options: {timeout?: number}) => Promise<unknown>} wait
 */
const matcher = wait =>
  /** @param {Peer} peer @param {any} [wanted] @param {{timeout?: number}} [options] */
  async (peer, wanted, options) => {
    try {
      await wait(peer, wanted, options ?? {});
      return {pass: true, message: () => `${peer.name}: ${wanted ?? 'this'} was not expected`};
    } catch (error) {
      return {pass: false, message: () => `${peer.name}: ${/** @type {Error} */ (error).message}`};
    }
  };

/** The expect of Playwright with matchers for peers, each of which waits. */
export const expect = playwrightExpect.extend({
  /** A check of the option expect holds. */
  toHold: matcher((peer, check, options) => peer.expect(check, options)),
  /** The call is connected. */
  toBeConnected: matcher(peer => peer.connected()),
  /** A text has come. */
  toReceiveText: matcher((peer, text, options) => peer.received(text, options)),
  /** The call has ended, for this reason if one is given. */
  toHaveEnded: matcher(async (peer, reason, options) => {
    const end = await peer.ended(options);
    if (reason !== undefined && end.reason !== reason) throw new Error(`the call ended by ${end.reason}, want ${reason}`);
  }),
});
