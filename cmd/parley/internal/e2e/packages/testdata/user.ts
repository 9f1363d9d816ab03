// What a user's test may write: each expected error is one, or the compiler reports it as unused.
import {expect, test} from '../../../../../../packaging/playwright/index.js';

test.use({parleyOptions: {timeout: 5000}});

test('types', async ({page, parley}) => {
  const bob = await parley.answer('bob', {video: 'test', expect: ['connected']});
  await page.goto(await parley.signaling());
  const event = await bob.waitFor('text', e => e.direction === 'in');
  await expect(bob).toHold(event.text, {timeout: 100});
  await expect(bob).toReceiveText(/hi/);
  // @ts-expect-error: no such event
  await bob.waitFor('txet');
  // @ts-expect-error: no such member
  event.txet;
  // @ts-expect-error: no such value
  await bob.waitFor('text', e => e.direction === 'inn');
  // @ts-expect-error: no such option
  await parley.answer('bob', {vdeo: 'test'});
  // @ts-expect-error: no such matcher
  await expect(bob).toHodl('connected');
  // @ts-expect-error: no such kind of media
  await bob.mute('txet');
});
