// An administrator's way through the page: sign in, back up, download, restore under a writer, undo, delete, sign out.
//   node walk.js '{"base": "http://backups.example:8419/", "token": "…", "hand": "mouse|plain|keyboard", "width": 360, "scheme": "dark"}'
// It works in the folder of `app.db`. `plain` has no script, `keyboard` uses Tab and Enter only.
"use strict";

const { execFileSync, spawn } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const { check, main, open, sound } = require("./browser.js");

const NOTE = "<img src=x onerror=alert(1)> before the update";
const sql = (database, text) => execFileSync("sqlite3", ["-cmd", ".timeout 30000", database, text], { encoding: "utf8" }).trim();
const facts = (database) => sql(database, "SELECT count(*), sum(id), max(text) FROM notes; PRAGMA integrity_check");
const archives = () => fs.readdirSync("backups").filter((name) => name.endsWith(".tar.gz"));

main(async (browser, { base, token, hand, width, scheme }) => {
  // A wrong token is answered with 401, which Chromium reports.
  const { page, seen } = await open(browser, base, {
    viewport: { width, height: 900 }, colorScheme: scheme, javaScriptEnabled: hand !== "plain",
  }, /status of 401/);
  const main = page.locator("main");

  // Moves the focus as a person does who has no mouse.
  const reach = async (target) => {
    for (let stops = 0; stops < 150; stops += 1) {
      if (await target.evaluate((element) => element === document.activeElement)) {
        const ring = await target.evaluate((element) => getComputedStyle(element).outlineStyle);
        check(ring !== "none", `the focus cannot be seen at ${page.url()}`);
        return;
      }
      await page.keyboard.press("Tab");
    }
    throw new Error(`no Tab leads to ${target} at ${page.url()}`);
  };
  const follow = async (target, to) => {
    const arrived = to && page.waitForURL(to);
    if (hand === "keyboard") { await reach(target); await page.keyboard.press("Enter"); } else await target.click();
    await arrived;
    // A job loads its page again by itself; it is looked at when it has ended.
    if (arrived && !page.url().includes("/jobs/")) await sound(page, page.url());
  };
  const write = async (target, text) => {
    if (hand === "keyboard") { await reach(target); await page.keyboard.type(text); } else await target.fill(text);
  };
  const link = (name) => main.getByRole("link", { name, exact: true }).first();
  const button = (name) => main.getByRole("button", { name }).first();
  const go = (name, to) => follow(page.getByRole("navigation").getByRole("link", { name }), to);
  // Script and reloads change the page by themselves.
  const done = async () => {
    await page.locator("h1").filter({ hasText: /: done$/ }).waitFor();
    await sound(page, page.url());
  };

  // A plan that takes long is a job first.
  const asked = async (title) => {
    await page.locator("h1").filter({ hasText: title }).waitFor();
    await sound(page, page.url());
  };

  // The process that plans a restore here stands still until the page shows its job. It may have ended before: again then.
  const planSlowly = async (target, to) => {
    const plans = (pid) => {
      try {
        const words = fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return words[1] === "restore" && words.includes("--dry-run") && fs.readlinkSync(`/proc/${pid}/cwd`) === process.cwd();
      } catch { return false; }
    };
    const send = (pid, signal) => { try { process.kill(pid, signal); } catch { /* it has ended */ } };
    for (let watched = false; !watched;) {
      let isThere = false;
      const arrived = follow(target, to).finally(() => { isThere = true; });
      let pid;
      while (!pid && !isThere) {
        pid = fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name)).find(plans);
        if (pid) send(pid, "SIGSTOP");
        await new Promise(setImmediate);
      }
      await arrived;
      watched = pid && page.url().includes("/jobs/");
      if (watched) await page.locator("h1").filter({ hasText: "Restore (plan): running" }).waitFor();
      if (pid) send(pid, "SIGCONT");
      if (!watched) await page.goBack();
    }
  };

  await page.goto(`${base}backups`);
  check(page.url() === `${base}sign-in`, `not signed in, at ${page.url()}`);
  await write(page.locator("#token"), "heirloom_guess");
  await follow(button("Sign in"));
  await page.getByRole("alert").waitFor();
  await write(page.locator("#token"), token);
  await follow(button("Sign in"), base);

  // A backup that has to wait for a lock, so that there is progress to see.
  const hold = "import sqlite3, sys; c = sqlite3.connect('app.db', isolation_level=None); c.execute('BEGIN EXCLUSIVE'); " +
    "print('held', flush=True); sys.stdin.read()";
  const holder = spawn("python3", ["-c", hold], { stdio: ["pipe", "pipe", "inherit"] });
  await once(holder.stdout, "data");
  await follow(button("Back up now"), /\/jobs\//);
  await page.locator("h1").filter({ hasText: "running" }).waitFor();
  await page.locator("#progress").waitFor();
  holder.stdin.end();
  await done();
  check(archives().length === 1, "one backup was made");
  const [older] = archives();
  await go("Backups", `${base}backups`);
  await write(page.locator("#create-note"), NOTE);
  await follow(button("Back up now"), /\/jobs\//);
  await done();
  const [made] = archives().filter((name) => name !== older);
  const saved = facts("app.db");

  await follow(link(made), `${base}backups/${made}`);
  check((await main.textContent()).includes(NOTE), "the note is shown as it was written");
  check((await main.textContent()).includes("<img src=x onerror=alert(2)>"), "the table is shown as its name");
  const loading = page.waitForEvent("download");
  await follow(link("Download"));
  const download = await loading;
  check(download.suggestedFilename() === made, `downloaded as ${download.suggestedFilename()}`);
  await download.saveAs("loaded/archive.tar.gz");
  execFileSync("tar", ["-xzf", "archive.tar.gz"], { cwd: "loaded" });
  const unpacked = execFileSync("find", ["loaded", "-name", "app.db"], { encoding: "utf8" }).trim();
  check(facts(unpacked) === saved, `downloaded: ${facts(unpacked)}, saved: ${saved}`);

  // The application goes on writing while its database is restored.
  sql("app.db", "DELETE FROM notes WHERE id > 10");
  const lost = facts("app.db");
  const writer = spawn("python3", ["app.py", "wal", "app.db", "acks", "1"], { stdio: "inherit" });
  const lines = () => (fs.existsSync("acks") ? fs.readFileSync("acks", "utf8").split("\n").length : 0);
  const writes = async () => {
    for (const from = lines(); lines() < from + 20;) {
      if (writer.exitCode !== null) throw new Error(`the writer ended with ${writer.exitCode}`);
      await new Promise((then) => setTimeout(then, 5));
    }
  };
  try {
    await writes();
    await follow(link("Restore…"), /\/restore$/);
    await planSlowly(button("Show the plan"), /\/(restore\/plan|jobs\/\w+)$/);
    await asked("Restore: the plan");
    const plan = await main.textContent();
    check(/→ 100/.test(plan) && plan.includes(`process ${writer.pid}`), `the plan names the writer: ${plan}`);
    await write(page.locator("#confirm"), "another");
    await follow(button("Restore now"));
    await main.getByText("that is not the name of the set").waitFor();
    check(facts("app.db") === lost, "another name restores nothing");
    await write(page.locator("#confirm"), "app");
    await follow(button("Restore now"), /\/jobs\//);
    await done();
    check(facts("app.db") === saved, `restored: ${facts("app.db")}, saved: ${saved}`);
    check(/Restart python3/.test(await main.textContent()), "the advice to restart what had it open");
    await writes();

    await follow(link("Undo this restore…"), /\/(undo(\?set=\w+)?|jobs\/\w+)$/);
    await asked("Undo the last restore?");
    await follow(button("Undo the restore"), /\/jobs\//);
    await done();
    check(facts("app.db") === lost, `undone: ${facts("app.db")}, before: ${lost}`);
    await writes();
  } finally {
    if (writer.exitCode === null) { writer.kill(); await once(writer, "exit"); }
  }
  check(writer.exitCode === 7, `the writer ended with ${writer.exitCode}`);

  await go("Backups", `${base}backups`);
  await follow(link(made), `${base}backups/${made}`);
  await follow(link("Delete…"), /\/(delete|jobs\/\w+)$/);
  await asked("Delete this backup?");
  check(archives().includes(made), "nothing is deleted before it is confirmed");
  await follow(button("Delete this backup"), /\/jobs\//);
  await done();
  check(!archives().includes(made) && archives().includes(older), `left: ${archives()}`);

  await go("Log", `${base}log`);
  check((await main.textContent()).includes("ops from"), "the log names the token");
  await follow(page.getByRole("button", { name: "Sign out" }), `${base}sign-in`);
  await page.goBack();
  check(page.url() === `${base}sign-in`, `after sign-out, Back leads to ${page.url()}`);
  check(!(await page.textContent("body")).includes("app_"), "after sign-out, Back shows a backup");
  console.log(`walk: ${hand}, ${width} px, ${scheme}, ${seen.requests} requests, all to ${base}`);
});
