//! Any bytes as a table or as samples: the strict readers never panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickmesh::proto::record::{read_samples, read_table};

fuzz_target!(|data: &[u8]| {
    let _ = read_table(data);
    let _ = read_samples(data);
});
