//! `heirloom serve`: the admin server, its listener and its tokens.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

use super::serve_code::OneTimeCode;
use super::serve_notices::Downloads;
use super::ui::Tone;
use super::{Context, Outcome, exit};
use crate::config::{FileLayer, ServerToken, TokenSource, is_address, is_local};
use crate::digest::Sha256;
use crate::failure::{Failure, FailureKind, Remedy};
use crate::names::{ArchiveName, Name};
use crate::platform;
use crate::report::log::Activity;
use crate::report::server::NewToken;
use crate::serving::{Ask, Reread, SHORTEST_TOKEN, Serving, TOKEN_START, Token};
use crate::store::ReadAt;
use crate::text::quoted;

/// An archive that a download reads.
pub type Opened = Arc<dyn ReadAt>;
/// The other face, which serves until it is told to stop.
pub type Serve = fn(Serving<Opened>) -> std::io::Result<()>;

/// Where it listens if nothing says otherwise: this machine alone can reach it.
const LISTEN: &str = "127.0.0.1:8419";
/// How often signals are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Serve a page and an HTTP API to administrators
///
/// Lists, makes, verifies, downloads, restores and deletes backups in a browser or over HTTP, with the same checks as
/// the commands of the same names. Nobody gets in without a token of the configuration (`heirloom serve token`): the
/// page asks for it once, scripts send it with each request (`Authorization: Bearer TOKEN`).
///
/// A restore, an undo, a rotation and a deletion are planned first; only the plan that was shown is carried out, and it
/// is refused if something changed since. `GET /api/v1/openapi.json` describes the API.
///
/// If no token is configured, `serve` prints a one-time code at a terminal, or the path of a file with it. Within 10
/// minutes, the code signs one administrator in on the page; scripts cannot use it. This works only on an address that
/// this machine alone can reach, or on a Unix socket.
///
/// Tokens that are added to the configuration or removed from it count at once, and removing one ends its sessions. The
/// other settings of `[server]` need a restart.
///
/// TLS is the task of a proxy in front of it, whose address is `public_url` in `[server]`; without one, listen on this
/// machine alone or on a Unix socket. Give it a host name of its own: under a path of another application, a hole in
/// that one is a hole here.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:
  heirloom serve token --role admin            make a token, and the lines for the configuration
  heirloom serve                               on 127.0.0.1:8419
  heirloom serve --listen unix:/run/heirloom/admin.sock

Security:
  Without a token, only the sign-in form, /livez and /readyz answer, and
  /metrics if metrics_open is set.
  A viewer cannot change, download or delete anything.
  Another site or port in the same browser cannot post forms: each form
  carries a secret of its session, and its origin is compared.
  Other users of the machine reach a loopback address, but need a token; a
  Unix socket is for its owner and group. No command line, environment or log
  holds a token.
  The configuration holds digests, which let nobody in; whoever can write to
  it lets anybody in.
  Whoever writes to the store can replace backups, and so choose what a
  restore writes, but cannot have other files sent.
  Names and contents of databases and archives are shown as text, and nothing
  in them is executed.
  The proxy sees tokens and backups. Only addresses in trusted_proxy are
  believed about the client.
  root, and the user that it runs as, can do what an administrator can.

Exit codes: 0 ended by a signal; 1 cannot listen; 2 no token is configured, and
other machines can reach the address")]
pub struct ServeArgs {
    #[command(subcommand)]
    command: Option<ServeCommand>,
    /// Where to listen: an address with its port, or unix:PATH
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Serve over TCP as root all the same
    #[arg(long)]
    as_root: bool,
}

#[derive(clap::Subcommand, Debug)]
enum ServeCommand {
    Token(TokenArgs),
}

/// Make a token
///
/// Prints a new token, once, and the lines that let it in, for the configuration. Only its digest stands there.
#[derive(clap::Args, Debug)]
struct TokenArgs {
    /// What it may do
    #[arg(long, value_enum, value_name = "ROLE", default_value = "viewer")]
    role: RoleArg,
    /// Its name, for the log
    #[arg(long, value_name = "NAME", default_value = "admin")]
    name: Name,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy)]
enum RoleArg {
    /// Look: status, health, lists, log, metrics
    Viewer,
    /// Everything
    Admin,
}

