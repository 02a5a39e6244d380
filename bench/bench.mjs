// `make bench`: measures this component, beside onnxruntime-web where there is something to compare, in one
// Chromium process. Figures are JSON lines on stdout, progress goes to stderr; exits 1 when a target is missed.
import { readFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch } from './chromium.mjs';
import { latency } from './metrics/latency.mjs';
import { learning } from './metrics/learning.mjs';
import { images, queue } from './metrics/queue.mjs';
import { product } from './metrics/product.mjs';
import { sizes } from './metrics/sizes.mjs';
import { MODELS } from './models.mjs';
import { missedTargets, say } from './report.mjs';
import { serve } from './server.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, '..');

const METRICS = {
  sizes,
  latency,
  queue: (run) => queue(run, { isolated: false }),
  isolated: (run) => queue(run, { isolated: true }),
  images,
  learning,
  product,
};

/** Words: names of metrics and models (none: all); `rounds=N`, `items=N`, `dist=FOLDER`. */
function read(words) {
  const asked = { metrics: [], models: [], rounds: 7, items: null, dist: join(ROOT, 'dist') };
  for (const word of words) {
    const [key, value] = word.split('=');
    if (word in METRICS) asked.metrics.push(word);
    else if (word in MODELS) asked.models.push(word);
    else if (['rounds', 'items'].includes(key) && Number.isInteger(Number(value)) && Number(value) > 0) asked[key] = Number(value);
    else if (key === 'dist' && value) asked.dist = resolve(value);
    else {
      const known = [...Object.keys(METRICS), ...Object.keys(MODELS), 'rounds=N', 'items=N', 'dist=FOLDER'];
      say(`error: "${word}" is none of: ${known.join(' ')}`);
      process.exit(2);
    }
  }
  if (asked.metrics.length === 0) asked.metrics = Object.keys(METRICS);
  if (asked.models.length === 0) asked.models = Object.keys(MODELS);
  return asked;
}

const asked = read(process.argv.slice(2));
const ortFolder = join(HERE, 'node_modules/onnxruntime-web/dist');
const ort = `onnxruntime-web ${JSON.parse(readFileSync(join(ortFolder, '../package.json'), 'utf8')).version}`;
const mounts = [
  ['/pages/', join(HERE, 'pages')],
  ['/ort/', ortFolder],
  ['/models/', join(ROOT, 'models')],
  ['/dist/', asked.dist],
];
const servers = { plain: await serve({ mounts }), isolated: await serve({ mounts, isolated: true }) };
const origins = { plain: servers.plain.origin, isolated: servers.isolated.origin };
const chromium = await launch();
say(`Chromium ${chromium.version}, ${cpus().length} × ${cpus()[0].model}, load ${loadavg().map((x) => x.toFixed(1)).join(' ')}`);
try {
  for (const name of asked.metrics) {
    await METRICS[name]({ ...asked, context: chromium.context, origins, ort, ortFolder, mounts });
  }
} finally {
  await chromium.close();
  await Promise.all(Object.values(servers).map((server) => server.close()));
}
say(missedTargets() === 0 ? 'every target was reached' : `${missedTargets()} figure(s) missed their target`);
process.exitCode = missedTargets() === 0 ? 0 : 1;
