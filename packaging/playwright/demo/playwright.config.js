import {defineConfig} from '@playwright/test';

const port = process.env.PORT ?? '8080';

export default defineConfig({
  testDir: import.meta.dirname,
  fullyParallel: true,
  workers: 2,
  forbidOnly: true,
  timeout: 30_000,
  expect: {timeout: 10_000},
  reporter: process.env.CI ? [['list'], ['junit', {outputFile: process.env.JUNIT ?? 'reports/junit.xml'}]] : 'list',
  outputDir: process.env.RESULTS ?? 'test-results',
  use: {
    baseURL: `http://localhost:${port}/`,
    launchOptions: {
      // Playwright's own Chromium, or that of the system.
      executablePath: process.env.CHROMIUM,
      chromiumSandbox: process.env.CHROMIUM === undefined,
      args: ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required'],
    },
  },
  webServer: {command: 'node server.js', cwd: import.meta.dirname, url: `http://localhost:${port}/`, env: {PORT: port}},
});
