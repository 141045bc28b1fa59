//! A server and strangers that say anything to a user's client, or to that of a guest, while its user types: it never
//! panics, never contradicts itself, keeps its contract about time, and ends when it is asked to.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tickmesh_fuzz::{Driver, talkers};

fuzz_target!(|data: &[u8]| {
    static WORDS: OnceLock<&'static [&'static str]> = OnceLock::new();
    let words = WORDS.get_or_init(talkers::words);
    let Some((which, data)) = data.split_first() else { return };
    Driver::play(talkers::Screen::new(which % 4 != 0, which % 8 < 4), words, data);
});