pub(super) fn run(args: &ServeArgs, serve: Option<Serve>, context: &mut Context) -> anyhow::Result<Outcome> {
    if let Some(ServeCommand::Token(args)) = &args.command {
        return new_token(args, context);
    }
    let Some(serve) = serve else {
        return Err(Failure::usage("this heirloom was built without the server", "use another build of it").into());
    };
    let settings = context.settings.server.clone();
    let listen = args.listen.clone().or_else(|| settings.listen.clone()).unwrap_or_else(|| LISTEN.to_owned());
    let is_unix = listen.starts_with("unix:");
    if !is_address(&listen) {
        let message = format!("{listen} is not an address to listen on");
        return Err(
            Failure::usage(message, "give an address with its port, such as 127.0.0.1:8419, or unix:PATH").into()
        );
    }
    if let (true, Some(file)) = (context.configuration.is_by_chance, &context.configuration.file) {
        let message = format!("{} was only found in the working directory, and says who gets in", quoted(file));
        return Err(Failure::usage(message, Remedy::NameConfiguration { file: file.clone() }).into());
    }
    if platform::user_id() == 0 && !is_unix && !args.as_root {
        let hint = "run it as the user of the application, or on a Unix socket; if it must be root: --as-root";
        return Err(Failure::usage("as root, a hole in it would give away the machine", hint).into());
    }
    let tokens = tokens(&context.settings.server.tokens)?;
    if tokens.is_empty() && !is_local(&listen) {
        let make = context.typed.quoted(&["serve", "token", "--role", "admin"]);
        let hint = format!("make one: {make}; without one, listen on 127.0.0.1 or on a Unix socket");
        return Err(Failure::usage("nobody could get in: no token is configured", hint).into());
    }
    warn_of_open_files(context);
    let code = tokens.is_empty().then(|| OneTimeCode::make(context)).transpose()?;
    let mut downloads = Downloads::start(context)?;
    let (asks, asked) = channel();
    let stop = Arc::new(AtomicBool::new(false));
    let serving = Serving {
        own: std::env::current_exe()?,
        options: context.typed.options(),
        listen: listen.clone(),
        settings,
        tokens,
        code: code.as_ref().map(|made| made.code),
        reread: context.configuration.file.clone().map(|file| Reread { file, read: reread }),
        asks,
        stop: Arc::clone(&stop),
    };
    let server = std::thread::Builder::new().name("server".into()).spawn(move || serve(serving))?;
    stop_at_a_signal(context, stop)?;
    answer(&asked, code, downloads.as_mut(), context);
    if let Some(downloads) = downloads {
        downloads.end(context);
    }
    match server.join() {
        Ok(Ok(())) => Ok(Outcome::Done),
        Ok(Err(cause)) => Err(anyhow::Error::new(cause).context(format!("cannot serve on {listen}"))),
        Err(_) => anyhow::bail!("the server ended unexpectedly"),
    }
}

/// Sets `stop` at a signal, on a thread of its own: this one may wait for a store. The thread ends with the process.
fn stop_at_a_signal(context: &Context, stop: Arc<AtomicBool>) -> std::io::Result<()> {
    let signal = context.ui.signal_flag();
    let wait = move || {
        while signal.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(LOOK);
        }
        stop.store(true, Ordering::SeqCst);
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
}

