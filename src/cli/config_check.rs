//! `heirloom config check`: tests the settings against databases, stores and rights.

use std::fs;
use std::io;
use std::path::Path;

use super::stores::{access, is_below};
use super::table::{Column, Table};
use super::tested::Tested;
use super::{Context, Outcome, text};
use crate::config::{EachSettings, Key, Origin, Secret};
use crate::database::probe;
use crate::failure::{Failure, FailureKind};
use crate::names::printable;
use crate::platform::{self, is_mount_point, may_give_to, parent};
use crate::report::config as report;
use crate::store::{StoreError, Strangeness};
use crate::store_url::Location;
use crate::text::quoted;

pub(super) fn check(context: &mut Context) -> Outcome {
    let tested = tests(context);
    let code = [2, 10, 13, 16].into_iter().find(|code| tested.iter().any(|tested| tested.code == *code));
    let code = code.or_else(|| tested.iter().map(|tested| tested.code).find(|code| *code != 0));
    if context.ui.is_json() {
        let checks = tested.iter().map(|tested| report::Check {
            check: tested.what.clone(),
            state: tested.state().0,
            code: tested.code,
            message: tested.message.clone(),
            hint: tested.hint(context),
        });
        let checks = checks.collect();
        let file = context.configuration.file.as_ref().map(|file| file.to_string_lossy().into_owned());
        context.ui.document(&report::Checked { file, checks });
    } else {
        let mut table = Table::new(&[Column::new("STATE"), Column::new("SETTING"), Column::new("RESULT").wrap()]);
        for tested in tested.iter().filter(|tested| tested.code != 0 || context.ui.prints_results()) {
            let (state, tone) = tested.state();
            let hint = tested.hint(context).map(|hint| format!("; {hint}")).unwrap_or_default();
            table.row([context.ui.paint(tone, state), tested.what.clone(), format!("{}{hint}", tested.message)]);
        }
        if !table.is_empty() {
            context.ui.table(&table);
        }
    }
    code.map_or(Outcome::Done, Outcome::Found)
}

fn tests(context: &Context) -> Vec<Tested> {
    let configuration = &context.configuration;
    let effective = &configuration.effective;
    let mut tested = Vec::new();
    for problem in &effective.problems {
        tested.push(Tested::bad("configuration", super::settings::usage(problem).into()));
    }
    if tested.is_empty() {
        let message = match &configuration.file {
            Some(file) => format!("{} can be used", quoted(file)),
            None => "no file; defaults and the environment are used".to_owned(),
        };
        tested.push(Tested::good("configuration", message));
    }
    tested
        .extend(effective.warnings.iter().map(|warning| Tested::odd("configuration", printable(warning).into_owned())));

    let sets = &context.settings.sets;
    tested.extend(context.settings.each.iter().flat_map(test_each));
    for (set, settings) in sets.iter().filter(|(set, _)| context.settings.each_of(set).is_none()) {
        for (database, path) in &settings.databases {
            tested.push(test_database(format!("sets.{set}.databases.{database}"), path));
            tested.extend(test_folder(format!("sets.{set}.databases.{database}"), path, context));
        }
    }
    // With sets, `backup` ignores the variables.
    if sets.is_empty() && context.settings.each.is_empty() {
        match (&context.settings.default_database, configuration.refused_database()) {
            (Some(path), _) => {
                tested.push(test_database("default_database".into(), path));
                tested.extend(test_folder("default_database".into(), path, context));
            }
            (None, Some(refused)) => tested.push(Tested::bad("default_database", refused.into())),
            (None, None) if effective.problems.is_empty() => {
                tested.push(Tested::odd(
                    "sets",
                    "no database is configured: `backup` needs one on its command line".into(),
                ));
            }
            (None, None) => {}
        }
    }
    tested.extend(super::config_check_encryption::tests(context));
    tested.extend(super::config_check_schedule::test(context));
    // The default store is not a finding while the file that may name another cannot be read.
    if effective.problems.is_empty() || *effective.store_origin() != Origin::Default {
        match &context.settings.store {
            Location::Folder(root) => {
                tested.extend(test_mount(root, context));
                tested.push(test_folder_store(Key::StoreDir.to_string(), root, context));
                tested.extend(test_rights(root, context));
            }
            remote => tested.push(test_remote(Key::StoreUrl.to_string(), remote, context)),
        }
    }
    for copy in &context.settings.copies {
        let what = format!("copies.{}", copy.name);
        tested.push(match &copy.location {
            same if *same == context.settings.store => {
                let message = "is the store itself: a copy there is lost together with it".to_owned();
                Tested::bad(what, Failure::usage(message, "name another store").into())
            }
            Location::Folder(root) => test_folder_store(what, root, context),
            remote => test_remote(what, remote, context),
        });
    }
    tested.extend(test_receivers(context));
    tested
}

