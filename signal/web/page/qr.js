// QR codes (ISO/IEC 18004), drawn here: a link to a user is nothing for a service elsewhere.

import {encode} from './uqr.js';

const quietZone = 4; // modules around the code, as the standard wants

/**
 * Returns the code of a text as an SVG path of dark modules, and its width and height in modules.
 * @param {string} text up to 2331 bytes
 * @returns {{path: string, size: number}}
 */
export function qrPath(text) {
  const {data, size} = encode(text, {ecc: 'M', border: quietZone});
  let path = '';
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      if (!data[y][x]) continue;
      const start = x;
      while (data[y][x]) x++;
      path += `M${start} ${y}h${x - start}v1h${start - x}z`;
    }
  }
  return {path, size};
}
