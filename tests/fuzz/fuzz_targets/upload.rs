//! Clients that say anything to a drop box, and a disk that answers as it likes: it never panics, never contradicts itself,
//! says `go ahead` and its end only when it may, and ends when it is asked to.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tickmesh_fuzz::uploads::play(data));
