//! Every view with hostile, missing and realistic documents.

mod calendar;
mod html;
mod jobs;
mod style;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use self::html::{Tag, tags};
use super::super::site::of_overview;
use super::{
    Page, WayIn, backup, backups, confirm_delete, confirm_rotate, confirm_undo, error, job, log, overview,
    restore_choice, restore_plan, sign_in,
};
use crate::shelf::{Part, Shelf};

/// A name that runs a script wherever it is not escaped, and leaves an attribute or a tag if quotes are not.
const HOSTILE: &str = "\"'></title></script><b>&lt;<img src=x onerror=alert(1)>";

fn now() -> DateTime<Utc> {
    "2026-11-27T03:20:00Z".parse().unwrap()
}

fn admin() -> Page<'static> {
    Page {
        base: "/x",
        who: "ops",
        is_admin: true,
        may_download: true,
        form_token: "form-token-1",
        now: now(),
        notice: None,
    }
}

fn viewer() -> Page<'static> {
    Page { who: "wall", is_admin: false, may_download: false, ..admin() }
}

/// The first page of a list.
fn of_list(page: &Page, list: &Value, set: Option<&str>, kind: Option<&str>) -> String {
    let part = Part { set: set.map(Into::into), kind: kind.map(Into::into), before: None, limit: 100 };
    let mut list = list.clone();
    let shelf = Shelf::cut(&mut list, &part);
    backups(page, &list, &shelf)
}

/// Documents with every field that a view reads; `word` stands in every free text.
struct World {
    status: Value,
    health: Value,
    schedule: Value,
    list: Value,
    show: Value,
    rotation: Value,
    plan: Value,
    log: Value,
    jobs: Vec<Value>,
}

fn archive(name: &str, set: &str, at: &str, kind: &str) -> Value {
    json!({"archive": name, "set": set, "created_at": at, "kind": kind, "host": set, "bytes": 530_699,
        "unpacked_bytes": 4_374_528, "origin": "heirloom", "damaged": false, "pinned": false, "encryption": "none",
        "copies": [set], "reasons": [set], "databases": [{"name": set, "path": set, "bytes": 4_374_528, "tables": 2,
        "rows": 24_081, "previous": {"rows": 23_780, "bytes": 1}}]})
}

