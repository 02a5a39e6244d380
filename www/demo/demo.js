// The demo page: puts one element on the page for each set of items, and shows what it offers.

const SETS = {
  clothing: { model: "models/fashion-cnn/model.json", items: "demo/data/fashion/items.jsonl", threshold: 0.9 },
  camera: { model: "models/fashion-cnn/model.json", make: otherCamera, threshold: 0.9 },
  weather: { model: "models/weather-mlp/model.json", items: "demo/data/weather/items.jsonl", threshold: 0.8 },
  photos: { model: "models/efficientnet-lite0/model.json", threshold: 0.6 },
  samples: { model: "models/efficientnet-lite0/model.json", items: "demo/data/photos/items.jsonl", threshold: 0.6 },
};

/** The thresholds of the curve: every hundredth from 0.50 to 1.00. */
const THRESHOLDS = Array.from({ length: 51 }, (_, i) => (50 + i) / 100);

const MOST_ROWS = 50;

const $ = (id) => document.getElementById(id);
const place = $("place");
const threshold = $("threshold");
const log = $("log");
const count = new Intl.NumberFormat("en");
const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 0 });
/** Writes a text where it is another one: a screen reader reads out what is written, the same once more as well. */
const write = (id, text) => $(id).textContent !== text && ($(id).textContent = text);

let labeler = null;
let drawn = 0;

/** Where records go: the collector that serves this page, if one does. */
const endpoint = await fetch("health", { signal: AbortSignal.timeout(1500) })
  .then((answer) => answer.ok && answer.headers.get("content-type")?.includes("json"))
  .then((collected) => (collected ? "records" : null))
  .catch(() => null);

function show(name) {
  const set = SETS[name];
  const next = document.createElement("hitl-labeler");
  next.config = {
    model: set.model,
    ...(set.items && { items: set.items }),
    policy: way() === "target" ? { target: Number($("target").value) } : { accept_at: set.threshold },
    ...(endpoint && { delivery: { url: endpoint } }),
    project: `demo-${name}`,
  };
  if (set.make) next.items = set.make();
  // The old element gives back its workers, listeners and memory by being removed.
  place.replaceChildren(next);
  labeler = next;
  threshold.value = set.threshold;
  $("hint").hidden = name === "photos";
  $("samples").hidden = name !== "photos";
  log.replaceChildren(nothingYet());
  next.addEventListener("hitl-predicted", soon);
  next.addEventListener("hitl-done", soon);
  next.addEventListener("hitl-progress", soon);
  next.addEventListener("hitl-corrected", ({ detail }) => record(detail.record));
  next.addEventListener("hitl-delivered", ({ detail }) => detail.ids.forEach(arrived));
  draw();
}

/** The clothing as another camera gives it: mirrored and darker. The model was not made for it. */
async function* otherCamera() {
  const lines = (await (await fetch("demo/data/fashion/items.jsonl")).text()).trim().split("\n");
  const canvas = new OffscreenCanvas(28, 28).getContext("2d", { willReadFrequently: true });
  canvas.filter = "brightness(0.6)";
  canvas.setTransform(-1, 0, 0, 1, 28, 0);
  for (const line of lines) {
    const { id, image } = JSON.parse(line);
    const picture = await createImageBitmap(await (await fetch(image)).blob());
    canvas.drawImage(picture, 0, 0);
    yield { id, image: canvas.getImageData(0, 0, 28, 28) };
  }
}

function nothingYet() {
  const row = document.createElement("li");
  row.className = "log__none";
  row.textContent = "Answer one item, and its record stands here.";
  return row;
}

// ---------------------------------------------------------------- threshold

/** Draws once a frame at most: predictions come by the thousand. */
function soon() {
  drawn ||= requestAnimationFrame(() => {
    drawn = 0;
    draw();
  });
}

