// Why the server refuses a login or ends a session, and what helps.

/** Codes of refused logins for which another attempt is refused again; signal/doc.go lists all. */
const finalRefusals = new Set(['unauthorized', 'bad_name', 'bad_message', 'taken']);

/** @type {Record<string, string>} */
const byCode = {
  bad_name: 'Choose another one.',
  unauthorized: 'Open a new link to sign in.',
  throttled: 'Wait a minute, and sign in again.',
  unavailable: 'Sign in again in a moment.',
  overloaded: 'Sign in again in a moment.',
};

/** @type {Record<number, string>} */
const byCloseCode = {
  1008: 'The server does not allow this page to connect. Ask its operator.',
  4400: 'The server and this page have lost count of their messages. Sign in again.',
  4401: 'Your sign-in has expired. Open a new link to sign in again.',
  4403: 'You are not allowed to use this server. Open the link that you were given again.',
  4408: 'The server has received no sign-in in time. Sign in again.',
  4409: 'You have signed in with this name in another tab or on another device. Sign in here to go on in this tab.',
  4429: 'Too many attempts came from your address. Wait a minute, and sign in again.',
  4503: 'The server is overloaded. Sign in again in a moment.',
};

/**
 * Reports whether another attempt after a refused login is refused again. An original server sends no
 * code: then the name may still be held by a connection of ours that the server has not found dead.
 * @param {{code?: unknown}} reply
 */
export function isFinalRefusal(reply) {
  return typeof reply.code === 'string' && finalRefusals.has(reply.code);
}

/**
 * Returns what to show for a refused login.
 * @param {{code?: unknown, message?: unknown}} reply
 * @param {string} name that was requested
 */
export function explainRefusal({code, message}, name) {
  if (code === 'taken' || typeof message !== 'string' || !message) return `The name ${name} is taken. Choose another one.`;
  const help = byCode[String(code)] ?? '';
  const sentence = message[0].toUpperCase() + message.slice(1);
  return help ? `${sentence.replace(/[.;]?$/, '.')} ${help}` : sentence;
}

/**
 * Returns what to show after the server has closed the connection.
 * @param {number} code
 * @param {string} reason
 */
export function explainClose(code, reason) {
  return byCloseCode[code] ?? `The signaling server ended the session: ${reason || `code ${code}`}. Sign in again.`;
}
