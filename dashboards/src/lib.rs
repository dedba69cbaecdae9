//! What do people look at while it runs? Grafana dashboards, and the names of the metrics they are drawn from.
//!
//! Knows metric names and nothing else of the product: that each name stands on `/metrics` is a journey's business.

use std::collections::BTreeSet;

use serde_json::Value;

/// Every name of ours begins with this.
const PREFIX: &str = "tollgate_";
/// What a histogram is asked for by, beside its own name.
const SERIES_OF_A_HISTOGRAM: [&str; 3] = ["_bucket", "_sum", "_count"];

/// Every dashboard: its file name and its JSON (Grafana's classic model), ready to be imported or provisioned.
pub fn dashboards() -> &'static [(&'static str, &'static str)] {
    &[("overview.json", include_str!("../grafana/overview.json"))]
}

/// The metrics which a dashboard's queries ask for, by family: `x_seconds`, not `x_seconds_bucket`.
///
/// Looks at every `expr` of the JSON, and at the queries of its variables. What is no JSON asks for nothing.
pub fn metric_names(json: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let Ok(dashboard) = serde_json::from_str(json) {
        collect(&dashboard, &mut names);
    }
    names
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                match value {
                    Value::String(query) if matches!(member.as_str(), "expr" | "query" | "definition") => {
                        names.extend(mentioned(query).map(family));
                    }
                    value => collect(value, names),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}

/// Words of a query that begin like a name of ours.
fn mentioned(query: &str) -> impl Iterator<Item = &str> {
    query
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .filter(|word| word.starts_with(PREFIX))
}

fn family(series: &str) -> String {
    let whole = SERIES_OF_A_HISTOGRAM.iter().find_map(|suffix| series.strip_suffix(suffix));
    // Counters of ours end in `_total` and gauges in neither, so what was stripped was a histogram's.
    whole.unwrap_or(series).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_its_families_wherever_it_stands() {
        let json = r#"{"panels": [{"targets": [
            {"expr": "histogram_quantile(0.99, sum by (le) (rate(tollgate_wait_seconds_bucket[5m])))"},
            {"expr": "rate(tollgate_a_total{model=\"tollgate\"}[1m]) / ignoring(x) tollgate_b"}]}],
            "title": "tollgate_not_a_query",
            "templating": {"list": [{"query": "label_values(tollgate_c_total, model)"}]}}"#;
        let names: Vec<String> = metric_names(json).into_iter().collect();
        assert_eq!(names, ["tollgate_a_total", "tollgate_b", "tollgate_c_total", "tollgate_wait_seconds"]);
        assert!(metric_names("not JSON").is_empty());
    }

    #[test]
    fn every_dashboard_is_one_that_grafana_takes() {
        for (file, json) in dashboards() {
            let dashboard: Value = serde_json::from_str(json).unwrap();
            assert!(dashboard["title"].is_string() && dashboard["uid"].is_string(), "{file}");
            let panels = dashboard["panels"].as_array().unwrap();
            let mut ids = BTreeSet::new();
            for panel in panels {
                assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}: an id stands twice");
                assert!(panel["title"].is_string() && panel["gridPos"].is_object(), "{file}: {panel}");
                // The source is the viewer's choice; a name would be that of somebody else's Grafana.
                assert_eq!(panel["datasource"]["uid"], "${source}", "{file}: {panel}");
                assert!(panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()), "{file}");
            }
            assert!(!metric_names(json).is_empty(), "{file}");
        }
    }
}
