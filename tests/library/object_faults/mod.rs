//! Requests to an object store that fail: one by one, at each place, in each way.
//!
//! Whatever happens: what was acknowledged is there, nothing half-made is listed, a lost answer makes no second object,
//! and nothing is called gone because a request failed.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heirloom::progress::{Progress, Silent, Stage};
use heirloom::store::remote::{self, Remote};
use heirloom::store::{ReadStore, Store as _, StoreError, Upload};
use heirloom::store_url::StoreUrl;

use crate::object_stores::{self, Opened};
use crate::servers::proxy::{Fault, Proxy, Request};
use crate::servers::{self, Kind};

const NAME: &str = "a.tar.gz";

/// An error of S3 in its own format.
macro_rules! said {
    ($code:literal) => {
        concat!(r#"<?xml version="1.0"?><Error><Code>"#, $code, "</Code><Message>planted</Message></Error>")
    };
}

// It uses the macro.
mod trial;

/// Limits that a test can wait for. Longer than any request takes on a busy machine.
const REQUEST: Duration = Duration::from_secs(6);

/// Each way in which one request fails in passing: the operation succeeds all the same.
fn passing() -> Vec<Fault> {
    vec![
        Fault::Cut,
        Fault::CutRequest,
        Fault::LoseAnswer,
        Fault::Truncate(0),
        Fault::Truncate(60),
        Fault::Truncate(400),
        Fault::Answer(404, "", "not found"),
        Fault::Answer(409, "", said!("ConditionalRequestConflict")),
        Fault::Answer(412, "", said!("PreconditionFailed")),
        Fault::Answer(429, "retry-after: 1\r\n", ""),
        Fault::Answer(500, "", said!("InternalError")),
        Fault::Answer(503, "", said!("SlowDown")),
        Fault::Answer(200, "", said!("InternalError")),
        Fault::Answer(200, "content-type: text/html\r\n", "<html><body>Sign in to the network</body></html>"),
        Fault::Answer(200, "", ""),
        Fault::Garbage,
    ]
}

/// A store behind a proxy, and the same store beside it.
struct Bench {
    store: Opened,
    direct: Opened,
    repeated: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    fn new(proxy: &Proxy) -> Self {
        Self::with(Kind::Seaweed, proxy, REQUEST)
    }

    fn with(kind: Kind, proxy: &Proxy, request: Duration) -> Self {
        let place = servers::place(kind, "").unwrap();
        let repeated = Arc::new(Mutex::new(Vec::new()));
        let lines = repeated.clone();
        let mut remote: Remote = object_stores::remote(&place);
        remote.request = request;
        remote.stalled = request * 2;
        remote.repeated = Arc::new(move |line| lines.lock().unwrap().push(line.to_owned()));
        let direct = object_stores::opened(&place);
        direct.prepare(u64::MAX).unwrap();
        let url = StoreUrl::parse(&place.behind(proxy.port).url).unwrap().unwrap();
        let store = Opened(remote::open(&url, &remote).unwrap());
        store.prepare(u64::MAX).unwrap();
        repeated.lock().unwrap().clear();
        Self { store, direct, repeated }
    }

    /// What the store holds, as a client without faults sees it.
    fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = self.direct.list().unwrap();
        entries.iter().map(|entry| (entry.name.clone(), content(&self.direct, &entry.name))).collect()
    }
}

fn content(store: &Opened, name: &str) -> Vec<u8> {
    let file = store.open(name, None).unwrap();
    let mut bytes = vec![0; usize::try_from(file.bytes()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Runs an operation with each fault at its first request, at its second, and so on until it needs fewer requests.
fn at_each_request(promise: &str, faults: &[Fault], run: impl Fn(&Bench, &dyn Fn(), &str)) {
    at_each_request_of(Kind::Seaweed, promise, faults, run);
}

fn at_each_request_of(kind: Kind, promise: &str, faults: &[Fault], run: impl Fn(&Bench, &dyn Fn(), &str)) {
    let Some(place) = servers::place(kind, promise) else { return };
    let proxy = Proxy::before(place.port);
    let mut injected = 0;
    for fault in faults {
        for number in 1.. {
            assert!(number < 60, "an operation that does not end: {:?}", proxy.log());
            proxy.set(|_| None);
            let bench = Bench::with(kind, &proxy, REQUEST);
            let context = format!("{kind:?}, {promise}: {fault:?} at request {number}");
            run(&bench, &|| proxy.fail(number, fault.clone()), &context);
            let requests = proxy.requests();
            if requests < number {
                assert!(number > 1, "{context}: no request was made");
                break;
            }
            injected += 1;
        }
    }
    println!("{kind:?}, {promise}: {injected} faults");
}

fn staged(content: &[u8]) -> (tempfile::TempDir, Upload) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("staged");
    fs::write(&path, content).unwrap();
    let upload = Upload::of(&path).unwrap();
    (folder, upload)
}

fn varied(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index / 251) as u8).collect()
}

