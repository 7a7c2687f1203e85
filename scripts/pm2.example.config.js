// An application under `heirloom run`, started by pm2: pm2 start pm2.example.config.js
module.exports = {
  apps: [{
    name: "app",
    script: "heirloom",
    args: ["run", "--every", "1h", "--", "node", "server.js"],
    interpreter: "none",
    // One writer; in cluster mode the application would be several.
    exec_mode: "fork",
    instances: 1,
    // pm2 sends SIGINT to every process of the tree and SIGKILL after 1.6 s, which would cut off the last backup. This sends
    // it to heirloom, which passes it on, and waits longer than `grace` in [run], which is 10s.
    treekill: false,
    kill_timeout: 15000,
    // Restarts do not help: usage, some databases not restored, no backup that may be taken, damage, no such program.
    stop_exit_codes: [0, 2, 3, 12, 13, 126, 127],
    env: { DATABASE_PATH: "data/app.db", HEIRLOOM_DIR: "backups" },
  }],
};
