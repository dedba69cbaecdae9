//! In which form is data shown?

use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::table::{List, written};

/// `-o`.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Format {
    /// How to show the result; by default a table on a terminal, JSON otherwise.
    #[arg(short, long = "output", value_enum)]
    output: Option<Form>,
    /// What its tables have for columns.
    #[arg(skip)]
    lists: &'static [List],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Lists with a head for each column, and what is single as `name  value`.
    Table,
    /// Indented JSON.
    Json,
}

impl Format {
    /// A table, whatever standard output is.
    pub(super) const TABLE: Self = Self { output: Some(Form::Table), lists: &[] };
    /// JSON, whatever standard output is.
    pub(super) const JSON: Self = Self { output: Some(Form::Json), lists: &[] };

    /// The same, with these columns for the lists of a table.
    pub(super) const fn with(self, lists: &'static [List]) -> Self {
        Self { output: self.output, lists }
    }

    /// Whether JSON is to be shown, where standard output is what it is.
    pub(super) fn is_json(self) -> bool {
        self.form() == Form::Json
    }

    fn form(self) -> Form {
        self.output.unwrap_or_else(|| if io::stdout().is_terminal() { Form::Table } else { Form::Json })
    }

    /// Writes an object.
    pub(super) fn show(self, value: &Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match (self.form(), value) {
            (Form::Table, Value::Object(members)) => write!(out, "{}", written(members, self.lists)),
            _ => writeln!(out, "{value:#}"),
        }
    }
}
