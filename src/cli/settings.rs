//! Finds and reads the configuration file and `.env`, and computes the effective settings.
//!
//! Only the first existing file is used. An unreadable file is an error, never treated like
//! a missing one: a backup with wrong settings is worse than one that fails with a reason.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::GlobalArgs;
use crate::config::{
    DotEnv, Effective, FileLayer, Flag, Key, Layers, Look, Origin, Problem, Value, Variables, refuse_by_chance,
};
use crate::failure::{Failure, FailureKind, Remedy};
use crate::ops::jobs::each::find_databases;
use crate::platform::{self, Links, Writers};
use crate::text::quoted;

/// The largest configuration file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The name of a configuration file.
pub(super) const FILE_NAME: &str = "heirloom.toml";

/// The settings in force and the files that were read for them.
pub struct Configuration {
    /// The configuration file, where there is one.
    pub file: Option<PathBuf>,
    /// The settings, their origins and their problems.
    pub effective: Effective,
    /// The variables of `.env`, for the services of remote stores; none if it is not safe to use.
    pub dotenv: DotEnv,
    /// Whether nobody named the file: it was only found in the working directory.
    pub is_by_chance: bool,
}

impl Configuration {
    /// Reads everything. Read errors become problems.
    pub(super) fn load(args: &GlobalArgs) -> Self {
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let dotenv = dotenv(&mut warnings);
        let environment = |name: &str| std::env::var_os(name);
        let trusted = if dotenv.risk.is_none() { dotenv.layer.clone() } else { DotEnv::default() };
        let variables = Variables::new(&environment, dotenv.layer);
        let file = match find(args.config.as_deref(), &variables) {
            Ok(found) => found,
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        let layer = file.as_ref().map(|(path, text)| {
            let (layer, found) = FileLayer::parse(path, text);
            problems.extend(found);
            layer
        });
        let flags: Vec<Flag> = args
            .dir
            .iter()
            .map(|dir| Flag { key: Key::StoreDir, value: Value::Path(dir.clone()), name: "--dir" })
            .chain(identities(args))
            .collect();
        let system_zone = || iana_time_zone::get_timezone().ok();
        let layers = Layers {
            file: layer.as_ref(),
            variables: &variables,
            flags: &flags,
            look: &look,
            system_zone: &system_zone,
        };
        let mut effective = layers.merge();
        find_databases(&mut effective.settings);
        let is_by_chance = file.as_ref().is_some_and(|(path, _)| is_by_chance(args, &variables, path));
        if let (Some((path, _)), Some(layer), true) = (&file, &layer, is_by_chance) {
            let lookup = |name: &str| variables.get(name).map(|(value, _)| value);
            problems.extend(refuse_by_chance(&effective, layer, path, lookup));
        }
        if let (true, Some(risk)) = (variables.used_dotenv(), dotenv.risk) {
            problems.push(unsafe_file(Path::new(".env"), risk));
        }
        problems.append(&mut effective.problems);
        warnings.append(&mut effective.warnings);
        effective.problems = problems;
        effective.warnings = warnings;
        Self { file: file.map(|(path, _)| path), effective, dotenv: trusted, is_by_chance }
    }

    /// Fails with the first problem, if any.
    pub(super) fn require(&self) -> anyhow::Result<()> {
        match &self.effective.problems[..] {
            [] => Ok(()),
            [only] => Err(usage(only).into()),
            [first, more @ ..] => {
                let message = format!("{first} (and {})", super::text::count(more.len() as u64, "more problem"));
                Err(Failure::usage(message, Remedy::CheckConfiguration).into())
            }
        }
    }

    /// Returns why `DATABASE_PATH` or `DATABASE_URL` names no database, for a command that needs one.
    pub(super) fn refused_database(&self) -> Option<Failure> {
        self.effective.refused_database.as_ref().map(usage)
    }
}

/// Returns whether nobody named the configuration file: it is in the working directory, or the `.env` there names it.
fn is_by_chance(args: &GlobalArgs, variables: &Variables<'_>, path: &Path) -> bool {
    match (&args.config, variables.get("HEIRLOOM_CONFIG")) {
        (Some(_), _) => false,
        (None, Some((_, origin))) => !matches!(origin, Origin::Environment { .. }),
        (None, None) => path == Path::new(FILE_NAME),
    }
}

/// Returns the files with secret keys of the command line: they replace those of the configuration.
fn identities(args: &GlobalArgs) -> Option<Flag> {
    let files: Vec<String> = args.identity.iter().map(|file| file.to_string_lossy().into_owned()).collect();
    let is_given = !files.is_empty();
    is_given.then_some(Flag { key: Key::IdentityFile, value: Value::Texts(files), name: "--identity" })
}

/// Returns a problem of the configuration as the error of a command.
pub(super) fn usage(problem: &Problem) -> Failure {
    let failure = Failure::new(FailureKind::Usage, problem.to_string());
    Failure { remedy: problem.remedy.clone(), ..failure }
}

/// Finds and reads the configuration file: the named one, which must exist, else the first in the usual places.
fn find(flag: Option<&Path>, variables: &Variables<'_>) -> Result<Option<(PathBuf, String)>, Problem> {
    let named = match flag {
        Some(path) => Some((path.to_owned(), Origin::Flag("--config"))),
        None => variables.get("HEIRLOOM_CONFIG").map(|(path, origin)| (path.into(), origin)),
    };
    if let Some((path, origin)) = named {
        // The usual way to say "no file at all".
        if path == Path::new("/dev/null") {
            return Ok(None);
        }
        return match read(&path, Choice::Named)? {
            Some(text) => Ok(Some((path, text))),
            None => Err(Problem {
                place: Some(origin.into()),
                key: String::new(),
                message: format!("there is no configuration file {}", quoted(&path)),
                remedy: Some(Remedy::WriteConfiguration { file: path.clone() }),
            }),
        };
    }
    for path in usual_places() {
        if let Some(text) = read(&path, Choice::Found)? {
            return Ok(Some((path, text)));
        }
    }
    Ok(None)
}

/// Returns where a configuration file is looked for, in this order.
fn usual_places() -> Vec<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    let user = config.map(|config| config.join("heirloom").join(FILE_NAME));
    [Some(FILE_NAME.into()), user, Some(Path::new("/etc/heirloom").join(FILE_NAME))].into_iter().flatten().collect()
}

