//! Any bytes, cut anywhere: the reader of lines never panics, finds the same pieces however the
//! bytes arrive, and what parses encodes to the same line again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickmesh::proto::wire::{LineReader, Message, Piece};

fn read(parts: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut reader, mut lines, mut all_octets) = (LineReader::default(), Vec::new(), Vec::new());
    for part in parts {
        let mut input = *part;
        loop {
            let announced = match reader.next(&mut input) {
                None => break,
                Some(Piece::TooLong) => return (lines, all_octets),
                Some(Piece::Octets { bytes, .. }) => {
                    all_octets.extend_from_slice(bytes);
                    0
                }
                Some(Piece::Line(line)) => {
                    lines.push(line.to_vec());
                    match Message::parse(line) {
                        Ok(
                            Message::Offer { octets, .. }
                            | Message::Chunk { octets, .. }
                            | Message::Register { octets, .. }
                            | Message::OkDownload { octets, .. }
                            | Message::Holds { octets, .. },
                        ) => octets,
                        _ => 0,
                    }
                }
            };
            if announced > 0 {
                reader.expect_octets(announced);
            }
        }
    }
    (lines, all_octets)
}

fuzz_target!(|data: &[u8]| {
    let Some((cut, input)) = data.split_first() else { return };
    let whole = read(&[input]);
    let cut = usize::from(*cut).min(input.len());
    assert_eq!(read(&[&input[..cut], &input[cut..]]), whole);
    for line in &whole.0 {
        if let Ok(message) = Message::parse(line) {
            let again = encode(&message);
            // What a person types may be short, lack a part, or have blanks to spare.
            if line.starts_with(b"%") || line[0].is_ascii_lowercase() {
                assert!(Message::parse(&again).is_ok());
            } else {
                assert_eq!(again, line.strip_prefix(b"* ").unwrap_or(line));
            }
        }
    }
});

fn encode(message: &Message<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    message.encode(&mut line);
    line.pop();
    line
}
