import assert from 'node:assert/strict';
import test from 'node:test';

import {actionOf, shortcuts} from '../../page/shortcuts.js';

const key = (key, more = {}) => ({key, ctrlKey: false, altKey: false, metaKey: false, repeat: false, defaultPrevented: false, ...more});

test('a key has one action, and each action one key', () => {
  assert.equal(new Set(shortcuts.map(([k]) => k)).size, shortcuts.length);
  assert.equal(new Set(shortcuts.map(([, action]) => action)).size, shortcuts.length);
  assert.equal(actionOf(key('m')), 'mic');
  assert.equal(actionOf(key('H')), 'hangUp');
  assert.equal(actionOf(key('h')), null);
});

test('a key with a modifier belongs to the browser, and a held key acts once', () => {
  for (const more of [{ctrlKey: true}, {altKey: true}, {metaKey: true}, {repeat: true}, {defaultPrevented: true}]) assert.equal(actionOf(key('m', more)), null);
});
