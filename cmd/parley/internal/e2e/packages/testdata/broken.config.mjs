// The configuration of the demo application, with a project for each broken copy of it, which has only the test that is
// to fail. $VARIANTS is their JSON: name and the title of the test.
import config from '../../../../../../packaging/playwright/demo/playwright.config.js';

const {baseURL} = config.use;

export default {
  ...config,
  reporter: 'json',
  projects: [{name: 'right', use: {baseURL: baseURL + 'right/'}}].concat(JSON.parse(process.env.VARIANTS).map(({name, title}) => ({
    name,
    use: {baseURL: `${baseURL}${name}/`, parleyOptions: {timeout: 4000}},
    expect: {timeout: 3000}, // in vain
    grep: new RegExp(title),
  }))),
  webServer: {...config.webServer, command: `node server.js '${process.env.COPIES}'`, url: baseURL + 'right/'},
};