impl World {
    fn with(word: &str) -> Self {
        let at = "2026-11-26T21:00:00.000000Z";
        let of = |kind| archive(word, word, at, kind);
        let mut show = of("safety");
        let table = |name: &str, rows| json!({"name": name, "rows": rows});
        show["oddities"] = json!([word]);
        show["replaces"] = json!({"restore": word});
        show["metadata"] = json!({"note": word, "version": word, "databases": [{"name": word, "integrity": word,
            "findings": [word], "foreign_key_violations": 1, "tables": [table(word, 2), table("new", 1)]}]});
        let mut list = json!({"store": word, "archives": [of("manual"), of(word), of("safety")],
            "foreign": [{"file": word, "bytes": 1, "why": word}]});
        list["archives"][1]["copy_of"] = word.into();
        list["archives"][2]["damaged"] = true.into();
        let user = json!({"name": word, "pid": 7});
        let difference = json!({"user_version": {"archive": 1, "database": 2}, "tables_gained": [word],
            "tables_lost": [word], "columns": [{"table": word, "gained": [word], "lost": [word]}]});
        let target = json!({"name": word, "target": word});
        let step = json!({"name": word, "target": word, "bytes": 5, "rows": 1, "rows_before": 2, "method": "replaced",
            "schema": difference, "in_use_by": [user], "damage": word, "unreadable_pages": [[1, 2]]});
        let plan = json!({"archive": word, "set": word, "created_at": at, "dry_run": true, "databases": [step],
            "skipped": [target], "removals": [target], "undo_of": word, "warnings": [word]});
        let removed = json!({"remove": [of("manual")]});
        let rotation = json!({"keep": [of("manual")], "remove": [of("manual")], "freed_bytes": 7, "oldest": at,
            "newer_format": [word], "open_shrinks": [{"database": word, "archive": word}],
            "copies": [{"name": word, "retention": removed}]});
        let mut restored = plan.clone();
        restored["outcome"] = "restored".into();
        restored["safety_backup"] = word.into();
        let job = |state: &str, document: Value| {
            json!({"id": word, "command": word, "state": state, "stage": word, "subject": word, "done": 1, "total": 3,
                "started": at, "ended": at, "code": 3, "document": document, "error": {"message": word, "hint": word}})
        };
        Self {
            status: json!({"store": word, "store_error": word, "supervisor": word, "undelivered_notices": 2, "sets": [{
                "set": word, "why": word, "schedule": word, "next_due": at, "backup_needed": true,
                "last_backup": {"archive": word, "created_at": at, "bytes": 1, "in_store": false},
                "databases": [{"name": word, "path": word, "bytes": 1, "state": word}],
                "copies": [{"name": word, "error": word}]}]}),
            health: json!({"state": "critical", "at": at, "checks": [{"check": word, "set": word, "database": word,
                "path": word, "state": "critical", "value": word, "advice": format!("run `{word}`"),
                "measures": {"database_tables": {"value": 2.0}}}]}),
            schedule: json!({"enabled": true, "jobs": [{"job": word, "set": word, "rule": word, "next": [word, at]}]}),
            jobs: vec![
                job("running", Value::Null),
                job("failed", Value::Null),
                job("done", restored),
                job(
                    "done",
                    json!({"backups": [{"backup_name": word, "archive": word,
                        "findings": [{"database": word, "finding": word}],
                        "notes": [{"kind": word, "database": word, "why": word}],
                        "copies": [{"name": word, "errors": [word]}]}]}),
                ),
                job("done", json!({"depth": word, "archives": [{"archive": word, "state": "ok", "findings": [word]}]})),
                job("done", rotation.clone()),
                job("cancelled", json!({"removed": [word]})),
            ],
            log: json!({"store": word, "activities": [{"at": at, "seconds": 0.1, "command": word, "outcome": word,
                "exit_code": 13, "set": word, "archive": word, "error": word, "user": word, "host": word}]}),
            list,
            show,
            rotation,
            plan,
        }
    }

    fn of(value: &Value) -> Self {
        let value = || value.clone();
        Self {
            status: value(),
            health: value(),
            schedule: value(),
            list: value(),
            show: value(),
            rotation: value(),
            plan: value(),
            log: value(),
            jobs: vec![value()],
        }
    }

    /// Renders every view for somebody who is signed in; `word` is what the server passes beside documents.
    fn views(&self, page: &Page, word: &str) -> Vec<(String, String)> {
        let mut views = vec![
            ("overview", overview(page, &self.status, &self.health, &self.schedule, &self.list, Some(&self.rotation))),
            ("backups", of_list(page, &self.list, None, None)),
            ("backups of", of_list(page, &self.list, Some(word), Some(word))),
            ("backup", backup(page, &self.show, Some(&self.show))),
            ("first backup", backup(page, &self.show, None)),
            ("choice", restore_choice(page, &self.show)),
            ("plan", restore_plan(page, word, &[word.to_owned()], &self.plan, word, true)),
            ("delete", confirm_delete(page, &self.show, word, true)),
            ("rotate", confirm_rotate(page, &self.rotation, word, true)),
            ("undo", confirm_undo(page, None, &self.plan, word, true)),
            ("log", log(page, &self.log)),
            ("error", error(Some(page), page.base, 409, word, Some(word))),
        ];
        views.extend(self.jobs.iter().map(|document| ("job", job(page, document))));
        views.into_iter().enumerate().map(|(at, (name, view))| (format!("{at} {name}"), view)).collect()
    }
}

