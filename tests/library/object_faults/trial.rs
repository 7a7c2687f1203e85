//! The trial of what a service does with a name that is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use heirloom::progress::Silent;
use heirloom::store::remote;
use heirloom::store_url::StoreUrl;

use super::{NAME, staged, varied};
use crate::object_stores;
use crate::servers::proxy::{Fault, Proxy};
use crate::servers::{self, Kind};

/// What a service does is found out right, whatever fails.
#[test]
fn a_trial_is_right_whatever_fails() {
    let promise = "a trial is right whatever fails";
    let Some(place) = servers::place(Kind::Seaweed, promise) else { return };
    let proxy = Proxy::before(place.port);
    let url = StoreUrl::parse(&place.behind(proxy.port).url).unwrap().unwrap();
    let mut remote = object_stores::remote(&place);
    remote.memory = None;
    remote.repeated = Arc::new(|_| {});
    for fault in [Fault::Cut, Fault::LoseAnswer, Fault::Answer(412, "", said!("PreconditionFailed"))] {
        for number in 1.. {
            proxy.fail(number, fault.clone());
            let store = remote::open(&url, &remote).unwrap();
            store.prepare(u64::MAX).unwrap();
            assert!(store.capabilities().atomic_commit, "{fault:?} at request {number}");
            if proxy.requests() < number {
                break;
            }
        }
    }
}

/// A host that does not survive tries it at each start.
#[test]
fn what_is_sent_in_one_request_is_tried_with_a_few_bytes() {
    let Some(place) = servers::place(Kind::Seaweed, "a small archive needs a small trial") else { return };
    let proxy = Proxy::before(place.port);
    let url = StoreUrl::parse(&place.behind(proxy.port).url).unwrap().unwrap();
    let memory = tempfile::tempdir().unwrap();
    let mut remote = object_stores::remote(&place);
    remote.memory = Some(memory.path().to_owned());
    // Only an upload in parts sends one, at its begin and at its end.
    let posts = |proxy: &Proxy| proxy.log().iter().filter(|line| line.starts_with("POST ")).count();
    let store = remote::open(&url, &remote).unwrap();
    store.prepare(16 << 20).unwrap();
    assert!(store.capabilities().atomic_commit);
    assert_eq!(posts(&proxy), 0, "{:?}", proxy.log());
    // Before the first one that is sent in parts, whoever asks.
    let (_folder, upload) = staged(&varied((16 << 20) + 1));
    store.commit(NAME, &upload, &Silent).unwrap();
    assert_eq!(posts(&proxy), 2 + 2, "{:?}", proxy.log());
    let another = remote::open(&url, &remote).unwrap();
    let before = proxy.log().len();
    another.prepare(u64::MAX).unwrap();
    assert!(another.capabilities().atomic_commit);
    assert_eq!(proxy.log().len(), before, "it is remembered");
}

/// It refuses a taken name in one request, and overwrites it in parts.
#[test]
fn a_service_that_overwrites_in_parts_is_found_out_before_the_first_of_them() {
    let Some(place) = servers::place(Kind::FakeGcs, "a service that overwrites in parts is found out") else { return };
    let proxy = Proxy::before(place.port);
    let url = StoreUrl::parse(&place.behind(proxy.port).url).unwrap().unwrap();
    let mut remote = object_stores::remote(&place);
    remote.memory = None;
    // Each trial writes twice in one request; what follows is in parts.
    let written = AtomicU64::new(0);
    proxy.set(move |request| {
        let refuses = request.method == "PUT" && matches!(written.fetch_add(1, Ordering::Relaxed) + 1, 2 | 4);
        refuses.then_some(Fault::Answer(412, "", "{}"))
    });
    let store = remote::open(&url, &remote).unwrap();
    store.prepare(1).unwrap();
    assert!(store.capabilities().atomic_commit, "{:?}", proxy.log());
    store.prepare(u64::MAX).unwrap();
    assert!(!store.capabilities().atomic_commit, "{:?}", proxy.log());
}
