//! Does whoever sits there agree?

use std::io::{IsTerminal, Write};

use serde_json::Value;

use super::{Exit, Failed};

/// Shows what would be done and asks; where nobody sits there, `--yes` says it. `look` is the command that only shows it.
pub(super) fn agreed(shown: &Value, question: &str, look: &str, refused: &'static str) -> Result<(), Failed> {
    let no = |exit, words: String| Failed { exit, error: anyhow::anyhow!(words) };
    if !std::io::stdin().is_terminal() {
        let words = format!("nobody is there to be asked: look at `{look}`, then add --yes");
        return Err(no(Exit::Usage, words));
    }
    eprintln!("{shown:#}");
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(no(Exit::Conflict, refused.to_owned()))
    }
}
