// Registers <hitl-labeler>; importing it twice, or two copies of it, does no harm.
import { HitlLabeler } from "./element.js";

if (globalThis.customElements && !customElements.get("hitl-labeler")) {
  customElements.define("hitl-labeler", HitlLabeler);
}

export { HitlLabeler };
