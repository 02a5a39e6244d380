// Learning as the page meets it: a refit after an answer, everything that waits predicted anew, and what the page
// itself is kept from by that. The learner is the built worker; its items are seeded blobs of the size of a trunk's
// features.
import { failed, figure, say } from '../report.mjs';
import { median, significant } from '../stats.mjs';

const FEATURES = 1280;
const ANSWERS = 500;
const WAITING = 10_000;

/** Answers beside the others that are kept from training and judge each head. */
const HELD_OUT = 50;

/** Answers after the 500, each with a refit. */
const MORE = 5;

/** After so many answers the strength of the pull is chosen anew. */
const CHOICES = [16, 32, 64, 128, 256];

/** Learning beside a model's own scores, and from nothing. */
const KINDS = [
  { kind: 'beside_a_model', scores: true, model: '/models/fashion-cnn' },
  { kind: 'from_nothing', scores: false, model: '/models/effnet-lite0-b10' },
];

const rounded = (times) => times.map((ms) => significant(ms));

/** Every figure of both kinds. */
export async function learning(run) {
  for (const kind of KINDS) {
    const metric = `learning/${kind.kind}`;
    say(`${metric} …`);
    try {
      await measure(metric, kind, run);
    } catch (error) {
      failed({ metric, unit: 'ms', reason: error });
    }
  }
}

async function measure(metric, { scores, model }, { context, origins, rounds }) {
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  const call = (what, message) => page.evaluate(([w, m]) => bench.call(w, m), [what, message]);
  try {
    await page.goto(`${origins.plain}/pages/learner.html`);
    await page.waitForFunction(() => globalThis.bench);
    const count = ANSWERS + HELD_OUT + MORE + WAITING;
    await call('load', { dist: '/dist', model, scores, width: FEATURES, count, noise: 4, seed: 11 });
    // What makes the items is none of the product's.
    const from = await page.evaluate(() => performance.now());
    const learn = async (trained) => {
      const said = await call('learn');
      if (said.trained !== trained) throw new Error(`${trained} answers were to be learned from, not ${said.trained}`);
      return said;
    };
    const [scratch, one] = [[], []];
    for (let round = 0; round < rounds; round++) {
      await call('begin');
      await call('answer', { count: HELD_OUT, held: true });
      await call('answer', { count: ANSWERS });
      scratch.push(await learn(ANSWERS));
      for (let more = 1; more <= MORE; more++) {
        await call('answer', { count: 1 });
        one.push(await learn(ANSWERS + more));
      }
    }
    const choices = {};
    await call('begin');
    let answered = 0;
    for (const at of CHOICES) {
      await call('answer', { count: at - 1 - answered });
      await learn(at - 1);
      await call('answer', { count: 1 });
      choices[at] = significant((await learn(at)).refit_ms);
      answered = at;
    }
    const tasks = (await page.evaluate(() => bench.tasks)).filter((task) => task.at >= from);

    const conditions = { answers: ANSWERS, held_out: HELD_OUT, features: FEATURES, labels: 10, rounds };
    const refit = (name, said) => {
      const times = said.map(({ refit_ms }) => refit_ms);
      const waited = said.map(({ message_ms }) => message_ms);
      figure({
        metric: `${metric}/refit_${name}`, value: median(times), unit: 'ms', target: { of: 'value', at_most: 300 },
        more: {
          ...conditions, first_ms: significant(times[0]), slowest_ms: Math.max(...rounded(times)),
          page_waited_ms: significant(median(waited)), page_waited_longest_ms: Math.max(...rounded(waited)),
        },
      });
    };
    refit('from_scratch', scratch);
    refit('after_one_more_answer', one);
    const again = [...scratch, ...one];
    const rescored = again.map(({ rescore_ms }) => rescore_ms);
    const least = Math.min(...again.map(({ changed }) => changed));
    if (least < WAITING / 2) throw new Error(`a refit changed ${least} predictions only: nothing was learned`);
    figure({
      metric: `${metric}/rescoring`, value: median(rescored), unit: 'ms', target: { of: 'value', at_most: 300 },
      more: { waiting: WAITING, features: FEATURES, labels: 10, rounds: rescored.length, slowest_ms: Math.max(...rounded(rescored)) },
    });
    figure({
      metric: `${metric}/refit_with_choice_of_strength`, value: choices[CHOICES.at(-1)], unit: 'ms',
      more: { answers: CHOICES.at(-1), features: FEATURES, labels: 10, by_answers_ms: choices },
    });
    figure({
      metric: `${metric}/long_tasks`, value: tasks.length, unit: 'count', target: { of: 'value', at_most: 0 },
      more: { over_ms: 50, longest_ms: Math.round(Math.max(0, ...tasks.map((task) => task.ms))), refits: again.length },
    });
  } finally {
    await call('close').catch(() => {});
    await page.close();
  }
}
