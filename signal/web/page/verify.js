// The code by which two people verify that no one intercepts their call.

/**
 * Returns the verification code of a call. Both peers have the same, unless somebody between them,
 * the signaling server above all, has put in a certificate of its own. A terminal computes it in the
 * same way (peer/verification.go specifies it). The code is '' where the browser has no way to compute it:
 * on a page that came by plain http from elsewhere.
 * @param {string} ours
 * @param {string} theirs
 */
export async function verificationCode(ours, theirs) {
  if (!globalThis.crypto?.subtle) return '';
  const both = [fingerprints(ours), fingerprints(theirs)].sort().join('\n');
  const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(both)));
  const groups = [];
  for (let i = 0; i < 30; i += 5) {
    const number = sum.slice(i, i + 5).reduce((n, byte) => n * 256 + byte, 0); // 40 bits
    groups.push(String(number % 100000).padStart(5, '0'));
  }
  return groups.join(' ');
}

/** The fingerprints of a description, in lower case, sorted and each once. */
function fingerprints(/** @type {string} */ sdp) {
  const all = [...sdp.matchAll(/^a=fingerprint:(.*)$/gm)].map(m => m[1].trim().toLowerCase());
  return [...new Set(all)].sort().join(',');
}
