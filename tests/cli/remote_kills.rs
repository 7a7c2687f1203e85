//! Runs that are killed while they talk to S3: at each request, at each answer, and between them. 300 kills.
//!
//! After each: what is listed is whole, a database is entirely old or entirely new, and the next run succeeds, makes up
//! for what is missing and leaves nothing behind, neither here nor as an unfinished upload there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};

use rustix::process::{Pid, Signal, kill_process};

use crate::servers::proxy::{Moment, Proxy};
use crate::servers::{BUCKET, Kind, place};
use crate::tools;
use crate::world::World;

/// Kills of each story: with a database that is sent in one request, and with one that is sent in parts.
/// `HEIRLOOM_REMOTE_KILLS=N` multiplies them.
const KILLS: [usize; 2] = [34, 3];
/// Files of a workspace that stay between runs.
const KEPT: [&str; 9] =
    ["lock", "restores", "holds", "pending", "copies", "seen", "gone", "activity.db", "descriptions.db"];

/// A local store with a copy.
const WITH_COPY: &str = "[store]\ndir = 'main'\n[copies.offsite]\nurl = 'URL'";

/// Prints the unfinished uploads below a prefix.
const UNFINISHED: &str = "
import boto3, sys
s3 = boto3.client('s3', endpoint_url=sys.argv[1], aws_access_key_id='heirloom', aws_secret_access_key='of-the-tests',
                  region_name='us-east-1')
for one in s3.list_multipart_uploads(Bucket=sys.argv[2]).get('Uploads', []):
    if one['Key'].startswith(sys.argv[3]): print('/' + sys.argv[2] + '/' + one['Key'])
";

struct Bench {
    world: World,
    proxy: Proxy,
    /// The store without the proxy.
    direct: String,
    minute: u32,
    megabytes: u32,
    /// The archives that were there before the kill.
    seen: BTreeSet<String>,
    /// The objects whose upload began when its run was killed: it never saw the id.
    unseen: BTreeSet<String>,
}

impl Bench {
    /// A world with a proxy before S3. In `text`, the URL of the store behind it replaces `URL`.
    fn new(promise: &str, text: &str) -> Option<Self> {
        if !tools::have_modules(promise, "boto3") {
            return None;
        }
        let place = place(Kind::Seaweed, promise)?;
        let proxy = Proxy::before(place.port);
        let mut world = World::new();
        for (name, value) in &place.variables {
            world.env(name, value);
        }
        let head = "[sets.app.databases]\napp = 'app.db'\n[backup]\ncompression = 'zstd'\n[retention]\nlast = 1000\n";
        let text = text.replace("URL", &place.behind(proxy.port).url);
        fs::write(world.path("heirloom.toml"), format!("{head}{text}")).unwrap();
        world.sql("app.db", "CREATE TABLE state(text); INSERT INTO state VALUES ('first')");
        Some(Self {
            world,
            proxy,
            direct: place.url,
            minute: 0,
            megabytes: 0,
            seen: BTreeSet::new(),
            unseen: BTreeSet::new(),
        })
    }

    /// Gives the database other contents, at a later time, and fills it so that each backup takes this many megabytes.
    fn change(&mut self, megabytes: u32) {
        self.later();
        if self.megabytes != megabytes {
            self.megabytes = megabytes;
            let fill = format!(
                "DROP TABLE IF EXISTS load; CREATE TABLE load(x);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {megabytes})
                 INSERT INTO load SELECT randomblob(1000000) FROM n WHERE {megabytes} > 0"
            );
            self.world.sql("app.db", &fill);
        }
        self.world.sql("app.db", &format!("UPDATE state SET text = 'made at {}'", self.minute));
    }

    fn later(&mut self) {
        self.minute += 1;
        self.world.at(&format!("2026-03-01T{:02}:{:02}:00Z", self.minute / 60, self.minute % 60));
    }

