//! Embeddings as they came: they have one shape, and the provider's side has seen to it.

use bytes::{Bytes, BytesMut};

use crate::{
    chat::{Break, Chunk},
    dialect::voice::Voice,
    meter::Bill,
};

/// Says embeddings to a client.
#[derive(Debug)]
pub(in crate::dialect) struct EmbeddingsVoice;

impl Voice for EmbeddingsVoice {
    fn whole(&mut self, json: Bytes, _: &Bill) -> Bytes {
        json
    }

    // They come in one piece: a body that asks for a stream is refused.
    fn chunk(&mut self, _: Chunk, _: &mut BytesMut) {}

    fn end(&mut self, _: &Bill, _: &mut BytesMut) {}

    fn broken(&mut self, _: &Break, _: &Bill, _: &mut BytesMut) {}
}
