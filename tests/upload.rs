//! `tickmesh upload` as users start it, against servers that are written here, in plain threads, from the description of the
//! protocol alone. What the sender makes of each single answer is tested beside its machine.

#![allow(clippy::disallowed_methods)] // the servers are threads

mod common;

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use common::place::{json, last_json};
use common::{PATIENCE, finish, line, mute, run, start, start_command, text, tickmesh};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

/// Longer than a header takes that comes in pieces.
const PAUSE: Duration = Duration::from_millis(300);
/// More than two sockets hold.
const LARGE: u64 = 64 << 20;

/// Somebody who wants to upload: what it says of its file.
struct Client {
    stream: TcpStream,
    size: u64,
    name: String,
}

impl Client {
    /// Takes the header: the size, and a name until nothing more comes.
    fn new(mut stream: TcpStream) -> Client {
        let mut size = [0; 8];
        stream.read_exact(&mut size).unwrap();
        stream.set_read_timeout(Some(PAUSE)).unwrap();
        let (mut name, mut piece) = (Vec::new(), [0; 5000]);
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            name.extend_from_slice(&piece[..count]);
        }
        stream.set_read_timeout(None).unwrap();
        Client { stream, size: u64::from_be_bytes(size), name: String::from_utf8(name).unwrap() }
    }

    fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    fn take(&mut self, count: u64) -> Vec<u8> {
        let mut bytes = vec![0; count as usize];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Until its end, or until it is gone.
    fn take_rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }

    /// What closes it from now on is a reset.
    fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A server that does with each client what `act` does; clients are counted from 0.
fn server(act: impl Fn(Client, usize) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let act = Arc::new(act);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let act = Arc::clone(&act);
            std::thread::spawn(move || act(Client::new(stream.unwrap()), number));
        }
    });
    addr
}

/// What a server has stored.
type Stored = (String, Vec<u8>);

/// The usual one: closes after the last byte.
fn good() -> (SocketAddr, Receiver<Stored>) {
    let (stored, received) = channel();
    (server(move |client, _| store(client, &stored)), received)
}

fn store(mut client: Client, stored: &Sender<Stored>) {
    client.say("go ahead");
    let bytes = client.take(client.size);
    stored.send((client.name, bytes)).unwrap();
}

/// A folder with `one.bin`, as large as it is said, and others.
fn folder(size: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::File::create(dir.path().join("one.bin")).unwrap().set_len(size).unwrap();
    dir
}

fn upload(dir: &Path, args: &str, to: SocketAddr) -> Output {
    run(dir, &format!("upload {args} --to {to}"))
}

/// Uploads one file to a server that does so, which does not work; returns what was said on stderr.
fn failing(size: u64, more: &str, act: impl Fn(Client) + Send + Sync + 'static) -> String {
    let dir = folder(size);
    let output = upload(dir.path(), &format!("one.bin {more}"), server(move |client, _| act(client)));
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""), "{said}");
    assert!(said.starts_with("tickmesh: one.bin ") && said.lines().count() == 1, "{said}");
    said
}

#[test]
fn files_of_any_size_arrive_at_servers_of_any_kind() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    let large: Vec<u8> = (0..5_000_000_u32).map(|place| ((place * 7) >> 3) as u8).collect();
    let files: [(&str, &[u8]); 3] = [("empty", b""), ("in/größe 1.b", b"x"), ("large.bin", &large)];
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    let kinds: [fn(&mut Client) -> Vec<u8>; 3] = [
        |client| {
            client.say("go ahead");
            client.take(client.size)
        },
        |client| {
            client.say("go ahead");
            client.take_rest()
        },
        |client| {
            client.say("go ");
            std::thread::sleep(PAUSE);
            client.say("ahead");
            client.take(client.size)
        },
    ];
    for kind in kinds {
        let (stored, received) = channel();
        let addr = server(move |mut client, _| {
            let bytes = kind(&mut client);
            stored.send((client.size, client.name.clone(), bytes)).unwrap();
        });
        let mut command = tickmesh(dir.path(), "upload");
        command.args(files.map(|(name, _)| name)).args(["--to", &addr.to_string()]);
        let output = finish(start_command(command).unwrap());
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "no bar where nobody sees it");
        let said = text(&output.stdout);
        let expected =
            ["uploaded empty (0 B in ", "uploaded größe 1.b (1 B in ", "uploaded large.bin (5.0 MB in "];
        assert_eq!(said.lines().count(), 3, "{said}");
        for (line, expected) in said.lines().zip(expected) {
            assert!(line.starts_with(expected) && line.ends_with(" s)"), "{line}");
        }
        for (name, content) in files {
            let (size, there, bytes) = received.recv_timeout(PATIENCE).unwrap();
            assert_eq!((size, there.as_str()), (content.len() as u64, name.trim_start_matches("in/")));
            assert!(bytes == content, "{name}");
        }
    }
}