fn all_views(word: &str) -> Vec<(String, String)> {
    let world = World::with(word);
    let page = Page { who: word, notice: Some(word), form_token: word, ..admin() };
    let mut views = world.views(&page, word);
    views.extend(world.views(&Page { who: word, ..viewer() }, word));
    views.push(("sign-in".into(), sign_in("/x", WayIn::OneTimeCode, true)));
    views.push(("bare error".into(), error(None, "/x", 404, word, Some(word))));
    views
}

/// What a view holds without any text of others: the tags and attribute names that the templates write.
#[test]
fn hostile_names_are_shown_and_add_no_tag() {
    let plain = all_views("plain");
    let hostile = all_views(HOSTILE);
    for ((name, plain), (_, hostile)) in plain.iter().zip(&hostile) {
        let shape = |html| {
            let (tags, _) = tags(html);
            let names = |tag: &Tag| tag.attributes.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
            tags.iter().map(|tag| (tag.name.clone(), names(tag))).collect::<BTreeSet<_>>()
        };
        assert_eq!(shape(plain), shape(hostile), "{name}");
        assert!(!hostile.contains("<img") && !hostile.contains("<b>"), "{name}");
        if !name.starts_with("sign-in") {
            assert!(tags(hostile).1.contains("<img src=x onerror=alert(1)>"), "{name} does not show the name");
        }
    }
}

/// So that no field is forgotten in [`World`]: each text of each document appears in a view, escaped.
#[test]
fn a_hostile_name_appears_in_each_view_as_often_as_a_plain_one() {
    for ((name, plain), (_, hostile)) in all_views("qzq").iter().zip(&all_views(HOSTILE)) {
        // A sentence may start with it.
        let shown = tags(plain).1.to_lowercase().matches("qzq").count();
        assert_eq!(tags(hostile).1.matches("<img src=x").count(), shown, "{name}");
    }
}

#[test]
fn direction_marks_do_not_turn_a_name_around() {
    for (name, view) in all_views("gz.\u{202e}txt") {
        let text = tags(&view).1;
        // The name of the token and the notice are the server's own.
        let own = text.matches('\u{202e}').count();
        assert!(own <= 2, "{name}: {own}");
    }
}

#[test]
fn there_is_no_inline_style_or_script() {
    for (name, view) in all_views("plain") {
        let (tags, text) = tags(&view);
        for tag in &tags {
            assert!(tag.name != "style" && tag.name != "iframe" && tag.name != "base", "{name}: {}", tag.name);
            for (key, value) in &tag.attributes {
                assert!(key != "style" && !key.starts_with("on"), "{name}: {key}");
                if matches!(key.as_str(), "href" | "src" | "action" | "data-job") {
                    assert!(value.starts_with("/x/") || value == "#content", "{name}: {key}={value}");
                }
            }
        }
        let scripts: Vec<_> = tags.iter().filter(|tag| tag.name == "script").map(|tag| tag.get("src")).collect();
        assert_eq!(scripts, [Some("/x/assets/script.js")], "{name}");
        assert!(view.contains("</script>") && view.contains(" defer></script>"), "{name}");
        assert!(!text.contains("javascript:"), "{name}");
    }
}

#[test]
fn links_carry_the_base_and_encode_names() {
    let name = "a/../b?c#d%2e é.tar.gz";
    for (view_name, view) in all_views(name) {
        for tag in tags(&view).0 {
            for key in ["href", "action", "data-job"] {
                let Some(url) = tag.get(key).filter(|url| *url != "#content") else { continue };
                assert!(url.starts_with("/x/"), "{view_name}: {url}");
                let bytes = url.bytes();
                assert!(!url.contains("/..") && !url.contains('#'), "{view_name}: {url}");
                assert!(bytes.into_iter().all(|byte| byte.is_ascii_graphic()), "{view_name}: {url}");
            }
        }
    }
    let encoded = "a%2F..%2Fb%3Fc%23d%252e%20%C3%A9.tar.gz";
    let list = World::with(name).list;
    assert!(of_list(&admin(), &list, None, None).contains(&format!("href=\"/x/backups/{encoded}\"")));
    let at_root = Page { base: "", ..admin() };
    assert!(of_list(&at_root, &list, None, None).contains(&format!("href=\"/backups/{encoded}\"")));
}

