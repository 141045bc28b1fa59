//! Stories in the simulator about a drop box: honest clients and others, a disk that is slow, full or loses its power,
//! and what is left of it all.

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use common::yard::{QUIET, Yard};
use tickmesh::proto::limits::{HEADER_TIMEOUT, UPLOAD_LEFT_AGE};
use tickmesh::proto::machine::{DownReason, Effect, FileOp, Input, Machine, Os, temp_name};
use tickmesh::proto::time::{Mono, Now};
use tickmesh::proto::upload::{Failure, Refusal};
use tickmesh::sim::{NetConfig, ReadRate, StrangerState};

const END: StrangerState = StrangerState::Ended(DownReason::Eof);
const RESET: StrangerState = StrangerState::Ended(DownReason::Reset);

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes as u32).map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn files_of_any_size_arrive_over_a_bad_network() {
    for seed in 0..20 {
        let mut yard = Yard::new(seed);
        yard.world.set_net(NetConfig::rough());
        let sizes = [0, 1, 1500, 300_000, 2_000_000];
        let clients = sizes.map(|bytes| yard.announce(bytes as u64, &format!("folder/{bytes}.bin")));
        yard.run_ms(1000);
        for (client, bytes) in clients.into_iter().zip(sizes) {
            assert_eq!(yard.world.read(client), b"go ahead");
            yard.world.write(client, &content(bytes));
        }
        yard.world.run_for(Duration::from_secs(20));
        for (client, bytes) in clients.into_iter().zip(sizes) {
            assert_eq!(yard.state(client), END);
            assert_eq!(yard.stored(&format!("{bytes}.bin")), Some(content(bytes).as_slice()));
        }
        assert_eq!((yard.status().files, yard.status().clients, yard.names().1.len()), (5, 0, 0));
    }
}

#[test]
fn the_end_is_a_receipt_whether_the_client_has_ended_or_not() {
    for ended in [false, true] {
        let mut yard = Yard::new(1);
        yard.world.disk_mut(yard.node).slow_down(Duration::from_secs(30));
        let client = yard.announce(5, "a");
        yard.world.run_for(Duration::from_secs(40));
        yard.world.write(client, b"hello");
        if ended {
            yard.world.finish_writing(client);
        }
        while yard.state(client) == StrangerState::Open {
            assert!(yard.world.step());
            if yard.state(client) != StrangerState::Open {
                assert_eq!((yard.state(client), yard.stored("a")), (END, Some(b"hello".as_slice())));
            }
        }
        yard.world.power_loss(yard.node);
        assert_eq!(yard.stored("a"), Some(b"hello".as_slice()));
    }
}

#[test]
fn silent_clients_hold_up_nobody() {
    let mut yard = Yard::new(2);
    let silent = [(); 400].map(|()| yard.connect());
    let half = yard.connect();
    yard.world.write(half, b"\0\0\0");
    let client = yard.client(3, "a");
    yard.world.write(client, b"abc");
    yard.run_ms(100);
    assert_eq!((yard.state(client), yard.status().clients), (END, 401));
    yard.world.run_for(HEADER_TIMEOUT / 2);
    assert_eq!(yard.state(silent[0]), StrangerState::Open, "minutes are fine");
    yard.world.write(half, b"\0\0\0\0\x01b");
    yard.run_ms(600);
    yard.world.write(half, b"1");
    yard.world.run_for(HEADER_TIMEOUT / 2);
    assert!(silent.iter().all(|client| yard.state(*client) == END));
    assert_eq!((yard.state(half), yard.stored("b")), (END, Some(b"1".as_slice())));
    assert_eq!((yard.status().clients, yard.status().refused(Refusal::HeaderTimeout)), (0, 400));
}

#[test]
fn a_full_disk_refuses_before_go_ahead() {
    let mut yard = Yard::new(3);
    yard.world.disk_mut(yard.node).set_room(Some(1000));
    let begun = yard.client(600, "begun");
    let refused = yard.announce(401, "refused");
    yard.run_ms(600);
    assert_eq!((yard.state(refused), yard.world.read(refused)), (END, Vec::new()));
    assert_eq!(yard.status().refused(Refusal::DiskFull), 1);
    yard.world.write(begun, &content(600));
    yard.run_ms(600);
    assert_eq!((yard.state(begun), yard.names()), (END, (vec!["begun"], vec![])));
}

