// The browser of all workers.
import {chromium} from '../../../../../../packaging/playwright/node_modules/@playwright/test/index.mjs';
import config from '../../../../../../packaging/playwright/demo/playwright.config.js';

export default async () => {
  const browser = await chromium.launchServer(config.use.launchOptions);
  process.env.BROWSER_ENDPOINT = browser.wsEndpoint();
  return () => browser.close();
};
