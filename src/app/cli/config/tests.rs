//! Files, variables and flags together.

use proptest::strategy::Strategy as _;

use super::*;
use crate::app::cli::{Parsed, usual};

/// A server that is configured in a folder of its own.
struct Case {
    folder: tempfile::TempDir,
    variables: Vec<(OsString, OsString)>,
}

impl Case {
    fn new(file: &str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("t.toml"), file).unwrap();
        Case { folder, variables: Vec::new() }
    }

    fn with(mut self, name: &str, value: &str) -> Case {
        self.variables.push((name.into(), value.into()));
        self
    }

    fn settle(&self, line: &str) -> Result<ServerOptions, Parsed> {
        let file = self.folder.path().join("t.toml").display().to_string();
        let line = line.replace("FILE", &file);
        let words: Vec<&str> = line.split_whitespace().flat_map(usual).collect();
        let typed = TypedServer::from_args(&["tickmesh", "server"], &words).unwrap();
        settle(typed, &words, self.variables.clone().into_iter())
    }

    fn options(&self, line: &str) -> ServerOptions {
        self.settle(line).unwrap_or_else(|early| panic!("{early:?}"))
    }

    /// Without the folder's name.
    fn said(&self, line: &str) -> String {
        let text = match self.settle(line) {
            Err(Parsed::Show(text) | Parsed::Wrong(text)) => text,
            other => panic!("{other:?}"),
        };
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }

    fn mistakes(&self, line: &str) -> Vec<String> {
        match self.settle(line) {
            Err(Parsed::Wrong(_)) => self.said(line).lines().map(ToOwned::to_owned).collect(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() {
    let case = Case::new(
        "listen = ['127.0.0.1:1', '127.0.0.1:2']\ninterval = '20ms'\nlog_keep = 7\nout = \"there\"\n",
    )
    .with("TICKMESH_INTERVAL", "30ms")
    .with("TICKMESH_OUT", "elsewhere");
    let options = case.options("--config FILE --out here");
    let ports: Vec<u16> = options.listen.iter().map(|addr| addr.port()).collect();
    assert_eq!(ports, [1, 2]);
    assert_eq!(options.interval.as_millis(), 30);
    assert_eq!((options.log.rules.keep, options.out), (7, PathBuf::from("here")));
    // A list is overruled as a whole.
    let options = case.options("--config=FILE --listen 127.0.0.1:3");
    assert_eq!((options.listen.len(), options.listen[0].port()), (1, 3));
    assert!(options.listen_is_given && options.notes.is_empty());
    let case = Case::new("").with("TICKMESH_LISTEN", "127.0.0.1:4,127.0.0.1:5");
    assert_eq!(case.options("").listen.len(), 2);
    let given = Case::new("").options("--config FILE").listen_is_given;
    assert!(!given, "an empty file says nothing");
}

#[test]
fn the_environment_names_the_file() {
    let case = Case::new("log_keep = 3");
    let path = case.folder.path().join("t.toml").display().to_string();
    let case = case.with("TICKMESH_CONFIG", &path);
    assert_eq!(case.options("").log.rules.keep, 3);
}

#[test]
fn switches_are_on_or_off() {
    let base = "upload_listen = '127.0.0.1:0'\n";
    let register = |case: Case, line: &str| case.options(line).uploads.unwrap().register;
    assert!(register(Case::new(&format!("{base}upload_register = true")), "--config FILE"));
    assert!(!register(Case::new(&format!("{base}upload_register = false")), "--config FILE"));
    let off = Case::new(&format!("{base}upload_register = true")).with("TICKMESH_UPLOAD_REGISTER", "no");
    assert!(!register(off, "--config FILE"));
    let on = Case::new(&format!("{base}upload_register = false"));
    assert!(register(on, "--config FILE --upload-register"));
}

#[test]
fn every_mistake_is_named_with_its_line_and_key() {
    let case = Case::new(
        "\
# a comment
intervall = '10ms'
interval = '5s'
log_level = 'loud'
log_keep = true
log_bytes = 12
guests = ['yes']
listen = ['127.0.0.1:5555', 'nowhere',
  17, '127.0.0.1:x']
upload_dir = 'in'
upload_register = 'yes'
daemon = true
duration = 1.5
timeout = 1979-05-27
timeout = '5m'
block_duration =
[upload]
listen = 'a'
",
    )
    .with("TICKMESH_UPLOAD_CLIENTS", "0")
    .with("TICKMESH_UPLOAD_REGISTER", "maybe")
    .with("TICKMESH_UPLOAD_LISTEN", "there");
    let mistakes = case.mistakes("--config FILE --check-config");
    let expected = [
        ("t.toml:2: intervall: ", "is interval meant?"),
        ("t.toml:3: interval: ", "is from 1ms to 1s, not 5s"),
        ("t.toml:4: log_level: ", "the levels are error"),
        ("t.toml:5: log_keep: ", "text or a number is expected, not a boolean"),
        ("t.toml:6: log_bytes: ", "is at least 4096"),
        ("t.toml:7: guests: ", "one value is expected, not a list"),
        ("t.toml:8: listen: ", "nowhere is no address"),
        ("t.toml:9: listen: ", "127.0.0.1:x is no address"),
        ("t.toml:9: listen: ", "17 is no address"),
        ("t.toml:11: upload_register: ", "true or false is expected, not a string"),
        ("t.toml:12: daemon: ", "only for the command line"),
        ("t.toml:13: duration: ", "is not a duration"),
        ("t.toml:14: timeout: ", "text or a number is expected, not a datetime"),
        ("t.toml:15: \"timeout\": ", "duplicate key"),
        ("t.toml:16: \"block_duration\": ", "must be quoted"),
        ("t.toml:17: [upload]: ", "there are no tables"),
        ("TICKMESH_UPLOAD_CLIENTS: ", "is from 1 to 8192, not 0"),
        ("TICKMESH_UPLOAD_LISTEN: ", "there is no address"),
        ("TICKMESH_UPLOAD_REGISTER: ", "yes or no is expected"),
    ];
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:#?}");
    for (mistake, (place, reason)) in mistakes.iter().zip(expected) {
        assert!(mistake.starts_with(place) && mistake.contains(reason), "{mistake} is not {place}{reason}");
    }
    // A start says the same.
    assert_eq!(case.mistakes("--config FILE"), mistakes);
}

#[test]
fn what_is_overruled_is_checked_too() {
    let case = Case::new("interval = '5s'").with("TICKMESH_DURATION", "0s");
    let mistakes = case.mistakes("--config FILE --interval 10ms --duration 1m");
    assert_eq!(
        mistakes,
        [
            "t.toml:1: interval: is from 1ms to 1s, not 5s",
            "TICKMESH_DURATION: is above 0s and at most 168h, not 0s"
        ]
    );
    // And what is typed.
    let case = Case::new("interval = '5ms'");
    let mistakes = case.mistakes("--config FILE --duration 0s");
    assert_eq!(mistakes, ["tickmesh: --duration is above 0s and at most 168h, not 0s"]);
}

#[test]
fn what_needs_another_flag_may_find_it_elsewhere() {
    let case = Case::new("upload_dir = 'in'");
    let mistakes = case.mistakes("--config FILE --check-config");
    assert_eq!(mistakes, ["t.toml:1: upload_dir: is of no use without --upload-listen"]);
    assert!(case.options("--config FILE --upload-listen 127.0.0.1:0").uploads.is_some());
}

#[test]
fn what_is_only_to_be_understood_asks_nobody_for_an_address() {
    let shown =
        understand("listen = ['127.0.0.1:7', 'nobody.invalid:7']\nupload_listen = 'nobody.invalid:8'")
            .unwrap();
    assert!(shown.contains("127.0.0.1:7") && !shown.contains("invalid"), "{shown}");
    assert_eq!(understand("listen = 'nowhere'").unwrap_err().len(), 1);
}

#[test]
fn files_that_cannot_be_read_are_mistakes() {
    let case = Case::new("");
    assert_eq!(
        case.mistakes("--config FILE.not")[0],
        "tickmesh: --config t.toml.not: No such file or directory (os error 2)"
    );
    std::fs::write(case.folder.path().join("t.toml"), [0xff, b'=']).unwrap();
    assert_eq!(case.mistakes("--config FILE"), ["tickmesh: --config t.toml: it is no UTF-8 text"]);
    std::fs::write(case.folder.path().join("t.toml"), vec![b'#'; 70_000]).unwrap();
    assert_eq!(case.mistakes("--config FILE"), ["tickmesh: --config t.toml: it is longer than 65536 bytes"]);
}

#[test]
fn variables_that_are_no_flags_are_told_and_do_no_harm() {
    let case = Case::new("").with("TICKMESH_INTERVALL", "5ms").with("TICKMESH_SERVICE_HOST", "10.0.0.1");
    let notes = case.options("").notes;
    assert_eq!(
        notes,
        [
            "TICKMESH_INTERVALL in the environment is no flag; is TICKMESH_INTERVAL meant?",
            "TICKMESH_SERVICE_HOST in the environment is no flag"
        ]
    );
    assert!(Case::new("").with("TICKMESH_OUT", "").options("").notes.is_empty(), "empty is not set");
    let said = case.said("--check-config --config FILE");
    assert!(
        said.starts_with("warning: TICKMESH_INTERVALL") && said.ends_with("t.toml: all right\n"),
        "{said}"
    );
}

#[test]
fn what_is_printed_can_be_read_back() {
    let file = "listen = ['127.0.0.1:1', '[::1]:2']\nout = 'a \"b\" \\ c'\nlog_keep = 0x10\nupload_register = false\n";
    let case = Case::new(&format!("{file}upload_listen = '127.0.0.1:3'")).with("TICKMESH_DURATION", "1h");
    let printed = case.said("--config FILE --interval 1ms --print-config");
    for line in [
        "listen = [\"127.0.0.1:1\", \"[::1]:2\"]  # t.toml:1",
        "out = \"a \\\"b\\\" \\\\ c\"  # t.toml:2",
        "log_keep = 16  # t.toml:3",
        "duration = \"1h\"  # TICKMESH_DURATION",
        "interval = \"1ms\"  # typed",
        "guests = \"loopback\"  # default",
        "upload_register = false  # t.toml:4",
        "upload_quota = \"100GB\"  # default",
        "# log_file is not set",
    ] {
        assert!(printed.lines().any(|found| found == line), "{line} is missing in\n{printed}");
    }
    let before = case.options("--config FILE --interval 1ms");
    let after = Case::new(&printed).options("--config FILE");
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    // Defaults that mean nothing yet are comments.
    let printed = Case::new("").said("--print-config");
    assert!(printed.contains("\n# upload_quota = \"100GB\"  # default\n"), "{printed}");
    let after = Case::new(&printed).options("--config FILE");
    let before = Case::new("").options("");
    assert_eq!(
        format!("{before:?}").replace("listen_is_given: false", "listen_is_given: true"),
        format!("{after:?}")
    );
}

#[test]
fn the_help_tells_the_true_defaults() {
    for base in ["", "--upload-listen 127.0.0.1:0"] {
        for flag in Flags::of_server().iter() {
            let Some(value) = flags::default_of(flag) else { continue };
            if base.is_empty() && flag.long.starts_with("--upload") {
                continue;
            }
            let [before, after] = [base.to_owned(), format!("{base} {} {value}", flag.long)].map(|line| {
                let options = ServerOptions { listen_is_given: false, ..Case::new("").options(&line) };
                format!("{options:?}")
            });
            assert_eq!(before, after, "{}", flag.long);
        }
    }
}

#[test]
fn a_file_full_of_mistakes_is_told_in_part() {
    let wrong = format!("listen = [{}]", "'x', ".repeat(8000));
    let told = Case::new(&wrong).mistakes("--config FILE").len();
    assert_eq!(told, 1, "the same mistake in the same place");
    let wrong: String = (0..3000).map(|key| format!("key{key} = {key}\n")).collect();
    assert_eq!(Case::new(&wrong).mistakes("--config FILE").len(), CONFIG_MISTAKES_MAX);
    let deep = format!("listen = {}", "[".repeat(50_000));
    assert!(!Case::new(&deep).mistakes("--config FILE").is_empty());
}

/// Pieces of what is right, and of what is not.
const PIECES: [&str; 36] = [
    "listen",
    "interval",
    "log_keep",
    "upload_listen",
    "upload_register",
    "config",
    "daemon",
    "=",
    " = ",
    "'10ms'",
    "\"a\"",
    "7",
    "0x7",
    "1_0",
    "true",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    ",",
    ".",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "#",
    "'''",
    "\"\"\"",
    "\\",
    "1979-05-27",
    "nan",
    "-",
    "é",
    "\0",
];

proptest::proptest! {
    #[test]
    fn no_file_is_too_odd_to_be_told_what_is_wrong(
        pieces in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::sample::select(&PIECES[..]).prop_map(ToOwned::to_owned),
                "\\PC{0,8}",
            ],
            0..40,
        )
    ) {
        let text = pieces.concat();
        let lines = 1 + text.matches('\n').count();
        let case = Case::new(&text);
        match case.settle("--config FILE") {
            Ok(_) => {}
            Err(Parsed::Wrong(wrong)) => {
                let place = format!("{}:", case.folder.path().join("t.toml").display());
                for line in wrong.lines().filter_map(|line| line.strip_prefix(&place)) {
                    let number: usize = line.split(':').next().unwrap().parse().unwrap();
                    proptest::prop_assert!((1..=lines).contains(&number), "{line}");
                }
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}