#[test]
fn a_disk_that_fails_in_the_middle_ends_in_a_reset() {
    for op in [FileOp::WriteAt, FileOp::Finish] {
        let mut yard = Yard::new(4);
        let client = yard.client(600_000, "a");
        yard.world.disk_mut(yard.node).fail(op, Some(ErrorKind::StorageFull));
        yard.world.write(client, &content(600_000));
        yard.run_ms(1000);
        assert_eq!((yard.state(client), yard.names()), (RESET, (vec![], vec![])));
        let failure = if op == FileOp::Finish { Failure::FinishFailed } else { Failure::WriteFailed };
        assert_eq!((yard.status().failed(failure), yard.status().reserved_bytes), (1, 0));
    }
}

#[test]
fn a_folder_that_is_emptied_meanwhile_costs_the_files_and_nothing_else() {
    let mut yard = Yard::new(5);
    let client = yard.client(5, "a");
    yard.world.disk_mut(yard.node).remove(&temp_name("a", 1));
    yard.world.write(client, b"hello");
    yard.run_ms(600);
    assert_eq!((yard.state(client), yard.status().failed(Failure::FinishFailed)), (RESET, 1));
    let client = yard.client(5, "a");
    yard.world.write(client, b"again");
    yard.run_ms(600);
    assert_eq!((yard.state(client), yard.stored("a")), (END, Some(b"again".as_slice())));
}

#[test]
fn whoever_stops_leaves_nothing() {
    let mut yard = Yard::new(6);
    let [cut, reset, stalls, gone] =
        ["cut", "reset", "stalls", "gone"].map(|name| yard.client(1_000_000, name));
    for client in [cut, reset, stalls, gone] {
        yard.world.write(client, &content(300_000));
    }
    yard.run_ms(100);
    yard.world.finish_writing(cut);
    yard.world.reset(reset);
    yard.world.close(gone);
    yard.run_ms(100);
    assert_eq!((yard.state(cut), yard.names().1), (RESET, vec![temp_name("stalls", 3).as_str()]));
    // Its time counts from when it was told to go ahead, some seconds ago: it has not brought enough since.
    yard.world.run_for(Duration::from_secs(55));
    assert_eq!(yard.state(stalls), StrangerState::Open);
    yard.world.run_for(Duration::from_secs(6));
    assert_eq!((yard.state(stalls), yard.names()), (RESET, (vec![], vec![])));
    let failed = [Failure::Cut, Failure::LinkLost, Failure::Stalled].map(|why| yard.status().failed(why));
    assert_eq!((failed, yard.status().clients), ([2, 1, 1], 0));
}

#[test]
fn a_kill_leaves_no_file_under_its_name_and_is_no_receipt() {
    let mut yard = Yard::new(7);
    let done = yard.client(5, "done");
    yard.world.write(done, b"hello");
    yard.run_ms(600);
    yard.world.disk_mut(yard.node).slow_down(Duration::from_secs(5));
    let [half, whole] = [(5, "half"), (5, "whole")].map(|(bytes, name)| yard.announce(bytes, name));
    yard.world.run_for(Duration::from_secs(7));
    yard.world.write(half, b"hel");
    yard.world.write(whole, b"hello");
    yard.run_ms(100);
    yard.world.crash(yard.node);
    yard.run_ms(100);
    assert_eq!([half, whole].map(|client| yard.state(client)), [RESET; 2]);
    let (whole_ones, left) = yard.names();
    assert_eq!((whole_ones, left.len()), (vec!["done"], 2));
    assert!(left[0].starts_with("half.") && left[1].starts_with("whole."), "{left:?}");

    yard.world.disk_mut(yard.node).slow_down(Duration::ZERO);
    yard.start_again(100);
    assert_eq!(yard.names().1.len(), 2, "somebody may want to look at them");
    yard.world.run_for(UPLOAD_LEFT_AGE);
    yard.world.crash(yard.node);
    yard.start_again(200);
    assert_eq!(yard.names(), (vec!["done"], vec![]));
}

#[test]
fn an_orderly_stop_finishes_what_is_whole() {
    let mut yard = Yard::new(8);
    yard.world.disk_mut(yard.node).slow_down(Duration::from_secs(5));
    let silent = yard.connect();
    let [half, whole] = [(5, "half"), (5, "whole")].map(|(bytes, name)| yard.announce(bytes, name));
    yard.world.run_for(Duration::from_secs(7));
    yard.world.write(half, b"hel");
    yard.world.write(whole, b"hello");
    yard.run_ms(100);
    yard.world.shutdown(yard.node);
    yard.run_ms(100);
    let late = yard.connect();
    yard.run_ms(100);
    assert_eq!(
        [silent, half, whole, late].map(|client| yard.state(client)),
        [END, RESET, StrangerState::Open, StrangerState::Refused(ErrorKind::ConnectionRefused)]
    );
    yard.world.run_for(Duration::from_secs(20));
    assert_eq!((yard.state(whole), yard.names()), (END, (vec!["whole"], vec![])));
    assert!(!yard.world.is_running(yard.dropbox));
}