/// Does what the server asks for, until it has ended.
fn answer(
    asked: &Receiver<Ask<Opened>>,
    mut code: Option<OneTimeCode>,
    mut downloads: Option<&mut Downloads>,
    context: &mut Context,
) {
    loop {
        if let Some(downloads) = &downloads {
            downloads.warn(context);
        }
        if code.take_if(|code| code.is_over()).is_some() {
            context
                .ui
                .warning("the one-time code has expired; configure a token, or restart the server for another code");
        }
        match asked.recv_timeout(LOOK) {
            Ok(Ask::Listens(address)) => {
                let serve = context.ui.paint_stderr(Tone::Strong, "serve:");
                context.ui.note(format!("{serve} listening on {address}"));
            }
            Ok(Ask::Open { name, reply }) => {
                // Several may have come while a store did not answer, and each would wait for it.
                let opened = match context.ui.signal() {
                    None => open(&name, context),
                    Some(_) => Err((FailureKind::Busy.code(), None)),
                };
                // Nobody waits for it if the client went away.
                let _ = reply.send(opened);
            }
            Ok(Ask::Log { command, is_allowed, who, archive, written }) => {
                note(command, is_allowed, who.clone(), archive.clone(), context);
                // Nobody waits for it if the client went away.
                let _ = written.map(|written| written.send(()));
                if let (Some(downloads), "download", true, Some(archive)) =
                    (&mut downloads, command, is_allowed, archive)
                {
                    downloads.note(&who, &archive, context);
                }
            }
            Ok(Ask::Warning(text)) => context.ui.warning(text),
            Ok(Ask::Redeemed { who }) => {
                code = None;
                note("sign-in", true, who, None, context);
            }
            Ok(Ask::Ended) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn open(name: &str, context: &Context) -> Result<Opened, (u8, Option<Value>)> {
    let open = || -> anyhow::Result<Opened> {
        let name = ArchiveName::new(name)?;
        let store = context.store()?;
        Ok(store.store().open(name.as_str(), None)?)
    };
    open().map_err(|error| {
        let (code, error) = exit::judged(Err(error), &context.typed, &context.ui);
        (code, error.and_then(|error| serde_json::to_value(error).ok()))
    })
}

/// Writes into the activity log who carried what away, or was refused. The log is in the store's workspace: if that is
/// away, or no backup has made it yet, the server's own log has the entry, so that nobody comes in without a trace.
fn note(command: &str, is_allowed: bool, who: String, archive: Option<String>, context: &Context) {
    let outcome = if is_allowed { "done" } else { "refused" };
    let of = archive.as_ref().map(|archive| format!(" of {archive}")).unwrap_or_default();
    let entry = format!("{command}{of} {outcome}: {who}");
    let activity = Activity {
        at: context.clock.now(),
        seconds: 0.0,
        command: command.to_owned(),
        kind: None,
        outcome: outcome.to_owned(),
        exit_code: u8::from(!is_allowed),
        set: None,
        archive,
        bytes: None,
        error: None,
        user: who,
        host: context.host.label.to_string(),
    };
    let logged = context.store().map_err(anyhow::Error::from);
    if let Err(error) = logged.and_then(|store| Ok(store.workspace().log(&[activity])?)) {
        context.ui.warning(format!("{entry} (not in the activity log: {error:#})"));
    }
}

/// Returns the tokens of the configuration. Fails if one is too short to be one, or cannot be read.
fn tokens(configured: &[ServerToken]) -> anyhow::Result<Vec<Token>> {
    let read = |token: &ServerToken| {
        let digest = match &token.source {
            TokenSource::Digest(digest) => *digest,
            TokenSource::File(file) => digest_of_file(file, &token.name)?,
        };
        Ok(Token { name: token.name.clone(), role: token.role, digest })
    };
    configured.iter().map(read).collect()
}

/// Reads the tokens again, and names the files that some of them are in. Fails with all of it if a part cannot be read.
fn reread(file: &Path) -> Result<(Vec<Token>, Vec<PathBuf>), String> {
    let text = std::fs::read_to_string(file).map_err(|cause| format!("cannot read {}: {cause}", quoted(file)))?;
    let (layer, problems) = FileLayer::parse(file, &text);
    if let Some(problem) = problems.first() {
        return Err(problem.to_string());
    }
    let files = layer.tokens().iter().filter_map(|token| match &token.source {
        TokenSource::File(file) => Some(file.clone()),
        TokenSource::Digest(_) => None,
    });
    let tokens = tokens(layer.tokens()).map_err(|error| format!("{error:#}"))?;
    Ok((tokens, files.collect()))
}

/// Warns of files of tokens that every user of this machine can read. It is no error: containers mount secrets like
/// that.
fn warn_of_open_files(context: &Context) {
    for token in &context.settings.server.tokens {
        if let TokenSource::File(file) = &token.source
            && std::fs::metadata(file).is_ok_and(|found| platform::allows(&found, 0o004))
        {
            let (file, name) = (quoted(file), &token.name);
            context.ui.warning(format!(
                "{file} can be read by all users and holds the token \"{name}\": run `chmod o= {file}`"
            ));
        }
    }
}

fn digest_of_file(file: &Path, name: &Name) -> anyhow::Result<Sha256> {
    let text = std::fs::read_to_string(file).map_err(|cause| {
        anyhow::Error::new(cause).context(format!("cannot read the token \"{name}\" in {}", quoted(file)))
    })?;
    let token = text.trim();
    let secret = token.strip_prefix(TOKEN_START).unwrap_or(token);
    if secret.len() < SHORTEST_TOKEN {
        let message = format!("{} holds no token: it is too short to be safe", quoted(file));
        return Err(Failure::new(FailureKind::Usage, message).remedy("make one with `heirloom serve token`").into());
    }
    Ok(Sha256::of(token.as_bytes()))
}

fn new_token(args: &TokenArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let secret: String = platform::random_bytes()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let token = format!("{TOKEN_START}{secret}");
    let role = match args.role {
        RoleArg::Viewer => "viewer",
        RoleArg::Admin => "admin",
    };
    let digest = Sha256::of(token.as_bytes()).to_string();
    let made = NewToken { name: args.name.to_string(), role, token, sha256: digest };
    if context.ui.is_json() {
        context.ui.document(&made);
        return Ok(Outcome::Done);
    }
    context.ui.result(&made.token);
    context.ui.note("keep it: it is not shown again. These lines of the configuration let it in:");
    context.ui.note(format!("[server.tokens.{}]\nrole = \"{}\"\nsha256 = \"{}\"", made.name, made.role, made.sha256));
    Ok(Outcome::Done)
}
