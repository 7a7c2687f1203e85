//! The view of a job, while it runs and after it.

use serde_json::{Value, json};

use super::{admin, job};

#[test]
fn a_running_job_reloads_without_script_and_a_finished_one_does_not() {
    let running = json!({"id": "7", "command": "backup", "state": "running", "stage": "copy", "subject": "shop",
        "done": 1, "total": 4});
    let view = job(&admin(), &running);
    assert!(view.contains("<noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>"));
    assert!(view.contains("data-job=\"/x/api/v1/jobs/7\"") && view.contains("25%"));
    assert!(view.contains("action=\"/x/jobs/7/cancel\""));
    for (state, word) in [("done", "done"), ("failed", "failed"), ("cancelled", "cancelled")] {
        let view = job(&admin(), &json!({"id": "7", "command": "backup", "state": state}));
        assert!(!view.contains("refresh") && !view.contains("/cancel"), "{state}");
        assert!(view.contains(&format!("Backup: {word}")), "{state}");
    }
}

#[test]
fn a_job_links_what_it_made_and_reports_what_it_found() {
    let made = json!({"backup_name": "shop_1", "archive": "/srv/store/shop_1.tar.gz", "findings": [], "notes": [
        {"kind": "shrink", "database": "shop"}], "copies": [{"name": "offsite", "errors": ["refused"]}]});
    let done =
        |document: Value| job(&admin(), &json!({"command": "x", "state": "done", "code": 3, "document": document}));
    let view = done(made);
    assert!(view.contains("href=\"/x/backups/shop_1.tar.gz\""), "{view}");
    assert!(
        view.contains("shop: shrink") && view.contains("copy offsite: refused") && view.contains("done with problems")
    );
    let mut rotated = json!({"freed_bytes": 1024, "dry_run": false, "remove": [{"removed": true}, {"removed": false}]});
    assert!(done(rotated.clone()).contains("Removed 1 backup, freed 1.0 KiB."));
    rotated["dry_run"] = true.into();
    assert!(!done(rotated).contains("Removed"));
    let restored = json!({"outcome": "restored", "archive": "a.tar.gz", "safety_backup": "s.tar.gz",
        "databases": [{"name": "shop", "in_use_by": [{"pid": 7, "name": "gunicorn"}]}]});
    let view = done(restored);
    assert!(view.contains("Restart gunicorn") && view.contains("href=\"/x/undo\""));
}
