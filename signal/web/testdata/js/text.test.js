import assert from 'node:assert/strict';
import test from 'node:test';

import {clock, initial, shortName, shownName, shownText, sortsBefore, typedName} from '../../page/text.js';

test('shownName replaces what is not seen or turns the text around', () => {
  assert.equal(shownName('alice'), 'alice');
  assert.equal(shownName('\u202egpj.exe'), '\ufffdgpj.exe');
  assert.equal(shownName('a\u0000b\u200bc\u2028d\u2066e\ufefff'), 'a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf');
  assert.equal(shownName('Łukasz 日本 😀'), 'Łukasz 日本 😀');
  assert.equal(shownName('<b>'), '<b>');
});

test('shownName keeps joiners where they are written, and replaces those that are unseen', () => {
  assert.equal(shownName('می\u200cخواهم'), 'می\u200cخواهم');
  assert.equal(shownName('क्\u200dष'), 'क्\u200dष');
  assert.equal(shownName('👩\u200d🚀 👩🏽\u200d🚀 ❤\ufe0f\u200d🔥'), '👩\u200d🚀 👩🏽\u200d🚀 ❤\ufe0f\u200d🔥');
  assert.equal(shownName('ali\u200cce \u200d1\u200c'), 'ali\ufffdce \ufffd1\ufffd');
  assert.equal(shownName('\u200calice'), '\ufffdalice');
});

test('shortName counts characters as a user does', () => {
  assert.equal(shortName('x'.repeat(24)), 'x'.repeat(24));
  assert.equal(shortName('x'.repeat(25)), 'x'.repeat(24) + '…');
  assert.equal(shortName('e\u0301'.repeat(25)), 'e\u0301'.repeat(24) + '…');
});

test('initial is what a user sees as the first character', () => {
  assert.equal(initial('alice'), 'A');
  assert.equal(initial('👩\u200d🚀 jane'), '👩\u200d🚀');
  assert.equal(initial('e\u0301a'), 'E\u0301');
  assert.equal(initial(''), '');
});

test('shownName shortens a long name', () => {
  assert.equal(shownName('x'.repeat(64)), 'x'.repeat(64));
  assert.equal(shownName('x'.repeat(65)), 'x'.repeat(64) + '…');
});

test('shownName takes what is no string', () => {
  assert.equal(shownName(undefined), '');
  assert.equal(shownName(null), '');
  assert.equal(shownName(7), '7');
});

test('typedName composes, trims and joins', () => {
  assert.equal(typedName('  Jose\u0301 \t  Ruiz\n'), 'Jos\u00e9 Ruiz');
  assert.equal(typedName(' \u3000 '), '');
});

test('shownText keeps lines and tabs', () => {
  assert.equal(shownText('a\r\nb\rc\td'), 'a\nb\nc\td');
  assert.equal(shownText('a\u001b[31mb\u0007'), 'a\ufffd[31mb\ufffd');
  assert.equal(shownText('a\u202eb\u2067c'), 'a\ufffdb\ufffdc');
  assert.equal(shownText('x'.repeat(65537)).length, 65537);
  assert.ok(shownText('x'.repeat(65537)).endsWith('x…'));
});

test('sortsBefore compares UTF-8 bytes', () => {
  assert.equal(sortsBefore('alice', 'bob'), true);
  assert.equal(sortsBefore('bob', 'alice'), false);
  assert.equal(sortsBefore('bob', 'bob'), false);
  assert.equal(sortsBefore('bo', 'bob'), true);
  assert.equal(sortsBefore('Z', 'a'), true);
  assert.equal(sortsBefore('\uff5e', '😀'), true, 'U+FF5E is before U+1F600, though not in UTF-16');
});

test('clock shows hours only if there are any', () => {
  assert.equal(clock(0), '0:00');
  assert.equal(clock(65.9), '1:05');
  assert.equal(clock(3599), '59:59');
  assert.equal(clock(3723), '1:02:03');
});
