//! How far is a long piece of work? On standard error: a line that is written over on a terminal, one line a step elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use clap::ValueEnum;
use serde_json::{Value, json};

/// Cells of the bar.
const WIDTH: usize = 30;

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Style {
    /// A bar on a terminal, lines elsewhere.
    Auto,
    /// Lines.
    Plain,
    /// One JSON object a line.
    Json,
    /// Nothing.
    None,
}

/// A piece of work as it goes on.
pub(super) struct Bar {
    style: Style,
    terminal: bool,
    last: Option<String>,
    began: Instant,
    drawn: bool,
}

impl Bar {
    pub(super) fn new(style: Style) -> Self {
        let terminal = style == Style::Auto && io::stderr().is_terminal();
        Self { style, terminal, last: None, began: Instant::now(), drawn: false }
    }

    /// It is at `phase`, `done` of so many; 0 where nobody knows how many.
    pub(super) fn at(&mut self, phase: &str, done: u64, of: u64) {
        let changed = self.last.as_deref() != Some(phase);
        if changed {
            self.began = Instant::now();
            self.last = Some(phase.to_owned());
        }
        let mut out = io::stderr().lock();
        // Nobody reads it: that is no reason to stop working.
        let _ = match self.style {
            Style::Json => writeln!(out, "{}", json!({"phase": phase, "done": done, "of": of})),
            Style::Auto if self.terminal => {
                self.drawn = true;
                write!(out, "\r\x1b[2K{}", line(phase, done, of, self.began.elapsed()))
                    .and_then(|()| out.flush())
            }
            Style::Auto | Style::Plain if changed => writeln!(out, "{phase}"),
            Style::Auto | Style::Plain | Style::None => Ok(()),
        };
    }

    /// As [`Self::at`], from an answer of the admin listener's.
    pub(super) fn shown(&mut self, running: &Value) {
        if let Some(phase) = running["phase"].as_str() {
            let count = |name: &str| running[name].as_u64().unwrap_or(0);
            self.at(phase, count("done"), count("of"));
        }
    }

    /// Over: the line is taken away.
    pub(super) fn end(self) {
        if self.drawn {
            let mut out = io::stderr().lock();
            let _ = write!(out, "\r\x1b[2K").and_then(|()| out.flush());
        }
    }
}

/// The line on a terminal: without end, then counted, then with what is left of the time.
fn line(phase: &str, done: u64, of: u64, since: Duration) -> String {
    if of == 0 {
        return format!("{phase} ...");
    }
    let share = done.min(of).saturating_mul(WIDTH as u64) / of;
    let cells = usize::try_from(share).unwrap_or(WIDTH);
    let bar: String = (0..WIDTH).map(|cell| if cell < cells { '#' } else { '.' }).collect();
    let left = match u32::try_from(done) {
        Ok(done) if done > 0 => {
            let each = since / done;
            let rest = u32::try_from(of.saturating_sub(u64::from(done))).unwrap_or(u32::MAX);
            format!(", {} s left", each.saturating_mul(rest).as_secs())
        }
        _ => String::new(),
    };
    format!("{phase} [{bar}] {done} of {of}{left}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_once_there_is_something_to_count() {
        assert_eq!(line("fetching", 0, 0, Duration::ZERO), "fetching ...");
        let counted = line("posting", 256, 1_024, Duration::from_secs(2));
        assert_eq!(counted, format!("posting [{}{}] 256 of 1024, 6 s left", "#".repeat(7), ".".repeat(23)));
        assert!(line("posting", 0, 9, Duration::ZERO).ends_with("0 of 9"));
    }
}
