//! Renders a health report for Nagios and Prometheus.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;

use super::text;
use crate::names::printable;
use crate::ops::health::{Check, Report, State};
use crate::platform::{parent, public_file, set_mode, sync_folder};
use crate::report::quantity::{Bad, Measure, Quantity, Unit};
use crate::text::quoted;

/// The longest text of a status line; Nagios cuts at 4 KiB, and the performance data must still fit in.
const LONGEST_STATUS: usize = 800;

/// Returns the line that Nagios reads: state, problems, performance data.
/// See "Plugin Output" in the Monitoring Plugins Development Guidelines.
pub(super) fn nagios(report: &Report) -> String {
    let word = match report.state() {
        State::Ok => "OK",
        State::Warning => "WARNING",
        State::Critical => "CRITICAL",
    };
    let mut wrong: Vec<&Check> = report.checks.iter().filter(|check| check.state > State::Ok).collect();
    wrong.sort_by_key(|check| std::cmp::Reverse(check.state));
    let mut status = match wrong.as_slice() {
        [] => format!("{} in order", text::count(report.checks.len() as u64, "check")),
        wrong => {
            let parts: Vec<String> = wrong
                .iter()
                .map(|check| format!("{} {}: {}", check.subject, check.name.replace('_', " "), check.value))
                .collect();
            parts.join("; ")
        }
    };
    status.truncate(status.floor_char_boundary(LONGEST_STATUS));
    let data: Vec<String> = report
        .checks
        .iter()
        .flat_map(|check| check.measures.iter().filter_map(|measure| performance(check, measure)))
        .collect();
    // A bar separates the text from the data.
    format!("HEIRLOOM {word} - {} | {}", printable(&status).replace('|', "/"), data.join(" "))
}

/// Returns a number as `'label'=value[unit];[warning];[critical];[min]`.
fn performance(check: &Check, measure: &Measure) -> Option<String> {
    let unit = match measure.quantity.unit {
        Unit::Seconds => "s",
        Unit::Bytes => "B",
        Unit::Count => "",
        Unit::Timestamp => return None,
    };
    let limit = |limit: Option<f64>| match (limit, measure.quantity.bad) {
        (None, _) => String::new(),
        (Some(limit), Bad::Above) => limit.to_string(),
        (Some(limit), Bad::Below) => format!("{limit}:"),
    };
    let (warning, critical) = (limit(measure.warning), limit(measure.critical));
    // A path may contain characters that end a label.
    let subject = check.subject.to_string().replace(['\'', '=', '|'], "_");
    Some(format!("'{subject} {}'={}{unit};{warning};{critical};0", measure.quantity.name, measure.value))
}

/// Returns the report in the text exposition format of Prometheus.
pub(super) fn prometheus(report: &Report) -> String {
    let store = std::path::absolute(&report.store)
        .map_or_else(|_| report.store.clone(), |path| path.to_string_lossy().into_owned());
    let mut text = String::new();
    let mut family = |name: &str, help: &str, samples: &[(String, f64)]| {
        let _ = write!(text, "# HELP heirloom_{name} {help}\n# TYPE heirloom_{name} gauge\n");
        for (labels, value) in samples {
            let _ = writeln!(text, "heirloom_{name}{{{labels}}} {value}");
        }
    };
    let labels = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        pairs.chain([format!("store=\"{}\"", escaped(&store))]).collect::<Vec<_>>().join(",")
    };
    // Only databases that share a name get the label `path`, so that all other series stay the same.
    let of = |check: &Check| {
        let subject = &check.subject;
        let names = [subject.set(), subject.database()].map(|name| name.map_or("", |name| name.as_str()).to_owned());
        (names, subject.path().map(str::to_owned))
    };

    let at = report.at.timestamp_micros() as f64 / 1e6;
    family("health_timestamp_seconds", "When the checks were made, in seconds since 1970.", &[(labels(&[]), at)]);
    family(
        "health_state",
        "The worst state of all checks: 0 ok, 1 warning, 2 critical.",
        &[(labels(&[]), report.state() as u8 as f64)],
    );
    let states: Vec<(String, f64)> = report
        .checks
        .iter()
        .map(|check| {
            let ([set, database], path) = of(check);
            let path = path.as_deref().map(|path| ("path", path));
            let pairs: Vec<(&str, &str)> =
                [("check", check.name), ("set", &set), ("database", &database)].into_iter().chain(path).collect();
            (labels(&pairs), check.state as u8 as f64)
        })
        .collect();
    family("check_state", "The state of a check: 0 ok, 1 warning, 2 critical.", &states);

    // All samples of a family must be adjacent.
    let mut quantities: Vec<Quantity> = Vec::new();
    for measure in report.checks.iter().flat_map(|check| &check.measures) {
        if !quantities.contains(&measure.quantity) {
            quantities.push(measure.quantity);
        }
    }
    for quantity in quantities {
        let samples: Vec<(String, f64)> = report
            .checks
            .iter()
            .flat_map(|check| check.measures.iter().map(move |measure| (check, measure)))
            .filter(|(_, measure)| measure.quantity == quantity)
            .map(|(check, measure)| {
                let ([set, database], path) = of(check);
                let pairs = [
                    ("set", set.as_str()),
                    ("database", database.as_str()),
                    ("path", path.as_deref().unwrap_or_default()),
                ];
                let pairs: Vec<(&str, &str)> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
                (labels(&pairs), measure.value)
            })
            .collect();
        family(quantity.name, quantity.help, &samples);
    }
    text
}

/// Escapes the value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Writes a file that other users can read (0644), atomically: a reader sees the old or the new text.
///
/// If we die before the rename, the old file is unchanged and a hidden file, which collectors ignore, remains.
pub(super) fn write_for_others(file: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("cannot write the metrics to {}", quoted(file));
    match fs::symlink_metadata(file) {
        Ok(found) if !found.is_file() => {
            // The rename would replace a device or a link by a file.
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "not a regular file")).with_context(failed);
        }
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause).with_context(failed),
        _ => {}
    }
    let name = file.file_name().ok_or(io::ErrorKind::IsADirectory).map_err(io::Error::from).with_context(failed)?;
    let staged = parent(file).join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = (|| {
        let mut new = public_file(&staged)?;
        set_mode(&new, 0o644)?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        fs::rename(&staged, file)?;
        sync_folder(parent(file))
    })();
    written
        .inspect_err(|_| {
            let _ = fs::remove_file(&staged);
        })
        .with_context(failed)
}
