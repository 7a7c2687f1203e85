// Chromium as the tests of the page use it: whatever breaks a promise of every view is recorded and ends the run with 1.
"use strict";

const path = require("node:path");
const modules = path.join(__dirname, "../../target/node/node_modules");
const { chromium } = require(path.join(modules, "playwright-core"));

const failures = [];

/** Records something that does not hold. */
function fail(what) {
  failures.push(what);
  console.log(`FAIL ${what}`);
}

function check(holds, what) {
  if (!holds) fail(what);
}

/** Starts Debian's Chromium, for which every name but `backups.example` is unknown. */
function launch() {
  const rules = "MAP backups.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1";
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", `--host-resolver-rules=${rules}`];
  return chromium.launch({ executablePath: "/usr/bin/chromium", args });
}

/**
 * Opens a window in which no view may ask another origin for anything, run what stands in a name, complain on the console
 * or break its own Content-Security-Policy. `expected` is a pattern of messages that are meant to come.
 */
async function open(browser, base, options, expected = /^$/) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, acceptDownloads: true, ...options });
  context.setDefaultTimeout(Number(process.env.BROWSER_TIMEOUT_MS || 60000));
  const page = await context.newPage();
  const seen = { requests: 0 };
  context.on("request", (request) => {
    seen.requests += 1;
    check(request.url().startsWith(base), `a request to ${request.url()}`);
  });
  page.on("console", (message) => {
    const text = message.text();
    // Chromium asks for it by itself, at the root of the host, which is not this server's under a prefix.
    if (message.location().url === new URL("/favicon.ico", base).href && new URL(base).pathname !== "/") return;
    if (["error", "warning"].includes(message.type()) && !expected.test(text)) fail(`console at ${page.url()}: ${text}`);
  });
  page.on("pageerror", (error) => fail(`script at ${page.url()}: ${error.message}`));
  page.on("dialog", (dialog) => { fail(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  return { context, page, seen };
}

/** What must hold of every view as it is now. */
async function sound(page, name) {
  const found = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth - window.innerWidth,
    foreign: document.querySelectorAll("img, iframe, object, embed, base, [style], [onerror], [onclick], script:not([src])").length,
    headings: document.querySelectorAll("h1").length,
  }));
  check(found.wide <= 0, `${name}: wider than the window by ${found.wide}`);
  check(found.foreign === 0, `${name}: ${found.foreign} elements that no view makes`);
  check(found.headings === 1, `${name}: ${found.headings} main headings`);
}

/** Runs the walk, closes what it opened, prints what was done and exits. */
async function main(walk) {
  const options = JSON.parse(process.argv[2]);
  const browser = await launch();
  try {
    await walk(browser, options);
  } catch (error) {
    fail(error.stack);
  } finally {
    await browser.close();
  }
  // Not when the last child ends: a walk that fails leaves some, and their pipes close with this process.
  process.exit(failures.length ? 1 : 0);
}

module.exports = { check, fail, main, modules, open, sound };
