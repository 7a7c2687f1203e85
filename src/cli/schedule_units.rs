//! The schedule as units of systemd and as a crontab, for hosts that do not use `heirloom run`.

use std::path::PathBuf;

use super::{Context, Outcome, verify};
use crate::config::{Key, Origin, age_text};
use crate::failure::Failure;
use crate::names::Name;
use crate::report::schedule::{TimerFile, Timers};
use crate::schedule::{Follow, Job, Line, NoTimer, Schedule, Timing, calendar, check_line};
use crate::store_url::Location;
use crate::text::shell_word;

/// Something that one timer starts: commands, one after the other, as long as each succeeds.
struct Task {
    job: Job,
    commands: Vec<Vec<String>>,
    lines: Vec<Line>,
}

/// Where units of the host are.
const UNITS: &str = "/etc/systemd/system/";

/// Prints a service and a timer for each task. `own` is a part of their names.
pub(super) fn systemd(schedule: &Schedule, own: Option<&Name>, context: &mut Context) -> anyhow::Result<Outcome> {
    let folder = std::env::current_dir()?;
    let zone = if zone_is_set(context) { format!(" {}", schedule.zone.name()) } else { String::new() };
    let remote = std::iter::once(&context.settings.store)
        .chain(context.settings.copies.iter().map(|copy| &copy.location))
        .any(|location| matches!(location, Location::Remote(_)));
    let after =
        if remote { "network-online.target remote-fs.target\nWants=network-online.target" } else { "remote-fs.target" };
    let mut files = Vec::new();
    for task in tasks(schedule, context)? {
        let (name, what) = (task.job.name(), what(task.job));
        let unit = own.map_or_else(|| format!("heirloom-{name}"), |own| format!("heirloom-{own}-{name}"));
        let starts: Vec<String> = task
            .commands
            .iter()
            .map(|words| {
                format!("ExecStart={}", words.iter().map(|word| unit_word(word)).collect::<Vec<_>>().join(" "))
            })
            .collect();
        files.push(TimerFile {
            name: format!("{unit}.service"),
            text: format!(
                "[Unit]\nDescription={what}\nDocumentation=man:heirloom-{name}(1) man:heirloom.toml(5)\nAfter={after}\n\
                 \n[Service]\nType=oneshot\nWorkingDirectory={}\n{}\nNice=10\nIOSchedulingClass=best-effort\n\
                 IOSchedulingPriority=7\nUMask=0077\n",
                unit_path(&folder.to_string_lossy()),
                starts.join("\n"),
            ),
        });
        let mut times = String::new();
        for line in &task.lines {
            for expression in calendar(line).map_err(no_form)? {
                times += &format!("OnCalendar={expression}{zone}\n");
            }
        }
        files.push(TimerFile {
            name: format!("{unit}.timer"),
            text: format!(
                "[Unit]\nDescription={what}, on schedule\nDocumentation=man:heirloom-{name}(1)\n\n[Timer]\n{times}\
                 RandomizedDelaySec=1min\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"
            ),
        });
    }
    let timers: Vec<&str> =
        files.iter().map(|file| file.name.as_str()).filter(|name| name.ends_with(".timer")).collect();
    let start = format!("systemctl daemon-reload && systemctl enable --now {}", timers.join(" "));
    let mut end = format!("# Then: {start}");
    if own.is_none() {
        end += "\n# A second configuration on this host needs units of its own: add --name NAME, or it replaces these.";
    }
    print(files, &format!("# {UNITS}"), &end, context)
}

/// Prints a line for each task.
pub(super) fn crontab(schedule: &Schedule, context: &mut Context) -> anyhow::Result<Outcome> {
    let folder = std::env::current_dir()?;
    let mut text = String::from("# heirloom prints nothing on success; cron mails everything else.\n");
    if zone_is_set(context) {
        let zone = schedule.zone.name();
        text += &format!("# Times are in {zone}. Debian's cron ignores the next line and uses the zone of the host.\n");
        text += &format!("CRON_TZ={zone}\n");
    }
    for task in tasks(schedule, context)? {
        let words = |words: &Vec<String>| words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ");
        let commands = task.commands.iter().map(words).collect::<Vec<_>>().join(" && ");
        // A percent sign would end the command.
        let command =
            format!("cd {} && nice -n 10 {commands}", shell_word(&folder.to_string_lossy())).replace('%', "\\%");
        for line in &task.lines {
            // Checked like a timer: cron knows no L, W and # either.
            calendar(line).map_err(no_form)?;
            text += &format!("{line}  {command}\n");
        }
    }
    print(vec![TimerFile { name: "crontab".into(), text }], "# ", "", context)
}

