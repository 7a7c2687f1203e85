//! `heirloom notify test`.

use std::time::Duration;

use super::notices::uuid;
use super::table::{Column, Table};
use super::ui::Tone;
use super::{Context, Outcome};
use crate::config::{Event, Receiver};
use crate::failure::Failure;
use crate::names::Name;
use crate::notify::{Answer, Job, Message, Ping, deliver, is_switch};
use crate::report::notice::{Notice, NoticeTest, NoticeTests, SetNotice, TestedNotice};

/// How long all receivers together may take. Longer than in a run: somebody waits for the answers.
const LIMIT: Duration = Duration::from_secs(30);

/// Test the receivers of notices
///
/// Receivers are the tables [notify.NAME] of the configuration; heirloom.toml(5) explains them. Notices go out at the
/// end of `backup`, `restore`, `copy`, `verify`, `rotate`, `cleanup` and `health`. `heirloom log --notices` prints what
/// was sent.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom notify test        one notice of each kind to every receiver
  heirloom notify test phone  to this one

Exit codes: 0 everything was delivered; 1 something was not; 2 no such receiver")]
pub struct NotifyArgs {
    #[command(subcommand)]
    command: NotifyCommand,
}

#[derive(clap::Subcommand, Debug)]
enum NotifyCommand {
    Test(TestArgs),
}

/// Send a notice of each kind that a receiver gets, and print what the other side answered
///
/// The notices are marked as tests. A dead man's switch gets a start with a failure, then a start with a success.
/// Nothing is backed up, and nothing is kept for later.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom notify test
  heirloom notify test phone --json

Exit codes: 0 everything was delivered; 1 something was not; 2 no such receiver")]
struct TestArgs {
    /// Only this receiver
    #[arg(value_name = "NAME")]
    name: Option<Name>,
}

pub(super) fn run(args: &NotifyArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    match &args.command {
        NotifyCommand::Test(args) => test(args, context),
    }
}

fn test(args: &TestArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let all = &context.settings.receivers;
    if all.is_empty() {
        let hint = "add a table [notify.NAME] to the configuration; heirloom.toml(5) explains it";
        return Err(Failure::usage("no receiver of notices is configured", hint).into());
    }
    let chosen: Vec<Receiver> =
        all.iter().filter(|receiver| args.name.as_ref().is_none_or(|name| *name == receiver.name)).cloned().collect();
    if chosen.is_empty() {
        let names = all.iter().map(|receiver| receiver.name.to_string()).collect();
        let name = args.name.as_ref().map_or("", Name::as_str);
        let remedy = crate::failure::Remedy::ChooseFrom(names);
        return Err(Failure::usage(format!("no receiver is called \"{name}\""), remedy).into());
    }
    let messages: Vec<Vec<(String, Message)>> = chosen.iter().map(|receiver| messages(receiver, context)).collect();
    let jobs = chosen.iter().zip(&messages).map(|(receiver, messages)| Job {
        receiver: receiver.clone(),
        messages: messages.iter().map(|(_, message)| message.clone()).collect(),
    });
    let answers = deliver(jobs.collect(), LIMIT, context.clock.now());
    let tested = chosen.iter().zip(messages).map(|(receiver, messages)| tested(receiver, messages, &answers));
    let document = NoticeTests { receivers: tested.collect() };
    let failed = document.receivers.iter().flat_map(|one| &one.notices).any(|notice| !notice.delivered);
    print(&document, context);
    Ok(if failed { Outcome::Found(1) } else { Outcome::Done })
}

/// Returns what a receiver gets, with the word for each.
fn messages(receiver: &Receiver, context: &Context) -> Vec<(String, Message)> {
    if is_switch(receiver) {
        let pings =
            [[("start", Ping::Start), ("fail", Ping::Fail)], [("start", Ping::Start), ("success", Ping::Success)]];
        let pair = |pair: [(&str, Ping); 2]| {
            let run = uuid();
            pair.map(|(word, ping)| {
                let event = if ping == Ping::Fail { Event::Failure } else { Event::Success };
                (word.to_owned(), Message { notice: sample(event, context), ping, run: run.clone() })
            })
        };
        return pings.into_iter().flat_map(pair).collect();
    }
    let message = |event: &Event| {
        let message = Message { notice: sample(*event, context), ping: Ping::Success, run: String::new() };
        (event.as_str().to_owned(), message)
    };
    receiver.on.iter().map(message).collect()
}

fn sample(event: Event, context: &Context) -> Notice {
    let set = context.settings.sets.keys().next().map_or_else(|| "example".to_owned(), Name::to_string);
    let outcome = if event.is_trouble() { "failed" } else { "made" };
    let error = event.is_trouble().then(|| "this is only a test".to_owned());
    Notice {
        id: format!("msg_{}", uuid().replace('-', "")),
        events: vec![event.as_str().to_owned()],
        test: true,
        at: context.now,
        command: "backup".into(),
        host: context.host.label.to_string(),
        store: context.settings.store.to_string(),
        sets: vec![SetNotice { set: Some(set), outcome: outcome.into(), error, ..SetNotice::default() }],
        failed_sets: u64::from(event.is_trouble()),
        ..Notice::default()
    }
}

fn tested(receiver: &Receiver, messages: Vec<(String, Message)>, answers: &[Answer]) -> NoticeTest {
    let notices = messages.into_iter().map(|(event, message)| {
        let answer = answers
            .iter()
            .find(|answer| answer.receiver == receiver.name.as_str() && answer.notice == message.notice.id);
        let tries = answer.map_or(0, |answer| answer.tries);
        let result = answer.map_or_else(|| Err("no answer in time".to_owned()), |answer| answer.result.clone());
        let delivered = result.is_ok();
        let (Ok(answer) | Err(answer)) = result;
        TestedNotice { event, delivered, tries, answer }
    });
    NoticeTest { receiver: receiver.name.to_string(), way: receiver.way.to_string(), notices: notices.collect() }
}

fn print(document: &NoticeTests, context: &mut Context) {
    if context.ui.is_json() {
        return context.ui.document(document);
    }
    let mut table = Table::new(&[
        Column::new("RECEIVER"),
        Column::new("NOTICE"),
        Column::new("RESULT"),
        Column::new("ANSWER").wrap(),
    ]);
    for one in &document.receivers {
        for notice in &one.notices {
            let (word, tone) = if notice.delivered { ("sent", Tone::Good) } else { ("failed", Tone::Bad) };
            let word = context.ui.paint(tone, word);
            table.row([one.receiver.clone(), notice.event.clone(), word, notice.answer.clone()]);
        }
    }
    context.ui.table(&table);
}
