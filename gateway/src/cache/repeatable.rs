//! Would the same call be answered the same way again?

use crate::chat::{Call, Endpoint, Form};

/// Members that let a model look at the world, or act in it: what they come to may differ by the next time.
const TOOLS: [&str; 4] = ["tools", "functions", "mcp_servers", "web_search_options"];

/// True for calls whose answer is a matter of their words alone, as far as a provider can promise that: no chance, no tools,
/// nothing that lies elsewhere.
pub(super) fn is_repeatable(call: &Call) -> bool {
    if call.endpoint == Endpoint::Embeddings {
        return true;
    }
    let form = &call.native;
    // A template that the provider keeps may be another one tomorrow. Of completions `prompt` is the text itself.
    let template = call.endpoint == Endpoint::Responses && says_something(form, "prompt");
    let tools = TOOLS.iter().any(|name| says_something(form, name));
    // A picture may be named by its address, and be another one there.
    call.n <= 1 && is_nought(form, "temperature") && !tools && !template && !call.has_pictures
}

/// Whether a member is there and neither null nor an empty list or object.
fn says_something(form: &Form, name: &str) -> bool {
    let Some(member) = form.member(name) else { return false };
    let mut bare = form.raw(member).iter().filter(|byte| !byte.is_ascii_whitespace());
    let begins: [Option<&u8>; 2] = [bare.next(), bare.next()];
    !matches!(begins, [Some(b'n'), _] | [Some(b'['), Some(b']')] | [Some(b'{'), Some(b'}')])
}

/// Whether a member is a number, and that is 0. Absent it is chance, at every provider.
fn is_nought(form: &Form, name: &str) -> bool {
    let number = form.member(name).and_then(|member| serde_json::from_slice::<f64>(form.raw(member)).ok());
    number.is_some_and(|number| number == 0.0)
}