#[test]
fn every_form_has_the_form_token_and_every_field_a_label() {
    for (name, view) in World::with("plain").views(&admin(), "plain") {
        let (tags, _) = tags(&view);
        let ids: Vec<&str> = tags.iter().filter_map(|tag| tag.get("id")).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{name}: an id appears twice: {ids:?}");
        let labels: BTreeSet<&str> =
            tags.iter().filter(|tag| tag.name == "label").filter_map(|tag| tag.get("for")).collect();
        let mut form: Option<(bool, bool)> = None;
        for tag in &tags {
            match tag.name.as_str() {
                "form" => form = Some((tag.get("method") == Some("post"), false)),
                "/form" => {
                    let (posts, has_token) = form.take().expect("a form was open");
                    assert_eq!(posts, has_token, "{name}: a form without its token, or a link with it");
                }
                "input" if tag.get("name") == Some("form_token") => {
                    assert_eq!((tag.get("type"), tag.get("value")), (Some("hidden"), Some("form-token-1")));
                    form.as_mut().expect("it is in a form").1 = true;
                }
                "input" if tag.get("type") == Some("hidden") => {}
                "input" | "select" | "progress" => {
                    let id = tag.get("id").expect("a field has an id");
                    assert!(labels.contains(id), "{name}: no label for {id}");
                }
                _ => {}
            }
            for key in ["aria-labelledby", "aria-describedby"] {
                for id in tag.get(key).into_iter().flat_map(str::split_whitespace) {
                    assert!(ids.contains(&id), "{name}: {key} names {id}");
                }
            }
        }
    }
}

#[test]
fn a_viewer_gets_no_form_that_changes_something() {
    let changing = ["/restore", "/delete", "/rotate", "/undo", "/download"];
    for (name, view) in World::with("plain").views(&viewer(), "plain") {
        for tag in tags(&view).0 {
            if tag.name == "form" && tag.get("method") == Some("post") {
                assert_eq!(tag.get("action"), Some("/x/sign-out"), "{name}");
            }
            let url = tag.get("href").unwrap_or_default();
            assert!(!changing.iter().any(|end| url.ends_with(end)), "{name}: {url}");
        }
    }
}

#[test]
fn an_admin_without_downloads_sees_no_link_to_one() {
    for (name, view) in World::with("plain").views(&Page { may_download: false, ..admin() }, "plain") {
        assert!(!view.contains("/download"), "{name}");
    }
    assert!(backup(&admin(), &World::with("plain").show, None).contains("/x/backups/plain/download"));
}

