//! What is typed, and what is made of it.

use super::*;
use crate::proto::limits::{
    CHUNKS_MAX, COUNTED_BYTES_MIN, FILES_PER_MEMBER_MAX, SEARCH_CHUNKS_MAX, SERVER_LINKS, SERVER_LINKS_MAX,
    UPLOAD_CLIENTS_MAX, UPLOAD_FILES_MAX, UPLOAD_JOBS_MAX, UPLOAD_TIMEOUT_MAX, UPLOAD_TIMEOUT_MIN,
};

fn parse_line(line: &str) -> Parsed {
    let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    parse(&args)
}

fn command(line: &str) -> Command {
    match parse_line(line) {
        Parsed::Run(command) => *command,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn defaults_are_those_of_the_specification() {
    let Command::Server(server) = command("tickmesh server") else { panic!() };
    assert_eq!(server.listen, ["127.0.0.1:5555".parse().unwrap()]);
    assert_eq!((server.interval, server.duration), (Duration::from_millis(10), Duration::from_secs(300)));
    assert_eq!((server.process.daemon, server.process.grace), (false, Duration::from_secs(5)));
    let Command::Peer(peer) = command("tickmesh peer") else { panic!() };
    assert_eq!((peer.ids.len(), peer.share_deadline), (1, Some(Duration::from_secs(120))));
    assert_eq!(peer.server, "127.0.0.1:5555".parse().unwrap());
    let Command::Demo(demo) = command("tickmesh demo") else { panic!() };
    assert_eq!((demo.peers, demo.duration), (3, Duration::from_secs(10)));
}

#[test]
fn uploads_are_taken_where_an_address_is_given() {
    let Command::Server(server) = command("tickmesh server --out there") else { panic!() };
    assert!(server.uploads.is_none());
    let Command::Server(server) = command("tickmesh server --out there --upload-listen 127.0.0.1:12000")
    else {
        panic!()
    };
    let uploads = server.uploads.unwrap();
    assert_eq!((uploads.listen.port(), uploads.dir), (12000, "there/uploads".into()));
    assert_eq!((uploads.quota_bytes, uploads.file_bytes_max), (100_000_000_000, 100_000_000_000));
    assert_eq!((uploads.clients_max, uploads.clients_per_address_max), (1000, 500));
    assert_eq!((uploads.stall_timeout, uploads.register), (Duration::from_secs(60), false));
    let line = "tickmesh server --upload-listen [::1]:0 --upload-dir in --upload-quota 1GiB --upload-file-max 5MB \
        --upload-clients 3 --upload-clients-per-address 2 --upload-timeout 5s --upload-register";
    let Command::Server(server) = command(line) else { panic!() };
    let uploads = server.uploads.unwrap();
    assert_eq!((uploads.quota_bytes, uploads.file_bytes_max), (1 << 30, 5_000_000));
    assert_eq!((uploads.clients_max, uploads.clients_per_address_max), (3, 2));
    assert_eq!((uploads.stall_timeout, uploads.register), (Duration::from_secs(5), true));
    assert_eq!(uploads.dir, PathBuf::from("in"));
}

#[test]
fn ids_are_counted_up() {
    let Command::Peer(peer) = command("tickmesh peer --id=7 --count 3") else { panic!() };
    let ids: Vec<String> = peer.ids.iter().map(|id| id.unwrap().to_string()).collect();
    assert_eq!(ids, ["7", "8", "9"]);
}

#[test]
fn a_console_is_for_a_user_or_a_guest() {
    let Command::Console(console) = command("tickmesh console") else { panic!() };
    assert_eq!((console.user, console.files), (None, ".".into()));
    let line = "tickmesh console --user alice --password-file f --files films --server 127.0.0.1:7";
    let Command::Console(console) = command(line) else { panic!() };
    assert_eq!(console.user.unwrap().as_str(), "alice");
    assert_eq!((console.password_file, console.server.port()), (Some("f".into()), 7));
    for wrong in
        ["--password-file f", "--user 7 --password-file f", "--user guest-1 --password-file f", "--server x"]
    {
        assert!(matches!(parse_line(&format!("tickmesh console {wrong}")), Parsed::Wrong(_)), "{wrong}");
    }
}

#[test]
fn uploads_go_where_they_are_told() {
    let Command::Upload(upload) = command("tickmesh upload a dir/b --to=127.0.0.1:12000") else { panic!() };
    assert_eq!(upload.files, ["a", "dir/b"].map(PathBuf::from));
    assert_eq!((upload.to.port(), upload.jobs, upload.json), (12000, 1, false));
    assert_eq!(upload.timeout, Duration::from_secs(60));
    let line = "tickmesh upload a --to [::1]:5 --jobs 100 --timeout 24h --json";
    let Command::Upload(upload) = command(line) else { panic!() };
    assert_eq!((upload.to, upload.jobs, upload.json), ("[::1]:5".parse().unwrap(), 100, true));
}

#[test]
fn links_have_limits() {
    let Command::Server(server) = command("tickmesh server") else { panic!() };
    assert_eq!((server.door.links_max, server.door.links_per_address_max), (13_312, 5000));
    assert_eq!((server.door.greet_timeout.as_secs(), server.slow_timeout.as_secs()), (60, 30));
    let line = "tickmesh server --links 9 --links-per-address 3 --greet-timeout 2s --slow-timeout 1s";
    let Command::Server(server) = command(line) else { panic!() };
    assert_eq!((server.door.links_max, server.door.links_per_address_max), (9, 3));
    let [links, per_address] =
        ["--links", "--links-per-address"].map(|flag| format!("{flag} {}", SERVER_LINKS_MAX + 1));
    for wrong in [
        "--links 0",
        &links,
        &per_address,
        "--links-per-address 0",
        "--greet-timeout 1ms",
        "--slow-timeout 0s",
    ] {
        assert!(matches!(parse_line(&format!("tickmesh server {wrong}")), Parsed::Wrong(_)), "{wrong}");
    }
}

#[test]
fn status_is_asked_of_a_server() {
    let Command::Status(status) = command("tickmesh status --json") else { panic!() };
    assert_eq!((status.server, status.json), ("127.0.0.1:5555".parse().unwrap(), true));
    assert!(matches!(parse_line("tickmesh status here"), Parsed::Wrong(_)));
}

#[test]
fn accounts_are_where_the_state_is() {
    let Command::User(user) = command("tickmesh user add alice --state here --password-file f") else {
        panic!()
    };
    assert_eq!(user.state, PathBuf::from("here"));
    let UserAction::Add { name, password_file } = user.action else { panic!() };
    assert_eq!((name.as_str(), password_file), ("alice", Some(PathBuf::from("f"))));
    let Command::User(user) = command("tickmesh user remove 7 --state=there") else { panic!() };
    assert_eq!(user.state, PathBuf::from("there"));
    assert!(matches!(user.action, UserAction::Remove { .. }), "whatever is there can be removed");
}

#[test]
fn wrong_usage_says_what_and_how() {
    for (line, expected) in [
        ("tickmesh", "a command is missing"),
        ("tickmesh fly", "Unrecognized argument: fly; try: tickmesh --help"),
        ("tickmesh peer --id", "No value provided for option '--id'; try: tickmesh peer --help"),
        ("tickmesh peer --count many", "'many': a whole number is expected; try: tickmesh peer --help"),
        ("tickmesh peer --log-keep -1", "'-1': a whole number is expected"),
        ("tickmesh peer --intervall 1ms", "--intervall"),
        ("tickmesh peer --interval 10", "is not a duration; write it like 10ms"),
        ("tickmesh peer --interval 1us", "--interval is from 1ms to 1s, not 1us"),
        ("tickmesh peer --duration 0s", "--duration is above 0s"),
        ("tickmesh peer --duration 9000h", "--duration is above 0s and at most 168h, not 9000h"),
        ("tickmesh peer --count 0", "--count is from 1 to 4096, not 0"),
        ("tickmesh peer --id ../x", "--id ../x: a name has only letters"),
        ("tickmesh peer --id a --count 2", "cannot share one"),
        ("tickmesh peer --id 4294967290 --count 9", "the number is too large"),
        ("tickmesh peer --group a/b", "--group a/b"),
        ("tickmesh peer --server nonsense", "--server nonsense is no address; write HOST:PORT"),
        (
            "tickmesh peer --server [fe80::1%eth0]:5555",
            "an address with a zone (%) means nothing to other machines",
        ),
        ("tickmesh server --listen 127.0.0.1", "--listen 127.0.0.1 is no address"),
        ("tickmesh server --log-level loud", "'loud': the levels are error, warn, info, debug and trace"),
        ("tickmesh server --log-bytes 1", "--log-bytes is at least 4096, or 0, not 1"),
        ("tickmesh server --daemon", "--daemon needs --log-file"),
        ("tickmesh server --grace 200h", "--grace is at most 168h, not 200h"),
        ("tickmesh server --upload-listen 12000", "--upload-listen 12000 is no address; write HOST:PORT"),
        ("tickmesh server --upload-dir in", "--upload-dir is of no use without --upload-listen"),
        ("tickmesh server --upload-register", "--upload-register is of no use without --upload-listen"),
        ("tickmesh server --upload-quota 5", "5 is not a size; write it like 500MB"),
        (
            "tickmesh server --upload-listen 127.0.0.1:0 --upload-quota 4095B",
            "--upload-quota is at least 4096 B, which every file counts, not 4095 B",
        ),
        (
            "tickmesh server --upload-listen 127.0.0.1:0 --upload-quota 1MB --upload-file-max 1MiB",
            "--upload-file-max is at most the quota of 1000000 B, not 1048576 B",
        ),
        (
            "tickmesh server --upload-listen 127.0.0.1:0 --upload-clients 0",
            "--upload-clients is from 1 to 8192, not 0",
        ),
        (
            "tickmesh server --upload-listen 127.0.0.1:0 --upload-clients-per-address 9000",
            "--upload-clients-per-address is from 1 to 8192, not 9000",
        ),
        (
            "tickmesh server --upload-listen 127.0.0.1:0 --upload-clients 2000",
            "--upload-clients is at most 14576 together with --links: 2000 and 13312 are more",
        ),
        (
            "tickmesh server --upload-listen 127.0.0.1:0 --links 14000",
            "--links is at most 14576 together with --upload-clients: 14000 and 1000 are more",
        ),
        (
            "tickmesh server --upload-listen 127.0.0.1:0 --upload-timeout 1ms",
            "--upload-timeout is from 1s to 168h, not 1ms",
        ),
        ("tickmesh share", "share needs the name of a file"),
        ("tickmesh share a --chunks 0", "--chunks is from 1 to 8192, not 0"),
        ("tickmesh share a --chunks 8193", "--chunks is from 1 to 8192, not 8193"),
        ("tickmesh share a --chunks x", "'x': a whole number is expected; try: tickmesh share --help"),
        ("tickmesh share a --upload-limit 5", "5 is not a rate; write it like 2MB/s"),
        ("tickmesh share a --log-level loud", "the levels are error, warn, info, debug and trace"),
        ("tickmesh share -x", "Unrecognized argument: -x; try: tickmesh share --help"),
        ("tickmesh get", "Required positional arguments not provided: file; try: tickmesh get --help"),
        ("tickmesh get a/b", "\"a/b\" is no name of a shared file: a name has only letters"),
        ("tickmesh get ..", "\"..\" is no name of a shared file"),
        ("tickmesh get ../x", "\"../x\" is no name of a shared file"),
        ("tickmesh get x.partial", "unfinished files are called so"),
        ("tickmesh get a 0", "chunks are counted from 1 to at most 8192, not 0"),
        ("tickmesh get a 8193", "not 8193"),
        ("tickmesh get a -1", "Unrecognized argument: -1; try: tickmesh get --help"),
        ("tickmesh get a x", "'x': a whole number is expected"),
        ("tickmesh get a 1 2", "Unrecognized argument: 2"),
        ("tickmesh get a --wait soon", "is not a duration; write it like 10ms"),
        ("tickmesh get a --id a/b", "--id a/b: a name has only letters"),
        ("tickmesh upload a", "Required options not provided: --to; try: tickmesh upload --help"),
        ("tickmesh upload --to 127.0.0.1:12000", "upload needs the name of a file"),
        ("tickmesh upload a --to 127.0.0.1", "--to 127.0.0.1 is no address; write HOST:PORT"),
        ("tickmesh upload a --to 127.0.0.1:1 --jobs 0", "--jobs is from 1 to 100, not 0"),
        ("tickmesh upload a --to 127.0.0.1:1 --jobs 101", "not 101"),
        ("tickmesh upload a --to 127.0.0.1:1 --jobs x", "'x': a whole number is expected"),
        ("tickmesh upload a --to 127.0.0.1:1 --timeout 999ms", "--timeout is from 1s to 24h, not 999ms"),
        ("tickmesh upload a --to 127.0.0.1:1 --timeout 5", "is not a duration; write it like 10ms"),
        ("tickmesh find", "Required positional arguments not provided: file; try: tickmesh find --help"),
        ("tickmesh find x.partial", "unfinished files are called so"),
        ("tickmesh find a 0", "chunks are counted from 1"),
        ("tickmesh user", "user"),
        ("tickmesh user fly", "fly"),
        (
            "tickmesh user add",
            "Required positional arguments not provided: name; try: tickmesh user add --help",
        ),
        ("tickmesh user add alice secret", "Unrecognized argument: secret; try: tickmesh user add --help"),
        ("tickmesh user add alice --password secret", "Unrecognized argument: --password"),
        ("tickmesh user add 7", "\"7\" is no name of a user: numbers are the names of peers"),
        ("tickmesh user add guest-1", "names that begin with 'guest-' are those of guests"),
        ("tickmesh user add a/b", "\"a/b\" is no name of a user: a name has only letters"),
        ("tickmesh user passwd ../x", "\"../x\" is no name of a user"),
        ("tickmesh user remove a%b", "\"a%b\" is no name of a user"),
        ("tickmesh user list alice bob", "Unrecognized argument: bob"),
        ("tickmesh user import", "Required positional arguments not provided: file"),
        ("tickmesh peer --share-deadline 99h", "--share-deadline is at most 24h"),
    ] {
        let Parsed::Wrong(text) = parse_line(line) else { panic!("{line} was accepted") };
        assert!(text.contains(expected), "{line}: {text}");
    }
}

#[test]
fn names_that_no_line_can_hold_are_refused() {
    let long = "a".repeat(300);
    for name in ["", "a\nb", "a\0b", "a b", "\u{1b}[2J", "é", &long] {
        for command in ["get", "find"] {
            let args = ["tickmesh", command, name].map(OsString::from);
            let Parsed::Wrong(text) = parse(&args) else { panic!("{name:?} was accepted") };
            assert!(text.contains("is no name of a shared file"), "{text}");
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
    let bytes = <OsString as std::os::unix::ffi::OsStringExt>::from_vec(vec![b'a', 0xff]);
    for command in ["get", "find"] {
        let Parsed::Wrong(text) = parse(&["tickmesh".into(), command.into(), bytes.clone()]) else {
            panic!("{command}")
        };
        assert_eq!(text, "tickmesh: argument 2 is no UTF-8 text: \"a\u{fffd}\"");
    }
}

/// `upload *` and `share *` in a folder with any names.
#[test]
fn files_whose_names_are_no_text_stop_no_others() {
    let odd = |bytes: &[u8]| <OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes.to_vec());
    for (command, flag) in [("upload", "--to"), ("share", "--server")] {
        let typed = |words: &[OsString]| {
            let first = ["tickmesh", command, "a", flag, "[::1]:5"].map(OsString::from);
            parse(&[&first[..], words].concat())
        };
        let Parsed::Run(command) = typed(&[odd(b"b\xff"), "c".into(), odd(b"\xfe")]) else { panic!() };
        let files = match *command {
            Command::Upload(upload) => upload.files,
            Command::Share(share) => share.files,
            other => panic!("{other:?}"),
        };
        assert_eq!(files, [odd(b"a"), odd(b"b\xff"), odd(b"c"), odd(b"\xfe")].map(PathBuf::from));
        for words in [["--log-file".into(), odd(b"b\xff")], ["b".into(), odd(b"--jobs=\xff")]] {
            let Parsed::Wrong(text) = typed(&words) else { panic!("{words:?}") };
            assert!(text.starts_with("tickmesh: argument 6 is no UTF-8 text: "), "{text:?}");
        }
    }
}

#[test]
fn more_is_refused_than_fits() {
    let files = "tickmesh share".to_owned() + &" a".repeat(FILES_PER_MEMBER_MAX + 1);
    let chunks = "tickmesh find a".to_owned() + &" 1".repeat(SEARCH_CHUNKS_MAX + 1);
    for (line, limit) in [(files, FILES_PER_MEMBER_MAX), (chunks, SEARCH_CHUNKS_MAX)] {
        let Parsed::Wrong(text) = parse_line(&line) else { panic!("{limit}") };
        assert!(text.contains(&format!("at most {limit}")), "{text}");
    }
}

#[test]
fn help_and_version_are_shown() {
    for line in [
        "tickmesh --help",
        "tickmesh server --help",
        "tickmesh peer --help",
        "tickmesh share --help",
        "tickmesh get --help",
        "tickmesh find --help",
        "tickmesh upload --help",
        "tickmesh user --help",
        "tickmesh user add --help",
        "tickmesh user import --help",
        "tickmesh -h",
        "tickmesh --version",
        "tickmesh -V",
    ] {
        let Parsed::Show(text) = parse_line(line) else { panic!("{line}") };
        assert!(text.contains("tickmesh"), "{text}");
    }
}

#[test]
fn help_names_the_limits() {
    let duration = format!("at most {}", Period(DURATION_MAX));
    let interval = format!("{} to {}", Period(INTERVAL_MIN), Period(INTERVAL_MAX));
    for (line, limit) in [
        ("tickmesh peer --help", format!("1 to {PEERS_MAX}")),
        ("tickmesh peer --help", interval),
        ("tickmesh peer --help", duration),
        ("tickmesh peer --help", format!("at most {}", Period(SHARE_DEADLINE_MAX))),
        ("tickmesh share --help", format!("1 to {CHUNKS_MAX}")),
        ("tickmesh share --help", format!("at most {FILES_PER_MEMBER_MAX}")),
        ("tickmesh upload --help", format!("at most {UPLOAD_FILES_MAX}")),
        ("tickmesh upload --help", format!("1 to {UPLOAD_JOBS_MAX}")),
        (
            "tickmesh upload --help",
            format!("{} to {}", Period(UPLOAD_TIMEOUT_MIN), Period(UPLOAD_TIMEOUT_MAX)),
        ),
        ("tickmesh find --help", format!("at most {SEARCH_CHUNKS_MAX}")),
        ("tickmesh server --help", format!("1 to {UPLOAD_CLIENTS_MAX}")),
        ("tickmesh server --help", format!("with --links at most {SERVER_LINKS_MAX}")),
        ("tickmesh server --help", format!("(default {SERVER_LINKS})")),
        ("tickmesh server --help", format!("at least {COUNTED_BYTES_MIN}B")),
        ("tickmesh server --help", format!("1 to {SERVER_LINKS_MAX}")),
    ] {
        let Parsed::Show(text) = parse_line(line) else { panic!() };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&limit), "{limit} is missing in: {text}");
    }
}