function draw() {
  if (way() === "target") return promised();
  const at = Number(threshold.value);
  const { predicted: total, settled } = labeler.coverage?.(THRESHOLDS) ?? { predicted: 0, settled: [] };
  const x = (i) => (400 * i) / 50;
  const y = (n) => 150 - (total ? (144 * n) / total : 0);
  const line = settled.map((n, i) => `${i ? "L" : "M"}${x(i)} ${y(n).toFixed(1)}`).join("");
  const [area, curve, cut, dot] = document.querySelectorAll(".curve path");
  const step = Math.round((at - 0.5) * 100);
  const byModel = settled[step] ?? 0;
  curve.setAttribute("d", line);
  area.setAttribute("d", line && `${line}V150H0Z`);
  cut.setAttribute("d", `M${x(step)} 0V150`);
  // A line of no length with round ends is a dot that the stretched drawing does not stretch.
  dot.setAttribute("d", line && `M${x(step)} ${y(byModel).toFixed(1)}h0`);
  write("at", percent.format(at));
  write("model", total ? count.format(byModel) : "–");
  write("person", total ? count.format(total - byModel) : "–");
}

threshold.addEventListener("input", () => {
  labeler.acceptAt = Number(threshold.value);
  draw();
});
// Read out when the slider has come to rest, and at no other time: the figures change with each prediction.
threshold.addEventListener("change", () => {
  const [at, model, person] = ["at", "model", "person"].map((id) => $(id).textContent);
  write("told", `${at} sure: ${model} by the model, ${person} by you`);
});

// ---------------------------------------------------------------- promise

const way = () => document.querySelector("input[name=way]:checked").value;

/** Holds the model back by what is chosen. */
function hold() {
  const byTarget = way() === "target";
  for (const part of document.querySelectorAll(".by-threshold, .curve, #threshold")) part.toggleAttribute("hidden", byTarget);
  for (const part of document.querySelectorAll(".by-target")) part.hidden = !byTarget;
  if (byTarget) labeler.target = Number($("target").value);
  else labeler.acceptAt = Number(threshold.value);
  promised();
}

function promised() {
  const promise = labeler.figures?.promise;
  const { accepted = 0, waiting = 0 } = labeler.progress ?? {};
  write(
    "promise",
    promise?.target !== Number($("target").value) ? "Answer a few: every second question is a check."
    : promise.earned ? `Earned: ${promise.errors} errors in ${promise.audits} checks of what it is ${percent.format(promise.threshold)} sure of.`
    : promise.lost ? `Given up: recent checks went wrong too often. About ${promise.needed} more are needed.`
    : `${promise.errors} errors in ${promise.audits} checks; about ${promise.needed} more are needed for ${percent.format(promise.target)}.`,
  );
  if (way() !== "target") return;
  write("at", promise?.earned ? percent.format(promise.threshold) : "not yet");
  write("model", count.format(accepted));
  write("person", count.format(waiting));
}

for (const choice of document.querySelectorAll("input[name=way]")) choice.addEventListener("change", hold);
$("target").addEventListener("change", hold);

// ---------------------------------------------------------------- records

function record(said) {
  log.querySelector(".log__none")?.remove();
  const row = document.createElement("li");
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const words = document.createElement("span");
  const answer = document.createElement("b");
  const state = document.createElement("i");
  const json = document.createElement("pre");
  row.dataset.id = said.id;
  answer.textContent = said.answer?.label ?? "taken back";
  words.append(answer, ` for ${said.item_id}`);
  state.textContent = "kept";
  json.textContent = JSON.stringify(said, null, 1);
  summary.append(words, state);
  details.append(summary, json);
  row.append(details);
  log.prepend(row);
  while (log.children.length > MOST_ROWS) log.lastElementChild.remove();
}

function arrived(id) {
  const state = log.querySelector(`[data-id="${CSS.escape(id)}"] i`);
  if (!state) return;
  state.textContent = "arrived";
  state.dataset.there = "true";
}

// ---------------------------------------------------------------- page

$("use-samples").addEventListener("click", () => show("samples"));

for (const choice of document.querySelectorAll("input[name=set]")) {
  choice.addEventListener("change", () => show(choice.value));
}

$("copy").addEventListener("click", async ({ currentTarget }) => {
  await navigator.clipboard.writeText($("snippet").textContent);
  currentTarget.textContent = "Copied";
  setTimeout(() => (currentTarget.textContent = "Copy"), 1500);
});

if (!endpoint) {
  $("whereto").textContent = "Each answer is one JSON record. This page was opened without a server to send to, so they stay in your browser: see Delivery.";
}

show(document.querySelector("input[name=set]:checked")?.value ?? "clothing");
