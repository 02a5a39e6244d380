// The collector under load on loopback: JSON lines on stdout, as `make bench` prints them. Arguments: docs/scale.md.
//
//   node bench/load.mjs [sqlite] [postgres] [fleet] [standby] [work] [records=N] [senders=N] [batch=N]
//
// COLLECTOR names the binary. PostgreSQL is Debian's, started in a temporary folder with its usual settings: every
// commit waits for the disk.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import { createServer } from 'node:net';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { failed, figure, missedTargets, say } from './report.mjs';
import { quantile, significant } from './stats.mjs';

const PARTS = ['sqlite', 'postgres', 'fleet', 'standby', 'work'];
const numbers = { records: 100_000, senders: 20, batch: 50 };
const parts = new Set();
for (const word of process.argv.slice(2)) {
  const [key, value] = word.split('=');
  if (PARTS.includes(word)) parts.add(word);
  else if (key in numbers && Number.isInteger(Number(value)) && Number(value) > 0) numbers[key] = Number(value);
  else {
    say(`load: ${word} is not known: expected ${PARTS.join(', ')}, records=N, senders=N or batch=N`);
    process.exit(2);
  }
}
if (parts.size === 0) PARTS.forEach((part) => parts.add(part));
const { records, senders, batch } = numbers;
const binary = process.env.COLLECTOR;
if (!binary || !existsSync(binary)) {
  say('load: COLLECTOR must name the built collector; `make load` builds it and says so');
  process.exit(2);
}

const example = new URL('../tests/fixtures/record.v1.correction.json', import.meta.url);
const template = JSON.parse(readFileSync(example, 'utf8'));
const idOf = (n) => `019b76da-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;
const recordOf = (n) => JSON.stringify({ ...template, id: idOf(n), item_id: `item-${n}` });

/** Runs until `close()`. */
async function collector(args, env = {}) {
  const child = spawn(binary, ['--port', '0', ...args], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const url = await new Promise((resolve, reject) => {
    child.stdout.once('data', (bytes) => resolve(String(bytes).trim()));
    child.once('exit', (code) => reject(new Error(`the collector ended (${code}) before it said its address`)));
  });
  return { url, kill: () => child.kill('SIGKILL'), close: () => (child.kill(), ended) };
}

/** A PostgreSQL of its own, or a standby of `primary`; it refuses to run as root, who gives it to nobody. */
async function postgres(primary) {
  const versions = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql').sort() : [];
  if (versions.length === 0) throw new Error('no PostgreSQL: tools/setup.sh test installs it');
  const bin = `/usr/lib/postgresql/${versions.at(-1)}/bin`;
  const folder = await mkdtemp(join(tmpdir(), 'hitl-load-pg-'));
  const port = await new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port: free } = server.address();
      server.close(() => resolve(free));
    });
  });
  const makes = primary
    ? [`${bin}/pg_basebackup`, '-h', '127.0.0.1', '-p', String(primary.port), '-U', 'hitl', '-R', '-c', 'fast']
    : [`${bin}/initdb`, '-U', 'hitl', '-A', 'trust', '-E', 'UTF8', '--locale=C'];
  const root = process.getuid() === 0;
  if (root) execFileSync('chown', ['nobody', folder]);
  const as = root ? ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', 'env', 'HOME=/nonexistent'] : ['env'];
  const [first, ...rest] = as;
  const options = { cwd: folder, stdio: 'ignore' };
  execFileSync(first, [...rest, ...makes, '-D', `${folder}/db`], options);
  const child = spawn(first, [...rest, `${bin}/postgres`, '-D', `${folder}/db`, '-k', folder, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', 'dynamic_shared_memory_type=mmap'], options);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const psql = (database, sql) =>
    execFileSync(`${bin}/psql`, ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', String(port), '-U', 'hitl', '-d', database, '-c', sql], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  for (let tries = 0; ; tries += 1) {
    try {
      psql('postgres', 'SELECT 1');
      break;
    } catch (error) {
      if (tries > 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  if (primary) {
    // From here on a commit of the primary is answered when the standby has it on its disk too.
    primary.psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.psql('postgres', 'SELECT pg_reload_conf()');
    for (let tries = 0; primary.psql('postgres', "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").trim() !== '1'; tries += 1) {
      if (tries > 600) throw new Error('the standby does not follow its primary');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  let made = 0;
  return {
    version: versions.at(-1),
    port,
    psql,
    /** As if its machine were gone: the server with all of its processes. */
    kill() {
      const [pid, , , , , , memory] = readFileSync(`${folder}/db/postmaster.pid`, 'utf8').split('\n');
      const all = [pid, ...readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')];
      // One of them may have ended meanwhile.
      spawnSync('kill', ['-KILL', ...all], { stdio: 'ignore' });
      // It can no longer give its own mark in the system's shared memory back.
      spawnSync('ipcrm', ['-m', memory.trim().split(/ +/).at(-1)], { stdio: 'ignore' });
    },
    database() {
      made += 1;
      psql('postgres', `CREATE DATABASE load${made}`);
      return `postgres://hitl@127.0.0.1:${port}/load${made}`;
    },
    async close() {
      child.kill('SIGINT');
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function request(url, { method = 'GET', body, agent } = {}) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/x-ndjson', 'content-length': Buffer.byteLength(body) };
    const sent = http.request(url, { method, headers, agent, timeout: 30_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => (text += part));
      response.on('end', () => resolve({ status: response.statusCode, text }));
      response.on('error', reject);
    });
    sent.on('error', reject).on('timeout', () => sent.destroy(new Error('no answer within 30 s')));
    sent.end(body);
  });
}

