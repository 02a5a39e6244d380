// One headless Chromium for the whole run.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
  // A page that waits in the background is not to be slowed down: the pages take turns.
  '--disable-background-timer-throttling', '--disable-renderer-backgrounding',
  '--disable-backgrounding-occluded-windows', '--enable-precise-memory-info',
  '--js-flags=--expose-gc',
  // The address bar's own pages take a core just when a new browser opens its first page.
  '--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup',
];

/** Starts Chromium (`CHROMIUM`, else /usr/bin/chromium) with a fresh profile. */
export async function launch() {
  const profile = await mkdtemp(join(tmpdir(), 'hitl-labeler-bench-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    chromiumSandbox: false,
    args: FLAGS,
    viewport: { width: 1280, height: 800 },
  });
  return {
    context,
    version: context.browser()?.version() ?? 'unknown',
    close: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}
