//! How are the simulator's pages written? Plain HTML, no script, nothing from elsewhere.
use std::fmt::Write;

/// What stands before the content of every page.
pub(crate) const HEAD: &str = "<!DOCTYPE html>
<html lang=\"zh-CN\"><head><meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>模拟手机 · Simulated phone</title>
<style>
body{margin:0 auto;max-width:26rem;padding:1rem;font:16px/1.5 system-ui,sans-serif;background:#ededed;color:#191919}
h1{font-size:1.1rem;margin:.2rem 0 .8rem}h2{font-size:.95rem;margin:1.4rem 0 .5rem;color:#595959}
.card{background:#fff;border-radius:.6rem;padding:1rem;margin:0 0 .8rem}
.sum{font-size:2rem;font-weight:600}.small{color:#595959;font-size:.85rem;overflow-wrap:anywhere}
.note{background:#fff3cd;border-radius:.6rem;padding:.6rem 1rem}.done{color:#06752f;font-weight:600}
button{width:100%;padding:.8rem;border:0;border-radius:.5rem;background:#07833f;color:#fff;font:inherit;font-weight:600}
button.plain{background:#fff;color:#191919;border:1px solid #595959;margin:.15rem 0;padding:.4rem;font-weight:400}
textarea{width:100%;box-sizing:border-box;font:.85rem monospace}
.row{display:flex;flex-wrap:wrap;gap:.4rem}.row button.plain{width:auto;margin:0;padding:.4rem .7rem}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:.8rem}body:has(.row){max-width:64rem}
button:focus-visible{outline:3px solid #1a73e8;outline-offset:2px}
@media(prefers-color-scheme:dark){body{background:#111;color:#eee}.card,button.plain{background:#222}h2,.small{color:#aaa}
button.plain{color:#eee}.note{background:#554400}.done{color:#5fd38d}}
</style></head><body><main>
";

/// Fen as yuan, `¥12.34`.
pub(crate) fn yuan(fen: i64) -> String {
    format!("¥{}.{:02}", fen / 100, fen % 100)
}

/// For text and for attribute values.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// For a path segment or a query value.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::{encoded, escaped, yuan};

    #[test]
    fn what_a_merchant_typed_cannot_become_markup() {
        assert_eq!(escaped("<b a='\"&\">"), "&lt;b a=&#39;&quot;&amp;&quot;&gt;");
        assert_eq!(encoded("a|b*c"), "a%7Cb%2Ac");
        assert_eq!((yuan(1234), yuan(5)), ("¥12.34".to_owned(), "¥0.05".to_owned()));
    }
}
