//! The stores of other hosts beside the own one: `{host}` in the prefix gives each host a store of its own.
//!
//! A machine that got another name finds its own store empty. That is no first deployment while other hosts' stores are
//! beside it: its databases may be in one of them.

use super::Context;
use super::remedy::choose_one;
use crate::failure::Failure;
use crate::names::{HostLabel, printable};
use crate::store_url::{Location, StoreUrl};

/// What stands for the host label in a prefix.
const HOST: &str = "{host}";

/// Refuses to take an empty store for a first deployment if there are stores of other hosts beside it.
pub(super) fn refuse_if_any(context: &Context) -> anyhow::Result<()> {
    let Location::Remote(template) = &context.configuration.effective.settings.store else { return Ok(()) };
    let Some(parent) = parent(template) else { return Ok(()) };
    if context.settings.store != Location::Remote(template.of_host(&context.host.label)) {
        return Ok(());
    }
    let beside = context.open_store(&Location::Remote(parent))?.store().folders()?;
    let labels = beside.iter().filter_map(|name| HostLabel::new(name.as_str()).ok());
    let others: Vec<HostLabel> = labels.filter(|label| *label != context.host.label).collect();
    if others.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = others.iter().map(HostLabel::as_str).collect();
    let message = format!(
        "the store of this host, \"{}\", has no backup; there are stores of: {}",
        printable(&context.settings.store.to_string()),
        names.join(", ")
    );
    let command =
        |label: &HostLabel| context.typed.elsewhere(&template.of_host(label).text(), &["--from", label.as_str()]);
    let mut commands: Vec<String> = others.iter().take(5).map(command).collect();
    commands.push(format!("{}  # a first deployment: nothing is restored", context.typed.again("--fresh")));
    Err(Failure::no_backup(message, choose_one(&commands)).into())
}

/// Returns the place in which the stores of all hosts are, if the last part of the prefix is the host.
fn parent(template: &StoreUrl) -> Option<StoreUrl> {
    let prefix = template.prefix.strip_suffix(HOST)?;
    let prefix = prefix.strip_suffix('/').or(prefix.is_empty().then_some(""))?;
    Some(StoreUrl { prefix: prefix.to_owned(), ..template.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_of_all_hosts_are_where_the_last_part_is_the_host() {
        let prefix = |text: &str| parent(&StoreUrl::parse(text).unwrap().unwrap()).map(|url| url.to_string());
        assert_eq!(prefix("s3://b/heirloom/{host}").as_deref(), Some("s3://b/heirloom"));
        assert_eq!(prefix("s3://b/{host}").as_deref(), Some("s3://b"));
        for other in ["s3://b/heirloom", "s3://b/{host}/app", "s3://b/app-{host}"] {
            assert_eq!(prefix(other), None, "{other}");
        }
    }
}
