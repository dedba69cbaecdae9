//! What routing reads: the versions in force and to come, and the rates of exchange of the moment.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use units::{AccountId, Overflow, Percent, Rates, Timestamp, Tokens};

use super::{
    CNY, Card, DEFAULT_LIST, Row, Schedule, Sheet, Tier, convert::convert_all, pair_of, version_name,
};

/// A rate of exchange that prices are converted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FxInForce {
    /// What quotes name it by.
    pub id: String,
    /// Yuan per unit, in millionths.
    pub rate_micro: i64,
    /// Until when it may be used; `None` for a pinned one without an end.
    pub good_until: Option<Timestamp>,
}

/// A published version.
#[derive(Debug, Clone)]
pub struct Published {
    /// Of which list.
    pub list: String,
    /// In which place.
    pub number: i64,
    /// From when on it counts.
    pub valid_from: Timestamp,
    /// What it says.
    pub sheet: Arc<Sheet>,
}

/// Why there is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what it is; the fields are the figures in it")]
pub enum PriceError {
    #[error("price list `{list}` has no published version in force")]
    NoVersion { list: String },
    #[error("`{model}` is not in price list `{list}`")]
    NotListed { list: String, model: String },
    #[error("`{model}` is priced in {currency}, and no rate for {} is known", pair_of(.currency))]
    NoRate { model: String, currency: String },
    #[error("`{model}` is priced in {currency}, and rate {fx_id} is too old")]
    StaleRate { model: String, currency: String, fx_id: String },
    #[error("the price of `{model}` cannot be expressed in nano-yuan per token")]
    Inexpressible { model: String },
}

/// What a model costs, ready to be quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Outside every window.
    pub card: Card<Rates>,
    /// Windows, if there are any.
    pub schedule: Option<Schedule<Rates>>,
    /// What the figures were in.
    pub currency: String,
    /// The rate it was converted with; `None` for prices in yuan.
    pub fx: Option<Arc<FxInForce>>,
}

impl Offer {
    /// Converts a row of a list with `scale` decimals.
    ///
    /// # Errors
    /// [`Overflow`] if a price is beyond a [`Rates`].
    pub fn reckon(row: &Row, scale: u32, fx: Option<Arc<FxInForce>>) -> Result<Self, Overflow> {
        let rate_micro = fx.as_ref().map_or(1_000_000, |fx| fx.rate_micro);
        let convert = |figures: &_| convert_all(figures, rate_micro, row.markup_bps, scale);
        let schedule = row.schedule.as_ref().map(|schedule| schedule.try_map(convert)).transpose()?;
        Ok(Self { card: row.card.try_map(convert)?, schedule, currency: row.currency.clone(), fx })
    }

    /// The card of an instant, and the window that brings it.
    pub fn card_at(&self, at: Timestamp) -> (&Card<Rates>, Option<&str>) {
        let window = self.schedule.as_ref().and_then(|schedule| schedule.at(at));
        window.map_or((&self.card, None), |window| (&window.card, Some(&window.name)))
    }

    /// The rates of an instant for a prompt of this size.
    pub fn rates_at(&self, at: Timestamp, prompt: Tokens) -> Rates {
        *self.card_at(at).0.at(prompt).0
    }
}

/// A price as it is promised: it is frozen in the hold, and nothing else is ever charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// Which version of which list: `standard:3`.
    pub price_version: String,
    /// Which FX row it was converted with; `None` for prices in yuan.
    pub fx_id: Option<String>,
    /// The off-peak window that applies.
    pub window: Option<String>,
    /// Nano-yuan per token, by class, for a prompt that reaches no tier.
    pub rates: Rates,
    /// The tiers that the prompt may reach: how large it is, its usage will tell.
    pub tiers: Vec<Tier<Rates>>,
    /// The share of the list's price that these rates are, where they are not all of it.
    pub price_percent: Option<Percent>,
}

impl Quote {
    /// The same at a share of the price, each rate rounded down to the nano-yuan per token. Whoever knows the version, the FX row
    /// and the window comes to the same rates again.
    #[must_use]
    pub fn at_percent(&self, share: Percent) -> Self {
        let tier = |tier: &Tier<Rates>| Tier { above: tier.above, prices: tier.prices.at_percent(share) };
        Self {
            rates: self.rates.at_percent(share),
            tiers: self.tiers.iter().map(tier).collect(),
            price_percent: Some(share),
            ..self.clone()
        }
    }
}

/// One version with its prices reckoned.
#[derive(Debug, Clone)]
struct Priced {
    name: String,
    number: i64,
    valid_from: Timestamp,
    offers: HashMap<String, Result<Offer, PriceError>>,
}

