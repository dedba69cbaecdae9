//! What may be turned on and off at WeChat Pay while it runs?
use serde::{Deserialize, Serialize};

use super::fees::Terms;

/// As they stand.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Switches {
    /// Before the first notification to an address, it has to answer a HEAD with 200 and an empty body.
    pub(crate) head_handshake: bool,
    /// v2's refunds and fund-flow bills want a connection that has shown the merchant's certificate.
    pub(crate) require_client_certificate: bool,
    #[serde(flatten)]
    pub(crate) terms: Terms,
}

/// What is to change.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    pub(crate) head_handshake: Option<bool>,
    pub(crate) require_client_certificate: Option<bool>,
    /// Hundredths of a percent.
    pub(crate) fee_basis_points: Option<u16>,
    /// Fen in a calendar month.
    pub(crate) fee_tier_above: Option<u32>,
    pub(crate) fee_tier_basis_points: Option<u16>,
}

impl Switches {
    pub(super) fn change(&mut self, changes: Changes) {
        let terms = &mut self.terms;
        if let Some(on) = changes.head_handshake {
            self.head_handshake = on;
        }
        if let Some(on) = changes.require_client_certificate {
            self.require_client_certificate = on;
        }
        if let Some(points) = changes.fee_basis_points {
            terms.basis_points = points.into();
        }
        if let Some(above) = changes.fee_tier_above {
            terms.tier_above = above.into();
        }
        if let Some(points) = changes.fee_tier_basis_points {
            terms.tier_basis_points = points.into();
        }
    }
}
