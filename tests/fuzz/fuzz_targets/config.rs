//! Any text as a configuration file: nothing panics, mistakes are few and one line each, and what is right reads back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickmesh::app::understand_config;

/// Without where each value is from.
fn values(shown: &str) -> Vec<&str> {
    shown.lines().map(|line| line.rsplit_once("  # ").map_or(line, |(value, _)| value)).collect()
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match understand_config(text) {
        Ok(shown) => {
            let again = understand_config(&shown).unwrap_or_else(|wrong| panic!("{wrong:?} in {shown}"));
            assert_eq!(values(&again), values(&shown));
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty() && mistakes.len() <= 200);
            assert!(mistakes.iter().all(|mistake| mistake.starts_with("tickmesh")), "{mistakes:?}");
        }
    }
});
