// The configuration of the demo application, with a project for each broken copy of it, which has only the test that is
// to fail. $VARIANTS is their JSON: name and the title of the test. The broken ones begin first: they wait in vain while
// the others run.
import config from '../../../../../../packaging/playwright/demo/playwright.config.js';

const {baseURL} = config.use;

export default {
  ...config,
  reporter: 'json',
  workers: 6,
  projects: JSON.parse(process.env.VARIANTS).map(({name, title}) => ({
    name,
    use: {baseURL: `${baseURL}${name}/`, parleyOptions: {timeout: 5000}},
    expect: {timeout: 4000}, // in vain
    grep: new RegExp(title),
  })).concat([{name: 'right', use: {baseURL: baseURL + 'right/'}}]),
  webServer: {...config.webServer, command: `node server.js '${process.env.COPIES}'`, url: baseURL + 'right/'},
};
