//! In which form is data shown?

use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};
use serde_json::Value;

/// `-o`.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Format {
    /// How to show the result; by default a table on a terminal, JSON otherwise.
    #[arg(short, long = "output", value_enum)]
    output: Option<Form>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// One `name: value` a line.
    Table,
    /// Indented JSON.
    Json,
}

impl Format {
    /// A table, whatever standard output is.
    pub(super) const TABLE: Self = Self { output: Some(Form::Table) };
    /// JSON, whatever standard output is.
    pub(super) const JSON: Self = Self { output: Some(Form::Json) };

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
            (Form::Table, Value::Object(members)) => {
                let width = members.keys().map(String::len).max().unwrap_or(0);
                for (name, value) in members {
                    match value {
                        Value::Array(rows) => {
                            writeln!(out, "{name}:")?;
                            for row in rows {
                                writeln!(out, "  {}", row_text(row))?;
                            }
                        }
                        value => writeln!(out, "{name:width$}  {}", text(value))?,
                    }
                }
                Ok(())
            }
            _ => writeln!(out, "{value:#}"),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn row_text(row: &Value) -> String {
    match row {
        Value::Object(members) => members.values().map(|value| format!("{:>22}", text(value))).collect(),
        other => text(other),
    }
}
