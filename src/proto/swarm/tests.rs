//! Manifests that lie, chunks that lie, and a fetch that survives its links.

use proptest::prelude::*;

use crate::proto::ids::FileName;
use crate::proto::limits::{CHUNK_BYTES_MAX, CHUNKS_MAX};
use crate::proto::swarm::{Fetch, HASH_LINE_BYTES, Lie, Manifest, ManifestError};

fn name() -> FileName {
    "file.txt".parse().unwrap()
}

fn manifest_of(content: &[u8], chunk_bytes: u64) -> Manifest {
    let hashes = content.chunks(chunk_bytes as usize).map(blake3::hash).collect();
    Manifest::new(name(), content.len() as u64, chunk_bytes, hashes)
}

/// Gives the fetch one chunk of `content`, in pieces of `step` bytes, and writes it into `disk`.
fn give(fetch: &mut Fetch, chunk: u64, content: &[u8], step: usize, disk: &mut [u8]) -> Result<(), Lie> {
    let (offset, len) = fetch.manifest().range(chunk).unwrap();
    fetch.begin(chunk, len)?;
    for piece in content[offset as usize..(offset + len) as usize].chunks(step) {
        let at = fetch.take(piece) as usize;
        disk[at..at + piece.len()].copy_from_slice(piece);
        fetch.check_invariants();
    }
    fetch.end()
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
    let mut fetch = Fetch::new(manifest);
    assert!(fetch.is_whole());
    assert_eq!(fetch.ask(), None);
}

#[test]
fn an_offer_that_lies_is_refused_before_memory_is_taken() {
    let check = Manifest::check_offer;
    assert_eq!(check(10, 0, 0), Err(ManifestError::ChunkSize(0)));
    assert_eq!(check(10, CHUNK_BYTES_MAX + 1, 65), Err(ManifestError::ChunkSize(CHUNK_BYTES_MAX + 1)));
    assert_eq!(check(u64::MAX, 1, 0), Err(ManifestError::TooManyChunks(u64::MAX)));
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
fn a_chunk_that_lies_is_not_stored_and_is_asked_for_again() {
    let content = b"0123456789";
    let mut disk = [0; 10];
    let mut fetch = Fetch::new(manifest_of(content, 4));
    assert_eq!(fetch.begin(0, 4), Err(Lie::NotAsked(0)));
    assert_eq!(fetch.ask(), Some(0));
    assert_eq!(fetch.begin(7, 4), Err(Lie::NotAsked(7)));
    assert_eq!(fetch.begin(0, 3), Err(Lie::Length(0, 3, 4)));
    assert_eq!(give(&mut fetch, 0, b"0x23456789", 3, &mut disk), Err(Lie::Hash(0)));
    assert_eq!(fetch.stored(), 0);
    assert_eq!(fetch.ask(), Some(0));
    assert_eq!(give(&mut fetch, 0, content, 3, &mut disk), Ok(()));
    assert_eq!(fetch.begin(0, 4), Err(Lie::NotAsked(0)), "a second time");
}

proptest! {
    #[test]
    fn every_file_comes_whole_over_links_that_break(
        content in prop::collection::vec(any::<u8>(), 0..300),
        chunk_bytes in 1u64..50,
        events in prop::collection::vec((0u8..8, 1usize..20), 0..200),
    ) {
        let mut disk = vec![0; content.len()];
        let mut fetch = Fetch::new(manifest_of(&content, chunk_bytes));
        let mut asked = Vec::new();
        for (event, step) in events {
            match event {
                0 => { fetch.forget_asked(); asked.clear(); }
                1..=3 => asked.extend(fetch.ask()),
                _ => if let Some(chunk) = asked.pop() { give(&mut fetch, chunk, &content, step, &mut disk).unwrap(); }
            }
            fetch.check_invariants();
            prop_assert_eq!(fetch.asked(), asked.len());
        }
        fetch.forget_asked();
        while let Some(chunk) = fetch.ask() {
            give(&mut fetch, chunk, &content, 7, &mut disk).unwrap();
        }
        prop_assert!(fetch.is_whole());
        prop_assert_eq!(disk, content);
    }
}
