//! Several operations in one process, as a supervisor runs them.

use std::sync::mpsc::{self, Sender};
use std::thread;

use super::*;

/// Reports each check for cancellation: a wait makes one, an operation that fails at once does not.
struct Asked(Sender<()>);

impl Progress for Asked {
    fn begin(&self, _: Stage, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}

    fn cancelled(&self) -> bool {
        // There is no receiver any more once the wait was seen.
        let _ = self.0.send(());
        false
    }
}

/// The second one failed with "in use under another name", although it was another operation of the same process.
#[test]
fn two_operations_on_one_database_wait_for_each_other() {
    for mode in ["wal", "delete"] {
        let world = World::new();
        let (path, other) = (world.database("app.db", mode), world.database("other.db", mode));
        // Each in the opposite order: the files are still claimed in the same order.
        let (first, consistent) = world.pin(&[&path, &other], &LIMITS).unwrap();
        assert!(consistent);
        let (asked, is_asked) = mpsc::channel();
        let scratch = world.scratch.join("second");
        fs::create_dir(&scratch).unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| {
                let sources = [&other, &path].map(|path| Source { name: Name::from_path(path), path: path.clone() });
                let pinned = pin(&sources, &scratch, &Clock::new(chrono::Utc::now), &LIMITS, &Asked(asked))?;
                Ok::<_, SourceError>(pinned.databases.len())
            });
            is_asked.recv().expect("the second operation ended without waiting");
            assert!(!second.is_finished(), "{mode}: both work on one file");
            drop(first);
            assert_eq!(second.join().unwrap().unwrap(), 2, "{mode}");
        });
    }
}

#[test]
fn waiting_for_another_operation_ends_at_the_timeout() {
    let world = World::new();
    let path = world.database("app.db", "wal");
    let (first, _) = world.pin(&[&path], &LIMITS).unwrap();
    let refused = world.pin(&[&path], &Timeouts { busy: Duration::ZERO, ..LIMITS }).map(|_| ());
    assert!(matches!(refused, Err(SourceError::Busy { .. })), "{refused:?}");
    drop(first);
    world.copy(&path).unwrap();
}