#[test]
fn a_small_file_is_put_once_whatever_fails() {
    at_each_request("put", &passing(), |bench, fail, context| {
        fail();
        let done = bench.store.put(NAME, b"a mark");
        assert!(done.is_ok(), "{context}: {done:?}: {:?}", bench.repeated.lock().unwrap());
        assert_eq!(bench.contents(), BTreeMap::from([(NAME.to_owned(), b"a mark".to_vec())]), "{context}");
    });
}

#[test]
fn a_file_in_one_part_is_committed_once_whatever_fails() {
    let bytes = varied(300_000);
    at_each_request("commit", &passing(), |bench, fail, context| {
        let (_folder, upload) = staged(&bytes);
        fail();
        let done = bench.store.commit(NAME, &upload, &Silent);
        assert!(done.is_ok(), "{context}: {done:?}: {:?}", bench.repeated.lock().unwrap());
        assert!(bench.contents() == BTreeMap::from([(NAME.to_owned(), bytes.clone())]), "{context}");
    });
}

#[test]
fn a_file_in_three_parts_is_committed_once_whatever_fails() {
    let bytes = varied((16 << 20) + 1);
    at_each_request("commit in parts", &passing(), |bench, fail, context| {
        let (_folder, upload) = staged(&bytes);
        fail();
        let done = bench.store.commit(NAME, &upload, &Silent);
        assert!(done.is_ok(), "{context}: {done:?}: {:?}", bench.repeated.lock().unwrap());
        assert!(bench.contents() == BTreeMap::from([(NAME.to_owned(), bytes.clone())]), "{context}");
    });
}

#[test]
fn a_file_is_read_whole_whatever_fails() {
    let bytes = varied(300_000);
    at_each_request("open and read", &passing(), |bench, fail, context| {
        bench.direct.put(NAME, &bytes).unwrap();
        fail();
        assert!(content(&bench.store, NAME) == bytes, "{context}");
    });
}

#[test]
fn a_listing_is_complete_whatever_fails() {
    at_each_request("list", &passing(), |bench, fail, context| {
        for name in ["a.tar.gz", "b.tar.gz", ".hidden"] {
            bench.direct.put(name, b"x").unwrap();
        }
        let expected = bench.direct.list().unwrap();
        assert_eq!(expected.len(), 2);
        fail();
        assert_eq!(bench.store.list().unwrap(), expected, "{context}");
    });
}

#[test]
fn a_store_that_is_away_is_waited_for_once_in_an_operation() {
    let Some(place) = servers::place(Kind::Moto, "a store that is away is waited for once") else { return };
    let proxy = Proxy::before(place.port);
    let bench = Bench::with(Kind::Moto, &proxy, REQUEST);
    bench.direct.put(NAME, b"x").unwrap();
    let file = bench.store.open(NAME, None).unwrap();
    let requests_of = |operation: &dyn Fn() -> bool| {
        proxy.set(|_| Some(Fault::Cut));
        assert!(!operation(), "the store is away");
        proxy.requests()
    };
    let list = || bench.store.list().is_ok();
    assert!(requests_of(&list) > 2, "it is tried again at first");
    assert_eq!(requests_of(&list), 1);
    assert_eq!(requests_of(&|| bench.store.stat(NAME).is_ok()), 1);
    assert_eq!(requests_of(&|| file.read_exact_at(&mut [0], 0).is_ok()), 1);

    proxy.set(|_| None);
    assert_eq!(content(&bench.store, NAME), b"x");
    assert!(requests_of(&list) > 2, "it was back, so it is tried again");
    std::thread::sleep(REQUEST);
    assert!(requests_of(&list) > 2, "it had time to come back");
}

