import assert from 'node:assert/strict';
import test from 'node:test';

import {inviteLink, isLoopback} from '../../page/invite.js';
import {qrPath} from '../../page/qr.js';

/** Returns the modules that a path fills, as rows of booleans. */
function modules({path, size}) {
  const rows = Array.from({length: size}, () => Array(size).fill(false));
  for (const [, x, y, width] of path.matchAll(/M(\d+) (\d+)h(\d+)v1h-\d+z/g)) {
    for (let i = 0; i < Number(width); i++) rows[Number(y)][Number(x) + i] = true;
  }
  return rows;
}

test('a code has its quiet zone, finder patterns and timing pattern', () => {
  const code = qrPath('http://localhost:9090/?call=alice'), m = modules(code), {size} = code;
  assert.ok((size - 8 - 17) % 4 === 0 && size >= 29, `size ${size}`);
  for (let i = 0; i < size; i++) for (let j = 0; j < 4; j++) assert.ok(!m[i][j] && !m[j][i] && !m[i][size - 1 - j] && !m[size - 1 - j][i]);
  const finder = ['#######', '#.....#', '#.###.#', '#.###.#', '#.###.#', '#.....#', '#######'];
  for (const [x, y] of [[4, 4], [size - 11, 4], [4, size - 11]]) {
    finder.forEach((row, dy) => [...row].forEach((dark, dx) => assert.equal(m[y + dy][x + dx], dark === '#', `${x + dx},${y + dy}`)));
  }
  for (let i = 12; i < size - 12; i++) assert.equal(m[10][i], i % 2 === 0, `timing ${i}`);
});

test('a path covers each module once', () => {
  const code = qrPath('x'.repeat(300));
  const filled = [...code.path.matchAll(/h(\d+)v/g)].reduce((n, m) => n + Number(m[1]), 0);
  assert.equal(filled, modules(code).flat().filter(Boolean).length);
});

test('a link calls a user, without a token or the query of this page', () => {
  assert.equal(inviteLink('https://example.org/parley/?as=x&answer=1#token=secret', 'Zoë & Co'), 'https://example.org/parley/?call=Zo%C3%AB+%26+Co');
  assert.equal(inviteLink('http://localhost:9090/index.html', 'bob'), 'http://localhost:9090/?call=bob');
});

test('a link of this computer alone is known', () => {
  for (const host of ['localhost', 'parley.localhost', '127.0.0.1', '127.1.2.3', '[::1]']) assert.equal(isLoopback(host), true, host);
  for (const host of ['example.org', '192.168.1.2', '127.example.org', 'localhost.example.org', '[fe80::1]']) assert.equal(isLoopback(host), false, host);
});