/// Why a file is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// It was named explicitly.
    Named,
    /// It was found in a usual place.
    Found,
}

/// Reads a configuration file; `None` only if it certainly does not exist.
fn read(path: &Path, choice: Choice) -> Result<Option<String>, Problem> {
    match read_text(path) {
        Ok(found) => match found.risk {
            Some(Risk::Owner(_)) if choice == Choice::Named => Ok(Some(found.text)),
            Some(risk) => Err(unsafe_file(path, risk)),
            None => Ok(Some(found.text)),
        },
        Err(ReadError::Missing) => Ok(None),
        Err(error) => Err(Problem {
            place: None,
            key: String::new(),
            message: format!("cannot use the configuration file {}: {error}", quoted(path)),
            remedy: None,
        }),
    }
}

fn unsafe_file(path: &Path, risk: Risk) -> Problem {
    let word = crate::ops::restore::shell_word(&path.to_string_lossy());
    let (why, hint) = match risk {
        Risk::OpenTo(others) => (format!("{others} may change it"), "run `chmod go-w` on it".into()),
        Risk::Owner(owner) if path == Path::new(".env") => (
            format!("it belongs to user {owner}"),
            format!("read it, then run `chown root {word}`, or set the variables in the environment"),
        ),
        Risk::Owner(owner) => (
            format!("it belongs to user {owner}"),
            format!("read it, then run `chown root {word}`, or name the file that is meant with `--config FILE`"),
        ),
    };
    Problem {
        place: None,
        key: String::new(),
        message: format!("{} is not safe to use as root: {why}", quoted(path)),
        remedy: Some(hint.into()),
    }
}