#[test]
fn a_file_is_there_or_not_whatever_fails() {
    for there in [true, false] {
        at_each_request("stat and has", &passing(), |bench, fail, context| {
            if there {
                bench.direct.put(NAME, b"x").unwrap();
            }
            fail();
            assert_eq!(bench.store.has(NAME).unwrap(), there, "{context}");
            assert_eq!(bench.store.stat(NAME).unwrap().is_some(), there, "{context}");
        });
    }
}

#[test]
fn a_file_is_removed_whatever_fails() {
    at_each_request("remove", &passing(), |bench, fail, context| {
        bench.direct.put(NAME, b"x").unwrap();
        fail();
        bench.store.remove(NAME).unwrap();
        assert_eq!(bench.contents(), BTreeMap::new(), "{context}");
    });
}

/// The same on the other services, with what fails in any of them.
#[test]
fn the_other_services_lose_nothing_either() {
    let bytes = varied((16 << 20) + 1);
    let faults = [
        Fault::Cut,
        Fault::LoseAnswer,
        Fault::Truncate(60),
        Fault::Answer(404, "", "not found"),
        Fault::Answer(429, "retry-after: 1\r\n", ""),
        Fault::Answer(503, "", ""),
        Fault::Answer(200, "content-type: text/html\r\n", "<html><body>Sign in to the network</body></html>"),
        Fault::Answer(200, "", ""),
    ];
    for kind in [Kind::Azurite, Kind::Gcs] {
        at_each_request_of(kind, "commit", &faults, |bench, fail, context| {
            let (_folder, upload) = staged(&bytes);
            fail();
            let done = bench.store.commit(NAME, &upload, &Silent);
            assert!(done.is_ok(), "{context}: {done:?}: {:?}", bench.repeated.lock().unwrap());
            assert!(bench.contents() == BTreeMap::from([(NAME.to_owned(), bytes.clone())]), "{context}");
        });
        at_each_request_of(kind, "read, list, look up, remove", &faults, |bench, fail, context| {
            bench.direct.put(NAME, b"x").unwrap();
            fail();
            let listed = bench.store.list().unwrap();
            assert_eq!(listed.len(), 1, "{context}");
            assert_eq!(bench.store.stat("b.tar.gz").unwrap(), None, "{context}");
            let file = bench.store.open(NAME, Some(&listed[0])).unwrap();
            file.read_exact_at(&mut [0; 1], 0).unwrap();
            bench.store.remove(NAME).unwrap();
            assert_eq!(bench.contents(), BTreeMap::new(), "{context}");
        });
    }
}

/// A request that waits too long is given up and sent again.
#[test]
fn a_request_that_hangs_is_sent_again() {
    let hangs = [Fault::Delay(REQUEST + Duration::from_secs(1))];
    at_each_request("stat", &hangs, |bench, fail, context| {
        bench.direct.put(NAME, b"x").unwrap();
        fail();
        assert!(bench.store.stat(NAME).unwrap().is_some(), "{context}");
    });
    at_each_request("commit", &hangs, |bench, fail, context| {
        let (_folder, upload) = staged(b"an archive");
        fail();
        bench.store.commit(NAME, &upload, &Silent).unwrap();
        assert_eq!(bench.contents(), BTreeMap::from([(NAME.to_owned(), b"an archive".to_vec())]), "{context}");
    });
}

