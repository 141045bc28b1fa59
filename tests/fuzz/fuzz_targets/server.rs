//! Two links that say anything to a whole server: it never panics and never contradicts itself.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tickmesh::proto::ids::{FileId, LinkId};
use tickmesh::proto::machine::{DownReason, Effect, Input, Machine, Origin, Os};
use tickmesh::proto::server::{Server, ServerConfig};
use tickmesh::proto::time::{Mono, Now, Wall};

#[derive(Default)]
struct Hand {
    closed: Vec<LinkId>,
    answers: Vec<(FileId, u8)>,
}

impl Os for Hand {
    fn perform(&mut self, effect: Effect<'_>) {
        match effect {
            Effect::Close { link, .. } => self.closed.push(link),
            Effect::Open { file, .. } => self.answers.push((file, 0)),
            Effect::Append { file, .. } => self.answers.push((file, 1)),
            Effect::Finish { file } => self.answers.push((file, 2)),
            _ => {}
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut hand = Hand::default();
    let mut now = Now { mono: Mono(0), wall: Wall(1_000_000_000_000_000_000) };
    let config = ServerConfig {
        listen: Vec::new(),
        interval: Duration::from_millis(10),
        duration: Duration::from_secs(1),
        secret: [1; 32],
    };
    let mut server = Server::new(config);
    let mut links: Vec<Option<LinkId>> = vec![None, None];
    let mut made = 0;
    server.handle_input(Input::Start, now, &mut hand);
    for step in data.chunks(40) {
        let which = usize::from(step[0] & 1);
        now.mono.0 += u64::from(step[0]) << 20;
        now.wall.0 += u64::from(step[0]) << 20;
        let link = *links[which].get_or_insert_with(|| {
            made += 1;
            let link = LinkId { index: which as u32, generation: made };
            let addr = "10.0.0.1:1".parse().unwrap();
            let input = Input::LinkUp { link, origin: Origin::Accepted, local: addr, remote: addr };
            server.handle_input(input, now, &mut hand);
            link
        });
        if step[0] == 7 {
            links[which] = None;
            server.handle_input(Input::LinkDown { link, reason: DownReason::Reset }, now, &mut hand);
        } else {
            server.handle_input(Input::Received { link, bytes: &step[1..], at: now.wall }, now, &mut hand);
        }
        server.handle_timeout(now, &mut hand);
        while !hand.answers.is_empty() {
            let (file, kind) = hand.answers.remove(0);
            let input = match kind {
                0 => Input::FileReady { file, bytes: 0, moved: None },
                1 => Input::Appended { file },
                _ => Input::Finished { file, moved: None },
            };
            server.handle_input(input, now, &mut hand);
        }
        for closed in hand.closed.drain(..) {
            links.iter_mut().filter(|link| **link == Some(closed)).for_each(|link| *link = None);
        }
        server.check_invariants();
    }
});
