//! What does a journey stand on? The real binary as a process of its own, and a client that knows the wire only.
//!
//! | Module | Question |
//! |---|---|
//! | [`binary`] | which `tollgate` is tested? |
//! | [`process`] | how is it started, watched and ended? |
//! | [`world`] | what is there beside it: the demo in one process, or a server and its far side in two |
//! | [`serve`] | how is a server set up from nothing? |
//! | [`till`] | how does a customer pay, and an auditor look at the books? |
//! | [`answer`], [`stream`] | what came back? |
//! | [`wait`] | has it come true yet? |
//! | [`money`] | how much is "0.50"? |
//!
//! The journeys themselves are in `tests/tests/journeys`. Nothing here uses a line of the product.
pub mod answer;
pub mod binary;
pub mod money;
pub mod process;
pub mod serve;
pub mod stream;
pub mod till;
pub mod wait;
pub mod world;

pub use answer::Answer;
pub use money::nano;
pub use stream::Streamed;
pub use wait::until;
pub use world::World;

/// What the person who starts the tests asks for; unset and empty are the same.
#[expect(clippy::disallowed_methods, reason = "the one place where the tests read the environment")]
pub fn asked(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
