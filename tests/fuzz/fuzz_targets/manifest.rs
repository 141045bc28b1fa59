//! Any announcement and any octets as the chunk hashes of a file: what does not fit is refused before anything is kept, and what is
//! read has as many hashes as the file has chunks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickmesh::proto::swarm::Manifest;

fuzz_target!(|data: &[u8]| {
    let Some((head, octets)) = data.split_first_chunk::<17>() else { return };
    let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap());
    // Numbers of any size, and such as may fit together.
    let (bytes, chunk_bytes) = match head[16] % 3 {
        0 => (number(0), number(8)),
        1 => (number(0) >> 40, number(8) >> 52),
        _ => (octets.len() as u64 / 65 * 256, 256),
    };
    let announced = Manifest::check_offer(bytes, chunk_bytes, octets.len() as u64);
    let read = Manifest::from_offer("film.bin".parse().unwrap(), bytes, chunk_bytes, octets);
    assert!(announced.is_ok() || read.is_err());
    let Ok(manifest) = read else { return };
    assert_eq!(manifest.chunks(), bytes.div_ceil(chunk_bytes));
    let lengths = (0..manifest.chunks()).map(|chunk| manifest.range(chunk).unwrap().1);
    assert_eq!(lengths.sum::<u64>(), bytes);
    let mut again = Vec::new();
    manifest.encode_hashes(&mut again);
    assert!(again.eq_ignore_ascii_case(octets));
});