/** All records from all senders at once; `onStored(count)` hears of progress. A sender without an answer asks the next. */
async function pour(urls, onStored = () => {}) {
  const waits = [];
  let stored = 0;
  let retried = 0;
  let pause = 0;
  // Made beforehand: what is measured is the collector.
  const bodies = [];
  for (let n = 0; n < records; n += batch) {
    bodies.push(Array.from({ length: Math.min(batch, records - n) }, (_, i) => recordOf(n + i)).join('\n'));
  }
  const begun = performance.now();
  let last = begun;
  let next = 0;
  await Promise.all(Array.from({ length: senders }, async (_, sender) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    let at = sender;
    while (next < bodies.length) {
      const body = bodies[next];
      next += 1;
      const since = performance.now();
      for (;;) {
        const sent = performance.now();
        let answer = null;
        try {
          answer = await request(`${urls[at % urls.length]}records`, { method: 'POST', body, agent });
        } catch {
          // Refused or broken off: it may have been stored.
        }
        if (answer?.status === 200) {
          waits.push(performance.now() - sent);
          pause = Math.max(pause, performance.now() - last);
          last = performance.now();
          const said = JSON.parse(answer.text);
          if (said.refused) throw new Error(`refused: ${answer.text.slice(0, 300)}`);
          stored += said.stored;
          onStored(stored);
          break;
        }
        if (performance.now() - since > 60_000) throw new Error(`no collector takes the batch: ${answer?.status} ${answer?.text}`);
        retried += 1;
        at += 1;
        // Whoever is told to come back later leaves the machine to the others for a moment.
        if (answer) await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    agent.destroy();
  }));
  const seconds = (performance.now() - begun) / 1000;
  return { seconds, retried, longest_pause_ms: significant(pause), ...percentiles(waits) };
}

const percentiles = (waits) => ({ p50_ms: significant(quantile(waits, 0.5)), p95_ms: significant(quantile(waits, 0.95)) });
const machine = () => ({ cores: availableParallelism(), load_average: Number(loadavg()[0].toFixed(1)) });
const conditions = () => ({ records, senders, batch, ...machine() });

function rate(metric, run, more = {}) {
  figure({
    metric, value: records / run.seconds, unit: 'records/s',
    more: { ...conditions(), p50_ms: run.p50_ms, p95_ms: run.p95_ms, ...more },
  });
}

/** What is there in the end against what was sent. */
async function audit(metric, url, more) {
  const { text } = await request(`${url}export?what=all`);
  const lines = text.split('\n').filter(Boolean);
  const ids = new Set(lines.map((line) => JSON.parse(line).id));
  let lost = 0;
  for (let n = 0; n < records; n += 1) if (!ids.has(idOf(n))) lost += 1;
  figure({ metric: `${metric}.lost`, value: lost, unit: 'count', target: { of: 'value', at_most: 0 }, more: { ...conditions(), ...more } });
  figure({ metric: `${metric}.doubled`, value: lines.length - ids.size, unit: 'count', target: { of: 'value', at_most: 0 }, more: conditions() });
}

/** 5,000 items handed out to 20 annotators, three answers an item, ten items at a time. */
async function handOut(metric, one) {
  const count = 5_000;
  const list = Array.from({ length: count }, (_, n) => JSON.stringify({ id: `item-${n}`, numbers: [n] })).join('\n');
  await request(`${one.url}items`, { method: 'POST', body: list });
  const waits = [];
  let given = 0;
  let n = 0;
  const begun = performance.now();
  await Promise.all(Array.from({ length: 20 }, async (_, annotator) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (;;) {
      const sent = performance.now();
      const answer = await request(`${one.url}items?lease=600&count=10&annotator=a${annotator}`, { agent });
      waits.push(performance.now() - sent);
      if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
      const items = answer.text.split('\n').filter(Boolean).map((line) => JSON.parse(line).id);
      if (items.length === 0) break;
      given += items.length;
      const body = items.map((item) => {
        n += 1;
        return JSON.stringify({ ...template, id: idOf(10_000_000 + n), item_id: item, annotator: `a${annotator}` });
      }).join('\n');
      const stored = await request(`${one.url}records`, { method: 'POST', body, agent });
      if (stored.status !== 200) throw new Error(`${stored.status} ${stored.text}`);
    }
    agent.destroy();
  }));
  const seconds = (performance.now() - begun) / 1000;
  figure({
    metric, value: given / seconds, unit: 'items/s',
    more: { items: count, annotators: 20, answers_per_item: 3, ...percentiles(waits), ...machine() },
  });
  figure({ metric: `${metric}.too_many`, value: Math.max(0, given - 3 * count), unit: 'count', target: { of: 'value', at_most: 0 }, more: { wanted: 3 * count } });
  figure({ metric: `${metric}.not_given`, value: Math.max(0, 3 * count - given), unit: 'count', target: { of: 'value', at_most: 0 }, more: { wanted: 3 * count } });
}