#[test]
fn several_go_at_once_and_never_more_than_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..7).map(|number| format!("file{number}")).collect();
    names.iter().for_each(|name| fs::write(dir.path().join(name), name).unwrap());
    let (stored, received) = channel();
    let (first_three, now, most) = (Barrier::new(3), AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let addr = server(move |mut client, number| {
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        if number < 3 {
            first_three.wait();
        }
        client.say("go ahead");
        let bytes = client.take(client.size);
        now.fetch_sub(1, Ordering::SeqCst);
        stored.send((client.name, bytes)).unwrap();
    });
    let output = upload(dir.path(), &format!("{} --jobs 3", names.join(" ")), addr);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 7);
    let mut there: Vec<Stored> = (0..7).map(|_| received.recv_timeout(PATIENCE).unwrap()).collect();
    there.sort();
    let expected: Vec<Stored> = names.iter().map(|name| (name.clone(), name.clone().into_bytes())).collect();
    assert_eq!((there, seen.load(Ordering::SeqCst)), (expected, 3));
}

#[test]
fn one_that_is_refused_stops_no_other() {
    let dir = tempfile::tempdir().unwrap();
    ["a", "b", "c"].iter().for_each(|name| fs::write(dir.path().join(name), name).unwrap());
    let (stored, received) = channel();
    let addr = server(move |client, number| {
        if number != 1 {
            store(client, &stored);
        }
    });
    let output = upload(dir.path(), "a b c", addr);
    assert_eq!(output.status.code(), Some(1));
    let why = "tickmesh: b was not uploaded: the server refused it (its name, its size, no room?) or is stopping; its log says why\n";
    assert_eq!(text(&output.stderr), why);
    let said = text(&output.stdout);
    assert!(
        said.lines().count() == 2 && said.contains("uploaded a (") && said.contains("uploaded c ("),
        "{said}"
    );
    assert_eq!([0, 1].map(|_| received.recv_timeout(PATIENCE).unwrap().0), ["a", "c"]);
}

#[test]
fn answers_that_are_none_are_told_with_what_was_said() {
    for (answer, expected) in [
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "the server said \"HTTP/1.1 400 Bad Request…\" and not `go ahead`",
        ),
        ("\x1b[2Jgo ahead", "the server said \"\\u{1b}[2Jgo ahead\" and not"),
        ("go ahead\n", "the server said more than `go ahead`"),
    ] {
        let said = failing(1, "", move |mut client| {
            client.say(answer);
            client.take_rest();
        });
        assert!(said.contains(&format!("was not uploaded: {expected}")), "{said}");
        assert!(!said.contains('\x1b'), "{said:?}");
    }
    let said = failing(1, "--timeout 1s", |mut client| drop(client.take_rest()));
    assert!(said.contains("was not uploaded: the server did not say `go ahead` within 1s\n"), "{said}");
    let said = failing(1, "", Client::reset);
    assert!(said.contains("broke before the server said `go ahead`: connection reset\n"), "{said}");
    let (_bound, free) = mute();
    let dir = folder(1);
    let said = text(&upload(dir.path(), "one.bin", free).stderr);
    assert!(said.contains(&format!("{free} cannot be reached: connection refused\n")), "{said}");
}

#[test]
fn a_server_that_takes_only_a_part_has_not_got_the_file() {
    let said = failing(LARGE, "", |mut client| {
        client.say("go ahead");
        client.take(1 << 20);
        client.reset();
    });
    assert!(
        said.contains("was not uploaded: the connection broke in the middle: connection reset\n"),
        "{said}"
    );
    let said = failing(LARGE, "", |mut client| {
        client.say("go ahead");
        client.take(1 << 20);
        client.stream.shutdown(Shutdown::Write).unwrap();
        client.take_rest();
    });
    let closed = "was not uploaded: the server closed the connection before it had taken all of it\n";
    assert!(said.contains(closed), "{said}");
    let said = failing(LARGE, "--timeout 1s", |mut client| {
        client.say("go ahead");
        client.take(1);
        std::thread::park();
    });
    assert!(said.contains("was not uploaded: the server took nothing for 1s\n"), "{said}");
    // Whichever of the two ends is seen first.
    failing(1, "", |mut client| client.say("go ahead"));
}

#[test]
fn after_the_last_byte_only_an_orderly_end_is_a_success() {
    let said = failing(1000, "", |mut client| {
        client.say("go ahead");
        client.take(1000);
        client.reset();
    });
    assert!(said.contains("may not have been uploaded: the connection broke after the last byte"), "{said}");
    assert!(said.ends_with("; nobody knows whether it was stored\n"), "{said}");
    let said = failing(1000, "--timeout 1s", |mut client| {
        client.say("go ahead");
        assert_eq!(client.take_rest().len(), 1000, "it hears our end");
        std::thread::park();
    });
    assert!(said.contains("may not have been uploaded: the server did not close within 1s"), "{said}");
    let said = failing(1000, "", |mut client| {
        client.say("go ahead");
        client.take(1000);
        client.say("no room\n");
        client.take_rest();
    });
    assert!(said.contains("the server said \"no room…\" after the last byte; nobody knows"), "{said}");
}

