//! What came back, piece by piece?
use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// A streamed answer, as far as it came.
#[derive(Debug, Clone, Default)]
pub struct Streamed {
    /// The HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The pieces as they arrived.
    pub pieces: Vec<Bytes>,
    /// Why it ended before its end, if it did.
    pub broke: Option<String>,
}

impl Streamed {
    /// Reads until the stream ends or breaks. For a stream of no promises; a break is noted, not raised.
    pub async fn read(response: reqwest::Response) -> Self {
        let mut streamed = Self::begin(&response);
        streamed.take(response, usize::MAX).await;
        streamed
    }

    /// The head of a stream, and nothing of its body yet.
    pub fn begin(response: &reqwest::Response) -> Self {
        Self { status: response.status().as_u16(), headers: response.headers().clone(), ..Self::default() }
    }

    /// Reads at most so many more pieces, and hangs up.
    pub async fn take(&mut self, mut response: reqwest::Response, pieces: usize) {
        self.take_some(&mut response, pieces).await;
    }

    /// Reads at most so many more pieces.
    pub async fn take_some(&mut self, response: &mut reqwest::Response, pieces: usize) {
        for _ in 0..pieces {
            match response.chunk().await {
                Ok(Some(piece)) => self.pieces.push(piece),
                Ok(None) => return,
                Err(error) => {
                    self.broke = Some(error.to_string());
                    return;
                }
            }
        }
    }

    /// A header, or the empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Everything that arrived, as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8(self.pieces.concat()).expect("a stream is UTF-8")
    }

    /// The lines that are complete: what stands behind the last line feed may be half a line.
    fn lines(&self) -> Vec<String> {
        let bytes = self.pieces.concat();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        String::from_utf8_lossy(&bytes[..whole]).lines().map(str::to_owned).collect()
    }

    /// The JSON of every event.
    ///
    /// # Panics
    /// If an event is neither JSON nor `[DONE]`.
    pub fn events(&self) -> Vec<Value> {
        let data = self.lines();
        let data =
            data.iter().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        data.map(|json| serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}")))
            .collect()
    }

    /// Whether the stream said that it was whole.
    pub fn done(&self) -> bool {
        self.lines().last().is_some_and(String::is_empty)
            && self.lines().iter().any(|line| line == "data: [DONE]")
    }

    /// The text of the first choice.
    pub fn content(&self) -> String {
        self.deltas("content")
    }

    /// A member of the first choice's deltas, joined.
    pub fn deltas(&self, member: &str) -> String {
        let events = self.events();
        let deltas = events.iter().filter_map(|event| event["choices"][0]["delta"][member].as_str());
        deltas.collect()
    }

    /// The usage, if a chunk had one.
    pub fn usage(&self) -> Option<Value> {
        self.events().into_iter().map(|mut event| event["usage"].take()).rfind(Value::is_object)
    }

    /// The error event, if there was one.
    pub fn error(&self) -> Option<Value> {
        self.events().into_iter().map(|mut event| event["error"].take()).find(Value::is_object)
    }

    /// What the stream says it cost, once it has said so: `: tollgate cost-cny=…`.
    pub fn cost(&self) -> Option<String> {
        self.lines().iter().find_map(|line| {
            let said = line.strip_prefix(": tollgate ")?;
            said.split(' ').find_map(|word| word.strip_prefix("cost-cny=")).map(str::to_owned)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_says_nothing() {
        let mut streamed = Streamed::default();
        streamed.pieces.push(Bytes::from_static(
            b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n: tollgate cost-c",
        ));
        assert_eq!((streamed.content().as_str(), streamed.cost(), streamed.done()), ("a", None, false));
        streamed.pieces.push(Bytes::from_static(b"ny=0.000012 balance-cny=1\n\ndata: [DONE]\n\n"));
        assert_eq!((streamed.cost().as_deref(), streamed.done()), (Some("0.000012"), true));
    }
}
