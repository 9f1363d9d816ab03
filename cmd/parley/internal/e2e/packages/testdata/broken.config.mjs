// The configuration of the demo application, with a project for each broken copy of it, which has only the test that is
// to fail. $VARIANTS is their JSON: name and the title of the test. The broken ones begin first: they wait in vain while
// the others run. All workers use one browser, which the global setup starts: each failure ends a worker.
import config from '../../../../../../packaging/playwright/demo/playwright.config.js';

const {baseURL} = config.use;

export default {
  ...config,
  reporter: 'json',
  workers: 6,
  globalSetup: './browser.mjs',
  use: {...config.use, connectOptions: {wsEndpoint: process.env.BROWSER_ENDPOINT}},
  projects: JSON.parse(process.env.VARIANTS).map(({name, title}) => ({
    name,
    use: {baseURL: `${baseURL}${name}/`, parleyOptions: {timeout: 5000}},
    expect: {timeout: 4000}, // in vain
    grep: new RegExp(title),
  })).concat([{name: 'right', use: {baseURL: baseURL + 'right/'}}]),
  webServer: {...config.webServer, command: `node server.js '${process.env.COPIES}'`, url: baseURL + 'right/'},
};
