export type Event = import('./events.js').Event;
export type EventName = import('./events.js').EventName;
export type EventOf<N extends EventName> = import('./events.js').EventOf<N>;
export type ParleyOptions = {
    /**
     * the program; default: $PARLEY, or parley in $PATH
     */
    command?: string;
    /**
     * the signaling server, a ws:// or wss:// URL; default: $PARLEY_SERVER, or a server that
     * the fixture starts
     */
    server?: string;
    /**
     * how long a wait takes at most, in milliseconds; default: 10,000
     */
    timeout?: number;
    /**
     * variables beside those of this process
     */
    env?: Record<string, string>;
};
export type PeerOptions = {
    /**
     * its name; default: peer
     */
    as?: string;
    /**
     * source of video: test, a file, camera, or exec:COMMAND
     */
    video?: string;
    /**
     * source of audio: test, tone:HZ, a file, microphone, or exec:COMMAND
     */
    audio?: string;
    /**
     * texts to send when the data channel opens
     */
    say?: string[];
    /**
     * checks, such as video.frames>=30, for {@link Peer.expect}
     */
    expect?: string[];
    /**
     * file to record to
     */
    record?: string;
    /**
     * further options of the command line
     */
    args?: string[];
};
/** A running Parley and its events. */
declare class Process {
    #private;
    args: string[];
    /** What it wrote to stderr. */
    stderr: string;
    /** All events so far, in their order. @type {Event[]} */
    events: Event[];
    /** Its exit code once it has ended, null if a signal ended it. @type {Promise<number | null>} */
    exited: Promise<number | null>;
    /**
     * @param {string[]} args
     * @param {ParleyOptions} options
     */
    constructor(args: string[], options: ParleyOptions);
    /**
     * Waits for an event, which may have come already, and returns it. It rejects when the process ends before, or after
     * the timeout in milliseconds.
     * @template {EventName} N
     * @param {N} name
     * @param {(event: EventOf<N>) => boolean} [matches] default: any
     * @param {{timeout?: number, after?: Event}} [options] after: an event that this one has to follow
     * @returns {Promise<EventOf<N>>}
     */
    waitFor<N extends EventName>(name: N, matches?: (event: EventOf<N>) => boolean, { timeout, after }?: {
        timeout?: number;
        after?: Event;
    }): Promise<EventOf<N>>;
    /** The names of the last events and the last statistics, for messages. */
    summary(): string;
    /** @param {string} line */
    write(line: string): void;
    /** Interrupts it, kills it after five seconds, and returns its exit code. */
    stop(): Promise<number | null>;
    toString(): string;
}
/** parley serve. */
export declare class Server extends Process {
    /** The address of its page, without a slash at its end. */
    url: string;
    /** The address of its signaling. */
    signaling: string;
    /** Waits until it listens. */
    ready(): Promise<this>;
}
/** A peer: parley answer, call or echo. */
export declare class Peer extends Process {
    #private;
    name: string;
    /**
     * @param {string} name
     * @param {string[]} args
     * @param {PeerOptions} peer
     * @param {ParleyOptions} options
     */
    constructor(name: string, args: string[], peer: PeerOptions, options: ParleyOptions);
    /**
     * Waits until a check of the option expect holds, and returns what it saw.
     * @param {string} check
     * @param {{timeout?: number, after?: Event}} [options]
     */
    expect(check: string, options?: {
        timeout?: number;
        after?: Event;
    }): Promise<string>;
    /**
     * Waits until the call is connected.
     * @param {{timeout?: number, after?: Event}} [options]
     */
    connected(options?: {
        timeout?: number;
        after?: Event;
    }): Promise<import("./events.js").State>;
    /**
     * Waits until a text has come.
     * @param {string | RegExp} text
     * @param {{timeout?: number, after?: Event}} [options]
     */
    received(text: string | RegExp, options?: {
        timeout?: number;
        after?: Event;
    }): Promise<import("./events.js").Text>;
    /**
     * Waits until the call has ended.
     * @param {{timeout?: number, after?: Event}} [options]
     */
    ended(options?: {
        timeout?: number;
        after?: Event;
    }): Promise<import("./events.js").End>;
    /**
     * Runs a command of parley help events in the call, such as source. It rejects when the command fails.
     * @param {string} command
     * @param {Record<string, unknown>} [members]
     */
    command(command: string, members?: Record<string, unknown>): Promise<void>;
    /**
     * Sends a text.
     * @param {string} text
     */
    say(text: string): Promise<void>;
    /** Ends the call. */
    hangup(): Promise<void>;
    /**
     * Stops sending.
     * @param {'audio' | 'video'} [kind] default: both
     */
    mute(kind?: 'audio' | 'video'): Promise<void>;
    /**
     * Sends again.
     * @param {'audio' | 'video'} [kind] default: both
     */
    unmute(kind?: 'audio' | 'video'): Promise<void>;
}
/** What a test runs: the fixture parley. */
export declare class Parley {
    #private;
    /** @param {ParleyOptions} options */
    constructor(options: ParleyOptions);
    /**
     * Starts a signaling server on a free port of this machine, and waits until it listens. Peers that start later log in
     * there.
     * @param {string[]} [args] further options of parley serve
     */
    serve(args?: string[]): Promise<Server>;
    /** The address of the signaling server, which is started if there is none. */
    signaling(): Promise<string>;
    /**
     * Starts a peer that answers calls, and waits until it is logged in.
     * @param {string} name
     * @param {PeerOptions} [options]
     */
    answer(name: string, options?: PeerOptions): Promise<Peer>;
    /**
     * Starts a peer that calls a name, and waits until it is logged in.
     * @param {string} name
     * @param {PeerOptions} [options]
     */
    call(name: string, options?: PeerOptions): Promise<Peer>;
    /**
     * Starts a peer that sends back what it receives, and waits until it is logged in.
     * @param {string} [name]
     */
    echo(name?: string): Promise<Peer>;
    /** Stops everything, and returns what each process wrote, by its command line. */
    close(): Promise<{
        name: string;
        body: string;
    }[]>;
}
/** The test of Playwright with the fixture parley. */
export declare const test: import("@playwright/test").TestType<import("@playwright/test").PlaywrightTestArgs & import("@playwright/test").PlaywrightTestOptions & {
    parley: Parley;
    parleyOptions: ParleyOptions;
}, import("@playwright/test").PlaywrightWorkerArgs & import("@playwright/test").PlaywrightWorkerOptions>;
/** The expect of Playwright with matchers for peers, each of which waits. */
export declare const expect: import("@playwright/test").Expect<{
    /** A check of the option expect holds. */
    toHold: (peer: Peer, wanted?: any, options?: {
        timeout?: number;
    }) => Promise<{
        pass: boolean;
        message: () => string;
    }>;
    /** The call is connected. */
    toBeConnected: (peer: Peer, wanted?: any, options?: {
        timeout?: number;
    }) => Promise<{
        pass: boolean;
        message: () => string;
    }>;
    /** A text has come. */
    toReceiveText: (peer: Peer, wanted?: any, options?: {
        timeout?: number;
    }) => Promise<{
        pass: boolean;
        message: () => string;
    }>;
    /** The call has ended, for this reason if one is given. */
    toHaveEnded: (peer: Peer, wanted?: any, options?: {
        timeout?: number;
    }) => Promise<{
        pass: boolean;
        message: () => string;
    }>;
}>;
export {};
