//! One parser under LLVM's libFuzzer, which keeps the inputs that reach new code: built and run by `scripts/long`.
//!
//! `TOLLGATE_FUZZ_TARGET` names the parser (one of [`TARGETS`], which `names` prints); its seeds are written into the folder
//! `TOLLGATE_FUZZ_SEEDS` before libFuzzer reads what is there. A panic is a broken promise: libFuzzer keeps the input.
#![no_main]

use std::{path::Path, sync::OnceLock};

use gateway::fuzzing::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

#[allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "libFuzzer has the command line, and no settings"
)]
fn begin() {
    let word =
        |name: &str| std::env::var(name).expect("TOLLGATE_FUZZ_TARGET and TOLLGATE_FUZZ_SEEDS are set");
    if word("TOLLGATE_FUZZ_TARGET") == "names" {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        std::process::exit(0);
    }
    let (name, folder) = (word("TOLLGATE_FUZZ_TARGET"), word("TOLLGATE_FUZZ_SEEDS"));
    let target = TARGETS.iter().find(|target| target.name == name).expect("a parser of this name");
    for (number, seed) in target.seeds.iter().enumerate() {
        std::fs::write(Path::new(&folder).join(format!("seed-{number}")), seed)
            .expect("a folder that is there");
    }
    let _ = TARGET.set(*target);
}

fuzz_target!(init: begin(), |input: &[u8]| {
    if let Some(target) = TARGET.get() {
        (target.run)(input);
    }
});