/// Tests whether the files with what a receiver of notices needs can be read. `notify test` tests the rest.
fn test_receivers(context: &Context) -> Vec<Tested> {
    let mut tested = Vec::new();
    for receiver in &context.settings.receivers {
        let what = format!("notify.{}", receiver.name);
        let unread = receiver.way.secrets().into_iter().find_map(|(key, secret)| match secret {
            Secret::File(path) => fs::File::open(path).err().map(|cause| (key, path, cause)),
            _ => None,
        });
        tested.push(match unread {
            Some((key, path, cause)) => {
                let message = format!("cannot read {key}_file {}: {cause}", quoted(path));
                Tested::bad(what, Failure::usage(message, "let this user read it").into())
            }
            None => Tested::good(what, format!("{} can be used; `heirloom notify test` tries it", receiver.way)),
        });
    }
    tested
}

/// Tests what a pattern matches.
fn test_each(each: &EachSettings) -> Vec<Tested> {
    let what = format!("sets.{}.each", each.name);
    let bad =
        |problem: &String| Tested::bad(what.clone(), Failure::new(FailureKind::NoDatabase, problem.clone()).into());
    let mut tested: Vec<Tested> = each.problems.iter().map(bad).collect();
    let databases = text::count(each.sets.len() as u64, "database");
    if !each.sets.is_empty() {
        tested.push(Tested::good(what.clone(), format!("{databases} match {}", each.pattern)));
    } else if each.problems.is_empty() {
        tested.push(Tested::odd(what.clone(), format!("no database matches {} yet", each.pattern)));
    }
    if let Some(first) = each.not_yet.first() {
        let count = text::count(each.not_yet.len() as u64, "file");
        tested.push(Tested::odd(what, format!("{count} match and are not yet a database, such as {}", quoted(first))));
    }
    tested
}

fn test_database(what: String, path: &Path) -> Tested {
    match probe(path) {
        Ok(()) => Tested::good(what, format!("{} looks like a database", quoted(path))),
        Err(error) => Tested::bad(what, error.into()),
    }
}

/// Warns of a database among the archives. Nothing removes it, but there it looks like a copy made by another
/// tool.
fn test_folder(what: String, path: &Path, context: &Context) -> Option<Tested> {
    let folder = platform::resolved(path).parent().map(Path::to_owned)?;
    let is_store = context.settings.store.folder().is_some_and(|store| folder == platform::resolved(store));
    is_store.then(|| {
        let message = format!("{} is in the folder of the store", quoted(path));
        let hint = "name another folder in store.dir, so that the database is not mistaken for a backup";
        Tested { remedy: Some(hint.into()), ..Tested::odd(what, message) }
    })
}

