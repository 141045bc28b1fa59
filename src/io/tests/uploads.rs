//! What a drop box asks of a real disk: files that take nobody's place, with room for all of them; counts of a folder;
//! and words to the other machines.

use super::*;

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use crate::proto::limits::{
    COUNTED_BYTES_MIN, LET_GO_WAITING_MAX, RESERVE_BYTES_MIN, SALT_BYTES, UPLOAD_LEFT_AGE,
};
use crate::proto::machine::{FileOp, Secret, temp_name};

fn fresh(bytes: u64, tag: u32) -> OpenMode {
    OpenMode::Fresh { bytes, tag }
}

fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Runs one toy without links.
fn run_alone<S: 'static>(root: &Path, state: S, act: fn(&mut S, What<'_>, &mut Desk<'_>)) -> S {
    let mut toy = Toy::new(None, state, act);
    let mut hosts = [Host { machine: &mut toy, root: root.to_owned() }];
    Reactor::new().unwrap().run(&mut hosts).unwrap();
    toy.state
}

#[test]
fn fresh_files_of_one_name_get_numbers() {
    const FILES: u32 = 12;
    fn act(told: &mut Vec<String>, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Start) => {
                for tag in 0..FILES {
                    // Every other one has its room set aside by the helper.
                    let bytes = if tag % 2 == 0 { 5 } else { RESERVE_BYTES_MIN };
                    desk.open(FileId(tag), "new/a", fresh(bytes, tag));
                }
            }
            What::Told(Input::FileReady { file, bytes: 0, moved: None }) => {
                desk.os.perform(Effect::WriteAt { file, offset: 0, bytes: b"whole" });
                desk.os.perform(Effect::Finish { file });
                desk.os.perform(Effect::Release { file });
            }
            What::Told(Input::Finished { moved: Some(name), .. }) => {
                told.push(name.to_owned());
                if told.len() == FILES as usize {
                    desk.exit();
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("new/a")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.path().join("new/a.2")).unwrap();
    let told = run_alone(root.path(), Vec::new(), act);
    let numbers = [1].into_iter().chain(3..FILES + 2);
    assert_eq!(told, numbers.map(|number| format!("new/a.{number}")).collect::<Vec<_>>());
    assert_eq!(names(&root.path().join("new")).len(), FILES as usize + 2);
    assert_eq!(fs::read(root.path().join("new/a.1")).unwrap(), b"whole");
}

#[test]
fn a_fresh_file_that_cannot_be_leaves_nothing() {
    fn act(told: &mut Vec<String>, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Start) => {
                desk.open(FileId(1), "link", fresh(3, 1));
                desk.open(FileId(2), "taken", fresh(RESERVE_BYTES_MIN, 1));
                desk.open(FileId(3), "../out", fresh(3, 1));
                desk.open(FileId(4), "big", fresh(1 << 60, 1));
                desk.open(FileId(5), "bigger", fresh(u64::MAX, 1));
                desk.open(FileId(6), "released", fresh(RESERVE_BYTES_MIN, 1));
                desk.os.perform(Effect::Release { file: FileId(6) });
            }
            What::Told(Input::FileFailed { file, op, error, .. }) => {
                told.push(format!("{} {op:?} {error:?}", file.0));
                if told.len() == 5 {
                    desk.exit();
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let root = tempfile::tempdir().unwrap();
    let secret = root.path().join("secret");
    std::os::unix::fs::symlink(&secret, root.path().join(temp_name("link", 1))).unwrap();
    fs::write(root.path().join(temp_name("taken", 1)), "of somebody else").unwrap();
    let mut told = run_alone(root.path(), Vec::new(), act);
    told.sort();
    assert_eq!(
        told,
        [
            "1 Open AlreadyExists",
            "2 Open AlreadyExists",
            "3 Open InvalidInput",
            "4 Open StorageFull",
            "5 Open StorageFull"
        ]
    );
    assert_eq!(names(root.path()), [temp_name("link", 1), temp_name("taken", 1)]);
}

#[test]
fn unfinished_files_are_gone_when_their_machine_has_ended() {
    fn act(ready: &mut u32, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Start) => {
                desk.open(FileId(1), "small", fresh(5, 1));
                desk.open(FileId(2), "big", fresh(RESERVE_BYTES_MIN, 2));
                desk.open(FileId(3), "partial", OpenMode::Partial);
                desk.open(FileId(4), "released", fresh(RESERVE_BYTES_MIN, 4));
            }
            What::Told(Input::FileReady { file, .. }) => {
                desk.os.perform(Effect::WriteAt { file, offset: 0, bytes: b"begun" });
                *ready += 1;
                if file == FileId(4) {
                    desk.os.perform(Effect::Release { file });
                }
                if *ready == 4 {
                    // Room is still being set aside for this one.
                    desk.open(FileId(5), "late", fresh(RESERVE_BYTES_MIN, 5));
                    desk.exit();
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let root = tempfile::tempdir().unwrap();
    assert_eq!(run_alone(root.path(), 0, act), 4);
    assert!(names(root.path()).is_empty());
}

/// Files below that folder that this process has open although they are deleted.
fn deleted(root: &Path) -> usize {
    let targets =
        fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
    targets.filter(|to| to.starts_with(root) && to.to_string_lossy().ends_with(" (deleted)")).count()
}

#[test]
fn deleted_files_hold_few_descriptors_while_the_helper_is_busy() {
    const LAST: FileId = FileId(4 * LET_GO_WAITING_MAX as u32);
    #[allow(clippy::ptr_arg)] // the kind of function that a toy takes
    fn act(root: &mut PathBuf, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Start) => {
                let (password, salt) = (Secret("password"), [0; SALT_BYTES]);
                desk.os.perform(Effect::Derive { job: 1, password, salt, iterations: 100_000 });
                for file in (0..LAST.0).map(FileId) {
                    desk.open(file, "a", fresh(5, file.0));
                    desk.os.perform(Effect::Release { file });
                }
                desk.open(LAST, "a", fresh(5, u32::MAX));
                assert!(deleted(root) <= LET_GO_WAITING_MAX);
            }
            What::Told(Input::FileReady { file: LAST, .. }) => {
                assert!(deleted(root) < LET_GO_WAITING_MAX);
                desk.exit();
            }
            What::Told(Input::FileReady { .. } | Input::Derived { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    let root = tempfile::tempdir().unwrap();
    run_alone(root.path(), root.path().canonicalize().unwrap(), act);
    assert!(names(root.path()).is_empty());
}

#[test]
fn a_file_whose_folder_is_gone_cannot_be_finished() {
    fn act(state: &mut (PathBuf, Vec<(FileOp, ErrorKind)>), what: What<'_>, desk: &mut Desk<'_>) {
        let file = FileId(1);
        let (folder, told) = state;
        match what {
            What::Told(Input::Start) => desk.open(file, "sub/a", fresh(5, 1)),
            What::Told(Input::FileReady { .. }) => {
                desk.os.perform(Effect::WriteAt { file, offset: 0, bytes: b"whole" });
                // As another program might.
                fs::remove_dir_all(folder).unwrap();
                desk.os.perform(Effect::Finish { file });
            }
            What::Told(Input::FileFailed { op, error, .. }) => {
                told.push((op, error));
                desk.os.perform(Effect::Release { file });
                desk.exit();
            }
            other => panic!("{other:?}"),
        }
    }
    let root = tempfile::tempdir().unwrap();
    let (_, told) = run_alone(root.path(), (root.path().join("sub"), Vec::new()), act);
    assert_eq!(told, [(FileOp::Finish, ErrorKind::NotFound)]);
}

/// Whoever adds what is finished to what was counted counts each file once.
#[test]
fn a_survey_is_answered_in_its_turn_among_the_finishes() {
    const FILES: u32 = 50;
    fn act(told: &mut (u64, u64, u32), what: What<'_>, desk: &mut Desk<'_>) {
        let (finished, surveys, next) = told;
        let begin = |next: &mut u32, desk: &mut Desk<'_>| {
            let file = FileId(*next);
            *next += 1;
            desk.open(file, "a", fresh(1, file.0));
        };
        match what {
            What::Told(Input::Start) => (0..FILES / 2).for_each(|_| begin(next, desk)),
            What::Told(Input::Finished { .. }) => {
                *finished += 1;
                if *next < FILES {
                    begin(next, desk);
                }
            }
            What::Told(Input::Surveyed { bytes, files, removed: 0 }) => {
                assert_eq!((bytes, files.len() as u64), (*finished * COUNTED_BYTES_MIN, *finished));
                *surveys += 1;
                if *surveys == u64::from(FILES) {
                    desk.exit();
                }
            }
            What::Told(Input::FileReady { file, .. }) => {
                desk.os.perform(Effect::WriteAt { file, offset: 0, bytes: b"x" });
                desk.os.perform(Effect::Finish { file });
                desk.os.perform(Effect::Survey { files_max: 1000 });
            }
            other => panic!("{other:?}"),
        }
    }
    let root = tempfile::tempdir().unwrap();
    assert_eq!(run_alone(root.path(), (0, 0, 0), act), (50, 50, FILES));
}

/// An upload may be silent for a day, and another machine offers what is in the same folder.
#[test]
fn what_one_machine_has_open_was_not_left_for_another() {
    #[allow(clippy::ptr_arg)] // the kind of function that a toy takes
    fn uploads(root: &mut PathBuf, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Start) => desk.open(FileId(1), "a", fresh(5, 1)),
            What::Told(Input::FileReady { .. }) => {
                let file = fs::File::options().write(true).open(root.join(temp_name("a", 1))).unwrap();
                let now = UNIX_EPOCH + Duration::from_nanos(desk.now.wall.0);
                file.set_modified(now - 2 * UPLOAD_LEFT_AGE).unwrap();
                desk.os.perform(Effect::Present { path: "some other", stamp: None });
            }
            What::Told(Input::Shutdown) => {
                assert_eq!(names(root), [temp_name("a", 1)]);
                desk.exit();
            }
            other => panic!("{other:?}"),
        }
    }
    fn offers(counted: &mut Option<(u64, u64)>, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Presented { .. }) => desk.os.perform(Effect::Survey { files_max: 9 }),
            What::Told(Input::Surveyed { bytes, removed, .. }) => {
                *counted = Some((bytes, removed));
                desk.exit();
            }
            other => assert!(matches!(other, What::Told(Input::Start)), "{other:?}"),
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    let (mut first, mut second) = (Toy::new(None, root.clone(), uploads), Toy::new(None, None, offers));
    let mut hosts =
        [Host { machine: &mut first, root: root.clone() }, Host { machine: &mut second, root: root.clone() }];
    Reactor::new().unwrap().run(&mut hosts).unwrap();
    assert_eq!(second.state, Some((0, 0)), "neither counted nor deleted, and nothing is said of it");
}

#[test]
fn a_folder_that_is_none_cannot_be_counted() {
    fn act(told: &mut Option<ErrorKind>, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Start) => desk.os.perform(Effect::Survey { files_max: 0 }),
            What::Told(Input::SurveyFailed { error }) => {
                *told = Some(error);
                desk.exit();
            }
            other => panic!("{other:?}"),
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(run_alone(file.path(), None, act), Some(ErrorKind::NotADirectory));
}

#[test]
fn the_other_machines_hear_of_a_file() {
    fn first(_: &mut Vec<String>, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Start) => desk.wake_in(Duration::from_millis(20)),
            What::Told(Input::Presented { .. }) => panic!("it knows"),
            What::Timeout => {
                desk.os.perform(Effect::Present { path: "a file", stamp: None });
                desk.wake_in(Duration::from_millis(20));
            }
            What::Told(Input::Shutdown) => desk.exit(),
            What::Told(_) => {}
        }
    }
    fn second(told: &mut Vec<String>, what: What<'_>, desk: &mut Desk<'_>) {
        if let What::Told(Input::Presented { path, .. }) = what {
            told.push(path.to_owned());
            desk.exit();
        } else if let What::Told(Input::Shutdown) = what {
            desk.exit();
        }
    }
    let mut toys = [Toy::new(None, Vec::new(), first), Toy::new(None, Vec::new(), second)];
    let mut hosts: Vec<Host<'_>> =
        toys.iter_mut().map(|toy| Host { machine: toy, root: "unused".into() }).collect();
    assert_eq!(Reactor::new().unwrap().run(&mut hosts).unwrap(), RunEnd::Exited);
    assert_eq!(toys.map(|toy| toy.state), [Vec::new(), vec!["a file".to_owned()]]);
}

#[test]
fn a_machine_hears_of_nothing_before_its_start() {
    fn first(_: &mut Vec<&'static str>, what: What<'_>, desk: &mut Desk<'_>) {
        if let What::Told(Input::Start) = what {
            desk.os.perform(Effect::Present { path: "a file", stamp: None });
            desk.exit();
        }
    }
    fn second(told: &mut Vec<&'static str>, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Start) => told.push("start"),
            What::Told(Input::Presented { .. }) => told.push("presented"),
            What::Told(Input::Shutdown) => desk.exit(),
            other => panic!("{other:?}"),
        }
    }
    let mut toys = [Toy::new(None, Vec::new(), first), Toy::new(None, Vec::new(), second)];
    let mut hosts: Vec<Host<'_>> =
        toys.iter_mut().map(|toy| Host { machine: toy, root: "unused".into() }).collect();
    Reactor::new().unwrap().run(&mut hosts).unwrap();
    assert_eq!(toys[1].state, ["start", "presented"]);
}
