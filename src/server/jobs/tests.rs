//! What becomes of jobs, without their commands.

use super::*;
use crate::server::printed::Text;

fn order(task: Task) -> Order {
    Order { command: "verify", words: Vec::new(), task, who: "ops".into() }
}

fn plan() -> Order {
    Order::plan(Act::Undo(None), "ops".into())
}

#[test]
fn one_job_that_changes_something_runs_from_its_second_plan_to_its_end() {
    let jobs = Jobs::default();
    let confirmed = || Order::confirmed(Act::Undo(None), "d".into(), "ops".into());
    jobs.register(plan()).unwrap();
    let first = jobs.register(confirmed()).unwrap();
    assert!(!jobs.is_restoring(), "it plans");
    for other in [confirmed(), order(Task::Change)] {
        let refused = jobs.register(other).unwrap_err();
        assert_eq!((refused.status, &refused.more["job"]), (StatusCode::CONFLICT, &Value::from(first.id.clone())));
    }
    first.act();
    assert!(jobs.is_restoring());
    jobs.register(plan()).unwrap();
    jobs.register(order(Task::Look)).unwrap();
    jobs.register(confirmed()).unwrap_err();
    first.finish(Done::default(), None);
    assert!(!jobs.is_restoring());
    jobs.register(confirmed()).unwrap();
}

#[test]
fn plans_take_no_place_of_other_jobs_and_what_they_printed_is_limited() {
    let jobs = Jobs::default();
    let ended = |order, bytes: usize| {
        let job = jobs.register(order).unwrap();
        let printed = Text::read(&vec![b' '; bytes][..]);
        job.finish(Done { printed, ..Done::default() }, Some("d".into()));
        job.id.clone()
    };
    let kept = |ids: &[String]| ids.iter().filter(|id| jobs.get(id).is_some()).count();
    let running = jobs.register(plan()).unwrap();
    let other = ended(order(Task::Look), 1);
    let mut plans: Vec<String> = (0..PLANS_REMEMBERED * 2).map(|_| ended(plan(), 1)).collect();
    assert_eq!(kept(&plans), PLANS_REMEMBERED);
    plans.extend((0..5).map(|_| ended(plan(), PRINTED / 2 - 9)));
    // Two, and what the last one printed after there was room.
    assert_eq!((kept(&plans), kept(&plans[plans.len() - 3..])), (3, 3));
    assert_eq!(jobs.planned(&Act::Undo(None), "d").map(|job| job.id.clone()), plans.pop());
    assert!(jobs.planned(&Act::Rotate, "d").is_none() && jobs.planned(&Act::Undo(None), "e").is_none());
    assert_eq!(kept(&[running.id.clone(), other]), 2);
}

#[test]
fn a_plan_that_was_cancelled_is_none() {
    let jobs = Jobs::default();
    let job = jobs.register(plan()).unwrap();
    job.cancel();
    job.finish(Done { is_document: true, printed: Text::read(&b"{}"[..]), ..Done::default() }, Some("d".into()));
    assert_eq!((&job.document()["state"], &job.document()["plan"]), (&"cancelled".into(), &Value::Null));
}

#[test]
fn what_was_complete_before_it_was_cancelled_was_done() {
    let jobs = Jobs::default();
    let done = || Done { is_document: true, printed: Text::read(&b"{}"[..]), ..Done::default() };
    // An old page offers to cancel a restore that has ended.
    let late = jobs.register(order(Task::Change)).unwrap();
    late.finish(done(), None);
    late.cancel();
    // It was past the point up to which it could be taken back.
    let crossed = jobs.register(order(Task::Change)).unwrap();
    crossed.cancel();
    crossed.finish(done(), None);
    let plan = jobs.register(plan()).unwrap();
    plan.finish(done(), Some("d".into()));
    plan.cancel();
    assert_eq!([late, crossed, plan].map(|job| job.document()["state"].clone()), ["done"; 3]);
    let cancelled = jobs.register(order(Task::Change)).unwrap();
    cancelled.cancel();
    cancelled.finish(Done { code: CANCELLED, ..Done::default() }, None);
    assert_eq!(cancelled.document()["state"], "cancelled");
}

#[test]
fn a_job_that_was_killed_says_so_even_after_it_has_printed_its_result() {
    let jobs = Jobs::default();
    for printed in [Text::default(), Text::read(&b"{}"[..])] {
        let job = jobs.register(order(Task::Change)).unwrap();
        job.finish(Done { code: 137, printed, ..Done::default() }, None);
        let shown = job.document();
        assert_eq!((&shown["state"], &shown["code"]), (&"failed".into(), &137.into()));
        assert_eq!(shown["error"]["message"], "the command was killed by signal 9");
        assert_eq!(job.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