/// Tests what must be mounted, if anything must.
fn test_mount(root: &Path, context: &Context) -> Option<Tested> {
    let mount = context.settings.store_mount.as_ref()?;
    let what = Key::StoreMount.to_string();
    if !is_below(root, mount) {
        let message = format!("the store {} is not below {}", quoted(root), quoted(mount));
        return Some(Tested::bad(what, Failure::usage(message, "name the mount point that the store is on").into()));
    }
    Some(match is_mount_point(mount) {
        Ok(true) => Tested::good(what, format!("{} is mounted", quoted(mount))),
        Ok(false) => {
            let why = Strangeness::NotMounted(mount.clone());
            Tested::bad(what, StoreError::Strange { location: root.to_string_lossy().into_owned(), why }.into())
        }
        Err(cause) => {
            let cause = StoreError::Unreachable { location: mount.to_string_lossy().into_owned(), cause };
            Tested::bad(what, cause.into())
        }
    })
}

/// Tests whether others can read the archives as configured.
fn test_rights(root: &Path, context: &Context) -> Option<Tested> {
    let settings = &context.settings;
    let what = if settings.store_group.is_some() { Key::StoreGroup } else { Key::StoreMode }.to_string();
    let access = match access(&context.scene()) {
        Ok(access) => access,
        Err(error) => return Some(Tested::bad(what, error.into())),
    };
    let mode = access.folder_mode()?;
    if let (Some(group), Some(name)) = (access.group, &settings.store_group)
        && !may_give_to(group)
    {
        let message = format!("this user is not in the group {}, so the group cannot read archives", quoted(name));
        return Some(Tested::odd(
            what,
            format!("{message}; run `usermod --append --groups` as root, and log in again"),
        ));
    }
    let Ok(found) = fs::metadata(root) else {
        return Some(Tested::good(what, format!("new archives are {:04o}", mode & 0o666)));
    };
    // A backup changes this itself, see `Access`.
    let closed = platform::is_private(&found) && platform::is_own(&found);
    let group = access.group.filter(|group| *group != platform::group(&found));
    Some(if closed || platform::allows(&found, mode) && group.is_none() {
        Tested::good(what, format!("new archives are {:04o}", mode & 0o666))
    } else {
        let word = crate::ops::restore::shell_word(&root.to_string_lossy());
        let chgrp = group.map(|group| format!("chgrp {group} {word} && ")).unwrap_or_default();
        Tested::odd(
            what,
            format!(
                "{} cannot be entered by all who may read archives; run `{chgrp}chmod {mode:04o} {word}`",
                quoted(root)
            ),
        )
    })
}

/// Tests a local store without writing to it.
fn test_folder_store(what: String, root: &Path, context: &Context) -> Tested {
    let unreachable =
        |cause: io::Error| StoreError::Unreachable { location: root.to_string_lossy().into_owned(), cause };
    let writable = |folder: &Path| platform::may_make_files_in(folder).map_err(unreachable);
    let outcome = match context.open_store(&Location::Folder(root.to_owned())) {
        Ok(store) => store
            .store()
            .refuse_strangers()
            .and_then(|()| writable(root))
            .map(|()| format!("{} can be written", quoted(root))),
        Err(StoreError::Unreachable { cause, .. })
            if cause.kind() == io::ErrorKind::NotFound
                && fs::metadata(parent(root)).is_ok_and(|found| found.is_dir()) =>
        {
            writable(parent(root)).map(|()| format!("{} does not exist yet; the first backup creates it", quoted(root)))
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(message) => Tested::good(what, message),
        Err(error) => Tested { code: 16, ..Tested::bad(what, error.into()) },
    }
}

/// Tests whether a remote store can be listed. `store check` tries everything else.
fn test_remote(what: String, location: &Location, context: &Context) -> Tested {
    match context.open_store(location).and_then(|store| store.store().list()) {
        Ok(entries) => {
            let files = super::text::count(entries.len() as u64, "file");
            Tested::good(what, format!("{} can be listed: {files}", printable(&location.to_string())))
        }
        Err(error) => Tested::bad(what, error.into()),
    }
}
