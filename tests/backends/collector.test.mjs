// The collector of this project.
import { collect } from "../e2e/collector.mjs";
import { afterwards, prove, told } from "./driver.mjs";

prove("collector", async () => {
  const collector = await collect({ origins: ["*"] });
  afterwards(collector.close);
  return {
    url: collector.url,
    params: (url) => ({ url }),
    has: async () => collector.inSqlite().map(told),
    again: [200, /"status":"duplicate"/],
    // A record that is not as the contract says.
    odd: { delivery: { record: { $if: "{record.answer.label|is:zebra}", then: { id: "{record.id}", schema: "hitl-labeler/record/1" }, else: "{record}" } }, words: "expected" },
  };
});
