//! How do the model providers behave? Many dialects over one model that only pretends to think.
//!
//! A request is noted, its key is checked, then a waiting fault may strike, then the dialect may object, and only then
//! is there an answer: composed once (`answer`), put into the words of the wire it was asked on (`chat`, `responses`,
//! `completions`, `messages`), and sent (`script`, `play`). Faults strike requests of models only; a look at `/models`
//! never uses one up.
mod answer;
mod ask;
mod azure;
mod book;
mod call;
mod chat;
mod completions;
mod deepseek;
mod dialect;
mod embeddings;
mod endpoint;
mod family;
mod fill;
mod habits;
mod lists;
mod messages;
mod mistral;
mod model;
mod openai;
mod play;
mod qwen;
mod responses;
mod script;
mod serve;
mod table;
mod words;
mod written;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, Uri};

use crate::state::World;
pub(crate) use book::Book;
use endpoint::Endpoint;
pub(crate) use table::{COUNT, PROVIDERS, Provider};

pub(crate) fn routes() -> Router<Arc<World>> {
    let mut router = Router::new();
    for provider in &PROVIDERS {
        for endpoint in provider.endpoints {
            router = router.route(
                &format!("{}{}", provider.base, endpoint.path()),
                post(move |State(world), uri, headers, body| {
                    serve::serve(provider, *endpoint, None, world, uri, headers, body)
                }),
            );
        }
        router = router
            .route(
                &format!("{}/models", provider.base),
                get(move |State(world), uri, headers| lists::models(provider, None, world, uri, headers)),
            )
            // Ids may hold a slash.
            .route(
                &format!("{}/models/{{*id}}", provider.base),
                get(move |State(world), Path(id): Path<String>, uri, headers| {
                    lists::models(provider, Some(id), world, uri, headers)
                }),
            );
    }
    for endpoint in [Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings] {
        router = router.route(
            &format!("/azure/openai/deployments/{{deployment}}{}", endpoint.path()),
            post(
                move |State(world): State<Arc<World>>,
                      Path(deployment): Path<String>,
                      uri: Uri,
                      headers: HeaderMap,
                      body: Bytes| {
                    let azure = &PROVIDERS[table::AZURE];
                    serve::serve(azure, endpoint, Some(deployment), world, uri, headers, body)
                },
            ),
        );
    }
    // DeepSeek goes on with an answer beside its API's version.
    router
        .route(
            "/deepseek/beta/chat/completions",
            post(|State(world), uri, headers, body| {
                let deepseek = &PROVIDERS[table::DEEPSEEK];
                serve::serve(deepseek, Endpoint::Chat, None, world, uri, headers, body)
            }),
        )
        .route("/deepseek/user/balance", get(lists::balance))
}