#[test]
fn what_cannot_be_uploaded_is_named_and_the_rest_goes() {
    let dir = folder(3);
    fs::create_dir(dir.path().join("folder")).unwrap();
    nix::unistd::mkfifo(&dir.path().join("pipe"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let (addr, received) = good();
    let output = upload(dir.path(), "folder nothing one.bin pipe", addr);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    let why = [
        "tickmesh: cannot upload \"folder\": it is a folder; name the files in it",
        "tickmesh: cannot upload \"nothing\": No such file or directory (os error 2)",
        "tickmesh: cannot upload \"pipe\": it is no plain file",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), why);
    assert!(text(&output.stdout).starts_with("uploaded one.bin (3 B in "));
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), ("one.bin".to_owned(), vec![0; 3]));
    let none = upload(dir.path(), "nothing --json", addr);
    assert_eq!((none.status.code(), last_json(&none)["uploaded"].as_u64()), (Some(1), Some(0)));
}

#[test]
fn a_file_that_shrinks_is_not_taken_for_whole() {
    let dir = folder(LARGE);
    let path = dir.path().join("one.bin");
    let addr = server(move |mut client, _| {
        client.say("go ahead");
        client.take(1 << 20);
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
        client.take_rest();
    });
    let output = upload(dir.path(), "one.bin", addr);
    let why = "one.bin was not uploaded: it became shorter while it was sent, or cannot be read any more\n";
    assert!(text(&output.stderr).ends_with(why), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn programs_read_one_object_a_line() {
    let dir = folder(5_000_000);
    fs::write(dir.path().join("b"), "b").unwrap();
    let (addr, _received) = good();
    let output = upload(dir.path(), "one.bin nothing b --json", addr);
    assert_eq!(output.status.code(), Some(1));
    let events: Vec<_> = text(&output.stdout).lines().map(json).collect();
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    assert_eq!(of("refused")[0]["file"], "nothing");
    let done = of("done");
    for (event, (file, bytes)) in done.iter().zip([("one.bin", 5_000_000), ("b", 1)]) {
        assert_eq!((&event["file"], &event["bytes"]), (&file.into(), &bytes.into()));
        assert!(event["bytes_sent"] == bytes && event["seconds"].is_f64(), "{event}");
    }
    for event in of("progress") {
        assert!(event["bytes"] == 5_000_001 && event["bytes_sent"].is_u64(), "{event}");
    }
    let ended = serde_json::json!({ "event": "ended", "files": 3, "uploaded": 2, "bytes_sent": 5_000_001 });
    assert_eq!((events.last(), done.len()), (Some(&ended), 2));

    let addr = server(|client, _| client.reset());
    let output = upload(dir.path(), "b --json", addr);
    let failed = text(&output.stdout).lines().map(json).find(|event| event["event"] == "failed").unwrap();
    assert_eq!((&failed["file"], &failed["may_be_stored"]), (&"b".into(), &false.into()));
    assert!(failed["why"].as_str().unwrap().contains("connection reset"), "{failed}");
}

#[test]
fn who_is_stopped_names_what_was_not_done() {
    let dir = folder(LARGE);
    ["a", "b"].iter().for_each(|name| fs::write(dir.path().join(name), name).unwrap());
    let (begun, has_begun) = channel();
    let (rest, rest_of) = channel();
    let addr = server(move |mut client, number| {
        client.say("go ahead");
        let mut bytes = client.take(client.size.min(1 << 20));
        if number == 1 {
            begun.send(()).unwrap();
            let how = client.stream.read_to_end(&mut bytes).map_err(|error| error.kind());
            rest.send((bytes.len() as u64, how)).unwrap();
        }
    });
    let mut upload = start(dir.path(), &format!("upload a one.bin b --to {addr}"));
    assert!(line(&mut upload).starts_with("uploaded a ("));
    has_begun.recv_timeout(PATIENCE).unwrap();
    upload.signal(Signal::SIGTERM);
    let output = finish(upload);
    assert_eq!(output.status.code(), Some(1));
    let why = "tickmesh: one.bin was not uploaded: interrupted\ntickmesh: b was not uploaded: interrupted\n";
    assert_eq!(text(&output.stderr), why);
    let (came, how) = rest_of.recv_timeout(PATIENCE).unwrap();
    assert!(came < LARGE && how == Err(ErrorKind::ConnectionReset), "{came} bytes came, and then {how:?}");
}
