// `make fault`: proves that delivery loses nothing and doubles nothing, whatever fails. Figures are JSON lines on stdout
// (bench/report.mjs), progress goes to stderr; exits 1 when a target is missed. Arguments: README.md.
import { cpus, loadavg } from "node:os";
import { failed, missedTargets, say } from "../../bench/report.mjs";
import { cost } from "./scenarios/cost.mjs";
import { drain } from "./scenarios/drain.mjs";
import { falseSuccess } from "./scenarios/false-success.mjs";
import { peers } from "./scenarios/peers.mjs";
import { poison } from "./scenarios/poison.mjs";
import { storage } from "./scenarios/storage.mjs";
import { stormScenario } from "./scenarios/storm.mjs";
import { token } from "./scenarios/token.mjs";

const SCENARIOS = { poison, token, "false-success": falseSuccess, storage, cost, drain, peers, storm: stormScenario };

/** `NAME=VALUE` arguments: whole numbers, or one of a list. */
const SETTINGS = {
  seeds: 20,
  firefox_seeds: 5,
  first_seed: 1,
  records: null,
  kills: null,
  share: null,
  runs: null,
  skip: null,
  browser: ["chromium", "firefox"],
};

function read(words) {
  const asked = { names: [], settings: {} };
  for (const word of words) {
    const [key, value] = word.split("=");
    const known = SETTINGS[key];
    if (word in SCENARIOS) asked.names.push(word);
    else if (Array.isArray(known) && known.includes(value)) asked.settings[key] = value;
    else if (known !== undefined && !Array.isArray(known) && /^[0-9]+$/.test(value ?? "")) asked.settings[key] = Number(value);
    else {
      const all = [...Object.keys(SCENARIOS), ...Object.keys(SETTINGS).map((name) => `${name}=${Array.isArray(SETTINGS[name]) ? SETTINGS[name].join("|") : "N"}`)];
      say(`error: argument "${word}": expected some of: ${all.join(" ")}`);
      process.exit(2);
    }
  }
  if (!asked.names.length) asked.names = Object.keys(SCENARIOS);
  return asked;
}

const { names, settings } = read(process.argv.slice(2));
say(`${cpus().length} × ${cpus()[0].model}, load ${loadavg().map((x) => x.toFixed(1)).join(" ")}`);
for (const name of names) {
  const began = Date.now();
  try {
    await SCENARIOS[name](settings);
  } catch (why) {
    say(String(why?.stack ?? why));
    failed({ metric: `fault/${name}`, reason: why });
  }
  say(`${name}: ${Math.round((Date.now() - began) / 1000)} s`);
}
if (missedTargets()) say(`${missedTargets()} targets missed`);
process.exit(missedTargets() ? 1 : 0);
