// The element as a person and a host page see it: the page object of the end-to-end tests.

/** How long a condition may take on a busy machine. */
export const PATIENCE = Number(process.env.PATIENCE ?? 60_000);

/** Waits until `holds` is true, asking every few milliseconds; says `what` was waited for if it never is. */
export async function until(holds, what, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${patience} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Keeps the element's events as a host page hears them: `[name, detail, id of the element]` each. */
const HEARD = `
  globalThis.heard = [];
  for (const name of ["ready", "predicted", "accepted", "deferred", "corrected", "delivered", "done", "error"])
    addEventListener("hitl-" + name, ({ detail, target }) => heard.push(["hitl-" + name, detail, target.id]));
`;

export class Labeler {
  /** The element that `selector` finds in `page`, as it stands there. */
  constructor(page, selector = "hitl-labeler") {
    this.page = page;
    this.selector = selector;
    this.element = page.locator(selector);
  }

  /** Opens a page in a tab of `context` and waits for its element to be mounted. */
  static async open(context, url, { selector, mounted = true } = {}) {
    const page = await context.newPage();
    await page.addInitScript(HEARD);
    const labeler = new Labeler(page, selector);
    await page.goto(url);
    if (mounted) await labeler.part(".frame").waitFor({ timeout: PATIENCE });
    return labeler;
  }

  /** Something inside the shadow root; `options` as a locator has them (`hasText`). */
  part(css, options) {
    return this.element.locator(css, options);
  }

  /** Runs `deed(element, argument)` in the page. */
  run(deed, argument) {
    return this.element.evaluate(deed, argument);
  }

  /** Puts the keyboard's focus on the heading, so that keys act. */
  async focus() {
    await this.part("h2[tabindex]").first().focus();
  }

  press(key) {
    return this.page.keyboard.press(key);
  }

  progress() {
    return this.run((element) => element.progress);
  }

  /** The question on screen: its words, why it is asked, the item's id; null if there is none. */
  question() {
    return this.run((element) => {
      const text = (css) => element.shadowRoot.querySelector(css)?.textContent ?? "";
      // The words around the id are the language's; ids of the tests hold no colon.
      const item = text(".said[role=status]").match(/^(?:Item )?([^:]+): /);
      if (!element.shadowRoot.querySelector(".card") || !item) return null;
      return { item: item[1], task: text(".ask__question"), reason: text(".ask__reason") };
    });
  }

  /** The question once there is one (that `fits`). */
  asked(fits = () => true) {
    return until(async () => {
      const question = await this.question();
      return question && fits(question) ? question : null;
    }, "a question");
  }

  /** Presses a key that answers, and waits until the answer counts and the next question stands there. */
  async answer(key) {
    const before = (await this.asked()).item;
    const { answered } = await this.progress();
    await this.press(key);
    await until(async () => {
      const [progress, question] = [await this.progress(), await this.question()];
      return progress.answered === answered + 1 && question?.item !== before;
    }, `the answer ${key} for ${before}`);
    return before;
  }

  /** Everything as the download gives it. */
  async records() {
    const text = await this.download("jsonl");
    return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  }

  download(format) {
    return this.run(async (element, format) => (await element.download(format, { save: false })).text(), format);
  }

  /** Waits until every record is stored and, if there is a server, there. */
  async waitForDelivered(count) {
    await until(async () => {
      const progress = await this.progress();
      if (!progress) return false; // not started yet, after a reload
      const { unsaved, undelivered, delivered } = progress;
      return !unsaved && !undelivered && (count === undefined || delivered === count);
    }, `${count ?? "all"} records delivered`);
  }

  /** Waits until every item that came has been predicted. */
  waitForPredictions(arrived) {
    return until(async () => {
      const progress = await this.progress();
      return progress && progress.predicting === 0 && progress.arrived >= arrived && progress;
    }, `predictions of ${arrived} items`);
  }

  /** The word in which the state of delivery is shown. */
  delivery() {
    return this.part(".tab--delivery .tab__word").textContent();
  }

  /** Opens a view: "Questions", "Accepted", "Set aside" or "delivery". */
  async show(view) {
    const tab = view === "delivery" ? this.part(".tab--delivery") : this.part("[role=tab]").filter({ hasText: view });
    await tab.click();
  }

  /** The rows of a list as [name, why]. */
  rows() {
    return this.part(".row").evaluateAll((rows) =>
      rows.map((row) => [row.querySelector(".row__name").textContent, row.querySelector(".row__why").textContent]),
    );
  }

  /** The problems that a broken start shows, once it does. */
  async problems() {
    await this.part(".problem").waitFor({ timeout: PATIENCE });
    const [title, lines] = await Promise.all([this.part(".state h2").textContent(), this.part(".problem").innerText()]);
    return { title, lines };
  }

  button(name) {
    return this.part("button").filter({ hasText: name });
  }

  /** Details of the events of this name that the host page heard. */
  heard(name) {
    return this.page.evaluate((name) => heard.filter(([own]) => own === name).map(([, detail]) => detail), name);
  }
}
