//! What the caller passes to the jobs of a run.

use std::num::NonZeroUsize;
use std::path::Path;

use chrono_tz::Tz;

use crate::archive::Opener;
use crate::clock::Clock;
use crate::config::Settings;
use crate::names::HostLabel;
use crate::ops::inventory::Reading;
use crate::ops::pack::Host;
use crate::ops::sealing::Encryption;
use crate::store_url::Service;
use crate::streams::OwnHost;

/// The settings in force, this host, and the time.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The settings in force.
    pub settings: &'a Settings,
    /// The labels that are this host's own.
    pub host: &'a OwnHost,
    /// The name of this machine.
    pub host_name: &'a str,
    /// The time.
    pub clock: &'a Clock,
    /// Whether the clock was set ahead of that of this machine: then retention removes nothing.
    pub ahead: bool,
    /// The folder for temporary files.
    pub temporary: &'a Path,
    /// The number of worker threads.
    pub threads: NonZeroUsize,
    /// The keys of this run.
    pub encryption: &'a Encryption,
}

impl Surroundings<'_> {
    /// Returns how archives are read that record no zone or no host: they are this host's own. The zone is that of the
    /// settings if none is given.
    pub fn reading(&self, zone: Option<Tz>) -> Reading {
        let opener = Opener { zone: zone.unwrap_or(self.settings.time_zone), keys: self.encryption.keys.clone() };
        Reading { opener, host: self.host_of_nameless(), encryption: self.encryption.clone() }
    }

    /// Returns the host of archives that record none, as those of the old tool: this one on a local store and on a pin,
    /// which is one application's; on any other store it may be every host.
    fn host_of_nameless(&self) -> HostLabel {
        match self.settings.store.url() {
            Some(url) if url.service != Service::Connect => HostLabel::from_host_name("unknown"),
            _ => self.host.label.clone(),
        }
    }

    /// Returns what archives record about this host.
    pub fn host_names(&self) -> Host {
        Host { name: self.host_name.to_owned(), label: self.host.label.clone() }
    }
}
