//! Models as a table, for people.

use std::{
    io::{self, Write},
    sync::Arc,
};

use router_config::{Catalog, CatalogModel, Cost, MicroPerMillion, Route};
use units::decimal;

use super::{Prices, as_of};

/// What the catalog knows.
pub(super) fn known<'m>(models: impl Iterator<Item = &'m CatalogModel>, catalog: &Catalog) -> io::Result<()> {
    let head = ["model", "kind", "input", "output", "cost in", "cost out", "cached", "", "source", "retires"];
    let row = |model: &CatalogModel| {
        let [input, output, cached, currency, source] = cost(model.cost.as_ref(), catalog);
        [
            format!("{}/{}", model.provider, model.id),
            model.kind.to_string(),
            model.input_max.map_or_else(dash, |tokens| tokens.0.to_string()),
            model.output_max.map_or_else(dash, |tokens| tokens.0.to_string()),
            input,
            output,
            cached,
            currency,
            source,
            model.retires.clone().unwrap_or_default(),
        ]
    };
    show(&head, models.map(row).collect())
}

/// What is configured: a row for each target, the model's own facts beside the first.
pub(super) fn configured(routes: &[&Arc<Route>], prices: &Prices, catalog: &Catalog) -> io::Result<()> {
    let head = [
        "model",
        "kind",
        "context",
        "price in",
        "price out",
        "target",
        "cost in",
        "cost out",
        "cached",
        "",
        "source",
    ];
    let mut rows = Vec::new();
    for route in routes {
        let model = &route.model;
        let price = prices.of(&model.id).next();
        let text = |class: &str| price.and_then(|row| row[class].as_str()).unwrap_or("-").to_owned();
        let mut own = [
            model.id.clone(),
            model.kind.to_string(),
            model.context.0.to_string(),
            text("input"),
            text("output"),
        ];
        for target in &route.targets {
            let facts = target.facts.as_deref();
            let [input, output, cached, currency, source] =
                cost(facts.and_then(|facts| facts.cost_in(target.provider.region)), catalog);
            let [model, kind, context, price_in, price_out] = std::mem::take(&mut own);
            let target = format!("{}/{}", target.provider.id, target.upstream_model);
            rows.push([
                model, kind, context, price_in, price_out, target, input, output, cached, currency, source,
            ]);
        }
    }
    show(&head, rows)
}

/// Input, output, cached input, currency, and where that comes from; a `+` says that there is more to it.
fn cost(cost: Option<&Cost>, catalog: &Catalog) -> [String; 5] {
    let Some(cost) = cost else { return [dash(), dash(), dash(), String::new(), "cost unknown".to_owned()] };
    let text = |price: MicroPerMillion| decimal::format(price.0, 6, 2);
    let more = if cost.tiers.is_empty() && cost.off_peak.is_none() { "" } else { "+" };
    [
        format!("{}{more}", text(cost.base.input)),
        cost.base.output.map_or_else(dash, text),
        cost.base.cached_input.map_or_else(dash, text),
        cost.currency.to_string(),
        format!("{} {}", cost.source, as_of(cost, catalog).unwrap_or("?")),
    ]
}

fn dash() -> String {
    "-".to_owned()
}

fn show<const N: usize>(head: &[&str; N], rows: Vec<[String; N]>) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut line = |cells: &[&str]| -> io::Result<()> {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    line(head)?;
    for row in &rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    out.flush()
}
