//! Any octets in place of a packed chunk: they are refused, or give exactly as many bytes as the chunk has. The
//! same octets give the same every time, whatever was unpacked before; and what is packed comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickmesh::proto::swarm::{Fit, Packer, Unpacker};

/// What a frame begins with: most of what a fuzzer tries should get beyond it.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

fuzz_target!(|data: &[u8]| {
    let [how, low, high, octets @ ..] = data else { return };
    let len = usize::from(u16::from_le_bytes([*low, *high]));
    let mut frame = if how % 2 == 0 { MAGIC.to_vec() } else { Vec::new() };
    frame.extend_from_slice(octets);
    let mut unpacker = Unpacker::new();
    let first = unpacker.unpack(&frame, len).map(<[u8]>::to_vec);
    assert!(first.as_ref().is_none_or(|plain| plain.len() == len));
    assert!(unpacker.unpack(b"nonsense", len).is_none());
    assert_eq!(unpacker.unpack(&frame, len), first.as_deref());

    let (mut packer, mut fit) = (Packer::new(), Fit::default());
    if let Some(packed) = packer.pack(octets, &mut fit) {
        assert!(packed.len() < octets.len());
        assert_eq!(unpacker.unpack(packed, octets.len()), Some(octets));
        assert!(unpacker.unpack(packed, octets.len() - 1).is_none());
    }
});
