//! Where a value comes from, and what is wrong with one.

use std::fmt;
use std::path::PathBuf;

use crate::failure::Remedy;
use crate::names::printable;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The default.
    Default,
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The variables in the line that were expanded into the value.
        variables: Vec<String>,
    },
    /// A line of the `.env` file.
    DotEnv {
        /// The line, from 1.
        line: usize,
        /// The variable.
        variable: String,
    },
    /// A variable of the environment.
    Environment {
        /// The variable.
        variable: String,
    },
    /// The command line.
    Flag(&'static str),
    /// The host.
    System,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, variables } => {
                write!(f, "{}:{line}", printable(&path.to_string_lossy()))?;
                if !variables.is_empty() {
                    write!(f, " (${})", variables.join(", $"))?;
                }
                Ok(())
            }
            Self::DotEnv { line, variable } => write!(f, ".env:{line} ({variable})"),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Flag(flag) => f.write_str(flag),
            Self::System => f.write_str("this host"),
        }
    }
}

/// An error in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its place; `None` if the message names it.
    pub place: Option<Box<Origin>>,
    /// The key, `retention.keep`; empty if no key is concerned.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: Option<Remedy>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}