#[test]
fn every_view_has_landmarks_a_heading_and_one_current_link() {
    for (name, view) in World::with("plain").views(&admin(), "plain") {
        let (tags, _) = tags(&view);
        let count = |wanted: &str| tags.iter().filter(|tag| tag.name == wanted).count();
        for landmark in ["main", "header", "nav", "footer", "h1", "title"] {
            // An SVG has titles of its own.
            let is_title = landmark == "title";
            assert!(count(landmark) == 1 || (is_title && count(landmark) > 1), "{name}: {landmark}");
        }
        let current = tags.iter().filter(|tag| tag.get("aria-current") == Some("page")).count();
        assert!(current <= 1, "{name}");
        assert!(view.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{name}");
        assert!(view.contains("<a class=\"skip\" href=\"#content\">"), "{name}");
    }
    let view = overview(&admin(), &Value::Null, &Value::Null, &Value::Null, &Value::Null, None);
    assert!(view.contains("<a href=\"/x/\" aria-current=\"page\">Overview</a>"));
}

#[test]
fn the_overview_reads_no_field_of_archives_that_it_does_not_ask_for() {
    let World { status, health, schedule, mut list, mut rotation, .. } = World::with("app");
    let render = |list: &Value, rotation: &Value| overview(&admin(), &status, &health, &schedule, list, Some(rotation));
    let whole = render(&list, &rotation);
    for wanted in of_overview() {
        let Some(fields) = wanted.fields else { continue };
        let document = if wanted.words[0] == "list" { &mut list } else { &mut rotation };
        for archives in ["archives", "keep", "remove"] {
            for archive in document.get_mut(archives).and_then(Value::as_array_mut).into_iter().flatten() {
                archive.as_object_mut().unwrap().retain(|name, _| fields.contains(name));
            }
        }
    }
    assert_eq!(list["archives"][0].as_object().unwrap().len(), 5);
    assert_eq!(render(&list, &rotation), whole);
}

#[test]
fn missing_fields_are_not_known_and_never_good() {
    let mut documents = vec![Value::Null, json!({}), json!([]), json!("text"), json!(7)];
    // The right shape with nothing in it, and with the wrong types in it.
    for inner in [json!([{}]), json!([null]), json!({}), json!("text"), json!(-1.5), json!(true)] {
        documents.push(json!({
            "sets": inner, "checks": inner, "jobs": inner, "archives": inner, "databases": inner, "removals": inner,
            "keep": inner, "remove": inner, "copies": inner, "activities": inner, "metadata": inner, "archive": inner,
            "created_at": inner, "state": inner, "document": inner, "error": inner, "stores": inner, "foreign": inner,
            "open_shrinks": inner, "newer_format": inner, "backups": inner, "outcome": inner, "depth": inner,
        }));
    }
    for document in &documents {
        for page in [admin(), viewer()] {
            for (name, view) in World::of(document).views(&page, "word") {
                assert!(view.ends_with("</html>"), "{name} of {document}");
                // A state that is not in the document must not look good.
                assert!(!view.contains("mark good") && !view.contains("card good"), "{name} of {document}");
            }
        }
    }
    let view = overview(&admin(), &Value::Null, &Value::Null, &Value::Null, &Value::Null, None);
    for words in ["The state is not known", "The sets are not known", "The list of backups is not known"] {
        assert!(view.contains(words), "{words}");
    }
}

#[test]
fn what_is_wrong_comes_first_the_worst_before_the_rest() {
    let mut world = World::with("shop");
    let check = |name: &str, state: &str| {
        json!({"check": name, "set": "shop", "state": state, "value": "v",
        "advice": "run `heirloom backup`"})
    };
    world.health["checks"] = json!([check("size", "ok"), check("verified", "warning"), check("integrity", "critical")]);
    let view = overview(&admin(), &world.status, &world.health, &world.schedule, &world.list, None);
    let at = |words: &str| view.find(words).unwrap_or_else(|| panic!("{words}"));
    assert!(at("shop: integrity") < at("shop: verified"));
    assert!(at("shop: verified") < at("<div class=\"cards\">"));
    assert!(view.contains("<code>heirloom backup</code>"));
    // The store cannot be read, and the notices wait.
    assert!(view.contains("2 critical problems, 2 warnings"), "{view}");
    assert!(!view.contains("shop: size"));
}

#[test]
fn a_set_is_good_only_with_a_backup_and_checks() {
    let card = |status: &Value, health: &Value| {
        let view = overview(&admin(), status, health, &Value::Null, &Value::Null, None);
        tags(&view)
            .0
            .iter()
            .find_map(|tag| tag.get("class").filter(|class| class.starts_with("card ")))
            .map(str::to_owned)
    };
    let mut world = World::with("shop");
    world.health["checks"][0]["state"] = "ok".into();
    assert_eq!(card(&world.status, &world.health).as_deref(), Some("card good"));
    assert_eq!(card(&world.status, &json!({"state": "ok"})).as_deref(), Some("card unknown"));
    world.health["checks"][0]["state"] = "ok".into();
    world.status["sets"][0]["last_backup"] = Value::Null;
    assert_eq!(card(&world.status, &world.health).as_deref(), Some("card warning"));
}

#[test]
fn filters_keep_their_choice_and_leave_out_the_others() {
    let at = "2026-11-26T21:00:00Z";
    let list = json!({"archives": [archive("a.tar.gz", "shop", at, "manual"),
        archive("b.tar.gz", "notes", at, "manual"), archive("c.tar.gz", "shop", at, "safety")]});
    let shows = |set, kind| {
        let view = of_list(&viewer(), &list, set, kind);
        ["a", "b", "c"].into_iter().filter(|name| view.contains(&format!("{name}.tar.gz\""))).collect::<String>()
    };
    assert_eq!(shows(None, None), "abc");
    assert_eq!(shows(Some("shop"), None), "ac");
    assert_eq!(shows(Some("shop"), Some("safety")), "c");
    assert_eq!(shows(Some(""), Some("")), "abc");
    assert_eq!(shows(Some("other"), None), "");
    assert!(of_list(&viewer(), &list, Some("shop"), None).contains("<option value=\"shop\" selected>shop</option>"));
}

#[test]
fn tables_are_compared_with_the_backup_before() {
    let of = |tables: Value| {
        let mut show = archive("a", "shop", "2026-11-26T21:00:00Z", "manual");
        show["metadata"] = json!({"databases": [{"name": "shop", "integrity": "ok", "tables": tables}]});
        show
    };
    let before = of(json!([{"name": "orders", "rows": 1500}, {"name": "old", "rows": 3}, {"name": "same", "rows": 7}]));
    let show = of(json!([{"name": "orders", "rows": 200}, {"name": "new", "rows": 3}, {"name": "same", "rows": 7}]));
    let text = tags(&backup(&admin(), &show, Some(&before))).1;
    for words in ["orders200−1,300", "new3new table", "same7same", "old–"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.contains("not in this backup"));
}

#[test]
fn destructive_pages_name_what_is_lost_and_bind_the_plan() {
    let world = World::with("shop");
    let pages = [
        restore_plan(&admin(), "shop", &["shop".into(), "users".into()], &world.plan, "d1g", false),
        confirm_delete(&admin(), &world.show, "d1g", false),
        confirm_rotate(&admin(), &world.rotation, "d1g", false),
        confirm_undo(&admin(), None, &world.plan, "d1g", false),
    ];
    for page in &pages {
        assert!(page.contains("What is lost") && page.contains("What stays"));
        assert!(page.contains("name=\"plan\" value=\"d1g\""));
        assert!(!page.contains("Nothing was "));
    }
    assert!(pages[0].contains("name=\"databases\" value=\"users\""));
    assert!(pages[0].contains("2 → 1 (-1)"));
    assert!(confirm_rotate(&admin(), &world.rotation, "d", true).contains("Nothing was removed"));
    // Without anything to do there is nothing to confirm.
    for page in [
        confirm_rotate(&admin(), &json!({"remove": [], "keep": []}), "d", false),
        confirm_undo(&admin(), None, &json!({"databases": []}), "d", false),
        restore_plan(&admin(), "shop", &[], &json!({"databases": []}), "d", false),
    ] {
        assert!(!page.contains("name=\"plan\""));
    }
}

#[test]
fn a_restore_that_creates_databases_loses_nothing() {
    let plan = |method: &str| {
        let plan = json!({"databases": [{"name": "shop", "method": method}], "created_at": "2026-11-26T21:00:00Z"});
        restore_plan(&admin(), "a", &[], &plan, "d", false)
    };
    assert!(
        plan("created").contains("Nothing: no database is replaced.") && !plan("created").contains("safety backup")
    );
    assert!(plan("replaced").contains("2026-11-26 21:00 UTC") && plan("replaced").contains("safety backup"));
    assert!(!plan("something new").contains("Nothing: no database"));
}