/// What is refused for good ends at once, is named, and leaves nothing.
#[test]
fn a_refusal_is_not_repeated() {
    let refusals = [Fault::Answer(403, "", said!("AccessDenied")), Fault::Answer(401, "", "")];
    let is_right = |error: &StoreError| matches!(error, StoreError::Denied { .. });
    at_each_request("refused list", &refusals, |bench, fail, context| {
        fail();
        // The request behind the last one is not refused.
        let listed = bench.store.list();
        assert!(
            listed.as_ref().is_ok_and(Vec::is_empty) || listed.as_ref().is_err_and(is_right),
            "{context}: {listed:?}"
        );
        assert_eq!(*bench.repeated.lock().unwrap(), [""; 0], "{context}");
    });
    at_each_request("refused commit", &refusals, |bench, fail, context| {
        let (_folder, upload) = staged(b"an archive");
        fail();
        match bench.store.commit(NAME, &upload, &Silent) {
            Err(error) => {
                assert!(is_right(&error), "{context}: {error:?}");
                assert_eq!(bench.contents(), BTreeMap::new(), "{context}");
            }
            Ok(()) => assert_eq!(bench.contents().len(), 1, "{context}"),
        }
    });
    at_each_request("refused read", &refusals, |bench, fail, context| {
        bench.direct.put(NAME, b"x").unwrap();
        let known = bench.direct.list().unwrap().remove(0);
        fail();
        let read = bench.store.open(NAME, Some(&known)).unwrap().read_at(&mut [0; 1], 0);
        let is_denied = |error: &std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
        assert!(read.as_ref().is_ok() || read.as_ref().is_err_and(is_denied), "{context}: {read:?}");
    });
}

/// From the n-th request on nothing answers: the operation ends, and what it says is true.
#[test]
fn an_outage_ends_an_operation_and_loses_nothing() {
    let promise = "an outage ends an operation";
    let Some(place) = servers::place(Kind::Seaweed, promise) else { return };
    let proxy = Proxy::before(place.port);
    let bytes = varied((16 << 20) + 1);
    for fault in [Fault::Cut, Fault::LoseAnswer, Fault::Answer(503, "", said!("SlowDown"))] {
        for number in 1..=7 {
            proxy.set(|_| None);
            let bench = Bench::with(Kind::Seaweed, &proxy, Duration::from_secs(1));
            let context = format!("{fault:?} from request {number}");
            let (_folder, upload) = staged(&bytes);
            let outage = fault.clone();
            proxy.set(move |request| Some(outage.clone()).filter(|_| request.number >= number));
            let done = bench.store.commit(NAME, &upload, &Silent);
            proxy.set(|_| None);
            let found = bench.contents();
            let is_whole = found.get(NAME).is_some_and(|found| *found == bytes);
            match &done {
                Ok(()) => assert!(is_whole, "{context}"),
                Err(StoreError::Unreachable { .. } | StoreError::Unanswered { .. }) => {}
                Err(other) => panic!("{context}: {other:?}"),
            }
            assert!(found.is_empty() || is_whole && found.len() == 1, "{context}");
            // The next attempt makes up for it, and knows its own file.
            bench.direct.commit(NAME, &upload, &Silent).unwrap();
            assert_eq!(bench.direct.list().unwrap().len(), 1, "{context}");
        }
    }
}

