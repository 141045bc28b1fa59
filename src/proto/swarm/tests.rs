//! Manifests and chunks that lie, and how files are cut.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::proto::ids::FileName;
use crate::proto::limits::{
    CHUNK_BYTES, CHUNK_BYTES_MAX, CHUNKS_DEFAULT_MAX, CHUNKS_MAX, FILE_BYTES_MAX, PACKED_CHUNK_BYTES_MAX,
};
use crate::proto::swarm::{
    Fit, HASH_LINE_BYTES, Incoming, Lie, Manifest, ManifestError, Packed, Packer, Picker, Slice, Unpacker,
};

fn name() -> FileName {
    "file.txt".parse().unwrap()
}

fn manifest_of(content: &[u8], chunk_bytes: u64) -> Manifest {
    let hashes = content.chunks(chunk_bytes as usize).map(blake3::hash).collect();
    Manifest::new(name(), content.len() as u64, chunk_bytes, hashes)
}

#[test]
fn an_offer_survives_the_wire() {
    let manifest = manifest_of(b"0123456789", 4);
    let mut octets = Vec::new();
    manifest.encode_hashes(&mut octets);
    assert_eq!(octets.len() as u64, manifest.octets());
    assert_eq!(Manifest::from_offer(name(), 10, 4, &octets), Ok(manifest.clone()));
    assert_eq!(manifest.range(2), Some((8, 2)));
    assert_eq!(manifest.range(3), None);
    assert_eq!(manifest.range(u64::MAX), None);
}

#[test]
fn an_empty_file_has_no_chunks_and_is_whole_at_once() {
    let manifest = manifest_of(b"", 4);
    assert_eq!((manifest.chunks(), manifest.octets()), (0, 0));
    assert!(Picker::new(manifest.chunks(), Slice { place: 0, of: 1 }, 0).is_whole());
}

#[test]
fn an_offer_that_lies_is_refused_before_memory_is_taken() {
    let check = Manifest::check_offer;
    assert_eq!(check(10, 0, 0), Err(ManifestError::ChunkSize(0)));
    assert_eq!(check(10, CHUNK_BYTES_MAX + 1, 65), Err(ManifestError::ChunkSize(CHUNK_BYTES_MAX + 1)));
    assert_eq!(check(FILE_BYTES_MAX, 1, 0), Err(ManifestError::TooManyChunks(FILE_BYTES_MAX)));
    let huge = FILE_BYTES_MAX + 1;
    assert_eq!(check(huge, CHUNK_BYTES_MAX, 1025 * HASH_LINE_BYTES), Err(ManifestError::FileSize(huge)));
    assert_eq!(check(FILE_BYTES_MAX, CHUNK_BYTES_MAX, 1024 * HASH_LINE_BYTES), Ok(()));
    assert_eq!(check(CHUNKS_MAX + 1, 1, 0), Err(ManifestError::TooManyChunks(CHUNKS_MAX + 1)));
    assert_eq!(check(10, 4, 2 * HASH_LINE_BYTES), Err(ManifestError::Octets(2 * HASH_LINE_BYTES, 3)));
    let mut octets = Vec::new();
    manifest_of(b"0123456789", 4).encode_hashes(&mut octets);
    octets[70] = b'x';
    assert_eq!(Manifest::from_offer(name(), 10, 4, &octets), Err(ManifestError::Hash(1)));
    octets[70] = b'0';
    octets[64] = b'0';
    assert_eq!(Manifest::from_offer(name(), 10, 4, &octets), Err(ManifestError::Hash(0)));
}

