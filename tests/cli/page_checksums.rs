//! Databases whose pages end with checksums: the application reads them through SQLite's checksum VFS, the real one,
//! from the PyPI package `apsw`. Where it is missing the test says so; in CI (`CI=true`) that is a failure.

use std::fs;
use std::process::{Child, Command, Output, Stdio};

use crate::tools::{self, have_modules};
use crate::world::World;

/// Loads the VFS, which becomes the default one.
const LOAD: &str = "
import apsw, apsw.sqlite_extra, sys
apsw.sqlite_extra.load(apsw.Connection(':memory:'), 'cksumvfs')
def connect(name):
    c = apsw.Connection(name)
    assert c.open_vfs == 'cksmvfs'
    c.set_busy_timeout(5000)
    return c
";

fn python(world: &World, script: &str) -> Command {
    let mut command = tools::python();
    command
        .args(["-c", &format!("{LOAD}{script}")])
        .current_dir(world.work())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Returns whether the VFS is there.
fn is_there(promise: &str) -> bool {
    have_modules(promise, "apsw.sqlite_extra")
}

#[track_caller]
fn run(world: &World, script: &str) -> String {
    let Output { status, stdout, stderr } = python(world, script).stderr(Stdio::piped()).output().unwrap();
    assert!(status.success(), "{script}\n{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap().trim().to_owned()
}

/// Makes a database with page checksums in a journal mode.
fn make(world: &World, name: &str, mode: &str, rows: u32) {
    let script = format!(
        "
c = connect({name:?}); c.reserve_bytes(reserve=8); c.execute('pragma page_size=1024'); c.execute('vacuum')
c.execute('create table t(id integer primary key, x text); create index i on t(x)')
c.execute('pragma journal_mode={mode}')
for n in range({rows}): c.execute('insert into t(x) values(?)', (str(n) * 40,))
assert list(c.execute('pragma checksum_verification')) == [('1',)]
"
    );
    run(world, &script);
    assert_eq!(fs::read(world.path(name)).unwrap()[20], 8);
}

/// Reads a database as its application does: every page through the VFS.
#[track_caller]
fn rows(world: &World, name: &str) -> String {
    let script = format!(
        "
c = connect({name:?})
assert list(c.execute('pragma checksum_verification')) == [('1',)]
assert list(c.execute('pragma integrity_check')) == [('ok',)]
print(c.execute('select count(*) from t').fetchall()[0][0])
"
    );
    let seen = run(world, &script);
    // Every page of the file, also those that no table uses.
    let bytes = fs::read(world.path(name)).unwrap();
    for (number, page) in bytes.chunks(1024).enumerate() {
        let (body, sum) = page.split_at(1016);
        let word = |at: usize| u32::from_le_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
        let (mut first, mut second) = (0_u32, 0_u32);
        for at in (0..1016).step_by(8) {
            first = first.wrapping_add(word(at)).wrapping_add(second);
            second = second.wrapping_add(word(at + 4)).wrapping_add(first);
        }
        assert_eq!(sum, [first.to_le_bytes(), second.to_le_bytes()].concat(), "page {} of {name}", number + 1);
    }
    seen
}

/// An application that has a database open and reads it whenever it gets a line.
struct Application(Child);

impl Application {
    fn start(world: &World, name: &str) -> Self {
        let script = format!(
            "
c = connect({name:?})
for line in sys.stdin:
    print(c.execute('select count(*), (select count(x) from t) from t').fetchall()[0][0], flush=True)
"
        );
        Self(python(world, &script).spawn().unwrap())
    }

    #[track_caller]
    fn rows(&mut self) -> String {
        use std::io::{BufRead as _, BufReader, Write as _};
        self.0.stdin.as_mut().unwrap().write_all(b"read\n").unwrap();
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every restored file was refused by its application: "disk I/O error".
#[test]
fn the_application_can_read_every_page_of_what_was_restored() {
    if !is_there("page checksums survive a backup") {
        return;
    }
    for mode in ["delete", "wal"] {
        for vacuum in [false, true] {
            let world = World::new();
            make(&world, "app.db", mode, 500);
            run(&world, "c = connect('app.db'); c.execute('delete from t where id > 400')");
            let mut backup = vec!["backup", "app.db", "--name", "one"];
            backup.extend(vacuum.then_some("--vacuum"));
            world.heirloom(backup).success();
            world.heirloom(["restore", "one", "--to", "new.db"]).success();
            assert_eq!(rows(&world, "new.db"), "400", "{mode} {vacuum}");
            let verified = world.heirloom(["verify", "one", "--json"]).success().json();
            assert_eq!(verified["archives"][0]["findings"], serde_json::json!([]), "{mode} {vacuum}");
            // Over a file that is no database any more, and offline.
            run(&world, "c = connect('app.db'); c.execute('insert into t(x) values(1)')");
            world.heirloom(["restore", "one", "--to", "app.db", "--force", "--offline", "--assume-unused"]).success();
            assert_eq!(rows(&world, "app.db"), "400", "{mode} {vacuum}");
            // The safety backup.
            world.heirloom(["restore", "--undo", "--force"]).success();
            assert_eq!(rows(&world, "app.db"), "401", "{mode} {vacuum}");
            fs::write(world.path("app.db"), "not a database").unwrap();
            world.heirloom(["restore", "one", "--to", "app.db", "--force"]).success();
            assert_eq!(rows(&world, "app.db"), "400", "{mode} {vacuum}");
        }
    }
}

#[test]
fn an_application_that_has_it_open_can_read_what_was_restored_from_inside() {
    if !is_there("page checksums survive a restore from inside") {
        return;
    }
    for mode in ["delete", "wal"] {
        let world = World::new();
        make(&world, "app.db", mode, 300);
        world.heirloom(["backup", "app.db", "--name", "one"]).success();
        // The header moves on, by commits that write the first page and by those that do not.
        run(
            &world,
            "c = connect('app.db'); c.execute('create table u(x); insert into t(x) values(1)'); c.execute('drop table \
             u')",
        );
        let mut application = Application::start(&world, "app.db");
        assert_eq!(application.rows(), "301");
        world.heirloom(["restore", "one", "--force"]).success();
        assert_eq!(application.rows(), "300", "{mode}");
        world.heirloom(["restore", "--undo", "--force"]).success();
        assert_eq!(application.rows(), "301", "{mode}");
        drop(application);
        assert_eq!(rows(&world, "app.db"), "301", "{mode}");
    }
}

/// The page size of a WAL database cannot change under its connections, so that every page is written anew.
#[test]
fn a_copy_that_is_rewritten_with_another_page_size_keeps_its_checksums() {
    if !is_there("page checksums survive a change of the page size") {
        return;
    }
    let world = World::new();
    make(&world, "app.db", "delete", 300);
    world.heirloom(["backup", "app.db", "--name", "one"]).success();
    world.sql("other.db", "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; CREATE TABLE t(x);");
    world.heirloom(["restore", "one", "--to", "other.db", "--force"]).success();
    let script = "c = connect('other.db'); assert list(c.execute('pragma checksum_verification')) == [('1',)]
assert list(c.execute('pragma integrity_check')) == [('ok',)]
print(c.execute('select count(*) from t').fetchall()[0][0])";
    assert_eq!(run(&world, script), "300");
}

/// `integrity_check` cannot detect a flipped bit in a row.
#[test]
fn a_page_whose_checksum_is_wrong_is_damage() {
    if !is_there("a wrong page checksum is damage") {
        return;
    }
    let world = World::new();
    make(&world, "app.db", "delete", 500);
    let whole = fs::read(world.path("app.db")).unwrap();
    for page in [1, 7] {
        let mut flipped = whole.clone();
        let place = if page == 1 { 300 } else { page * 1024 - 20 };
        flipped[place] ^= 1;
        fs::write(world.path("app.db"), &flipped).unwrap();
        world.heirloom(["backup", "app.db"]).exits(13).says(&format!("the page checksum is wrong on page {page}"));
        assert!(world.archives().is_empty());
    }
    world.heirloom(["backup", "app.db", "--keep-damaged"]).exits(3);
    let shown = world.heirloom(["show", &world.archives()[0], "--json"]).success().json();
    assert_eq!(shown["metadata"]["databases"][0]["integrity"], "damaged");
    // A plain copy of it.
    world.heirloom(["verify", "./app.db"]).exits(13).says("the page checksum is wrong on page 7");
}

/// The bytes between the cells and the list of cells hold nothing: `integrity_check` passes, and the application still
/// reads an error.
/// The same beside a stale index, which explains the `integrity_check` findings but not this.
#[test]
fn a_page_that_changed_where_no_row_is_was_called_sound() {
    if !is_there("a wrong page checksum in unused bytes is damage") {
        return;
    }
    for lagging in [false, true] {
        let world = World::new();
        make(&world, "app.db", "delete", 500);
        if lagging {
            run(
                &world,
                "
c = connect('app.db'); c.execute('create table m(id integer primary key, t text)')
c.execute(\"create virtual table f using fts5(t, content='m', content_rowid='id')\")
c.execute(\"insert into m(t) values('x')\")",
            );
        }
        let mut bytes = fs::read(world.path("app.db")).unwrap();
        let word = |page: &[u8], at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
        // A leaf of a table with room between its list of cells and its cells.
        let is_roomy = |page: &[u8]| page[0] == 13 && word(page, 5) > 8 + 2 * word(page, 3) + 4;
        let index = bytes.chunks(1024).position(is_roomy).unwrap();
        let gap = 8 + 2 * word(&bytes[index * 1024..], 3) + 1;
        bytes[index * 1024 + gap] ^= 1;
        fs::write(world.path("app.db"), &bytes).unwrap();
        assert_eq!(world.ask("app.db", "PRAGMA integrity_check(1)"), "ok");
        let says = format!("the page checksum is wrong on page {}", index + 1);
        world.heirloom(["backup", "app.db"]).exits(13).says(&says);
        world.heirloom(["verify", "./app.db"]).exits(13).says(&says);
    }
}

/// The 8 bytes are not checksums if most of them do not match.
#[test]
fn eight_free_bytes_that_hold_no_checksums_stay_as_they_are() {
    if !is_there("free bytes without checksums are left alone") {
        return;
    }
    let world = World::new();
    make(&world, "app.db", "delete", 300);
    let mut bytes = fs::read(world.path("app.db")).unwrap();
    for (number, page) in bytes.chunks_mut(1024).enumerate() {
        page[1016..].copy_from_slice(&[number as u8 + 1; 8]);
    }
    fs::write(world.path("app.db"), &bytes).unwrap();
    world.heirloom(["backup", "app.db"]).success();
    world.heirloom(["restore", "latest", "--to", "new.db"]).success();
    let new = fs::read(world.path("new.db")).unwrap();
    assert!(new.chunks(1024).zip(bytes.chunks(1024)).all(|(new, old)| new[1016..] == old[1016..]));
}
