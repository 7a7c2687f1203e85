//! The store on a remote of rclone: a local one, SFTP, WebDAV and S3.

use std::fs;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use heirloom::progress::{Progress, Silent, Stage};
use heirloom::store::remote::Remote;
use heirloom::store::{Found, RcloneStore, ReadStore, Store, StoreError, Upload};
use heirloom::store_url::StoreUrl;

use super::{sshd, webdav};
use crate::servers::{self, BUCKET, Kind};
use crate::store_contract::keeps_the_contract;
use crate::tools;

/// A remote of rclone with its configuration.
struct Place {
    folder: tempfile::TempDir,
    /// What folders on it start with.
    root: String,
}

impl Place {
    fn new(configuration: &str, root: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("rclone.conf"), format!("[there]\n{configuration}")).unwrap();
        Self { folder, root: root.into() }
    }

    fn local() -> Option<Self> {
        tools::installed("a local remote of rclone", &["rclone"]).then(|| {
            let place = Self::new("type = local\n", "");
            Self { root: format!("{}/", place.folder.path().display()), ..place }
        })
    }

    fn sftp() -> Option<Self> {
        let server = sshd::sshd("rclone over SFTP").filter(|_| tools::installed("rclone over SFTP", &["rclone"]))?;
        let configuration = format!(
            "type = sftp\nhost = 127.0.0.1\nport = {}\nuser = root\nkey_file = {}\n",
            server.port,
            server.key.display()
        );
        Some(Self::new(&configuration, &format!("{}/", server.files.display())))
    }

    fn webdav() -> Option<Self> {
        let server =
            webdav::webdav("rclone over WebDAV").filter(|_| tools::installed("rclone over WebDAV", &["rclone"]))?;
        let password = tools::run("rclone", ["obscure", webdav::PASSWORD]);
        let configuration =
            format!("type = webdav\nurl = {}\nvendor = other\nuser = {}\npass = {password}", server.url, webdav::USER);
        Some(Self::new(&configuration, ""))
    }

    fn s3() -> Option<Self> {
        Self::s3_with(|variable| variable)
    }

    /// S3 with a secret that may differ from the right one.
    fn s3_with(secret: fn(String) -> String) -> Option<Self> {
        let there = servers::place(Kind::Seaweed, "rclone with S3")
            .filter(|_| tools::installed("rclone with S3", &["rclone"]))?;
        let configuration = format!(
            "type = s3\nprovider = Other\nendpoint = http://127.0.0.1:{}\nno_check_bucket = true\n\
             access_key_id = {}\nsecret_access_key = {}\n",
            there.port,
            there.variable("AWS_ACCESS_KEY_ID").unwrap(),
            secret(there.variable("AWS_SECRET_ACCESS_KEY").unwrap())
        );
        Some(Self::new(&configuration, &format!("{BUCKET}/")))
    }

    fn is_bucket(&self) -> bool {
        self.root == format!("{BUCKET}/")
    }

    fn configuration(&self) -> String {
        self.folder.path().join("rclone.conf").to_str().unwrap().to_owned()
    }

    fn remote(&self) -> Remote {
        let configuration = self.configuration();
        Remote::new(move |name| (name == "RCLONE_CONFIG").then(|| configuration.clone()))
    }

    /// Runs rclone as a user would.
    fn rclone(&self, args: &[&str]) -> Output {
        let mut command = Command::new("rclone");
        command.args(args).env("RCLONE_CONFIG", self.configuration()).env_remove("AWS_CA_BUNDLE").output().unwrap()
    }

    /// Returns the name of a folder that does not exist.
    fn fresh() -> String {
        static MADE: AtomicU64 = AtomicU64::new(0);
        format!("rclone-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed))
    }

    /// Opens a folder that does not exist yet.
    fn store(&self) -> RcloneStore {
        self.store_at(&Self::fresh(), &self.remote())
    }

    fn store_at(&self, folder: &str, remote: &Remote) -> RcloneStore {
        let url = StoreUrl::parse(&format!("rclone:there:{}{folder}", self.root)).unwrap().unwrap();
        RcloneStore::new(&url, remote).unwrap()
    }

    /// Returns the names of all files in a folder, hidden ones included.
    fn files(&self, folder: &str) -> Vec<String> {
        let listed = self.rclone(&["lsf", "--files-only", &format!("there:{}{folder}", self.root)]);
        String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

type NewPlace = fn() -> Option<Place>;

/// The remotes that the stories run on.
const EVERYWHERE: [(&str, NewPlace); 4] =
    [("local", Place::local), ("sftp", Place::sftp), ("webdav", Place::webdav), ("s3", Place::s3)];

#[test]
fn a_local_remote_fulfils_the_contract() {
    let Some(place) = Place::local() else { return };
    keeps_the_contract(|| place.store());
}

#[test]
fn sftp_fulfils_the_contract() {
    let Some(place) = Place::sftp() else { return };
    keeps_the_contract(|| place.store());
}

#[test]
fn webdav_fulfils_the_contract() {
    let Some(place) = Place::webdav() else { return };
    keeps_the_contract(|| place.store());
}

#[test]
fn s3_fulfils_the_contract() {
    let Some(place) = Place::s3() else { return };
    keeps_the_contract(|| place.store());
}

/// A finished archive: 8 MB that are the same nowhere.
struct Archive {
    _folder: tempfile::TempDir,
    upload: Upload,
    bytes: Vec<u8>,
}

impl Archive {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        let mut state = 88_172_645_463_325_252_u64;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .take(1_000_000)
        .flatten()
        .collect();
        fs::write(&path, &bytes).unwrap();
        Self { upload: Upload::of(&path).unwrap(), bytes, _folder: folder }
    }
}

fn content(store: &RcloneStore, name: &str) -> Vec<u8> {
    let file = store.open(name, None).unwrap();
    let mut bytes = vec![0; usize::try_from(file.bytes()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Runs something as soon as some bytes were sent, and can cancel.
struct Midway<'a> {
    then: &'a (dyn Fn() + Sync),
    cancels: bool,
    sent: AtomicU64,
    is_reached: AtomicBool,
}

impl<'a> Midway<'a> {
    fn new(then: &'a (dyn Fn() + Sync), cancels: bool) -> Self {
        Self { then, cancels, sent: AtomicU64::new(0), is_reached: AtomicBool::new(false) }
    }
}

impl Progress for Midway<'_> {
    fn begin(&self, _: Stage, _: &str, _: u64) {}

    fn advance(&self, units: u64) {
        if self.sent.fetch_add(units, Ordering::Relaxed) + units >= 1_000_000
            && !self.is_reached.swap(true, Ordering::Relaxed)
        {
            (self.then)();
        }
    }

    fn cancelled(&self) -> bool {
        self.cancels && self.is_reached.load(Ordering::Relaxed)
    }
}

/// Returns the rclone processes that use this configuration and send something.
fn uploads(configuration: &str) -> Vec<u32> {
    let of_this = |pid: u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let contains = |text: &[u8], part: &str| text.windows(part.len()).any(|window| window == part.as_bytes());
        contains(&environment, configuration) && command.starts_with(b"rclone\0copyto\0")
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|pid| of_this(*pid)).collect()
}

/// How an upload is broken off.
#[derive(Debug, Clone, Copy)]
enum Breach {
    Signal(&'static str),
    Cancel,
}

/// Breaks an upload off in its middle, and tries again.
fn survives(place: &Place, breach: Breach) {
    let archive = Archive::new();
    let folder = Place::fresh();
    let slowly = Remote { upload_limit: NonZeroU64::new(2_000_000), ..place.remote() };
    let kill = || {
        let Breach::Signal(signal) = breach else { return };
        let found = uploads(&place.configuration());
        assert_eq!(found.len(), 1, "{found:?}");
        tools::run("kill", [format!("-{signal}"), found[0].to_string()]);
    };
    let midway = Midway::new(&kill, matches!(breach, Breach::Cancel));
    let store = place.store_at(&folder, &slowly);
    let broken = store.commit("a.tar.gz", &archive.upload, &midway);
    assert!(midway.is_reached.load(Ordering::Relaxed), "{broken:?}");
    match (breach, &broken) {
        // Release 1.60 finishes the upload.
        (Breach::Signal("INT"), Ok(())) => {}
        (Breach::Cancel, Err(StoreError::Interrupted(_))) | (Breach::Signal(_), Err(_)) => {}
        _ => panic!("{breach:?}: {broken:?}"),
    }
    for entry in place.store_at(&folder, &place.remote()).list().unwrap() {
        assert_eq!((entry.name.as_str(), entry.bytes), ("a.tar.gz", 8_000_000), "{breach:?}");
    }

    // The next run makes up for it.
    let store = place.store_at(&folder, &place.remote());
    match store.commit("a.tar.gz", &archive.upload, &Silent) {
        Err(StoreError::Exists { .. }) if broken.is_ok() => {}
        done => done.unwrap(),
    }
    assert_eq!(content(&store, "a.tar.gz"), archive.bytes);
    assert_eq!(place.files(&folder), ["a.tar.gz"], "{breach:?}");
}

#[test]
fn an_upload_that_is_broken_off_leaves_nothing_half_made_and_is_made_up_for() {
    for (where_, place) in EVERYWHERE {
        let Some(place) = place() else { continue };
        for breach in [Breach::Signal("KILL"), Breach::Signal("TERM"), Breach::Signal("INT"), Breach::Cancel] {
            println!("{where_}: {breach:?}");
            survives(&place, breach);
        }
    }
}

/// The run itself is killed: its rclone process may finish by itself, or be killed with it.
#[test]
fn the_leftovers_of_dead_runs_are_hidden_and_removed_by_the_next_try() {
    for (_, place) in EVERYWHERE {
        let Some(place) = place() else { continue };
        let (archive, folder) = (Archive::new(), Place::fresh());
        let part = format!("there:{}{folder}/.a.tar.gz.part-0123456789abcdef", place.root);
        let other = format!("there:{}{folder}/.b.tar.gz.part-0123456789abcdef", place.root);
        for leftover in [&part, &other] {
            assert!(place.rclone(&["copyto", archive.upload.path().to_str().unwrap(), leftover]).status.success());
        }
        let store = place.store_at(&folder, &place.remote());
        assert_eq!(store.list().unwrap(), []);
        store.commit("a.tar.gz", &archive.upload, &Silent).unwrap();
        let left = place.files(&folder);
        assert!(
            left.contains(&"a.tar.gz".into()) && left.contains(&".b.tar.gz.part-0123456789abcdef".into()),
            "{left:?}"
        );
        // A bucket needs no parts, so there are none of ours.
        assert_eq!(left.len(), if place.is_bucket() { 3 } else { 2 }, "{left:?}");
    }
}

#[test]
fn an_occupied_name_is_never_written_to() {
    for (_, place) in EVERYWHERE {
        let Some(place) = place() else { continue };
        let (archive, folder) = (Archive::new(), Place::fresh());
        let store = place.store_at(&folder, &place.remote());
        store.put("a.tar.gz", b"1").unwrap();
        let refused = store.commit("a.tar.gz", &archive.upload, &Silent);
        assert!(matches!(refused, Err(StoreError::Exists { .. })), "{refused:?}");
        assert_eq!(content(&store, "a.tar.gz"), b"1");
        assert_eq!(place.files(&folder), ["a.tar.gz"]);
    }
}

#[test]
fn a_missing_folder_is_empty_only_below_one_that_answers() {
    for (where_, place) in EVERYWHERE {
        let Some(place) = place() else { continue };
        assert_eq!(place.store().list().unwrap(), [], "{where_}");
        assert_eq!(place.store().stat("a.tar.gz").unwrap(), None, "{where_}");
        let deep = place.store_at(&format!("{}/not/mounted", Place::fresh()), &place.remote()).list();
        // A prefix of a bucket is not a folder.
        assert_eq!(matches!(deep, Err(StoreError::Unreachable { .. })), where_ != "s3", "{where_}: {deep:?}");
    }
    let Some(place) = Place::s3() else { return };
    let elsewhere = Place { root: "no-such-bucket/".into(), ..place };
    assert!(matches!(elsewhere.store().list(), Err(StoreError::Unreachable { .. })));
}

/// A remote that answers every request with an error: nothing is missing because of that.
#[test]
fn a_remote_that_refuses_or_is_away_is_unreachable() {
    let Some(_) = tools::installed("a remote that is away", &["rclone"]).then_some(()) else { return };
    let mut places = vec![
        Place::new("type = webdav\nurl = http://127.0.0.1:1\n", ""),
        Place::new("type = sftp\nhost = 127.0.0.1\nport = 1\nuser = root\n", "/"),
        Place::new("", ""),
    ];
    places.extend(Place::s3_with(|_| "wrong".into()));
    let archive = Archive::new();
    for place in places {
        let store = place.store();
        let unreachable = |error: StoreError| match error {
            StoreError::Unreachable { cause, .. } => assert_ne!(cause.kind(), io::ErrorKind::NotFound, "{cause}"),
            other => panic!("{other:?}"),
        };
        unreachable(store.list().unwrap_err());
        unreachable(store.stat("a.tar.gz").unwrap_err());
        unreachable(store.open("a.tar.gz", None).err().unwrap());
        unreachable(store.remove("a.tar.gz").unwrap_err());
        match store.put("a.tar.gz", b"x").unwrap_err() {
            // A bucket is not looked at before it is written to.
            StoreError::Unanswered { .. } => {}
            other => unreachable(other),
        }
        unreachable(store.commit("a.tar.gz", &archive.upload, &Silent).unwrap_err());
    }
}

/// An `rclone` that behaves as this script says for some commands, and runs the real one as `really`.
fn stub(place: &Place, script: &str) -> Remote {
    let folder = place.folder.path().join("stub");
    let _ = fs::create_dir(&folder);
    let path = std::env::var("PATH").unwrap();
    let text = format!("#!/bin/sh\nreally() {{ PATH='{path}' command rclone \"$@\"; }}\n{script}\nreally \"$@\"\n");
    fs::write(folder.join("rclone"), text).unwrap();
    fs::set_permissions(folder.join("rclone"), fs::Permissions::from_mode(0o755)).unwrap();
    let (configuration, path) = (place.configuration(), format!("{}:{path}", folder.display()));
    Remote::new(move |name| match name {
        "RCLONE_CONFIG" => Some(configuration.clone()),
        "PATH" => Some(path.clone()),
        _ => None,
    })
}

#[test]
fn after_a_lost_answer_the_archive_is_looked_up() {
    for place in [Place::local(), Place::s3()].into_iter().flatten() {
        let last = if place.is_bucket() { "copyto" } else { "moveto" };
        // Done, and the answer was lost.
        let (archive, folder) = (Archive::new(), Place::fresh());
        let remote = stub(&place, &format!("[ $1 != {last} ] || {{ really \"$@\"; exit 5; }}"));
        let store = place.store_at(&folder, &remote);
        store.commit("a.tar.gz", &archive.upload, &Silent).unwrap();
        assert_eq!(content(&store, "a.tar.gz"), archive.bytes);
        assert_eq!(place.files(&folder), ["a.tar.gz"]);
        // Not done.
        let remote = stub(&place, &format!("[ $1 != {last} ] || {{ echo connection reset >&2; exit 1; }}"));
        let store = place.store_at(&folder, &remote);
        let failed = store.commit("b.tar.gz", &archive.upload, &Silent).unwrap_err();
        let StoreError::Io { cause, .. } = failed else { panic!("{failed:?}") };
        assert_eq!(cause.to_string(), "connection reset");
        assert_eq!(place.files(&folder), ["a.tar.gz"]);
        // Nobody knows, and then it is found.
        let remote = stub(
            &place,
            &format!(
                "[ $1 != {last} ] || {{ really \"$@\"; touch {0}/away; exit 1; }}\n\
                                            [ ! -e {0}/away ] || exit 1",
                place.folder.path().display()
            ),
        );
        let store = place.store_at(&folder, &remote);
        let unknown = store.try_commit("c.tar.gz", &archive.upload, &Silent);
        assert!(matches!(unknown, Err(StoreError::Unanswered { .. })), "{unknown:?}");
        fs::remove_file(place.folder.path().join("away")).unwrap();
        assert_eq!(store.look_up("c.tar.gz", &archive.upload).unwrap(), Found::Same);
        // Another run has the same bytes and did not send them.
        let other = Upload::of(archive.upload.path()).unwrap();
        assert_eq!(store.look_up("c.tar.gz", &other).unwrap(), Found::Other);
    }
}

#[test]
fn bytes_that_changed_on_the_way_are_found_by_the_checksum() {
    for place in [Place::local(), Place::sftp(), Place::s3()].into_iter().flatten() {
        let (archive, folder) = (Archive::new(), Place::fresh());
        let other = archive.upload.path().with_extension("other");
        let mut bytes = archive.bytes.clone();
        bytes[4_000_000] ^= 1;
        fs::write(&other, bytes).unwrap();
        // The same size, but not the same bytes.
        let source = archive.upload.path().display();
        let script = format!(
            "if [ $1 = copyto ]; then for word; do shift; [ \"$word\" != {source} ] || word={}; \
             set -- \"$@\" \"$word\"; \
             done; fi",
            other.display()
        );
        let store = place.store_at(&folder, &stub(&place, &script));
        let failed = store.commit("a.tar.gz", &archive.upload, &Silent).unwrap_err();
        assert!(matches!(failed, StoreError::Io { .. }), "{failed:?}");
        // It stays on a bucket, where it has its name at once; it is not ours to remove.
        assert_eq!(place.files(&folder).len(), usize::from(place.is_bucket()));
    }
}

#[test]
fn a_call_that_stands_still_is_ended() {
    let Some(place) = Place::local() else { return };
    for command in ["copyto", "lsjson", "moveto"] {
        let remote = stub(&place, &format!("[ $1 != {command} ] || exec sleep 1000"));
        let remote = Remote { stalled: Duration::from_secs(1), ..remote };
        let failed = place.store_at(&Place::fresh(), &remote).commit("a.tar.gz", &Archive::new().upload, &Silent);
        let cause = match failed.unwrap_err() {
            StoreError::Unreachable { cause, .. } | StoreError::Io { cause, .. } => cause,
            other => panic!("{other:?}"),
        };
        assert_eq!(cause.kind(), io::ErrorKind::TimedOut, "{command}");
    }
}

#[test]
fn a_listing_that_is_cut_is_an_error_and_never_empty() {
    let Some(place) = Place::local() else { return };
    for output in ["", "[", "[{\"Name\":\"a.tar.gz\"}]", "{}", "null", "<html>"] {
        let remote = stub(&place, &format!("[ $1 != lsjson ] || {{ printf %s '{output}'; exit 0; }}"));
        let listed = place.store_at(&Place::fresh(), &remote).list();
        assert!(matches!(listed, Err(StoreError::Unreachable { .. })), "{output}: {listed:?}");
    }
}

#[test]
fn without_the_program_the_error_says_how_to_get_it() {
    let place = Place::new("type = local\n", "/");
    let remote = Remote::new(|name| (name == "PATH").then(|| "/nowhere".into()));
    let StoreError::Unreachable { cause, .. } = place.store_at("x", &remote).list().unwrap_err() else { panic!() };
    assert_ne!(cause.kind(), io::ErrorKind::NotFound);
    assert!(cause.to_string().contains("https://rclone.org/install"), "{cause}");
}

#[test]
fn a_call_gets_no_input_and_no_certificates_that_it_refuses() {
    let Some(place) = Place::local() else { return };
    let seen = place.folder.path().join("seen");
    let remote = stub(&place, &format!("cat >{0}; echo \"${{AWS_CA_BUNDLE-unset}} $*\" >>{0}", seen.display()));
    place.store_at(&Place::fresh(), &remote).list().unwrap();
    let seen = fs::read_to_string(seen).unwrap();
    assert!(
        seen.starts_with("unset lsjson --retries 1 --low-level-retries 3 --contimeout 10s --timeout 60s"),
        "{seen}"
    );
}
