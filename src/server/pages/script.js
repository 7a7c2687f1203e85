// Everything works without this script. It shows times in the browser's zone, filters tables and follows a job.
"use strict";

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const isUtc = !zone || ["UTC", "Etc/UTC"].includes(zone);
const format = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short" });
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!isUtc && !Number.isNaN(at.getTime())) {
    time.title = time.textContent;
    time.textContent = format.format(at);
  }
}
const note = document.getElementById("zone");
if (note && !isUtc) note.textContent = `Times are in ${zone}; point at one for UTC. Days of the calendar are in UTC.`;

for (const part of document.querySelectorAll("[data-script]")) part.hidden = false;
for (const input of document.querySelectorAll("[data-filters]")) {
  const rows = document.querySelectorAll(`#${input.dataset.filters} tbody tr`);
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  };
  input.addEventListener("input", apply);
  apply();
}

const job = document.getElementById("job");
if (job && job.dataset.job) {
  const words = JSON.parse(job.dataset.words);
  const show = (id, text) => {
    const part = document.getElementById(id);
    if (part.textContent !== text) part.textContent = text;
  };
  const poll = async () => {
    let wait = 1000;
    try {
      const answer = await fetch(job.dataset.job, { headers: { Accept: "application/json" }, cache: "no-store" });
      // Signed out, or the server has forgotten the job: the page itself says so.
      if ([401, 403, 404].includes(answer.status)) return location.reload();
      if (!answer.ok) throw new Error(answer.status);
      const state = await answer.json();
      if (state.state !== "running") return location.reload();
      show("stage", words[state.stage] || "Working");
      show("subject", state.subject || "");
      const bar = document.getElementById("progress");
      if (state.total > 0) {
        bar.value = Math.min(100, Math.floor((100 * state.done) / state.total));
        show("percent", `${bar.value}%`);
      } else {
        bar.removeAttribute("value");
        show("percent", "");
      }
    } catch {
      show("stage", "The server does not answer. Trying again.");
      show("subject", "");
      wait = 5000;
    }
    setTimeout(poll, wait);
  };
  poll();
}
