//! Prices: what does a token cost in yuan now?
//!
//! A list price in yuan is taken as it stands; one in another currency is converted with the rate of the moment and
//! rounded half up to the fen per million tokens, never below one fen where the source is above zero. The rounded
//! price *is* the price: shown, held and charged. Every list has a version made from its content. Touches `units` and
//! `fx`.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use units::{Overflow, Rate, Rates};

use crate::fx::{Fx, FxRate};

/// Foreign prices are converted with this pair.
const USD_CNY: &str = "USD/CNY";

/// What a model costs before conversion, in millionths of the currency per million tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPrice {
    /// The model.
    pub model: String,
    /// True if the figures are US dollars, false for yuan.
    pub usd: bool,
    /// Fresh input.
    pub input: i64,
    /// Input from the provider's cache; `input` where absent.
    pub cached_input: Option<i64>,
    /// Output.
    pub output: i64,
}

/// What a model costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelPrice {
    /// Nano-yuan per token.
    pub rates: Rates,
    /// The FX row behind it.
    pub fx_id: Option<String>,
}

/// One version of the price list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceList {
    /// Made from the content: equal prices, equal version.
    pub version: String,
    /// The priced models.
    pub models: BTreeMap<String, ModelPrice>,
    /// The models that cannot be priced now, and why.
    pub unavailable: BTreeMap<String, String>,
    /// The rate that foreign prices were converted with.
    pub fx: Option<Arc<FxRate>>,
}

impl PriceList {
    /// Prices every model of `list` with the rates of the moment.
    pub async fn reckon(list: &[ListPrice], fx: &Fx) -> Self {
        let rate = if list.iter().any(|price| price.usd) { Some(fx.rate(USD_CNY).await) } else { None };
        let (mut models, mut unavailable) = (BTreeMap::new(), BTreeMap::new());
        for price in list {
            let rate = match (&rate, price.usd) {
                (Some(Ok(rate)), true) => Some(rate),
                (Some(Err(error)), true) => {
                    unavailable.insert(price.model.clone(), error.to_string());
                    continue;
                }
                _ => None,
            };
            match convert(price, rate.map(|rate| rate.micro)) {
                Ok(rates) => {
                    let fx_id = rate.map(|rate| rate.id.clone());
                    models.insert(price.model.clone(), ModelPrice { rates, fx_id });
                }
                Err(error) => drop(unavailable.insert(price.model.clone(), error.to_string())),
            }
        }
        let version = version_of(&models);
        Self { version, models, unavailable, fx: rate.and_then(Result::ok) }
    }

    /// The list as it is kept: model → rates.
    pub fn body(&self) -> String {
        serde_json::to_string(&self.models).unwrap_or_default()
    }
}

fn version_of(models: &BTreeMap<String, ModelPrice>) -> String {
    // Serialising cannot fail: plain data, string keys.
    let content = serde_json::to_vec(models).unwrap_or_default();
    format!("p-{}", &base16ct::lower::encode_string(&Sha256::digest(&content))[..12])
}

fn convert(price: &ListPrice, usd_cny_micro: Option<i64>) -> Result<Rates, Overflow> {
    let rate = |micro: i64| match usd_cny_micro {
        Some(fx) => from_usd(micro, fx),
        // Millionths of a yuan per million tokens are thousandths of a nano-yuan per token; the file was checked to
        // have no more than three decimals, so nothing is lost.
        None if micro % 1_000 == 0 => Rate::new(micro / 1_000),
        None => Err(Overflow),
    };
    let input = rate(price.input)?;
    let cached_input = price.cached_input.map_or(Ok(input), rate)?;
    Ok(Rates { input, cached_input, cache_write: input, output: rate(price.output)? })
}

/// A dollar price in fen per million tokens, half up, at least one fen if it is above zero.
fn from_usd(usd_micro: i64, fx_micro: i64) -> Result<Rate, Overflow> {
    if usd_micro < 0 {
        return Err(Overflow);
    }
    let product = i128::from(usd_micro) * i128::from(fx_micro);
    let fen = (product + 5_000_000_000) / 10_000_000_000;
    let fen = i64::try_from(fen).map_err(|_| Overflow)?;
    Rate::from_fen_per_million(if usd_micro > 0 { fen.max(1) } else { fen })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example: USD 2.50 / 10.00 / 0.25 at 7.1234.
    #[test]
    fn a_dollar_price_is_rounded_once_to_the_fen_per_million() {
        let price = ListPrice {
            model: "gpt-4o".into(),
            usd: true,
            input: 2_500_000,
            cached_input: Some(250_000),
            output: 10_000_000,
        };
        let rates = convert(&price, Some(7_123_400)).unwrap();
        assert_eq!(rates.input.to_string(), "17.81");
        assert_eq!(rates.output.to_string(), "71.23");
        assert_eq!(rates.cached_input.to_string(), "1.78");
        assert_eq!(from_usd(1, 7_123_400).unwrap().to_string(), "0.01", "never free by rounding");
        assert_eq!(from_usd(0, 7_123_400).unwrap().get(), 0);
    }

    #[test]
    fn a_yuan_price_is_taken_as_it_stands() {
        let price = ListPrice {
            model: "m".into(),
            usd: false,
            input: 2_000_000,
            cached_input: None,
            output: 8_005_000,
        };
        let rates = convert(&price, None).unwrap();
        assert_eq!((rates.input.get(), rates.cached_input.get(), rates.output.get()), (2_000, 2_000, 8_005));
        assert_eq!(convert(&ListPrice { input: 1, ..price }, None), Err(Overflow));
    }
}
