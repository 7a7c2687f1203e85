//! The arguments that choose the databases that a command reads.

use std::path::PathBuf;

use super::Context;
use crate::failure::Failure;
use crate::names::Name;
use crate::ops::jobs::{Chosen, Selection};

/// The arguments that choose databases.
#[derive(clap::Args, Debug)]
pub(super) struct ChoiceArgs {
    /// Database files, or names of configured databases; by default all configured ones
    #[arg(value_name = "DATABASE")]
    databases: Vec<PathBuf>,
    /// The configured set, or a name for several files together
    #[arg(long, value_name = "NAME")]
    pub(super) set: Option<Name>,
    /// Only this database of the set; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) only: Vec<Name>,
}

impl ChoiceArgs {
    fn selection(&self) -> Selection<'_> {
        Selection { databases: &self.databases, set: self.set.as_ref(), only: &self.only }
    }

    /// Returns whether no databases are named by files, configuration or variables.
    pub(super) fn is_open(&self, context: &Context) -> bool {
        self.selection().is_open(&context.settings) && context.configuration.refused_database().is_none()
    }

    /// Returns whether the arguments name a database or one of its set, and not all that are configured.
    pub(super) fn names_one(&self) -> bool {
        self.set.is_some() || !self.databases.is_empty() || !self.only.is_empty()
    }

    /// Returns whether the arguments name databases, and not only a set.
    pub(super) fn names_database(&self) -> bool {
        !self.databases.is_empty() || !self.only.is_empty()
    }

    /// Resolves the arguments to sets and databases: at least one set, each with at least one database.
    pub(super) fn choose(&self, context: &Context) -> Result<Vec<Chosen>, Failure> {
        match context.configuration.refused_database() {
            // If a variable is set but names no database, that is the reason to report.
            Some(refused) if self.selection().is_open(&context.settings) => Err(refused),
            _ => self.selection().choose(&context.settings),
        }
    }
}