#[test]
fn a_clock_that_is_off_is_named_with_the_difference() {
    const SKEWED: &str = concat!(
        "<Error><Code>RequestTimeTooSkewed</Code><Message>planted</Message>",
        "<ServerTime>2001-01-01T00:00:00Z</ServerTime></Error>"
    );
    let Some(place) = servers::place(Kind::Seaweed, "a clock that is off is named") else { return };
    let proxy = Proxy::before(place.port);
    let bench = Bench::new(&proxy);
    proxy.set(|_| Some(Fault::Answer(403, "", SKEWED)));
    match bench.store.list() {
        Err(error @ StoreError::Clock { ahead: Some(ahead), .. }) => {
            assert!(ahead > 20 * 365 * 24 * 3600);
            assert!(error.to_string().contains("ahead"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    // Without a word about it, the time of the answer shows it.
    proxy.set(|_| Some(Fault::Answer(403, "date: Thu, 01 Jan 2099 00:00:00 GMT\r\n", said!("SignatureDoesNotMatch"))));
    match bench.store.list() {
        Err(error @ StoreError::Clock { ahead: Some(ahead), .. }) => {
            assert!(ahead < 0);
            assert!(error.to_string().contains("behind"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_object_in_cold_storage_says_so() {
    let Some(place) = servers::place(Kind::Seaweed, "an object in cold storage says so") else { return };
    let proxy = Proxy::before(place.port);
    let bench = Bench::new(&proxy);
    bench.direct.put(NAME, b"x").unwrap();
    let known = bench.store.list().unwrap().remove(0);
    proxy.set(|_| Some(Fault::Answer(403, "", said!("InvalidObjectState"))));
    let error = bench.store.open(NAME, Some(&known)).unwrap().read_at(&mut [0; 1], 0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("in cold storage"), "{error}");
}

#[test]
fn opening_a_listed_file_sends_no_request() {
    let Some(place) = servers::place(Kind::Seaweed, "opening a listed file sends no request") else { return };
    let proxy = Proxy::before(place.port);
    let bench = Bench::new(&proxy);
    bench.direct.put(NAME, b"x").unwrap();
    let known = bench.store.list().unwrap().remove(0);
    proxy.set(|_| None);
    let file = bench.store.open(NAME, Some(&known)).unwrap();
    assert_eq!(proxy.requests(), 0);
    file.read_exact_at(&mut [0; 1], 0).unwrap();
    assert_eq!(proxy.requests(), 1, "{:?}", proxy.log());
}

/// Stops after some bytes.
struct StopAfter(u64, AtomicU64);

impl Progress for StopAfter {
    fn begin(&self, _: Stage, _: &str, _: u64) {}
    fn advance(&self, units: u64) {
        self.1.fetch_add(units, Ordering::Relaxed);
    }
    fn cancelled(&self) -> bool {
        self.1.load(Ordering::Relaxed) >= self.0
    }
}

#[test]
fn an_upload_that_is_stopped_or_fails_is_aborted() {
    let promise = "an upload that is stopped or fails is aborted";
    // Its list of unfinished uploads needs no signature.
    let Some(place) = servers::place(Kind::Moto, promise) else { return };
    let unfinished = || {
        let listing = servers::answer(place.port, "GET", &format!("/{}?uploads", servers::BUCKET), "", "").unwrap();
        assert!(listing.contains("ListMultipartUploadsResult"), "{listing}");
        let prefix = place.url.split(['/', '?']).nth(3).unwrap();
        listing.matches(&format!("{prefix}/")).count()
    };
    let proxy = Proxy::before(place.port);
    let url = StoreUrl::parse(&place.behind(proxy.port).url).unwrap().unwrap();
    let store = remote::open(&url, &object_stores::remote(&place)).unwrap();
    store.prepare(u64::MAX).unwrap();
    let (_folder, upload) = staged(&varied((16 << 20) + 1));

    let stopped = store.commit(NAME, &upload, &StopAfter(9 << 20, AtomicU64::new(0)));
    assert!(matches!(stopped, Err(StoreError::Interrupted(_))), "{stopped:?}");
    assert_eq!((store.list().unwrap().len(), unfinished()), (0, 0));

    let is_part = |request: &Request<'_>| request.target.contains("partNumber=2");
    proxy.set(move |request| is_part(request).then_some(Fault::Answer(403, "", said!("AccessDenied"))));
    let denied = store.commit(NAME, &upload, &Silent);
    assert!(matches!(denied, Err(StoreError::Denied { .. })), "{denied:?}");
    assert_eq!((store.list().unwrap().len(), unfinished()), (0, 0), "{:?}", proxy.log());
}

/// A connection that breaks in the middle is continued behind what arrived.
#[test]
fn a_broken_download_is_continued() {
    let Some(place) = servers::place(Kind::Seaweed, "a broken download is continued") else { return };
    let proxy = Proxy::before(place.port);
    let bench = Bench::new(&proxy);
    let bytes = varied(3 << 20);
    bench.direct.put(NAME, &bytes).unwrap();
    let known = bench.store.list().unwrap().remove(0);
    proxy.set(|request| Some(Fault::Truncate(1 << 20)).filter(|_| request.number == 1));
    let mut read = vec![0; bytes.len()];
    bench.store.open(NAME, Some(&known)).unwrap().read_exact_at(&mut read, 0).unwrap();
    assert!(read == bytes);
    assert_eq!(proxy.requests(), 2, "{:?}", proxy.log());
    assert!(bench.repeated.lock().unwrap().iter().any(|line| line.contains("continuing")));
}
