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
    /// What came before it was continued by another.
    before: Option<Before>,
}

/// What came of an answer before another went on with it.
#[derive(Debug, Clone)]
struct Before {
    /// The prompt, where the first upstream counted it.
    prompt: Option<Usage>,
    /// The output of all parts before the present one.
    output: Tokens,
    reasoning: Tokens,
    /// Whether nobody counted one of them.
    reckoned: bool,
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

    /// Another goes on with the answer: what it counts is its own part, and the prompt that it was given is not the client's.
    pub(super) fn continues(&mut self) {
        let counted = self.counted().map(|(usage, _)| *usage);
        let prompt = counted.or(self.prompt).filter(|prompt| prompt.prompt() != Tokens(0));
        let output = counted.map_or_else(|| self.family.tokens(self.text), |usage| usage.output);
        let reasoning = counted.map_or(Tokens(0), |usage| usage.reasoning);
        let part = Before { prompt, output, reasoning, reckoned: counted.is_none() };
        self.before = Some(match self.before.take() {
            Some(first) => Before {
                prompt: first.prompt,
                output: first.output.saturating_plus(part.output),
                reasoning: first.reasoning.saturating_plus(part.reasoning),
                reckoned: first.reckoned || part.reckoned,
            },
            None => part,
        });
        (self.usage, self.prompt, self.text) = (None, None, TextSize::default());
    }

    /// What the present upstream counted. Zeros beside text are a placeholder, zeros beside nothing are a count.
    fn counted(&self) -> Option<&(Usage, Bytes)> {
        self.usage.as_ref().filter(|(usage, _)| self.text.is_empty() || usage.total() != Tokens(0))
    }

    /// Output so far, reckoned from the text.
    pub(super) fn output_estimate(&self) -> Tokens {
        let before = self.before.as_ref().map_or(Tokens(0), |before| before.output);
        before.saturating_plus(self.family.tokens(self.text))
    }

    /// Input and output so far, reckoned; the input is the upstream's own where it began with that.
    pub(super) fn estimate(&self, input: Tokens, output_max: Tokens) -> Usage {
        let prompt = match &self.before {
            Some(before) => before.prompt,
            None => self.prompt.filter(|prompt| prompt.prompt() != Tokens(0)),
        };
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
        let counted = self.counted();
        let has_text = !self.text.is_empty() || self.before.is_some();
        let produced = match ending {
            Ending::Failed => return Verdict { usage: None, estimated: false, raw: None },
            Ending::Finished => true,
            Ending::BrokeOff => has_text,
            Ending::HungUp => has_text || sent,
        };
        if let Some(before) = &self.before {
            return self.of_all_parts(before, input, output_max);
        }
        match counted {
            Some((usage, raw)) => Verdict { usage: Some(*usage), estimated: false, raw: Some(raw.clone()) },
            None if produced => {
                Verdict { usage: Some(self.estimate(input(), output_max)), estimated: true, raw: None }
            }
            None => Verdict { usage: None, estimated: false, raw: None },
        }
    }

    /// The prompt once, as the client sent it, and the output of every part.
    fn of_all_parts(&self, before: &Before, input: impl FnOnce() -> Tokens, output_max: Tokens) -> Verdict {
        let counted = self.counted().map(|(usage, _)| usage);
        let last = counted.map_or_else(|| self.family.tokens(self.text), |usage| usage.output);
        let estimated = before.reckoned || before.prompt.is_none() || counted.is_none();
        let all = before.output.saturating_plus(last);
        let reasoning = counted.map_or(Tokens(0), |usage| usage.reasoning);
        // What the last one has read is the client's prompt and what was said before: the prompt is no more than the rest.
        let read = counted.map(|usage| usage.prompt()).filter(|prompt| *prompt != Tokens(0));
        let input = || match read {
            Some(read) => input().min(Tokens(read.0.saturating_sub(before.output.0))),
            None => input(),
        };
        let usage = Usage {
            output: if estimated { all.min(output_max) } else { all },
            reasoning: before.reasoning.saturating_plus(reasoning),
            ..before.prompt.unwrap_or_else(|| Usage { input: input(), ..Usage::default() })
        };
        Verdict { usage: Some(usage), estimated, raw: None }
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
    fn an_answer_in_parts_has_one_prompt_and_the_output_of_all_of_them() {
        let parts = |first: &[Chunk], second: &[Chunk], ending| {
            let mut tally = Tally::default();
            for (part, chunks) in [first, second].iter().enumerate() {
                if part > 0 {
                    tally.continues();
                }
                chunks.iter().for_each(|chunk| assert!(tally.add(chunk)));
            }
            let verdict = tally.verdict(ending, true, || Tokens(7), Tokens(100));
            let usage = verdict.usage.unwrap();
            assert_eq!(verdict.raw, None, "nobody said this");
            (usage.input.0, usage.output.0, verdict.estimated)
        };
        let text = || chunk(8, UsageSeen::Absent);
        let running = chunk(8, counted(5, 3));
        assert_eq!(parts(&[text()], &[text(), chunk(0, counted(40, 9))], Ending::Finished), (7, 11, true));
        assert_eq!(parts(&[running], &[text(), chunk(0, counted(40, 9))], Ending::Finished), (5, 12, false));
        assert_eq!(parts(&[text()], &[text(), chunk(0, counted(6, 9))], Ending::Finished), (4, 11, true));
        assert_eq!(parts(&[text()], &[text()], Ending::HungUp), (7, 4, true));
        assert_eq!(parts(&[text()], &[], Ending::BrokeOff), (7, 2, true));
        let long = chunk(8_000, UsageSeen::Absent);
        assert_eq!(parts(&[text()], &[long], Ending::BrokeOff), (7, 100, true), "within the hold");
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
