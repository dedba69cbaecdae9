//! Where do numbers come from: fresh ones for nonces and ids, repeatable ones for answers?
use aws_lc_rs::rand;

const ALNUM: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Fresh random bytes.
#[expect(clippy::expect_used, reason = "the system's generator fails only where no cryptography could go on")]
fn fresh(bytes: &mut [u8]) {
    rand::fill(bytes).expect("the system has random numbers");
}

/// `len` fresh characters out of `alphabet`. The slight bias of the remainder matters to nobody here.
fn pick(alphabet: &[u8], len: usize) -> String {
    let mut bytes = vec![0; len];
    fresh(&mut bytes);
    bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect()
}

/// `len` fresh letters and digits.
pub(crate) fn alnum(len: usize) -> String {
    pick(ALNUM, len)
}

/// `len` fresh digits.
pub(crate) fn digits(len: usize) -> String {
    pick(&ALNUM[..10], len)
}

/// `len` fresh hexadecimal digits, upper case.
pub(crate) fn hex_upper(len: usize) -> String {
    pick(&ALNUM[..16], len)
}

/// A certificate's serial: 40 hexadecimal digits, upper case, positive in twenty bytes.
pub(crate) fn serial() -> String {
    format!("5{}", hex_upper(39))
}

/// A fresh number below a hundred.
pub(crate) fn percent() -> u8 {
    let mut byte = [u8::MAX];
    while byte[0] >= 200 {
        fresh(&mut byte);
    }
    byte[0] % 100
}

/// In the form of a UUID, version 4.
pub(crate) fn uuid() -> String {
    let hex = hex_upper(30).to_ascii_lowercase();
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..])
}

/// Repeatable numbers (splitmix64), so that the same seed and prompt get the same answer.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice for one text under one seed (FNV-1a over the text).
    pub(crate) fn of(seed: u64, text: &str) -> Self {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64 ^ seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(hash)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `choices`, which may not be empty.
    pub(crate) fn choose<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        let len = choices.len() as u64;
        choices[(self.next() % len) as usize]
    }

    /// `len` letters and digits.
    pub(crate) fn alnum(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(ALNUM[(self.next() % 62) as usize])).collect()
    }
}
