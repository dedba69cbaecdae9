//! Which models, routes and prices are there, and is the file right?
//!
//! [`RawTables`] is what the file says, [`RouteTable`] what it means. [`RawTables::validate`] stands between them and
//! names everything that is wrong in one go, each [`Problem`] with its place, so that one edit can mend the file.
//! Nothing behind that door can hold a bad value. This crate reads no file, no environment and no clock: a secret is
//! only named here ([`SecretRef`]). What is known of providers and models before a file says anything is the [`Catalog`].

mod alias;
mod bounds;
mod cache;
mod catalog;
mod condition;
mod failure;
mod glob;
mod hedge;
mod hours;
pub mod import;
mod kinds;
mod names;
mod nearest;
mod price;
mod problem;
mod quirks;
mod raw;
mod strategy;
mod table;
mod target;
mod validate;

pub use alias::{Alias, RawAlias};
pub use bounds::{Bounds, Limits};
pub use cache::{CacheBounds, RawCache, RawRouteCache, RouteCache};
pub use catalog::{
    ANY_KIND, BadOverlay, Catalog, CatalogModel, Cost, CostTier, Figures, ImportNames, OffPeak, OtherRegion,
    OverlayFile, ProviderFacts, Source, UtcWindow, catalog, overlay_lines,
};
pub use condition::{Circumstances, Condition, RawCondition, Unfit, is_word};
pub use failure::FailureClass;
pub use glob::matches as glob_matches;
pub use hedge::{Hedge, RawHedge};
pub use kinds::{Auth, BadAuth, Capability, Modality, ModelKind, Region, Wire};
pub use names::{check_http_url, is_loopback};
pub use nearest::nearest;
pub use price::parse_micro;
pub use problem::{KeyPath, PathPart, Problem, Problems};
pub use quirks::{
    ErrorClass, ForcedToolChoice, Prefill, Quirks, RawQuirks, RawUsage, ToolIds, UsageConvention,
};
pub use raw::{RawBounds, RawLimits, RawModel, RawPrice, RawProvider, RawRoute, RawTables};
pub use strategy::{ChargedAs, Standing, Strategy, WhenShort, order};
pub use table::{
    BadSecretRef, Currency, ListPrice, MicroPerMillion, Model, NoRoute, Picked, Provider, Route, RouteTable,
    Routes, SecretRef, Target,
};
pub use target::{RawTarget, RawTargetTable};
