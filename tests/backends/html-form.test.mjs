// A form as web frameworks read it: Python's own parsers of urlencoded and multipart bodies, a row a post, a page of thanks.
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { folder, freePort, prove, run, told } from "./driver.mjs";

for (const format of ["form", "multipart"]) {
  prove("html-form", async () => {
    const [place, port] = [await folder(), await freePort()];
    const rows = join(place, "rows.jsonl");
    await writeFile(rows, "");
    const url = `http://127.0.0.1:${port}/form`;
    await run("python3", [fileURLToPath(new URL("form.py", import.meta.url)), String(port), rows], { url });
    return {
      url,
      cors: true,
      delivery: { format },
      params: (url) => ({ url: `${url}/form`, thanks: "Thank you for your label" }),
      has: async () => {
        const lines = (await readFile(rows, "utf8")).split("\n").filter(Boolean).map((line) => JSON.parse(line));
        return lines.map(({ id, item_id, label, record }) => {
          const whole = told(JSON.parse(record));
          if (whole.id !== id || whole.item !== item_id || (whole.label ?? "") !== label) throw new Error("the fields differ from the record");
          return whole;
        });
      },
      again: [200, /Thank you for your label/],
      // Of a page only the status is told.
      odd: { words: "422" },
    };
  });
}
