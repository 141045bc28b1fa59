//! Links that end in other ways: reset, sent over no more, or held beyond the other side's end. And long ranges.

use super::*;

use std::io::ErrorKind;

use crate::io::link::{Link, State};
use crate::proto::limits::WRITE_BUDGET_BYTES;

/// What is sent before the reset: nothing, bytes, or a long range.
#[test]
fn a_reset_is_an_error_for_the_other_side() {
    fn act(sent: &mut u32, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Received { link, .. }) => {
                match sent {
                    0 => {}
                    1 => desk.send(link, &vec![0; 1 << 20]),
                    _ => {
                        let file = FileId(1);
                        desk.open(file, "file", OpenMode::Partial);
                        desk.os.perform(Effect::WriteAt { file, offset: 63 << 20, bytes: &[0; 1 << 20] });
                        desk.os.perform(Effect::SendFile { link, file, offset: 0, len: 64 << 20 });
                    }
                }
                if *sent < 2 {
                    desk.os.perform(Effect::Reset { link, reason: CloseReason::Failed });
                    desk.send(link, b"too late");
                    desk.exit();
                } else {
                    desk.wake_in(Duration::from_millis(50));
                }
            }
            What::Timeout => {
                let link = LinkId { index: 0, generation: 0 };
                desk.os.perform(Effect::Reset { link, reason: CloseReason::Failed });
                desk.exit();
            }
            What::Told(Input::LinkDown { .. }) => panic!("it was our doing"),
            What::Told(_) => {}
        }
    }
    for sent in 0..3 {
        let (_, error, stats) = run(sent, act, |addr| {
            let mut stream = connect(addr);
            stream.write_all(b"x").unwrap();
            pause(100);
            stream.read_to_end(&mut Vec::new()).unwrap_err().kind()
        });
        assert_eq!(error, ErrorKind::ConnectionReset);
        assert_eq!(stats.closes[&CloseReason::Failed], 1);
        assert!(stats.downs.is_empty());
    }
}

#[test]
fn a_link_that_is_not_read_waits_and_loses_nothing() {
    const LEN: usize = 1 << 20;
    fn act((goes_on, heard): &mut (bool, Vec<u8>), what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::LinkUp { link, .. }) => {
                desk.os.perform(Effect::PauseReading { link });
                desk.wake_in(Duration::from_millis(200));
            }
            What::Timeout => {
                *goes_on = true;
                desk.os.perform(Effect::ResumeReading { link: LinkId { index: 0, generation: 0 } });
            }
            What::Told(Input::Received { bytes, .. }) => {
                assert!(*goes_on);
                heard.extend_from_slice(bytes);
            }
            What::Told(Input::LinkDown { reason, .. }) => {
                assert_eq!((*goes_on, reason), (true, DownReason::Eof));
                desk.exit();
            }
            What::Told(_) => {}
        }
    }
    // More than the kernel takes, and an end that comes while nobody reads.
    for len in [LEN, 10] {
        let ((_, heard), (), _) = run((false, Vec::new()), act, move |addr| {
            connect(addr).write_all(&pattern(len)).unwrap();
        });
        assert!(heard == pattern(len), "{} of {len}", heard.len());
    }
}

#[test]
fn who_has_shut_a_link_hears_on() {
    const LEN: usize = 20 << 20;
    fn act(heard: &mut Vec<u8>, what: What<'_>, desk: &mut Desk<'_>) {
        let file = FileId(1);
        match what {
            What::Told(Input::LinkUp { link, .. }) => {
                desk.open(file, "file", OpenMode::Partial);
                desk.os.perform(Effect::WriteAt { file, offset: 0, bytes: &pattern(LEN) });
                desk.os.perform(Effect::SendFile { link, file, offset: 0, len: LEN as u64 });
                desk.send(link, b"end");
                desk.os.perform(Effect::Shut { link });
                desk.os.perform(Effect::Shut { link });
                desk.send(link, b"too late");
                desk.os.perform(Effect::SendFile { link, file: FileId(9), offset: 0, len: 1 });
            }
            What::Told(Input::Received { bytes, .. }) => heard.extend_from_slice(bytes),
            What::Told(Input::LinkDown { reason, .. }) => {
                assert_eq!(reason, DownReason::Eof);
                desk.exit();
            }
            What::Told(_) => {}
            What::Timeout => panic!("not asked for"),
        }
    }
    let (heard, (), stats) = run(Vec::new(), act, |addr| {
        let mut stream = connect(addr);
        pause(100);
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert!(got[..LEN] == pattern(LEN) && got[LEN..] == *b"end");
        for _ in 0..3 {
            stream.write_all(b"still here ").unwrap();
            pause(50);
        }
    });
    assert_eq!(heard, b"still here still here still here ");
    assert_eq!((stats.downs[&DownReason::Eof], stats.downs.len()), (1, 1));
}