/// Which list says what, and who buys by which. Immutable; the next one replaces it whole.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// Ascending by the instant they count from, then by number.
    lists: BTreeMap<String, Vec<Priced>>,
    assigned: HashMap<AccountId, String>,
    fx: HashMap<String, Arc<FxInForce>>,
}

impl Book {
    /// Reckons every price. `fx` holds what is known by currency.
    pub fn new(
        versions: impl IntoIterator<Item = Published>,
        assigned: HashMap<AccountId, String>,
        fx: &HashMap<String, Arc<FxInForce>>,
    ) -> Self {
        let mut lists: BTreeMap<String, Vec<Priced>> = BTreeMap::new();
        for version in versions {
            let priced = priced(&version, fx);
            lists.entry(version.list).or_default().push(priced);
        }
        for versions in lists.values_mut() {
            versions.sort_by_key(|version| (version.valid_from, version.number));
        }
        Self { lists, assigned, fx: fx.clone() }
    }

    /// Yuan per unit of a currency, in millionths, where a rate is known that is good at that instant.
    pub fn rate_of(&self, currency: &str, at: Timestamp) -> Option<i64> {
        let fx = self.fx.get(currency)?;
        fx.good_until.is_none_or(|until| at <= until).then_some(fx.rate_micro)
    }

    /// The list an account buys by.
    pub fn list_of(&self, account: AccountId) -> &str {
        self.assigned.get(&account).map_or(DEFAULT_LIST, String::as_str)
    }

    /// True where no list has a version yet.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// The price of a model by a list at an instant, with the name of the version it stands in. A rate that has grown
    /// too old is no rate, whether or not anybody has noticed yet.
    ///
    /// # Errors
    /// [`PriceError`].
    pub fn offer(&self, list: &str, model: &str, at: Timestamp) -> Result<(&str, &Offer), PriceError> {
        let versions = self.lists.get(list).map_or(&[][..], Vec::as_slice);
        let in_force = versions.iter().rev().find(|version| version.valid_from <= at);
        let in_force = in_force.ok_or_else(|| PriceError::NoVersion { list: list.to_owned() })?;
        let not_listed = || PriceError::NotListed { list: list.to_owned(), model: model.to_owned() };
        let offer = in_force.offers.get(model).ok_or_else(not_listed)?.as_ref().map_err(Clone::clone)?;
        if let Some(fx) = &offer.fx
            && fx.good_until.is_some_and(|until| at > until)
        {
            return Err(PriceError::StaleRate {
                model: model.to_owned(),
                currency: offer.currency.clone(),
                fx_id: fx.id.clone(),
            });
        }
        Ok((&in_force.name, offer))
    }

    /// What a call costs an account at an instant, its prompt being of `prompt_bound` tokens at most.
    ///
    /// # Errors
    /// [`PriceError`].
    pub fn quote(
        &self,
        account: AccountId,
        model: &str,
        at: Timestamp,
        prompt_bound: Tokens,
    ) -> Result<Quote, PriceError> {
        let (version, offer) = self.offer(self.list_of(account), model, at)?;
        let (card, window) = offer.card_at(at);
        Ok(Quote {
            price_version: version.to_owned(),
            fx_id: offer.fx.as_ref().map(|fx| fx.id.clone()),
            window: window.map(str::to_owned),
            rates: card.base,
            tiers: card.tiers.iter().filter(|tier| tier.above < prompt_bound).cloned().collect(),
            price_percent: None,
        })
    }

    /// What tokens are sold at ahead of use: the row's own base, whatever the hour, or else everybody would buy at night.
    ///
    /// # Errors
    /// [`PriceError`].
    pub fn quote_ahead(&self, account: AccountId, model: &str, at: Timestamp) -> Result<Quote, PriceError> {
        let (version, offer) = self.offer(self.list_of(account), model, at)?;
        Ok(Quote {
            price_version: version.to_owned(),
            fx_id: offer.fx.as_ref().map(|fx| fx.id.clone()),
            window: None,
            rates: offer.card.base,
            tiers: Vec::new(),
            price_percent: None,
        })
    }
}

fn priced(version: &Published, fx: &HashMap<String, Arc<FxInForce>>) -> Priced {
    let offer = |(model, row): (&String, &Row)| {
        let rate = fx.get(&row.currency).cloned();
        let offer = if row.currency != CNY && rate.is_none() {
            Err(PriceError::NoRate { model: model.clone(), currency: row.currency.clone() })
        } else {
            let rate = rate.filter(|_| row.currency != CNY);
            Offer::reckon(row, version.sheet.scale, rate)
                .map_err(|Overflow| PriceError::Inexpressible { model: model.clone() })
        };
        (model.clone(), offer)
    };
    Priced {
        name: version_name(&version.list, version.number),
        number: version.number,
        valid_from: version.valid_from,
        offers: version.sheet.models.iter().map(offer).collect(),
    }
}
