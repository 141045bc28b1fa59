//! Records on their way from memory to memory, as between peers of one process. Measures nothing.

use std::net::SocketAddr;

use tickmesh::proto::ids::{DialId, FileId, LinkId};
use tickmesh::proto::limits::KEPT_FRAME_BYTES_MAX;
use tickmesh::proto::machine::{CloseReason, Effect, Input, Machine, OpenMode, Origin, Os};
use tickmesh::proto::swarm::{Fit, Kept, Packer, Unpacker};
use tickmesh::proto::time::{Mono, Now};

const COPY: FileId = FileId(0);
const FILE_BYTES: u64 = 64 << 20;
const CHUNK_BYTES: u64 = 256 << 10;

/// Sends records to itself as a peer does that has them packed in memory: so many octets a turn, unpacked, verified
/// and written on the other side.
pub struct Records {
    addr: SocketAddr,
    sender: Option<LinkId>,
    kept: Kept,
    /// The hash of each chunk, and the octets of its frame.
    chunks: Vec<(blake3::Hash, usize)>,
    unpacker: Unpacker,
    coming: Vec<u8>,
    sent: usize,
    received: usize,
    next: Option<Mono>,
}

const RECORD_CHUNKS: usize = 16;
const UNDER_WAY_MAX: usize = 8;

impl Records {
    pub fn new(addr: SocketAddr) -> Records {
        let (mut packer, mut kept, mut chunks) = (Packer::new(), Kept::default(), Vec::new());
        let mut noise = 1_u64;
        for number in 0..RECORD_CHUNKS {
            let mut plain = Vec::new();
            for row in 10_000 * number.. {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let (second, ms, ns) = (row / 200 % 60, row / 2 * 10 % 1000, (noise >> 33) % 1_000_000);
                let time = format!("2026-11-21 02:10:{second:02}.{ms:03}{ns:06}");
                plain.extend_from_slice(format!("| {row} | 10.0.0.7 | 10.0.0.1 | {time} |\n").as_bytes());
                if plain.len() >= CHUNK_BYTES as usize {
                    break;
                }
            }
            plain.truncate(CHUNK_BYTES as usize);
            let (hash, frame) = (blake3::hash(&plain), packer.pack(&plain, &mut Fit::good()).unwrap());
            kept.keep(&hash, frame);
            chunks.push((hash, frame.len()));
        }
        let (unpacker, coming) = (Unpacker::new(), Vec::new());
        Records { addr, sender: None, kept, chunks, unpacker, coming, sent: 0, received: 0, next: None }
    }

    /// Bytes that came, as they are unpacked.
    pub fn bytes(&self) -> u64 {
        self.received as u64 * CHUNK_BYTES
    }

    fn send(&mut self, now: Now, os: &mut dyn Os) {
        let Some(link) = self.sender else { return };
        self.next = None;
        let mut octets = 0;
        while self.sent - self.received < UNDER_WAY_MAX {
            let (hash, len) = self.chunks[self.sent % RECORD_CHUNKS];
            octets += len;
            if octets > KEPT_FRAME_BYTES_MAX {
                self.next = Some(Mono(now.mono.0 + 1));
                return;
            }
            os.perform(Effect::Send { link, bytes: self.kept.get(&hash).expect("it is kept") });
            self.sent += 1;
        }
    }

    fn take(&mut self, bytes: &[u8], os: &mut dyn Os) {
        self.coming.extend_from_slice(bytes);
        let mut taken = 0;
        loop {
            let (hash, len) = self.chunks[self.received % RECORD_CHUNKS];
            let Some(frame) = self.coming.get(taken..taken + len) else { break };
            let plain = self.unpacker.unpack(frame, CHUNK_BYTES as usize).expect("a frame");
            assert_eq!(blake3::hash(plain), hash);
            let offset = self.received as u64 * CHUNK_BYTES % FILE_BYTES;
            os.perform(Effect::WriteAt { file: COPY, offset, bytes: plain });
            self.received += 1;
            taken += len;
        }
        self.coming.drain(..taken);
    }
}

impl Machine for Records {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        match input {
            Input::Start => {
                os.perform(Effect::Open { file: COPY, path: "copy", mode: OpenMode::Partial, aside: "old" });
                os.perform(Effect::Listen { addr: self.addr });
            }
            Input::Listening { addr } => os.perform(Effect::Dial { dial: DialId(0), addr }),
            Input::LinkUp { link, origin: Origin::Dialed(_), .. } => self.sender = Some(link),
            Input::Received { bytes, .. } => self.take(bytes, os),
            Input::Shutdown => {
                if let Some(link) = self.sender.take() {
                    os.perform(Effect::Close { link, reason: CloseReason::Shutdown });
                }
                self.next = None;
                os.perform(Effect::Release { file: COPY });
                os.perform(Effect::Exit);
            }
            _ => {}
        }
        self.send(now, os);
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        self.send(now, os);
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.next
    }
}
