/** One answer, one accept or one undo, version 1: what the fields mean stands in schema/record.v1.schema.json. */
export interface HitlRecord {
  schema: "hitl-labeler/record/1";
  /** UUIDv7: the same id is the same record, however often it arrives. */
  id: string;
  item_id: string;
  kind: "correction" | "accepted" | "undo";
  role: "deferred" | "audit" | "review" | "manual";
  /** Null exactly for an undo. */
  answer: { label: string } | null;
  /** The record that this one replaces or, for an undo, takes back. */
  supersedes: string | null;
  prediction: {
    label: string; confidence: number; confidence_raw: number; margin: number; entropy: number;
    top: { label: string; p: number }[];
    model: { name: string; version: string; sha256: string };
    head_version: string | null;
  } | null;
  policy: { decision: "accept" | "defer" | "audit"; reasons: { rule: string; says: string; result: boolean }[] };
  prediction_shown: "hidden" | "shown" | "after";
  annotator: string | null;
  session: string;
  /** RFC 3339; null for what nobody was asked. */
  shown_at: string | null;
  answered_at: string;
  seconds: number | null;
  skipped_before: number;
  flagged: boolean;
  note: string | null;
  meta: unknown;
}