    /// Runs a command and kills it at a moment; returns whether it lived long enough.
    fn kill(&mut self, args: &[&str], moment: Moment) -> bool {
        let process = Arc::new(OnceLock::new());
        let victim = process.clone();
        // On a slow machine it may have ended by itself: then an earlier moment is tried.
        self.proxy.at(moment, move || {
            let _ = kill_process(*victim.wait(), Signal::KILL);
        });
        let mut child = self.world.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        process.set(Pid::from_child(&child)).unwrap();
        let status = child.wait().unwrap();
        // What was sent before arrives before the next run starts.
        self.proxy.settle();
        let log = self.proxy.log();
        if let (Moment::Answer(number), Some(9)) = (moment, status.signal())
            && let Some(object) = log[number as usize - 1].strip_prefix("POST ")
            && !log.contains(&format!("PUT {object}"))
        {
            self.unseen.insert(object.split(' ').next().unwrap().to_owned());
        }
        self.proxy.set(|_| None);
        assert!(status.success() || status.signal() == Some(9), "{moment:?}: {status}");
        !status.success()
    }

    /// Lists what is there: no backup twice, and nothing that is not an archive.
    fn list(&self, moment: Moment) -> BTreeSet<String> {
        let listed = self.world.heirloom(["list", "--dir", &self.direct, "--json"]).success().json();
        assert_eq!(listed["foreign"].as_array().unwrap().len(), 0, "{moment:?}: {}", listed["foreign"]);
        let archives = listed["archives"].as_array().unwrap();
        let ids: BTreeSet<&str> = archives.iter().map(|one| one["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), archives.len(), "{moment:?}: one backup is there twice: {archives:?}");
        archives.iter().map(|one| one["archive"].as_str().unwrap().to_owned()).collect()
    }

    /// Checks that every archive that is listed after a kill is whole; returns how many there are.
    fn verify_new(&mut self, moment: Moment) -> usize {
        let found = self.list(moment);
        for name in found.difference(&self.seen) {
            self.world.heirloom(["verify", name, "--dir", &self.direct]).success();
        }
        self.seen = found;
        self.seen.len()
    }

    /// Lists what is there after a run that was not killed. It is verified at the end.
    fn there(&mut self, moment: Moment) -> &BTreeSet<String> {
        self.seen = self.list(moment);
        &self.seen
    }

    /// Asserts that the copies hold what the main store holds.
    fn all_are_there(&mut self, moment: Moment) {
        let here = self.world.files("main").into_iter().filter(|name| name.ends_with(".zst"));
        let here = here.collect::<BTreeSet<_>>();
        assert_eq!(*self.there(moment), here, "{moment:?}");
    }

    fn workspaces(&self) -> Vec<PathBuf> {
        let folder = self.world.path("../state/workspaces");
        let remote = names(&folder).into_iter().map(|name| folder.join(name));
        remote.chain([self.world.path("main/.heirloom")]).collect()
    }

    /// Asserts that nothing is left in any workspace but what belongs there.
    fn is_clean(&self, moment: Moment) {
        let state = self.world.path("../state");
        for workspace in self.workspaces() {
            let left = names(&workspace).into_iter().filter(|name| KEPT.iter().all(|kept| !name.starts_with(kept)));
            let left: Vec<String> =
                left.chain(names(&workspace.join("pending"))).chain(names(&workspace.join("holds"))).collect();
            assert_eq!(left, [""; 0], "{moment:?}: in {}", workspace.display());
        }
        let records = names(&state).into_iter().filter(|name| name.trim_start_matches('.').starts_with("upload-"));
        assert_eq!(records.collect::<Vec<_>>(), [""; 0], "{moment:?}");
        assert_eq!(names(&self.world.path("../tmp")), [""; 0], "{moment:?}");
    }

    /// Kills a command at moments spread over all that it does, for small and for large databases. `prepare` comes
    /// before each kill, `next` after it.
    fn kill_everywhere(
        &mut self,
        args: &[&str],
        prepare: impl Fn(&mut Self, u32),
        next: impl Fn(&mut Self, Moment, usize),
    ) {
        let times = std::env::var("HEIRLOOM_REMOTE_KILLS").map_or(1, |text| text.parse().unwrap());
        for (kills, megabytes) in KILLS.into_iter().map(|kills| kills * times).zip([0, 18]) {
            // The first run finds out what the service does; the second one is counted.
            for _ in 0..2 {
                prepare(self, megabytes);
                self.proxy.set(|_| None);
                self.world.heirloom(args).success();
            }
            let (requests, bytes) = (self.proxy.requests(), self.proxy.passed());
            eprintln!("{args:?}, {megabytes} MB: {requests} requests, {bytes} bytes");
            for mut moment in moments(kills, requests, bytes) {
                prepare(self, megabytes);
                while !self.kill(args, moment) {
                    moment = match moment {
                        Moment::Request(number) => Moment::Request(number - 1),
                        Moment::Answer(number) => Moment::Answer(number - 1),
                        Moment::Bytes(bytes) => Moment::Bytes(bytes * 3 / 4),
                    };
                    prepare(self, megabytes);
                }
                let before = self.verify_new(moment);
                next(self, moment, before);
                self.is_clean(moment);
            }
        }
        self.world.heirloom(["verify", "--all", "--dir", &self.direct]).success();
        let endpoint = self.direct.split("endpoint=").nth(1).unwrap();
        let prefix = self.direct.trim_start_matches(&format!("s3://{BUCKET}/")).split('?').next().unwrap();
        let output =
            tools::python().args(["-c", UNFINISHED, endpoint, BUCKET, &format!("{prefix}/")]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let left: BTreeSet<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(left, self.unseen, "unfinished uploads");
    }
}

/// Spreads kills over a run: at heads of requests, at answers, and between bytes.
fn moments(kills: usize, requests: u64, bytes: u64) -> Vec<Moment> {
    let share = (kills / 3).min(requests as usize);
    let spread = |count: usize, all: u64| (0..count as u64).map(move |index| index * all / count as u64 + 1);
    let heads = spread(share, requests).map(Moment::Request);
    let answers = spread(share, requests).map(Moment::Answer);
    let rest = spread(kills - 2 * share, bytes).map(Moment::Bytes);
    heads.chain(answers).chain(rest).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_backup_to_s3_that_is_killed_anywhere() {
    let Some(mut bench) = Bench::new("a backup to S3 survives a kill", "[store]\nurl = 'URL'") else { return };
    bench.kill_everywhere(&["backup"], Bench::change, |bench, moment, before| {
        bench.later();
        bench.world.heirloom(["backup"]).success();
        assert_eq!(bench.there(moment).len(), before + 1, "{moment:?}");
    });
}

#[test]
fn a_backup_with_a_copy_in_s3_that_is_killed_anywhere() {
    let Some(mut bench) = Bench::new("a backup with a copy survives a kill", WITH_COPY) else { return };
    bench.kill_everywhere(&["backup"], Bench::change, |bench, moment, _| {
        bench.later();
        bench.world.heirloom(["backup"]).success();
        bench.all_are_there(moment);
    });
}

#[test]
fn a_copy_to_s3_that_is_killed_anywhere() {
    let Some(mut bench) = Bench::new("a copy survives a kill", WITH_COPY) else { return };
    let prepare = |bench: &mut Bench, megabytes| {
        bench.change(megabytes);
        bench.world.heirloom(["backup", "--no-copies"]).success();
    };
    bench.kill_everywhere(&["copy"], prepare, |bench, moment, _| {
        bench.world.heirloom(["copy"]).success();
        bench.all_are_there(moment);
    });
}

#[test]
fn a_restore_from_s3_that_is_killed_anywhere() {
    let Some(mut bench) = Bench::new("a restore from S3 survives a kill", "[store]\nurl = 'URL'") else { return };
    let state = |bench: &Bench| bench.world.ask("app.db", "SELECT text FROM state");
    let prepare = |bench: &mut Bench, megabytes| {
        if bench.megabytes != megabytes || bench.minute == 0 {
            bench.change(megabytes);
            bench.world.sql("app.db", "UPDATE state SET text = 'saved'");
            bench.world.heirloom(["backup"]).success();
        }
        bench.later();
        bench.world.sql("app.db", "UPDATE state SET text = 'changed'");
    };
    bench.kill_everywhere(&["restore", "--force"], prepare, |bench, moment, _| {
        assert_eq!(bench.world.ask("app.db", "PRAGMA integrity_check"), "ok", "{moment:?}");
        assert!(matches!(state(bench).as_str(), "saved" | "changed"), "{moment:?}: {}", state(bench));
        bench.later();
        bench.world.heirloom(["restore", "--force"]).success();
        assert_eq!(state(bench), "saved", "{moment:?}");
        bench.there(moment);
    });
}
