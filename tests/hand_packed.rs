//! Packed chunks, played by hand: right ones are taken, and every wrong frame is a lie.

mod common;

use common::hand::{Hand, KEY};
use tickmesh::proto::ids::LinkId;
use tickmesh::proto::machine::{CloseReason, Input};
use tickmesh::proto::swarm::{Fit, Packer};

/// A guest that wants two chunks of a thousand bytes each, and eve, who holds them and packs.
fn wanting() -> (Hand, LinkId, [Vec<u8>; 2]) {
    let mut hand = Hand::new();
    let server = hand.up();
    let chunks = [vec![b'a'; 1000], vec![b'b'; 1000]];
    let hashes = chunks.clone().map(|chunk| format!("{}\n", blake3::hash(&chunk).to_hex())).concat();
    hand.say(
        server,
        &format!("TICKMESH 1 server x\nOK HELLO guest-7 {KEY}\nOK DOWNLOAD f.bin 2000 1000 130\n{hashes}"),
    );
    hand.say(server, &format!("SOURCE f.bin eve 10.0.0.3:4000 {KEY}\n"));
    let eve = hand.up();
    assert!(hand.heard().ends_with(&format!("LINK lab guest-7 eve {KEY} zstd\n")));
    hand.say(eve, "TICKMESH 1 peer x\nOK LINK zstd\nHOLDS f.bin 1\n\x03");
    (hand, eve, chunks)
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    Packer::new().pack(bytes, &mut Fit::default()).unwrap().to_vec()
}

fn packed(chunk: usize, octets: &[u8]) -> Vec<u8> {
    [format!("CHUNK f.bin {chunk} {} zstd\n", octets.len()).as_bytes(), octets].concat()
}

#[test]
fn a_packed_chunk_is_taken_like_any_other() {
    let (mut hand, eve, chunks) = wanting();
    let octets = frame(&chunks[1]);
    for byte in packed(1, &octets) {
        assert!(hand.wants.written.is_empty(), "nothing is written before it is all there");
        hand.input(Input::Received { link: eve, bytes: &[byte], at: hand.now.wall });
    }
    assert_eq!(hand.wants.written, [(1000, 1000)]);
    hand.say(eve, &format!("CHUNK f.bin 0 1000\n{}", "a".repeat(1000)));
    let file = &hand.peer.files()[0];
    assert_eq!((file.bytes_fetched, file.bytes_wasted, file.chunks_stored), (2000, 0, 2));
    assert_eq!(file.wire_bytes_fetched, 1000 + octets.len() as u64);
    assert!(hand.wants.closed.is_empty());
}

#[test]
fn a_bad_frame_is_the_same_lie_as_a_wrong_byte() {
    let fair = wanting().2;
    let (right, wrong) = (frame(&fair[0]), frame(&fair[1]));
    let double = frame(&fair.concat());
    for octets in
        [wrong, right[1..].to_vec(), [&right[..], b"x"].concat(), double, b"no frame".to_vec(), vec![0; 1001]]
    {
        let (mut hand, eve, _) = wanting();
        hand.input(Input::Received { link: eve, bytes: &packed(0, &octets), at: hand.now.wall });
        assert_eq!(hand.wants.closed, [(eve, CloseReason::Misbehaved)], "{octets:?}");
        assert!(hand.wants.written.is_empty(), "{octets:?}");
        let file = &hand.peer.files()[0];
        assert_eq!((file.chunks_stored, file.bytes_fetched), (0, 0));
        assert_eq!(file.bytes_wasted, if octets.len() > 1000 { 0 } else { 1000 });
        assert!(hand.heard().contains("ERR bad-argument chunk 0 "));
    }
}

#[test]
fn a_packed_chunk_of_nothing_is_a_lie() {
    let (mut hand, eve, _) = wanting();
    hand.say(eve, "CHUNK f.bin 0 0 zstd\n");
    assert_eq!(hand.wants.closed, [(eve, CloseReason::Misbehaved)]);
}