#[test]
fn the_root_is_that_of_the_size_the_cut_and_the_hashes() {
    let mut octets = Vec::from([10, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
    for chunk in [&b"0123"[..], b"4567", b"89"] {
        octets.extend_from_slice(blake3::hash(chunk).as_bytes());
    }
    let root = manifest_of(b"0123456789", 4).root();
    assert_eq!(root, blake3::hash(&octets));
    assert_eq!(root.to_hex().as_str(), "2a39e1b399395d8eef32856f376d07b2fb358fa6635f18c2f20e0d41f93cad10");
    assert_ne!(manifest_of(b"0123456789", 5).root(), root, "cut otherwise");
    assert_ne!(manifest_of(b"0123456780", 4).root(), root, "another byte");
    assert_ne!(manifest_of(b"", 4).root(), manifest_of(b"", 5).root(), "cut otherwise, though empty");
}

#[test]
fn a_file_is_cut_into_enough_but_not_too_many_chunks() {
    assert_eq!(Manifest::chunk_bytes_for(0), CHUNK_BYTES);
    assert_eq!(Manifest::chunk_bytes_for(CHUNK_BYTES * CHUNKS_DEFAULT_MAX), CHUNK_BYTES);
    assert_eq!(Manifest::chunk_bytes_for(CHUNK_BYTES * CHUNKS_DEFAULT_MAX + 1), 2 * CHUNK_BYTES);
    assert_eq!(Manifest::chunk_bytes_for(FILE_BYTES_MAX), FILE_BYTES_MAX / CHUNKS_DEFAULT_MAX);
}

#[test]
fn a_number_of_chunks_is_met_or_the_nearest_ones_are_named() {
    let cut = Manifest::chunk_bytes_of_count;
    let error = |bytes, count| cut(bytes, count).unwrap_err().to_string();
    assert_eq!((cut(10, 1), cut(10, 3), cut(10, 10)), (Ok(10), Ok(4), Ok(1)));
    assert_eq!(error(10, 6), "10 bytes cannot be cut into 6 chunks of one size; 5 and 10 are possible");
    assert_eq!(error(10, 0), "10 bytes cannot be cut into 0 chunks of one size; 1 is possible");
    assert_eq!(error(10, 11), "10 bytes cannot be cut into 11 chunks of one size; 10 is possible");
    assert_eq!(cut(0, 0), Ok(CHUNK_BYTES));
    assert_eq!(error(0, 1), "0 bytes cannot be cut into 1 chunks of one size; 0 is possible");
    let big = 10 * CHUNK_BYTES_MAX;
    assert_eq!((cut(big, 10), cut(FILE_BYTES_MAX, CHUNKS_MAX)), (Ok(CHUNK_BYTES_MAX), Ok(1 << 27)));
    assert_eq!(error(big, 9), format!("{big} bytes cannot be cut into 9 chunks of one size; 10 is possible"));
    assert_eq!(cut(1 << 20, CHUNKS_MAX + 1), Err(ManifestError::TooManyChunks(CHUNKS_MAX + 1)));
    assert_eq!(cut(FILE_BYTES_MAX + 1, 1), Err(ManifestError::FileSize(FILE_BYTES_MAX + 1)));
}

#[test]
fn an_incoming_chunk_is_checked_against_the_manifest_alone() {
    let manifest = manifest_of(b"0123456789", 4);
    assert_eq!(Incoming::begin(&manifest, 3, 4).unwrap_err(), Lie::NotAsked(3));
    assert_eq!(Incoming::begin(&manifest, 2, 4).unwrap_err(), Lie::Length(2, 4, 2));
    for (bytes, result) in [(b"89", Ok(())), (b"88", Err(Lie::Hash(2)))] {
        let mut incoming = Incoming::begin(&manifest, 2, 2).unwrap();
        assert_eq!((incoming.take(&bytes[..1]), incoming.left()), (8, 1));
        assert_eq!((incoming.take(&bytes[1..]), incoming.left()), (9, 0));
        assert_eq!(incoming.end(), result);
    }
}

#[test]
fn a_packed_chunk_is_checked_before_anything_of_it_counts() {
    let plain = [[b'a'; 1000], [b'b'; 1000]].concat();
    let manifest = manifest_of(&plain, 1000);
    let begin = |chunk, octets| Packed::begin(&manifest, chunk, octets, Vec::new());
    assert_eq!(begin(2, 10).unwrap_err(), Lie::NotAsked(2));
    assert_eq!(begin(1, 0).unwrap_err(), Lie::PackedLength(1, 0));
    assert_eq!(begin(1, 1001).unwrap_err(), Lie::PackedLength(1, 1001));
    let (mut packer, mut unpacker) = (Packer::new(), Unpacker::new());
    let frame = |packer: &mut Packer, bytes: &[u8]| packer.pack(bytes, &mut Fit::default()).unwrap().to_vec();
    let (right, wrong) = (frame(&mut packer, &plain[1000..]), frame(&mut packer, &plain[..1000]));
    for (octets, result) in [
        (&right[..], Ok((1000, &plain[1000..]))),
        (&wrong[..], Err(Lie::Hash(1))),
        (&right[1..], Err(Lie::Packed(1))),
        (&frame(&mut packer, &plain), Err(Lie::Packed(1))),
        (&plain[1000..], Err(Lie::Packed(1))),
    ] {
        let mut packed = begin(1, octets.len() as u64).unwrap();
        octets.chunks(7).for_each(|part| packed.take(part));
        assert_eq!((packed.chunk(), packed.end(&mut unpacker, None)), (1, result));
    }
    let long = PACKED_CHUNK_BYTES_MAX as usize + 1;
    let manifest = manifest_of(&vec![0; long], long as u64);
    assert!(Packed::begin(&manifest, 0, 20, Vec::new()).is_err(), "chunks of that length are not packed");
}

proptest! {
    #[test]
    fn a_cut_gives_exactly_the_number_or_there_is_none(bytes in 0u64..3000, count in 0u64..3000) {
        let possible: BTreeSet<u64> = (1..=bytes.max(1)).map(|size| bytes.div_ceil(size)).collect();
        match Manifest::chunk_bytes_of_count(bytes, count) {
            Ok(size) => prop_assert_eq!(bytes.div_ceil(size), count),
            Err(ManifestError::Count { below, above, .. }) => {
                prop_assert!(!possible.contains(&count));
                prop_assert_eq!(below, possible.range(..count).next_back().copied());
                prop_assert_eq!(above, possible.range(count..).next().copied());
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn a_cut_of_a_large_file_gives_exactly_the_number(bytes in 1u64..=FILE_BYTES_MAX, count in 1u64..=CHUNKS_MAX) {
        if let Ok(size) = Manifest::chunk_bytes_of_count(bytes, count) {
            prop_assert_eq!(bytes.div_ceil(size), count);
            prop_assert!(size <= CHUNK_BYTES_MAX);
        }
        let size = Manifest::chunk_bytes_for(bytes);
        prop_assert!(size.is_power_of_two() && bytes.div_ceil(size) <= CHUNKS_DEFAULT_MAX);
        prop_assert!(size == CHUNK_BYTES || bytes.div_ceil(size / 2) > CHUNKS_DEFAULT_MAX);
    }
}
