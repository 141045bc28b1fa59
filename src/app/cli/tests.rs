//! What is typed, and what is made of it.

use super::*;

fn parse_line(line: &str) -> Parsed {
    let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
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
    let Command::Peer(peer) = command("tickmesh peer") else { panic!() };
    assert_eq!((peer.ids.len(), peer.share_deadline), (1, Some(Duration::from_secs(120))));
    assert_eq!(peer.server, "127.0.0.1:5555".parse().unwrap());
    let Command::Demo(demo) = command("tickmesh demo") else { panic!() };
    assert_eq!((demo.peers, demo.duration), (3, Duration::from_secs(10)));
}

#[test]
fn ids_are_counted_up() {
    let Command::Peer(peer) = command("tickmesh peer --id=7 --count 3") else { panic!() };
    let ids: Vec<String> = peer.ids.iter().map(|id| id.unwrap().to_string()).collect();
    assert_eq!(ids, ["7", "8", "9"]);
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
        ("tickmesh server --log-bytes 1", "--log-bytes is at least 4096"),
        ("tickmesh peer --share-deadline 99h", "--share-deadline is at most 24h"),
    ] {
        let Parsed::Wrong(text) = parse_line(line) else { panic!("{line} was accepted") };
        assert!(text.contains(expected), "{line}: {text}");
    }
}

#[test]
fn help_and_version_are_shown() {
    for line in [
        "tickmesh --help",
        "tickmesh server --help",
        "tickmesh peer --help",
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
    let Parsed::Show(text) = parse_line("tickmesh peer --help") else { panic!() };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for limit in [
        format!("1 to {PEERS_MAX}"),
        format!("{} to {}", Period(INTERVAL_MIN), Period(INTERVAL_MAX)),
        format!("at most {}", Period(DURATION_MAX)),
        format!("at most {}", Period(SHARE_DEADLINE_MAX)),
    ] {
        assert!(text.contains(&limit), "{limit} is missing in: {text}");
    }
}