/// A text file, as it was read.
struct Found {
    text: String,
    risk: Option<Risk>,
}

/// Why a file is not safe to use as root: its settings would be applied with root's rights.
#[derive(Debug, Clone, Copy)]
enum Risk {
    /// It belongs to this user, or the link to it does.
    Owner(u32),
    /// These others may change it.
    OpenTo(&'static str),
}

impl Risk {
    /// Checks who may change an open file or redirect its path.
    fn of(file: &fs::Metadata, path: &Path) -> Option<Self> {
        if !platform::is_root() {
            return None;
        }
        match platform::writers(file) {
            Writers::Owner => {}
            Writers::Group => return Some(Self::OpenTo("its group")),
            Writers::Everybody => return Some(Self::OpenTo("everybody")),
        }
        let link = fs::symlink_metadata(path).ok().map(|link| platform::owner(&link));
        [Some(platform::owner(file)), link].into_iter().flatten().find(|owner| *owner != 0).map(Self::Owner)
    }
}

enum ReadError {
    Missing,
    NotAFile,
    TooLarge,
    NotText { line: usize },
    Io(io::Error),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("it does not exist"),
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::TooLarge => write!(f, "it is larger than {} KiB", MAX_BYTES / 1024),
            Self::NotText { line } => write!(f, "line {line} is not UTF-8"),
            Self::Io(cause) => cause.fmt(f),
        }
    }
}

/// Reads a small text file. A pipe in its place is refused without waiting for a writer.
fn read_text(path: &Path) -> Result<Found, ReadError> {
    let file = match platform::open_at_once(path, Links::Follow) {
        Ok(file) => file,
        // A dangling link means that a configuration is expected there.
        Err(cause) if is_missing(&cause) && fs::symlink_metadata(path).is_err_and(|cause| is_missing(&cause)) => {
            return Err(ReadError::Missing);
        }
        Err(cause) => {
            // A folder that we may not search belongs to another user: under `sudo -u app`, HOME is often still
            // root's.
            let hidden = fs::symlink_metadata(path).is_err_and(|cause| cause.kind() == io::ErrorKind::PermissionDenied);
            let socket = platform::is_no_file(&cause);
            return Err(if hidden {
                ReadError::Missing
            } else if socket {
                ReadError::NotAFile
            } else {
                ReadError::Io(cause)
            });
        }
    };
    let metadata = file.metadata().map_err(ReadError::Io)?;
    if !metadata.is_file() {
        return Err(ReadError::NotAFile);
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(ReadError::Io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        ReadError::NotText { line: before.iter().filter(|byte| **byte == b'\n').count() + 1 }
    })?;
    Ok(Found { text, risk: Risk::of(&metadata, path) })
}

fn is_missing(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The `.env` file of the working directory.
#[derive(Default)]
struct DotEnvFile {
    layer: DotEnv,
    risk: Option<Risk>,
}

/// Reads `.env`. It belongs to an application, so its problems are only warnings.
fn dotenv(warnings: &mut Vec<String>) -> DotEnvFile {
    match read_text(Path::new(".env")) {
        Ok(found) => DotEnvFile { layer: DotEnv::parse(&found.text), risk: found.risk },
        Err(ReadError::Missing) => DotEnvFile::default(),
        // Some people keep their Python environment in a folder of this name.
        Err(ReadError::NotAFile) if Path::new(".env").is_dir() => DotEnvFile::default(),
        Err(error) => {
            warnings.push(format!("cannot use \".env\": {error}; it is ignored"));
            DotEnvFile::default()
        }
    }
}

/// Checks whether a path exists. On an error it counts as existing: its use then fails with the path named.
fn look(path: &Path) -> Look {
    match fs::metadata(path) {
        Ok(found) => Look::There(Some(platform::file_id(&found))),
        Err(cause) if is_missing(&cause) => Look::Missing,
        Err(_) => Look::There(None),
    }
}

/// Looks an environment variable up; an empty one counts as unset.
pub(super) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
