//! Do the parsers keep their promises when they are fed anything? Each is fed inputs that were good until they were bent:
//! bytes changed, cut out, doubled, put in from elsewhere. The seed is printed, and `TOLLGATE_SEED` repeats a run.
//!
//! How much: 40,000 inputs for each parser, fewer where one is dear; or as many as go into `TOLLGATE_FUZZ_SECONDS`, which is 20 in
//! `scripts/test`. In `scripts/long` coverage guides them (src/bin/fuzz.rs).

use std::time::{Duration, Instant};

use gateway::fuzzing::{TARGETS, Target};

/// Words that parsers look for, or trip over.
const WORDS: [&str; 40] = [
    "null",
    "true",
    "-1",
    "0.5",
    "1e999",
    "9223372036854775808",
    "\"\"",
    "[]",
    "{}",
    "\\ud83d",
    "\\u0000",
    "\n\n",
    "\r",
    "\r\n",
    "data: ",
    "event: error\n",
    "event: ping\n",
    ": ",
    "[DONE]",
    "\u{feff}",
    "\u{2028}",
    "你",
    "😀",
    "\"model\"",
    "\"messages\"",
    "\"stream\":true",
    "\"usage\":",
    "\"type\":",
    "\"text\"",
    "\"error\":{}",
    "\"choices\":null",
    "\"delta\":null",
    "\"tool_calls\":[{}]",
    "\"index\":127",
    "\"finish_reason\":\"\"",
    ",",
    ":",
    "\"",
    "{",
    "]",
];
/// Longer inputs say nothing new.
const INPUT_MAX: usize = 8 * 1024;

fn bent(random: &mut fastrand::Rng, target: &Target) -> Vec<u8> {
    let mut input = random.choice(target.seeds).copied().unwrap_or_default().as_bytes().to_vec();
    for _ in 0..random.usize(1..8) {
        let at = random.usize(0..=input.len());
        match random.u8(0..7) {
            0 if at < input.len() => input[at] = random.u8(..),
            1 if at < input.len() => input[at] ^= 1 << random.u8(0..8),
            2 => drop(input.drain(at..(at + random.usize(0..24)).min(input.len()))),
            3 => {
                let word = random.choice(WORDS).unwrap_or_default();
                input.splice(at..at, word.bytes());
            }
            4 => {
                // A value in place of another one.
                let end = (at + random.usize(0..12)).min(input.len());
                let word = random.choice(WORDS).unwrap_or_default();
                input.splice(at..end, word.bytes());
            }
            5 => {
                let end = (at + random.usize(0..64)).min(input.len());
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            _ => {
                let other = random
                    .choice(TARGETS)
                    .and_then(|target| random.choice(target.seeds).copied())
                    .unwrap_or_default();
                let from = random.usize(0..other.len());
                let to = (from + random.usize(0..64)).min(other.len());
                input.splice(at..at, other.as_bytes()[from..to].iter().copied());
            }
        }
        input.truncate(INPUT_MAX);
    }
    input
}

#[allow(clippy::disallowed_methods, reason = "how much, and which, is asked of whoever runs the tests")]
fn feed(name: &str) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("TOLLGATE_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("TOLLGATE_SEED={seed}");
    let target = TARGETS.iter().find(|target| target.name == name).expect("a parser of this name");
    for whole in target.seeds {
        (target.run)(whole.as_bytes());
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let until = number("TOLLGATE_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let enough = |fed: u64| until.map_or(fed >= 40_000 / target.dearer, |until| Instant::now() >= until);
    let mut fed = 0;
    while !enough(fed) {
        fed += 1;
        let input = bent(&mut random, target);
        let run = std::panic::AssertUnwindSafe(|| (target.run)(&input));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("{name} broke a promise for: {:?}", String::from_utf8_lossy(&input));
            std::panic::resume_unwind(panic);
        }
    }
    println!("{fed} inputs");
}

macro_rules! parsers {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            feed(stringify!($name));
        })+

        #[test]
        fn every_parser_is_fed() {
            let fed = [$(stringify!($name)),+];
            assert!(TARGETS.iter().all(|target| fed.contains(&target.name)) && fed.len() == TARGETS.len());
        }
    };
}

parsers! {
    sse chat_request responses_request messages_request completions_request embeddings_request chat_answer
    messages_answer messages_as_chat responses_answer kept_answer usage fault bill v2_message
}