#[test]
fn a_loop_that_sleeps_cuts_no_header() {
    for seed in 0..50 {
        let mut yard = Yard::new(seed);
        let client = yard.connect();
        yard.run_ms(10);
        yard.world.write(client, b"\0\0\0\0\0\0\0\x01beginning ");
        yard.run_ms(1);
        yard.world.stall(yard.node, Duration::from_secs(1));
        yard.run_ms(seed * 4);
        yard.world.write(client, b"and end");
        yard.run_ms(2000);
        assert_eq!(yard.world.read(client), b"go ahead");
        assert_eq!(yard.names().1, [temp_name("beginning and end", 1)]);
    }
}

#[test]
fn a_client_that_reads_nothing_is_a_client_all_the_same() {
    let mut yard = Yard::new(9);
    let client = yard.announce(5, "a");
    yard.world.set_reading(client, ReadRate::Nothing);
    yard.run_ms(600);
    yard.world.write(client, b"hello");
    yard.run_ms(100);
    assert_eq!(yard.stored("a"), Some(b"hello".as_slice()));
    yard.world.run_for(Duration::from_secs(10));
    assert_eq!(yard.status().clients, 0);
}

#[test]
fn room_that_an_operator_makes_is_seen() {
    let mut yard = Yard::with(10, |config| config.quota_bytes = 100_000);
    let client = yard.client(90_000, "a");
    yard.world.write(client, &content(90_000));
    yard.run_ms(2000);
    let refused = yard.announce(10_001, "b");
    yard.run_ms(2000);
    assert_eq!((yard.state(refused), yard.status().refused(Refusal::OverQuota)), (END, 1));
    yard.world.disk_mut(yard.node).remove("a");
    let client = yard.announce(100_000, "b");
    yard.world.run_for(QUIET + Duration::from_secs(2));
    assert_eq!(yard.world.read(client), b"go ahead");
}

#[test]
fn what_a_kill_left_takes_room_until_it_is_removed() {
    let mut yard = Yard::new(12);
    let client = yard.client(90_000, "a");
    yard.world.write(client, &content(50_000));
    yard.run_ms(2000);
    yard.world.crash(yard.node);
    yard.start_with(100, |config| config.quota_bytes = 100_000);
    let refused = yard.announce(10_001, "b");
    yard.run_ms(2000);
    assert_eq!((yard.state(refused), yard.status().refused(Refusal::OverQuota)), (END, 1));
    yard.world.run_for(UPLOAD_LEFT_AGE);
    let client = yard.announce(100_000, "b");
    yard.world.run_for(QUIET + Duration::from_secs(2));
    assert_eq!(yard.world.read(client), b"go ahead");
}

/// Keeps what it is shown.
#[derive(Default)]
struct Watcher {
    shown: Vec<String>,
}

impl Machine for Watcher {
    fn handle_input(&mut self, input: Input<'_>, _now: Now, os: &mut dyn Os) {
        match input {
            Input::Presented { path, .. } => self.shown.push(path.to_owned()),
            Input::Shutdown => os.perform(Effect::Exit),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _now: Now, _os: &mut dyn Os) {}

    fn poll_timeout(&self) -> Option<Mono> {
        None
    }
}

#[test]
fn other_machines_are_shown_what_is_whole_and_what_was_there() {
    let mut yard = Yard::new(11);
    let watcher = yard.world.start(yard.node, Box::<Watcher>::default());
    for name in ["b", "b", "a"] {
        let client = yard.client(1, name);
        yard.world.write(client, b"1");
        yard.run_ms(100);
    }
    let cut = yard.client(2, "c");
    yard.world.write(cut, b"1");
    yard.world.close(cut);
    yard.run_ms(100);
    let shown = |yard: &Yard, watcher| yard.world.machine::<Watcher>(watcher).unwrap().shown.clone();
    assert_eq!(shown(&yard, watcher), ["b", "b.1", "a"]);
    yard.world.crash(yard.node);
    let watcher = yard.world.start(yard.node, Box::<Watcher>::default());
    yard.start_again(100);
    assert_eq!(shown(&yard, watcher), ["a", "b", "b.1"]);
}
