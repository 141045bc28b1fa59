//! Standard input: pipes, files and what is neither.

use std::fs::File;
use std::os::fd::OwnedFd;

use nix::unistd::pipe;

use super::*;
use crate::proto::limits::TYPED_BUDGET_BYTES;

/// Takes what is typed, so much at a time, and ends at its end.
#[derive(Default)]
struct Reader {
    bytes: Vec<u8>,
    /// It wants no more until the timer has fired.
    full_at: Option<usize>,
    wake: Option<Mono>,
    has_ended: bool,
    /// Where it listens; what comes in there keeps it busy.
    addr: Option<SocketAddr>,
}

impl Machine for Reader {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        match input {
            Input::Start => {
                if let Some(addr) = self.addr {
                    os.perform(Effect::Listen { addr });
                }
            }
            // Longer than the slice of a turn.
            Input::Received { .. } => pause(1),
            Input::Typed { bytes } => {
                assert!(self.wants_typed() && bytes.len() <= TYPED_BUDGET_BYTES);
                self.bytes.extend_from_slice(bytes);
                self.wake = self.full_at.map(|_| now.mono + Duration::from_millis(20));
            }
            Input::TypedEnd => {
                assert!(!std::mem::replace(&mut self.has_ended, true));
                os.perform(Effect::Exit);
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Now, _os: &mut dyn Os) {
        assert!(now.mono < Mono(0) + HANGING, "the test hangs");
        self.full_at = self.full_at.map(|full_at| full_at + self.bytes.len());
        self.wake = None;
    }

    fn poll_timeout(&self) -> Option<Mono> {
        Some(self.wake.unwrap_or(Mono(0) + HANGING))
    }

    fn wants_typed(&self) -> bool {
        self.full_at.is_none_or(|full_at| self.bytes.len() < full_at)
    }
}

fn read_all(fd: impl Into<OwnedFd>, full_at: Option<usize>) -> Vec<u8> {
    let mut reader = Reader { full_at, ..Reader::default() };
    let mut reactor = Reactor::new().unwrap();
    reactor.read_typed_from(0, fd.into()).unwrap();
    let hosts = &mut [Host { machine: &mut reader, root: "/nowhere".into() }];
    assert_eq!(reactor.run(hosts).unwrap(), RunEnd::Exited);
    assert!(reader.has_ended);
    reader.bytes
}

#[test]
fn a_pipe_is_read_to_its_end() {
    let (from, to) = pipe().unwrap();
    let writer = spawn(move || {
        let mut to = File::from(to);
        for line in 0..1000 {
            writeln!(to, "line {line}").unwrap();
        }
    });
    let bytes = read_all(from, None);
    writer.join().unwrap();
    assert_eq!(bytes.split_inclusive(|byte| *byte == b'\n').count(), 1000);
}

#[test]
fn a_pipe_is_left_alone_while_its_machine_wants_nothing() {
    let (from, to) = pipe().unwrap();
    let bytes: Vec<u8> = (0..300_000u32).map(|place| place as u8).collect();
    let expected = bytes.clone();
    let writer = spawn(move || File::from(to).write_all(&bytes).unwrap());
    assert!(read_all(from, Some(20_000)) == expected);
    writer.join().unwrap();
}

#[test]
fn files_and_nothing_are_read_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("commands");
    std::fs::write(&path, "x".repeat(50_000)).unwrap();
    assert_eq!(read_all(File::open(&path).unwrap(), None).len(), 50_000);
    assert_eq!(read_all(File::open(&path).unwrap(), Some(1)).len(), 50_000);
    assert_eq!(read_all(File::open("/dev/null").unwrap(), None), b"");
}

#[test]
fn no_more_is_read_than_is_wanted_while_links_keep_the_loop_busy() {
    let (listener, addr) = port();
    let (from, to) = pipe().unwrap();
    let bytes = pattern(300_000);
    let expected = bytes.clone();
    let writer = spawn(move || File::from(to).write_all(&bytes).unwrap());
    let mut reader = Reader { full_at: Some(1), addr: Some(addr), ..Reader::default() };
    let mut reactor = Reactor::new().unwrap();
    reactor.inherit(listener);
    reactor.read_typed_from(0, from).unwrap();
    let noise = spawn(move || {
        let mut stream = connect(addr);
        while stream.write_all(&[0; 1 << 20]).is_ok() {}
    });
    let hosts = &mut [Host { machine: &mut reader, root: "/nowhere".into() }];
    assert_eq!(reactor.run(hosts).unwrap(), RunEnd::Exited);
    assert!(reader.bytes == expected);
    drop(reactor);
    writer.join().unwrap();
    noise.join().unwrap();
}
