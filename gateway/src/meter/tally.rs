//! What has been received so far, and what that is in tokens.

use bytes::Bytes;
use units::{Tokens, Usage};

use super::family::Family;
use crate::chat::{Chunk, Ending, TextSize, UsageSeen};

/// What an answer held so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    usage: Option<(Usage, Bytes)>,
    prompt: Option<Usage>,
    text: TextSize,
    /// Whose vocabulary it is reckoned in.
    family: Family,
}

/// What is to be charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) usage: Option<Usage>,
    pub(super) estimated: bool,
    pub(super) raw: Option<Bytes>,
}

impl Tally {
    /// Reckons what comes in the vocabulary of this family.
    pub(super) const fn speaks(&mut self, family: Family) {
        self.family = family;
    }

    /// Counts a chunk. The last usage stands: those in between are running totals. False if its usage was refused.
    pub(super) fn add(&mut self, chunk: &Chunk) -> bool {
        self.text += chunk.text_size;
        match &chunk.usage {
            UsageSeen::Absent => true,
            UsageSeen::Prompt(prompt) => {
                self.prompt = Some(*prompt);
                true
            }
            UsageSeen::Counted { usage, raw } => {
                self.usage = Some((*usage, raw.clone()));
                true
            }
            UsageSeen::Refused => {
                self.usage = None;
                false
            }
        }
    }

    /// Whose vocabulary it is.
    pub(super) const fn family(&self) -> Family {
        self.family
    }

    /// Output so far, reckoned from the text.
    pub(super) fn output_estimate(&self) -> Tokens {
        self.family.tokens(self.text)
    }

    /// Input and output so far, reckoned; the input is the upstream's own where it began with that.
    pub(super) fn estimate(&self, input: Tokens, output_max: Tokens) -> Usage {
        let prompt = self.prompt.filter(|prompt| prompt.prompt() != Tokens(0));
        let prompt = prompt.unwrap_or(Usage { input, ..Usage::default() });
        let output = self.output_estimate().min(output_max);
        Usage { output, reasoning: Tokens(0), ..prompt }
    }

    /// What is charged at this `ending`; `sent` says whether an upstream was given the request and has not refused it. The
    /// `input` is asked for only where nobody counted it.
    pub(super) fn verdict(
        &self,
        ending: Ending,
        sent: bool,
        input: impl FnOnce() -> Tokens,
        output_max: Tokens,
    ) -> Verdict {
        // Zeros beside text are a placeholder, zeros beside nothing are a count.
        let counted =
            self.usage.as_ref().filter(|(usage, _)| self.text.is_empty() || usage.total() != Tokens(0));
        let produced = match ending {
            Ending::Failed => return Verdict { usage: None, estimated: false, raw: None },
            Ending::Finished => true,
            Ending::BrokeOff => !self.text.is_empty(),
            Ending::HungUp => !self.text.is_empty() || sent,
        };
        match counted {
            Some((usage, raw)) => Verdict { usage: Some(*usage), estimated: false, raw: Some(raw.clone()) },
            None if produced => {
                Verdict { usage: Some(self.estimate(input(), output_max)), estimated: true, raw: None }
            }
            None => Verdict { usage: None, estimated: false, raw: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(text_bytes: u64, usage: UsageSeen) -> Chunk {
        Chunk {
            json: Bytes::new(),
            event: None,
            text_size: TextSize::bytes_of(text_bytes, 0),
            finish: false,
            has_choices: true,
            has_usage_member: true,
            usage,
        }
    }

    fn counted(input: u64, output: u64) -> UsageSeen {
        let usage = Usage { input: Tokens(input), output: Tokens(output), ..Usage::default() };
        UsageSeen::Counted { usage, raw: Bytes::new() }
    }

    fn verdict(chunks: &[Chunk], ending: Ending) -> (Option<(u64, u64)>, bool) {
        let mut tally = Tally::default();
        for chunk in chunks {
            tally.add(chunk);
        }
        let verdict = tally.verdict(ending, true, || Tokens(7), Tokens(100));
        (verdict.usage.map(|u| (u.input.0, u.output.0)), verdict.estimated)
    }

    #[test]
    fn the_last_usage_counts_and_zeros_beside_text_do_not() {
        use Ending::{BrokeOff, Failed, Finished, HungUp};
        let text = || chunk(8, UsageSeen::Absent);
        assert_eq!(
            verdict(&[chunk(4, counted(1, 1)), chunk(4, counted(1, 2))], Finished),
            (Some((1, 2)), false)
        );
        assert_eq!(verdict(&[text(), chunk(0, counted(0, 0))], Finished), (Some((7, 2)), true));
        assert_eq!(verdict(&[chunk(0, counted(0, 0))], Finished), (Some((0, 0)), false));
        assert_eq!(verdict(&[text(), chunk(0, UsageSeen::Refused)], Finished), (Some((7, 2)), true));
        assert_eq!(
            verdict(&[chunk(8_000, UsageSeen::Absent)], HungUp),
            (Some((7, 100)), true),
            "within the hold"
        );
        assert_eq!(verdict(&[chunk(0, UsageSeen::Absent)], BrokeOff), (None, false));
        assert_eq!(verdict(&[], HungUp), (Some((7, 0)), true));
        assert_eq!(verdict(&[text()], Failed), (None, false));
        let prompt = Usage { input: Tokens(30), ..Usage::default() };
        let begun = || chunk(0, UsageSeen::Prompt(prompt));
        assert_eq!(verdict(&[begun(), text()], BrokeOff), (Some((30, 2)), true), "the prompt as it was said");
        assert_eq!(verdict(&[begun(), text(), chunk(0, counted(31, 9))], Finished), (Some((31, 9)), false));
    }
}
