//! What would a call cost us at a target? For comparing targets, never for charging: what customers pay is the quote.

use payments::prices::Book;
use router_config::{CatalogModel, Cost, Currency, Figures, Target};
use units::{Timestamp, Tokens};

/// Output that a call is thought to have where its ceiling says nothing: nobody knows before.
pub(super) const OUTPUT_EXPECTED: u64 = 1_000;

/// About so many nano-yuan, by the catalog's figures and the rate of the moment; `None` where either is unknown.
pub(super) fn cost(
    target: &Target,
    book: &Book,
    input: Tokens,
    output_max: Tokens,
    now: Timestamp,
) -> Option<i64> {
    let cost =
        target.facts.as_deref().and_then(|facts: &CatalogModel| facts.cost_in(target.provider.region))?;
    let rate_micro = match cost.currency {
        Currency::Cny => 1_000_000,
        other => book.rate_of(other.as_str(), now)?,
    };
    let figures = figures(cost, input, now);
    let output = i128::from(output_max.0.min(OUTPUT_EXPECTED));
    let output_price = figures.output.map_or(0, |price| price.0);
    let micro_times_million =
        i128::from(input.0) * i128::from(figures.input.0) + output * i128::from(output_price);
    i64::try_from(micro_times_million * i128::from(rate_micro) / 1_000_000_000).ok()
}

fn figures(cost: &Cost, input: Tokens, now: Timestamp) -> &Figures {
    if let Some(off_peak) = cost.off_peak.as_ref().filter(|off_peak| off_peak.holds(now)) {
        return &off_peak.figures;
    }
    let tier = cost.tiers.iter().rev().find(|tier| input > tier.over_input);
    tier.map_or(&cost.base, |tier| &tier.figures)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Arc};

    use payments::prices::FxInForce;
    use router_config::{RawTables, RouteTable};

    use super::*;

    fn table(targets: &str) -> RouteTable {
        let text = format!(
            "[[providers]]\nid = \"deepseek\"\nkind = \"deepseek\"\n[[providers]]\nid = \"cn\"\nkind = \"deepseek\"\nregion = \"cn\"\n\
             [[providers]]\nid = \"dashscope-cn\"\nkind = \"dashscope-cn\"\n[[providers]]\nid = \"house\"\nkind = \"vllm\"\n\
             [[models]]\nid = \"m\"\ncontext = 9_000_000\noutput_max = 1_000\n[[routes]]\nmodel = \"m\"\ntargets = {targets}\n"
        );
        toml::from_str::<RawTables>(&text).unwrap().validate().unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    #[test]
    fn a_cost_is_in_yuan_whatever_it_is_written_in() {
        let table = table(
            "[\"deepseek/deepseek-v4-pro\", \"cn/deepseek-v4-pro\", \"dashscope-cn/qwen-flash\", \"house/llama\"]",
        );
        let fx = FxInForce {
            id: "USD/CNY:1".to_owned(),
            rate_micro: 7_100_000,
            good_until: Some(Timestamp(i64::MAX - 1)),
        };
        let book = Book::new([], HashMap::new(), &HashMap::from([("USD".to_owned(), Arc::new(fx))]));
        // A Monday noon in UTC, when nothing is off its peak.
        let now = Timestamp((4 * 24 + 2) * 3_600_000_000);
        let costs = |book: &Book, input| {
            let targets = &table.routes["m"].0[0].targets;
            targets
                .iter()
                .map(|target| cost(target, book, Tokens(input), Tokens(1_000), now))
                .collect::<Vec<_>>()
        };
        let with = costs(&book, 1_000);
        // 9 and 27 yuan a million: a thousand of each.
        assert_eq!(with[1], Some(36_000_000));
        let dollars = with[0].unwrap();
        assert!((30_000_000..45_000_000).contains(&dollars), "{dollars}");
        assert_eq!(with[3], None, "nobody knows what the house's own costs");
        assert_eq!(costs(&Book::default(), 1_000)[0], None, "no rate of exchange, no cost");
        let (small, large) = (costs(&book, 100_000)[2].unwrap(), costs(&book, 200_000)[2].unwrap());
        assert!(large > small * 3, "a larger prompt has a dearer tier: {small} {large}");
    }
}
