import { serve, launch } from "./browser.mjs";
const server = await serve({ root: "/tmp/d3/" });
const browser = await launch();
const out = "/work/brief/shots/";
async function shot(name, { width = 1280, height = 1100, dark = false, rtl = false, act } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? "dark" : "light" });
  const page = await context.newPage();
  page.on("pageerror", (e) => console.log(name, "pageerror", e.message));
  await page.goto(server.url);
  if (rtl) await page.evaluate(() => (document.documentElement.dir = "rtl"));
  await page.waitForFunction(() => { const p = document.querySelector("hitl-labeler")?.progress; return p && p.arrived > 0 && p.predicting === 0; }, null, { timeout: 30000 });
  if (act) await act(page);
  await page.waitForTimeout(300);
  await page.screenshot({ path: out + name + ".png" });
  await context.close();
}
const only = process.argv.slice(2);
const all = {
  light: {}, dark: { dark: true }, narrow: { width: 360, height: 900 }, rtl: { rtl: true },
  review: { act: async (p) => { await p.getByRole("tab", { name: /Accepted/ }).or(p.getByRole("button", { name: /Accepted/ })).first().click(); await p.waitForTimeout(500);} },
  answered: { act: async (p) => { await p.locator("hitl-labeler").hover(); for (const k of ["3","1","5","8"]) { await p.keyboard.press(k); await p.waitForTimeout(150);} } },
  help: { act: async (p) => { await p.locator("hitl-labeler").hover(); await p.keyboard.press("?"); } },
  weather: { act: async (p) => { await p.getByText("Weather").first().click(); await p.waitForTimeout(2500);} },
  photos: { act: async (p) => { await p.getByText("Your photos").first().click(); await p.waitForTimeout(9000);} },
};
for (const [name, how] of Object.entries(all)) if (!only.length || only.includes(name)) { try { await shot(name, how); } catch (e) { console.log(name, e.message.slice(0, 300)); } }
await browser.close(); await server.close();
