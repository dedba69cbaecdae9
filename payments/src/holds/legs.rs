//! Which token balances may pay for a call, and in which order?

use std::{sync::Arc, time::Duration};

use units::{AccountId, Rates};

use crate::{
    admission::Admission,
    ledger::{Asset, Weights},
    store::{Store, SubmitError, TokenBalance},
};

/// Accounts whose list of token balances is kept.
const ACCOUNTS_KEPT: u64 = 100_000;
/// A list is looked up anew after this, since which tokens end first may have changed.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// The accounts' token balances: those whose tokens end first, then the oldest, first.
#[derive(Debug, Clone)]
pub(super) struct TokenBalances {
    lists: moka::sync::Cache<AccountId, List>,
}

#[derive(Debug, Clone)]
struct List {
    /// What [`Admission::strangers`] said before it was made.
    made_at: u64,
    balances: Arc<Vec<TokenBalance>>,
}

impl TokenBalances {
    pub(super) fn new() -> Self {
        let lists = moka::sync::Cache::builder().max_capacity(ACCOUNTS_KEPT).time_to_live(KEPT_FOR).build();
        Self { lists }
    }

    /// The balances that pay for `model`, each with what a token of each class burns of it. All of them are in admission
    /// then.
    pub(super) async fn that_pay_for(
        &self,
        store: &Store,
        admission: &Admission,
        account: AccountId,
        model: &str,
        rates: &Rates,
    ) -> Result<Vec<(Asset, Weights)>, SubmitError> {
        let seen = admission.strangers(account);
        let list = match self.lists.get(&account).filter(|list| list.made_at == seen) {
            Some(list) => list,
            None => {
                let balances = Arc::new(store.token_balances(account).await?);
                let list = List { made_at: seen, balances };
                self.lists.insert(account, list.clone());
                list
            }
        };
        let mut paying = Vec::new();
        for balance in list.balances.iter() {
            let weights = match (&balance.terms, &balance.asset) {
                (Some(terms), _) if terms.pays_for(model) => terms.weights,
                (None, Asset::Tokens(named)) if named == model => Weights::of_rates(rates),
                _ => continue,
            };
            if admission.available(account, &balance.asset).is_none() {
                store.load_balance(account, balance.asset.clone()).await?;
            }
            paying.push((balance.asset.clone(), weights));
        }
        Ok(paying)
    }
}
