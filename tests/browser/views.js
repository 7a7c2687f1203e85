// Every view at every width, light and dark: nothing sticks out, nothing serious for axe-core; a picture of each if that is asked for.
//   node views.js '{"base": "http://backups.example:8419/", "token": "…", "name": "good", "archive": "…", "pictures": "FOLDER or empty"}'
// It works in the folder of `app.db`, which is restored from `archive`; without one, only the overview is looked at.
"use strict";

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { check, main, modules, open, sound } = require("./browser.js");

const axe = fs.readFileSync(path.join(modules, "axe-core/axe.min.js"), "utf8");
const WIDTHS = [360, 800, 1400];
const SCHEMES = ["light", "dark"];
const RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"];

main(async (browser, { base, token, name, archive, pictures }) => {
  let looked = 0;
  let passed = 0;
  for (const scheme of SCHEMES) {
    for (const width of WIDTHS) {
      // axe-core runs as a script of the page, which the policy of the page forbids.
      const { context, page } = await open(browser, base, {
        viewport: { width, height: 900 }, colorScheme: scheme, bypassCSP: true,
      });
      const look = async (view) => {
        await sound(page, `${view} at ${width} px, ${scheme}`);
        await page.evaluate(`${axe};0`);
        const found = await page.evaluate((rules) => window.axe.run({ runOnly: rules }), RULES);
        for (const { id, impact, nodes } of found.violations) {
          check(!["serious", "critical"].includes(impact), `${view} at ${width} px, ${scheme}: ${id}, ${nodes[0].html}`);
        }
        passed += found.passes.length;
        looked += 1;
        if (pictures) await page.screenshot({ path: path.join(pictures, `${name}-${view}-${width}-${scheme}.png`), fullPage: true });
      };
      const go = async (view, place) => {
        await page.goto(`${base}${place}`);
        // A plan that takes long is a job first.
        await page.locator("h1:not(:has-text(\"running\"))").waitFor();
        await look(view);
      };
      const button = (text) => page.locator("main").getByRole("button", { name: text }).first();

      await go("sign-in", "sign-in");
      await page.locator("#token").fill(token);
      await button("Sign in").click();
      await page.waitForURL(base);
      await look("overview");
      if (archive) {
        await go("backups", "backups");
        await go("backup", `backups/${archive}`);
        await go("delete", `backups/${archive}/delete`);
        await go("rotate", "rotate");
        await go("log", "log");
        // Something is lost, so that there is something to restore.
        execFileSync("sqlite3", ["app.db", "DELETE FROM notes WHERE id > 100"]);
        await go("restore", `backups/${archive}/restore`);
        await button("Show the plan").click();
        await page.locator("h1").filter({ hasText: "Restore: the plan" }).waitFor();
        await look("plan");
        await page.locator("#confirm").fill("app");
        await button("Restore now").click();
        await page.locator("h1").filter({ hasText: /: done$/ }).waitFor();
        await look("job");
        await go("undo", "undo");
      }
      await context.close();
    }
  }
  console.log(`views: ${name}, ${looked} of them at ${WIDTHS.join(", ")} px, ${SCHEMES.join(" and ")}, ${passed} rules of axe-core hold`);
});
