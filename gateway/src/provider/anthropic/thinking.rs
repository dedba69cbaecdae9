//! How much thought goes into an answer?

use router_config::Capability;
use units::Tokens;

use super::request::{Able, Unsaid};
use crate::json::{Object, ObjectWriter};

/// Budgets of thought for models that want one, in tokens.
const BUDGETS: [(&str, u64); 6] = [
    ("minimal", 1_024),
    ("low", 2_048),
    ("medium", 8_192),
    ("high", 16_384),
    ("xhigh", 32_768),
    ("max", 32_768),
];
/// Anthropic's least.
const BUDGET_MIN: u64 = 1_024;
const OFF: &[u8] = br#"{"type":"disabled"}"#;

/// What is said about it.
#[derive(Debug, Default)]
pub(super) struct Thinking {
    /// `thinking`, in JSON.
    how: Option<Vec<u8>>,
    /// `output_config.effort`.
    effort: Option<&'static str>,
    /// Whether it is not what was asked for.
    pub(super) is_less: bool,
}

impl Thinking {
    /// By `reasoning_effort`, or by Anthropic's own `thinking` where somebody sends that; it is left out where the model
    /// may not think now.
    pub(super) fn read(
        call: &mut Object<'_>,
        may_think: bool,
        output_max: Tokens,
        able: Able<'_>,
    ) -> Result<Self, Unsaid> {
        let path = call.at("reasoning_effort");
        let effort = call.word("reasoning_effort")?;
        if let Some(own) = call.take("thinking")? {
            let off = Object::read(own, "thinking".to_owned())?.word("type")?.as_deref() == Some("disabled");
            let how = (off || may_think).then(|| own.get().as_bytes().to_vec());
            return Ok(Self { is_less: how.is_none(), how, effort: None });
        }
        let Some(effort) = effort else { return Ok(Self::default()) };
        if effort == "none" {
            let always = able.is(Capability::ThinkingAlwaysOn);
            let how = (able.thinks() && !always).then(|| OFF.to_vec());
            return Ok(Self { how, effort: None, is_less: always });
        }
        let Some((_, budget)) = BUDGETS.into_iter().find(|(known, _)| *known == effort) else {
            return Err(Unsaid::new(path, "is an effort that is not known here"));
        };
        if !able.thinks() {
            return Ok(Self { is_less: true, ..Self::default() });
        }
        // Models from before 4.6, which go on with what was begun for them, want a budget.
        if able.is(Capability::Prefill) {
            let budget = budget.min(output_max.0.saturating_sub(1));
            let how = (may_think && budget >= BUDGET_MIN)
                .then(|| format!(r#"{{"type":"enabled","budget_tokens":{budget}}}"#).into_bytes());
            return Ok(Self { is_less: how.is_none(), how, effort: None });
        }
        let effort = match effort.as_ref() {
            "medium" => "medium",
            "high" => "high",
            "xhigh" => "xhigh",
            "max" => "max",
            _ => "low",
        };
        let how = may_think.then(|| br#"{"type":"adaptive"}"#.to_vec());
        Ok(Self { is_less: how.is_none(), how, effort: Some(effort) })
    }

    /// Whether thoughts are asked for.
    pub(super) fn is_on(&self) -> bool {
        self.how.as_deref().is_some_and(|how| how != OFF)
    }

    /// Says it, with the `format` that the answer has to follow.
    pub(super) fn say(&self, format: Option<&[u8]>, out: &mut ObjectWriter) {
        if let Some(how) = &self.how {
            out.raw("thinking", how);
        }
        if self.effort.is_some() || format.is_some() {
            let mut config = ObjectWriter::new(64);
            if let Some(effort) = self.effort {
                config.text("effort", effort);
            }
            if let Some(format) = format {
                config.raw("format", format);
            }
            out.raw("output_config", &config.finish());
        }
    }
}
