import {expect, test} from 'parley-playwright';

/** Opens the application as customer, signed in at the server of the peers. */
async function open(page, parley) {
  await page.goto(`./?as=customer&server=${await parley.signaling()}`);
  await expect(page.getByRole('status')).toHaveText('Signed in as customer');
}

/** Waits until the page shows more frames of the test video, which has 320x240. */
async function showsVideo(page) {
  const video = page.locator('#remote');
  await expect.poll(() => video.evaluate(v => v.videoWidth)).toBe(320);
  const shown = await video.evaluate(v => v.getVideoPlaybackQuality().totalVideoFrames);
  await expect.poll(() => video.evaluate(v => v.getVideoPlaybackQuality().totalVideoFrames)).toBeGreaterThan(shown + 5);
}

test('a customer calls an agent: both see and hear the other', async ({page, parley}) => {
  const agent = await parley.answer('agent', {video: 'test', audio: 'test', expect: ['video.frames>=10', 'audio.packets>=20']});
  await open(page, parley);
  await page.getByRole('button', {name: 'Call', exact: true}).click();
  await expect(agent).toBeConnected();
  await expect(page.getByRole('status')).toHaveText('In a call with agent');
  await expect(agent).toHold('video.frames>=10');
  await expect(agent).toHold('audio.packets>=20');
  await showsVideo(page);
});

test('messages go both ways', async ({page, parley}) => {
  const agent = await parley.answer('agent');
  await open(page, parley);
  await page.getByRole('button', {name: 'Call', exact: true}).click();
  await agent.waitFor('channel', e => e.state === 'open');
  await agent.say('How may I help?');
  await expect(page.getByRole('list', {name: 'Messages'})).toHaveText('agent: How may I help?');
  await page.getByLabel('Message', {exact: true}).fill('It does not start');
  await page.getByRole('button', {name: 'Send'}).click();
  await expect(agent).toReceiveText(/does not start/);
});

test('an agent calls a customer, who answers and hangs up', async ({page, parley}) => {
  await open(page, parley);
  const agent = await parley.call('customer', {as: 'agent', video: 'test'});
  await expect(page.getByText('agent calls')).toBeVisible();
  await page.getByRole('button', {name: 'Answer'}).click();
  await expect(agent).toBeConnected();
  await showsVideo(page);
  await page.getByRole('button', {name: 'Hang up'}).click();
  await expect(agent).toHaveEnded('remote-hangup');
  expect(await agent.exited).toBe(0);
});

test('an agent who hangs up is gone', async ({page, parley}) => {
  const agent = await parley.answer('agent', {video: 'test'});
  await open(page, parley);
  await page.getByRole('button', {name: 'Call', exact: true}).click();
  await expect(page.getByRole('status')).toHaveText('In a call with agent');
  await agent.hangup();
  await expect(agent).toHaveEnded('local-hangup');
  await expect(page.getByRole('status')).toHaveText('agent has hung up');
  await expect(page.getByRole('button', {name: 'Hang up'})).toBeDisabled();
});

test('a customer declines a call', async ({page, parley}) => {
  await open(page, parley);
  const agent = await parley.call('customer', {as: 'agent'});
  await page.getByRole('button', {name: 'Decline'}).click();
  await expect(agent).toHaveEnded();
  await expect(page.getByRole('status')).toHaveText('You have hung up');
});
