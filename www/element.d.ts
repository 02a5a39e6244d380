/** The public face of <hitl-labeler>. Records: schema/record.v1.schema.json. Configuration: docs/config.md. */

export interface Item {
  id: string | number;
  image?: string | Blob | ImageData;
  numbers?: ArrayLike<number>;
  meta?: unknown;
}
export interface Settled { item_id: string; label: string; confidence: number; top: { label: string; p: number }[] }
export interface Reason { rule: string; says: string; result: boolean }
export interface Progress {
  arrived: number; predicting: number; waiting: number; accepted: number; answered: number; confirmed: number;
  aside: number; share_by_model: number | null; seconds_per_answer: number | null;
  records: number; unsaved: number; undelivered: number; delivered: number; refused: number;
}

export interface HitlEvents {
  /** The first worker has the model, or there is none to wait for. */
  "hitl-ready": { model: boolean };
  "hitl-predicted": { items: Settled[] };
  "hitl-accepted": { items: Settled[] };
  /** No reasons while the policy has blind checks: they would tell which are checks. */
  "hitl-deferred": { items: { item_id: string; reasons: Reason[] }[] };
  /** A record is kept: on this device if `durable`, else in memory only. */
  "hitl-corrected": { record: Record<string, unknown>; durable: boolean };
  /** The server has these records. */
  "hitl-delivered": { ids: string[] };
  "hitl-done": { arrived: number; accepted: number; answered: number; aside: number };
  "hitl-error": {
    code: "start" | "configuration" | "model" | "items" | "item" | "workers" | "refused";
    message: string; item_id?: string; records?: { id: string; why: string | null }[];
  };
}

export class HitlLabeler extends HTMLElement {
  config: object | undefined;
  items: Iterable<Item> | AsyncIterable<Item> | undefined;
  acceptAt: number;
  readonly progress: Progress | null;
  readonly kernels: { purpose: string; name: string }[];
  /** How many items each threshold (default 0.50 to 1.00 in hundredths) would settle. */
  coverage(at?: number[]): { predicted: number; settled: number[]; accept_at: number } | null;
  start(): void;
  pause(): void;
  undo(): void;
  /** Adds items to those that are there. */
  addItems(items: Iterable<Item> | AsyncIterable<Item>): void;
  /** Resolves once every record is stored and, if there is a server, there. */
  flush(): Promise<void>;
  download(format?: "jsonl" | "csv", options?: { save?: boolean }): Promise<Blob>;
}

declare global {
  interface HTMLElementTagNameMap { "hitl-labeler": HitlLabeler }
  interface HTMLElementEventMap extends HitlEventMap {}
}
type HitlEventMap = { [Name in keyof HitlEvents]: CustomEvent<HitlEvents[Name]> };