const open = [];
async function part(name, run) {
  if (!parts.has(name)) return;
  say(`load: ${name}`);
  try {
    await run();
  } catch (error) {
    failed({ metric: `collector.${name}`, reason: error });
  } finally {
    await Promise.all(open.splice(0).map((one) => one.close()));
  }
}
const keep = (one) => (open.push(one), one);

const data = await mkdtemp(join(tmpdir(), 'hitl-load-'));
const needed = ['postgres', 'fleet', 'work'].some((name) => parts.has(name));
const server = needed ? await postgres() : null;
try {
  await part('sqlite', async () => {
    const one = keep(await collector(['--data', join(data, 'one')]));
    const run = await pour([one.url]);
    rate('collector.sqlite.records', run);
    await audit('collector.sqlite', one.url);
  });
  await part('postgres', async () => {
    const one = keep(await collector([], { DATABASE_URL: server.database() }));
    const run = await pour([one.url]);
    rate('collector.postgres.records', run, { postgres: server.version });
    await audit('collector.postgres', one.url);
  });
  await part('fleet', async () => {
    const url = server.database();
    const three = await Promise.all([0, 1, 2].map(() => collector([], { DATABASE_URL: url })));
    three.forEach(keep);
    const run = await pour(three.map((one) => one.url));
    rate('collector.fleet.records', run, { collectors: 3, postgres: server.version });
    await audit('collector.fleet', three[0].url);
  });
  await part('fleet', async () => {
    const url = server.database();
    const three = await Promise.all([0, 1, 2].map(() => collector([], { DATABASE_URL: url })));
    three.forEach(keep);
    let killed = false;
    const run = await pour(three.map((one) => one.url), (stored) => {
      if (killed || stored < records / 3) return;
      killed = true;
      three[1].kill();
    });
    rate('collector.fleet_one_killed.records', run, { collectors: 3, killed: 1, requests_repeated: run.retried, postgres: server.version });
    await audit('collector.fleet_one_killed', three[0].url, { requests_repeated: run.retried });
  });
  for (const lost of [false, true]) {
    await part('standby', async () => {
      const primary = keep(await postgres());
      const { pathname } = new URL(primary.database());
      const second = keep(await postgres(primary));
      const url = `postgres://hitl@127.0.0.1:${primary.port},127.0.0.1:${second.port}${pathname}`;
      const three = await Promise.all([0, 1, 2].map(() => collector([], { DATABASE_URL: url })));
      three.forEach(keep);
      let killed = false;
      const run = await pour(three.map((one) => one.url), (stored) => {
        if (!lost || killed || stored < records / 3) return;
        killed = true;
        primary.kill();
        second.psql('postgres', 'SELECT pg_promote(wait => false)');
      });
      const metric = lost ? 'collector.standby_promoted' : 'collector.standby';
      const more = { collectors: 3, postgres: primary.version, requests_repeated: run.retried, longest_pause_ms: run.longest_pause_ms };
      rate(`${metric}.records`, run, more);
      await audit(metric, three[0].url);
    });
  }
  await part('work', async () => {
    const one = keep(await collector(['--data', join(data, 'work'), '--answers-per-item', '3']));
    await handOut('collector.sqlite.work', one);
  });
  await part('work', async () => {
    const one = keep(await collector(['--answers-per-item', '3'], { DATABASE_URL: server.database() }));
    await handOut('collector.postgres.work', one);
  });
} finally {
  await server?.close();
  await rm(data, { recursive: true, force: true });
}
process.exit(missedTargets() > 0 ? 1 : 0);
