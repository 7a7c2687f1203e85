//! Zstandard files of other tools, and ours with other tools.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::tools::installed;
use crate::world::World;

/// Runs a script in the world's folder, which must succeed.
#[track_caller]
fn shell(world: &World, script: &str) {
    let output = Command::new("sh").args(["-euc", script]).current_dir(world.work()).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Verifies a file and restores the database in it; returns what a query gives.
#[track_caller]
fn restored(world: &World, file: &str, query: &str) -> String {
    world.heirloom(["verify", file]).success();
    world.heirloom(["restore", file, "--to", "new.db", "--no-safety-backup"]).success();
    let answer = world.ask("new.db", query);
    fs::remove_file(world.path("new.db")).unwrap();
    answer
}

#[test]
fn a_tar_zst_of_a_volume_with_a_wal_is_restored_with_the_commits_in_the_wal() {
    if !installed("a volume in a tar.zst is restored", &["zstd"]) {
        return;
    }
    let world = World::new();
    fs::create_dir(world.path("v")).unwrap();
    let database = Connection::open(world.path("v/app.db")).unwrap();
    database.pragma_update(None, "journal_mode", "wal").unwrap();
    database.execute_batch("PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x); INSERT INTO t VALUES (7);").unwrap();
    shell(&world, "echo key > v/rsa_key.pem; tar --zstd -cf volume.tar.zst -C v .");
    drop(database);
    assert_eq!(restored(&world, "volume.tar.zst", "SELECT x FROM t"), "7");
    let tar = fs::read(world.path("volume.tar.zst")).unwrap();
    fs::write(world.path("cut.tar.zst"), &tar[..tar.len() - 5]).unwrap();
    world.heirloom(["verify", "cut.tar.zst"]).exits(13);
}

#[test]
fn databases_that_zstd_compressed_in_any_way_are_restored() {
    if !installed("databases compressed by zstd are restored", &["zstd"]) {
        return;
    }
    let world = World::new();
    world.database("app.db");
    for script in [
        "zstd -q app.db -o FILE",
        "zstd -q --long=27 app.db -o FILE",
        "zstd -q --long=27 -c < app.db > FILE",
        "zstd -q -19 --ultra --long=31 app.db -o FILE",
        "zstd -q -T2 -B512K app.db -o FILE",
        "zstd -q --no-check --no-content-size app.db -o FILE",
        "head -c 5000 app.db | zstd -q > FILE; tail -c +5001 app.db | zstd -q >> FILE",
        "command -v pzstd >/dev/null || exit 0; pzstd -q -p 2 -c app.db > FILE",
        "zstd -q -c app.db > FILE; printf '\\120\\052\\115\\030\\003\\000\\000\\000abc' >> FILE",
    ] {
        shell(&world, &script.replace("FILE", "app.db.zst"));
        assert_eq!(restored(&world, "app.db.zst", "SELECT count(*) FROM notes"), "100", "{script}");
        fs::remove_file(world.path("app.db.zst")).unwrap();
    }
    shell(&world, "zstd -q -c app.db > app.db.zst; echo garbage >> app.db.zst");
    let verified = world.heirloom(["verify", "app.db.zst"]);
    let text = format!("{}{}", verified.stdout, verified.stderr);
    assert!(text.contains("8 unexpected bytes follow the compressed data"), "{text}");
}

/// A frame can ask for 2 GiB of memory; it was reported as damage.
#[test]
fn a_window_that_takes_too_much_memory_is_refused_and_not_called_damage() {
    if !installed("a large window is refused", &["zstd"]) {
        return;
    }
    let world = World::new();
    world.database("app.db");
    fs::create_dir_all(world.path("backups")).unwrap();
    // From a pipe, zstd does not know that the window need not be so large.
    shell(&world, "zstd -q -19 --ultra --long=31 -c < app.db > backups/app_20260301T030000Z.db.zst");
    shell(&world, "tar cf - app.db | zstd -q --ultra --long=31 -c > backups/app_20260301T040000Z.tar.zst");
    for file in ["app_20260301T030000Z.db.zst", "app_20260301T040000Z.tar.zst"] {
        let path = format!("backups/{file}");
        for command in [&["verify", &path][..], &["show", &path], &["restore", &path, "--to", "new.db"]] {
            world
                .heirloom(command)
                .exits(1)
                .says("decompressing the archive needs a window of 2048 MiB of memory, more than the 128 MiB allowed")
                .says("decompress it with `zstd -d --long=31 ARCHIVE`");
        }
        shell(&world, &format!("zstd -q -d --long=31 {path} -o plain"));
        fs::rename(world.path("plain"), world.path(path.trim_end_matches(".zst"))).unwrap();
        assert_eq!(restored(&world, path.trim_end_matches(".zst"), "SELECT count(*) FROM notes"), "100");
    }
    world.heirloom(["verify", "--all"]);
    assert!(world.files("backups").iter().all(|name| !name.ends_with(".damaged")), "{:?}", world.files("backups"));
    assert!(!world.path("new.db").exists());
    assert_eq!(world.files(".").iter().filter(|name| name.contains("heirloom")).count(), 0);
}

/// Zstandard makes 30 GB of a file of 1 MB. What the header of a database counts bounds what is decompressed.
#[test]
fn a_bomb_ends_early_and_fills_no_disk() {
    if !installed("a bomb of zeros is refused", &["zstd"]) {
        return;
    }
    let world = World::new();
    world.database("app.db");
    // Frames that repeat a block of zeros: 64 MiB each. The second is a database without a size in its header.
    shell(
        &world,
        "head -c 67108864 /dev/zero | zstd -q -c > zeros; zstd -q -c app.db > bomb.db.zst
         for i in $(seq 16); do cat zeros zeros zeros zeros; done > many; cat many >> bomb.db.zst
         printf 'SQLite format 3\\000' | cat - app.db | head -c 16 > head; head -c 84 /dev/zero >> head
         zstd -q -c head > unsized.db.zst; for i in 1 2 3 4 5; do cat many; done >> unsized.db.zst",
    );
    let started = Instant::now();
    for (file, why) in
        [("bomb.db.zst", "far more than its header counts"), ("unsized.db.zst", "more than 1032 times its size")]
    {
        world.heirloom(["verify", file, "--depth", "quick"]).exits(13).says(why);
    }
    world.heirloom(["restore", "bomb.db.zst", "--to", "new.db"]).exits(13).says("far more than its header counts");
    assert!(!world.path("new.db").exists());
    assert!(started.elapsed() < Duration::from_secs(300), "{:?}", started.elapsed());
    // Salvage takes what the header counts.
    world.heirloom(["restore", "bomb.db.zst", "--to", "new.db", "--allow-damaged"]);
    let size = fs::metadata(world.path("new.db")).map_or(0, |file| file.len());
    assert!(size <= 2 * fs::metadata(world.path("app.db")).unwrap().len(), "{size} bytes");
    // An entry that is not a database is not decompressed to see what follows it.
    shell(
        &world,
        "truncate -s 300G large; (tar cf - large | head -c 512; cat /work/none 2>/dev/null || true) | zstd -q -c > \
         bomb.tar.zst; for i in $(seq 300); do cat many; done >> bomb.tar.zst",
    );
    world.heirloom(["verify", "bomb.tar.zst"]).exits(13).says("is too large, and not a database");
}

#[test]
fn an_archive_of_ours_is_restored_without_us() {
    if !installed("our tar.zst is restored without us", &["zstd"]) {
        return;
    }
    let world = World::new();
    world.database("app.db");
    world.sql("user.db", "CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(3000000));");
    world
        .heirloom(["backup", "app.db", "user.db", "--set", "app", "--compression", "zstd", "--name", "one.tar.zst"])
        .success();
    assert_eq!(world.archives(), ["one.tar.zst"]);
    let shown = world.heirloom(["show", "one.tar.zst", "--json"]).success().stdout;
    shell(&world, "zstd -qt backups/one.tar.zst; mkdir a b; tar --zstd -xf backups/one.tar.zst -C a");
    shell(&world, "zstd -qdc backups/one.tar.zst | tar x -C b; diff -r a b");
    for (file, answer) in [("app.db", "SELECT count(*) FROM notes"), ("user.db", "SELECT length(x) FROM t")] {
        let sum = Command::new("sha256sum").arg(world.path(format!("a/{file}"))).output().unwrap().stdout;
        let sum = String::from_utf8(sum).unwrap();
        assert!(shown.contains(&sum[..64]), "{file}: {sum} is not in {shown}");
        assert_eq!(world.ask(&format!("a/{file}"), answer), world.ask(file, answer));
    }
    // Compressed again, it is still our archive.
    shell(&world, "zstd -qdc backups/one.tar.zst | zstd -q -9 --long=27 -c > again.tar.zst");
    world.heirloom(["restore", "again.tar.zst", "--only", "user", "--to", "new.db", "--no-safety-backup"]).success();
    assert_eq!(world.ask("new.db", "SELECT length(x) FROM t"), "3000000");
}

/// libzstd allocates the window when it reads the first block; without memory, that was damage.
#[test]
fn too_little_memory_for_a_window_is_not_called_damage() {
    if !installed("a window that does not fit into memory is no damage", &["zstd"]) {
        return;
    }
    let world = World::new();
    world.sql("app.db", "CREATE TABLE t(x); INSERT INTO t VALUES (7);");
    shell(&world, "zstd -q --long=27 -c < app.db > app.db.zst");
    let ran = world.run(&mut world.shell("ulimit -v 130000; heirloom verify app.db.zst"));
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("out of memory"), "{}", ran.stderr);
    world.heirloom(["verify", "app.db.zst"]).success();
}
