/** The public face of <hitl-labeler>. Configuration: docs/config.md. */
import type { HitlRecord } from "./record.js";

export type { HitlRecord };
export interface Item {
  id: string | number;
  image?: string | Blob | ImageData;
  numbers?: readonly number[] | Float32Array | Float64Array;
  meta?: unknown;
}
export type Items = Iterable<Item> | AsyncIterable<Item> | ReadableStream<Item>;
export interface Settled { item_id: string; label: string; confidence: number; top: { label: string; p: number }[] }
export interface Reason { rule: string; says: string; result: boolean }
export interface Progress {
  arrived: number; predicting: number; waiting: number; accepted: number; answered: number; confirmed: number;
  aside: number; share_by_model: number | null; seconds_per_answer: number | null;
  records: number; unsaved: number; undelivered: number; delivered: number; refused: number;
}
/** Shares are 0 to 1, times seconds or (`at`) milliseconds since 1970; null: not known. Formulas: docs/statistics.md. */
export interface Figures {
  arrived: number; waiting: number; by_model: number; answered: number; share_by_model: number | null;
  seconds: number; seconds_per_answer: number | null; settled_per_minute: number | null;
  /** What the model would have settled, by blind checks; low and high: the interval with 90 % confidence. */
  accepted: Tally & { low: number; high: number };
  roles: { deferred: number; audit: number; review: number; manual: number };
  settled: [seconds: number, at: number, by_model: number, answered: number][];
  stretches: { answers: number; settled: number; seconds: number }[];
  risk_coverage: [confidence: number, coverage: number, accuracy: number][];
  reliability: { raw: Reliability; calibrated: Reliability };
  /** Rows: the model, columns: the person; `other`: the last of each stands for all labels that are not named. */
  confusion: { labels: string[]; other: boolean; counts: number[]; all: Tally };
  agreement: { shown: "hidden" | "shown" | "after"; role: keyof Figures["roles"]; n: number; agreed: number }[];
  promise: null | {
    target: number; confidence: number; earned: boolean; threshold: number | null; bound: number | null;
    audits: number; errors: number; needed: number; answered: number; waiting: number;
    lost: boolean; alarms: number; evidence: number;
    /** With `per_label`: each label's own, and all others' together (null); empty without. */
    groups: {
      label: string | null; earned: boolean; threshold: number | null; bound: number | null;
      audits: number; errors: number; needed: number;
    }[];
  };
  /** The last refit. `kept`: the head of so many answers stays, a newer one was worse. Pairs: before, after. */
  lesson: null | {
    head_version: number; trained: number; held_out: number; kept: number | null; temperature: number;
    log_loss: [number, number] | null; calibration_error: [number, number] | null;
  };
  /** Answers that the model contradicts so much that they may be slips. */
  slips: number;
}
export interface Tally { n: number; right: number; accuracy: number | null }
export interface Reliability { ece: number | null; bins: { n: number; right: number; confidence: number }[] }

export interface HitlEvents {
  /** The first worker has the model, or there is none to wait for. */
  "hitl-ready": { model: boolean };
  "hitl-predicted": { items: Settled[] };
  /** The model settled these: when they came, or later, by a new threshold, target or head. */
  "hitl-accepted": { items: Settled[] };
  /** These wait for the person, from now on or again. No reasons while the policy has blind checks: they would tell which are checks. */
  "hitl-deferred": { items: { item_id: string; reasons: Reason[] }[] };
  /** A record is kept: on this device if `durable`, else in memory only. Undos, too: their `answer` is null. */
  "hitl-corrected": { record: HitlRecord; durable: boolean };
  /** The server has these records. */
  "hitl-delivered": { ids: string[] };
  /** The figures were reckoned anew: wherever there is a model, whether or not it learns. */
  "hitl-progress": Figures;
  /** There is a newer model; one that fits waits for takeNewer(), of another one `why` says what differs. */
  "hitl-model": { version: string; fits: boolean; why: string | null };
  "hitl-done": { arrived: number; accepted: number; answered: number; aside: number };
  "hitl-error": {
    code: "start" | "configuration" | "model" | "items" | "item" | "workers" | "refused" | "store" | "authorize";
    message: string; item_id?: string; records?: { id: string; why: string | null }[];
  };
}

export class HitlLabeler extends HTMLElement {
  /** One that says the same as the last changes nothing; another one starts the element anew. */
  config: object | null | undefined;
  /**
   * The same array again changes nothing, also with more in it: addItems() is for that. Another one is another task:
   * the element starts anew with it, without what was added or dropped. What can be read once only (a generator, a
   * ReadableStream) is read once, and kept for when the element starts anew; it is ended by other items, or by null.
   */
  get items(): Items | null | undefined;
  /** A text is the address, as the attribute has it. */
  set items(value: Items | string | null | undefined);
  /**
   * Gives the token that `delivery.authorization` puts into a header: before the first request, when the server no
   * longer takes the last one, and when the person asks. What it gives stays in memory. Without one, sending waits.
   */
  authorize: ((wish: {
    reason: "start" | "expired" | "refused" | "person"; status: number | undefined;
  }) => string | Promise<string>) | undefined;
  /** Undefined before the start; null while a target settles nothing. */
  get acceptAt(): number | null | undefined;
  /** Null: what the configuration says. Throws a RangeError for what is no number from 0 to 1. */
  set acceptAt(value: number | null | undefined);
  /** The accuracy to promise in place of a threshold, 0.5 to 0.999; null: the threshold counts.
   *  It stays when the element is moved or configured anew, until acceptAt is set. */
  get target(): number | null;
  /** Undefined: what the configuration says. Throws a RangeError for what is no number from 0.5 to 0.999. */
  set target(value: number | null | undefined);
  /** Before the first hitl-progress, and without a model: promise, lesson and slips alone. Null before the start. */
  readonly figures: Partial<Figures> | null;
  readonly progress: Progress | null;
  readonly kernels: { purpose: string; name: string }[];
  /** How many items each threshold (default 0.50 to 1.00 in hundredths) would settle. */
  coverage(at?: number[]): { predicted: number; settled: number[]; accept_at: number | null } | null;
  /** As pause(), undo() and addItems(): called before the element has started, it waits for that. Holds after a restart, too. */
  start(): void;
  pause(): void;
  undo(): void;
  /** Adds items to those that are there; they stay until `items` is set to others. */
  addItems(items: Items): void;
  /**
   * Resolves once every record is stored and, if there is a server, there. Rejects, in words, where the server refused
   * records, where they are in this page's memory only, or when the element is removed before. Like finish() and
   * download() it rejects at once while the element is not in the page, and when it could not start.
   */
  flush(): Promise<void>;
  /**
   * Waits until everything is delivered, then goes where `delivery.finish` says. Rejects, in words, if records are
   * refused or cannot be sent: the page stays then.
   */
  finish(): Promise<void>;
  /** Moves over to the newer model; answers stay. */
  takeNewer(): void;
  /**
   * The records; or what was learned: the ONNX file, its manifest, or the head alone. The browser also saves it as a
   * file, unless `save` is false.
   */
  download(format?: "jsonl" | "csv" | "model" | "manifest" | "head", options?: { save?: boolean }): Promise<Blob>;
}

declare global {
  interface HTMLElementTagNameMap { "hitl-labeler": HitlLabeler }
  interface HTMLElementEventMap extends HitlEventMap {}
}
type HitlEventMap = { [Name in keyof HitlEvents]: CustomEvent<HitlEvents[Name]> };
