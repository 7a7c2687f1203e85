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

    /// Says whether neither files nor the configuration nor a variable say which databases are meant.
    pub(super) fn is_open(&self, context: &Context) -> bool {
        self.selection().is_open(&context.settings) && context.configuration.refused_database().is_none()
    }

    /// Decides which sets and databases the arguments mean. At least one set, each with at least one database.
    pub(super) fn choose(&self, context: &Context) -> Result<Vec<Chosen>, Failure> {
        match context.configuration.refused_database() {
            // A variable that names no database is the reason why none is known.
            Some(refused) if self.selection().is_open(&context.settings) => Err(refused),
            _ => self.selection().choose(&context.settings),
        }
    }
}
