//! What has been received so far, and what that is in tokens.

use bytes::Bytes;
use units::{Tokens, Usage};

use crate::chat::{Chunk, Ending, UsageSeen};

/// Bytes of text per token, across languages and code, as measured.
const BYTES_PER_TOKEN: u64 = 4;

/// What an answer held so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    usage: Option<(Usage, Bytes)>,
    text_bytes: u64,
}

/// What is to be charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) usage: Option<Usage>,
    pub(super) estimated: bool,
    pub(super) raw: Option<Bytes>,
}

impl Tally {
    /// Counts a chunk. The last usage stands: those in between are running totals. False if its usage was refused.
    pub(super) fn add(&mut self, chunk: &Chunk) -> bool {
        self.text_bytes = self.text_bytes.saturating_add(chunk.text_bytes);
        match &chunk.usage {
            UsageSeen::Absent => true,
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

    /// Output so far, reckoned from the text.
    pub(super) const fn output_estimate(&self) -> Tokens {
        Tokens(self.text_bytes.div_ceil(BYTES_PER_TOKEN))
    }

    /// Input and output so far, reckoned.
    pub(super) fn estimate(&self, input: Tokens, output_max: Tokens) -> Usage {
        Usage { input, output: self.output_estimate().min(output_max), ..Usage::default() }
    }

    /// What is charged at this `ending`; `sent` says whether an upstream was given the request and has not refused it.
    pub(super) fn verdict(&self, ending: Ending, sent: bool, input: Tokens, output_max: Tokens) -> Verdict {
        // Zeros beside text are a placeholder, zeros beside nothing are a count.
        let counted =
            self.usage.as_ref().filter(|(usage, _)| self.text_bytes == 0 || usage.total() != Tokens(0));
        let produced = match ending {
            Ending::Failed => return Verdict { usage: None, estimated: false, raw: None },
            Ending::Finished => true,
            Ending::BrokeOff => self.text_bytes > 0,
            Ending::HungUp => self.text_bytes > 0 || sent,
        };
        match counted {
            Some((usage, raw)) => Verdict { usage: Some(*usage), estimated: false, raw: Some(raw.clone()) },
            None if produced => {
                Verdict { usage: Some(self.estimate(input, output_max)), estimated: true, raw: None }
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
            text_bytes,
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
        let verdict = tally.verdict(ending, true, Tokens(7), Tokens(100));
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
    }
}