fn print(files: Vec<TimerFile>, front: &str, end: &str, context: &mut Context) -> anyhow::Result<Outcome> {
    let timers = Timers { files, variables: variables(context) };
    if !timers.variables.is_empty() {
        context.ui.warning(format!(
            "set here, but not for what is printed: {}; write what they set into the configuration or a .env file",
            timers.variables.join(", ")
        ));
    }
    if context.ui.is_json() {
        context.ui.document(&timers);
        return Ok(Outcome::Done);
    }
    for file in &timers.files {
        if timers.files.len() > 1 {
            context.ui.result(format!("{front}{}", file.name));
        }
        context.ui.result(file.text.trim_end());
        if timers.files.len() > 1 {
            context.ui.result("");
        }
    }
    if !end.is_empty() {
        context.ui.result(end);
    }
    Ok(Outcome::Done)
}

/// Returns the commands of the schedule and the lines at which they start.
fn tasks(schedule: &Schedule, context: &Context) -> anyhow::Result<Vec<Task>> {
    let settings = &context.settings;
    let mut backup = vec!["backup", "--kind", "scheduled"];
    if settings.schedule.if_changed {
        backup.push("--if-changed");
    }
    let (lines, interval) = match schedule.backup.clone() {
        Some(Timing::At(lines)) => (lines, None),
        Some(Timing::Every(every)) => {
            let often = check_line(schedule.check_every.min(every)).map_err(anyhow::Error::msg)?;
            (vec![often], Some(age_text(every)))
        }
        None => return Ok(Vec::new()),
    };
    if let Some(interval) = &interval {
        backup.extend(["--if-older-than", interval]);
    }
    let retention = &settings.retention;
    let has_limit = retention.keep.is_some() || retention.max_age.is_some() || retention.max_size.is_some();
    let cleans_up = schedule.cleanup == Follow::AfterBackup && has_limit;
    let mut commands = Vec::new();
    match (schedule.rotate == Follow::AfterBackup, cleans_up) {
        (true, _) => backup.push("--rotate"),
        (false, true) => backup.push("--cleanup"),
        (false, false) => {}
    }
    commands.push(command(&backup, context)?);
    if schedule.rotate == Follow::AfterBackup && cleans_up {
        commands.push(command(&["cleanup"], context)?);
    }
    let mut tasks = vec![Task { job: Job::Backup, commands, lines }];
    let verify = verify::by_schedule(settings);
    let verify: Vec<&str> = verify.iter().map(String::as_str).chain(["--quiet"]).collect();
    let further: [(Job, &Follow, &[&str]); 3] = [
        (Job::Rotate, &schedule.rotate, &["rotate"]),
        (Job::Cleanup, &schedule.cleanup, &["cleanup"]),
        (Job::Verify, &schedule.verify, &verify),
    ];
    for (job, follow, words) in further {
        if let Follow::At(line) = follow {
            tasks.push(Task { job, commands: vec![command(words, context)?], lines: vec![line.clone()] });
        }
    }
    Ok(tasks)
}

/// Returns a command with absolute paths: another scheduler has its own search path.
fn command(words: &[&str], context: &Context) -> anyhow::Result<Vec<String>> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let mut line = vec![text(std::env::current_exe()?)];
    line.extend(words.iter().map(|word| (*word).to_owned()));
    if let Some(file) = &context.configuration.file {
        line.extend(["--config".to_owned(), text(std::path::absolute(file)?)]);
    }
    if *context.configuration.effective.origin(Key::StoreDir) == Origin::Flag("--dir") {
        line.extend(["--dir".to_owned(), context.settings.store.to_string()]);
    }
    Ok(line)
}

fn what(job: Job) -> &'static str {
    match job {
        Job::Backup => "Back up SQLite databases",
        Job::Rotate => "Rotate the backups of SQLite databases",
        Job::Cleanup => "Clean up the backups of SQLite databases",
        Job::Verify => "Verify the backups of SQLite databases",
    }
}

fn zone_is_set(context: &Context) -> bool {
    *context.configuration.effective.origin(Key::TimeZone) != Origin::System
        && *context.configuration.effective.origin(Key::TimeZone) != Origin::Default
}

/// Returns the variables of the environment that set something. Those of `.env` are found again in the same folder.
fn variables(context: &Context) -> Vec<String> {
    let effective = &context.configuration.effective;
    let origins = Key::ALL.iter().filter(|key| **key != Key::TimeZone).map(|key| effective.origin(*key));
    let mut names: Vec<String> = origins
        .chain([&effective.default_database])
        .filter_map(|origin| match origin {
            Origin::Environment { variable } => Some(variable.clone()),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

fn no_form(error: NoTimer) -> anyhow::Error {
    Failure::usage(error.to_string(), "write the days as numbers or names, or use `heirloom run`").into()
}

/// Escapes a path for a setting of a unit.
fn unit_path(path: &str) -> String {
    path.replace('%', "%%")
}

/// Escapes a word of a command of a unit.
fn unit_word(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    if escaped.contains([' ', '\t', '\'', '"', ';']) { format!("\"{escaped}\"") } else { escaped }
}
