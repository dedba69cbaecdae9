//! What a token costs in this call.

use units::Rates;

/// The selling price of one model at one moment, from one published version of the price list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// Which version of the price list.
    pub price_version: String,
    /// Which FX row it was converted with; `None` for prices in yuan.
    pub fx_id: Option<String>,
    /// Nano-yuan per token, by class.
    pub rates: Rates,
}