#[test]
fn a_link_with_nothing_to_send_is_shut_at_once_and_can_be_closed() {
    fn act(_: &mut (), what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::LinkUp { link, .. }) => desk.os.perform(Effect::Shut { link }),
            What::Told(Input::Received { link, .. }) => {
                desk.close(link);
                desk.exit();
            }
            What::Told(Input::LinkDown { .. }) => panic!("it was our doing"),
            _ => {}
        }
    }
    let ((), (), stats) = run((), act, |addr| {
        let mut stream = connect(addr);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        stream.write_all(b"x").unwrap();
    });
    assert_eq!(stats.closes[&CloseReason::Done], 1);
}

#[test]
fn the_end_of_a_long_range_is_always_told() {
    const LEN: u64 = WRITE_BUDGET_BYTES as u64 + 1;
    fn act(told: &mut Vec<&'static str>, what: What<'_>, desk: &mut Desk<'_>) {
        let file = FileId(1);
        match what {
            What::Told(Input::LinkUp { link, .. }) => {
                desk.open(file, "file", OpenMode::Partial);
                desk.os.perform(Effect::WriteAt { file, offset: 0, bytes: &vec![0; LEN as usize] });
                desk.os.perform(Effect::SendFile { link, file, offset: 0, len: LEN });
            }
            What::Told(Input::Blocked { .. }) => told.push("blocked"),
            What::Told(Input::Drained { link }) => {
                told.push("drained");
                if told.len() < 20 {
                    desk.os.perform(Effect::SendFile { link, file, offset: 0, len: LEN });
                } else {
                    desk.close(link);
                    desk.exit();
                }
            }
            _ => {}
        }
    }
    let (told, got, _) = run(Vec::new(), act, |addr| {
        let mut got = Vec::new();
        connect(addr).read_to_end(&mut got).unwrap();
        got.len() as u64
    });
    assert!(told.chunks(2).all(|pair| pair == ["blocked", "drained"]), "{told:?}");
    assert_eq!((told.len(), got), (20, 10 * LEN));
}

#[derive(Default)]
struct Held {
    told: Vec<&'static str>,
    resets: bool,
}

/// Holds a link, and ends it some time after the other side has said its own end.
fn hold(state: &mut Held, what: What<'_>, desk: &mut Desk<'_>) {
    match what {
        What::Told(Input::LinkUp { link, .. }) => desk.os.perform(Effect::Hold { link }),
        What::Told(Input::Ended { .. }) => {
            state.told.push("ended");
            desk.wake_in(Duration::from_millis(300));
        }
        What::Timeout => {
            let link = LinkId { index: 0, generation: 0 };
            if state.resets {
                desk.os.perform(Effect::Reset { link, reason: CloseReason::Failed });
            } else {
                desk.send(link, b"late");
                desk.close(link);
            }
            desk.exit();
        }
        What::Told(Input::LinkDown { reason, .. }) => {
            assert_eq!(reason, DownReason::Reset);
            state.told.push("down");
            desk.exit();
        }
        What::Told(_) => {}
    }
}

#[test]
fn a_held_link_lasts_beyond_the_other_sides_end() {
    for resets in [false, true] {
        let state = Held { resets, ..Held::default() };
        let (state, got, stats) = run(state, hold, |addr| {
            let mut stream = connect(addr);
            stream.write_all(b"all of it").unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).map(|_| got).map_err(|error| error.kind())
        });
        assert_eq!(state.told, ["ended"]);
        let expected = if resets { Err(ErrorKind::ConnectionReset) } else { Ok(b"late".to_vec()) };
        assert_eq!(got, expected);
        assert!(stats.downs.is_empty() && stats.turns < 100, "{stats:?}");
    }
}

#[test]
fn a_held_link_can_break_after_the_other_sides_end() {
    fn act(state: &mut Held, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            // The other side is gone wholly: this is answered by a reset.
            What::Told(Input::Ended { link }) => {
                state.told.push("ended");
                desk.send(link, b"to nobody");
            }
            other => hold(state, other, desk),
        }
    }
    let (state, (), _) = run(Held::default(), act, |addr| drop(connect(addr)));
    assert_eq!(state.told, ["ended", "down"]);
}

#[test]
fn a_machine_that_exits_breaks_what_it_holds() {
    fn act(_: &mut (), what: What<'_>, desk: &mut Desk<'_>) {
        if let What::Told(Input::LinkUp { link, .. }) = what {
            desk.os.perform(Effect::Hold { link });
            desk.exit();
        }
    }
    let ((), error, _) = run((), act, |addr| connect(addr).read(&mut [0]).unwrap_err().kind());
    assert_eq!(error, ErrorKind::ConnectionReset);
}

/// As the kernel closes the sockets of a process that was killed.
#[test]
fn a_held_link_that_is_dropped_is_reset() {
    for (held, expected) in [(true, Err(ErrorKind::ConnectionReset)), (false, Ok(0))] {
        let (listener, addr) = port();
        let mut stream = connect(addr);
        let (accepted, _) = listener.accept().unwrap();
        let link = Link::new(mio::net::TcpStream::from_std(accepted), 0, State::Open);
        link.set_abrupt(true);
        link.set_abrupt(held);
        drop(link);
        assert_eq!(stream.read(&mut [0]).map_err(|error| error.kind()), expected);
    }
}
