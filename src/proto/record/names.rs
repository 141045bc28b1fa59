//! Names of the files of a run. A name is made in one place, here; nobody else joins strings.

use crate::proto::ids::Name;
use crate::proto::record::utc_text;
use crate::proto::time::Wall;

/// The server's table.
pub const SERVER_TABLE: &str = "serverTimeData.txt";

/// A member's table.
pub fn client_table(id: &Name) -> String {
    format!("client_{id}_TimeData.txt")
}

/// A member's samples.
pub fn client_samples(id: &Name) -> String {
    format!("client_{id}_samples.csv")
}

/// The folder of the files that a member receives.
pub fn received_folder(id: &Name) -> String {
    format!("client_{id}_received")
}

/// Where a member keeps a file that it received.
pub fn received(id: &Name, file: &str) -> String {
    format!("{}/{file}", received_folder(id))
}

/// What an older file at `path` is called from `wall` on: `serverTimeData.20261121T025300Z.txt`.
pub fn aside(path: &str, wall: Wall) -> String {
    let (stem, ending) = path.rsplit_once('.').unwrap_or((path, ""));
    format!("{stem}.{}.{ending}", date(wall))
}

/// The same for a folder, which has no ending.
pub fn folder_aside(path: &str, wall: Wall) -> String {
    format!("{path}.{}", date(wall))
}

/// "2026-11-21 02:53:00 UTC", without what file systems and shells dislike.
fn date(wall: Wall) -> String {
    let digits: String = utc_text(wall).chars().filter(char::is_ascii_digit).collect();
    let (date, time) = digits.split_at(digits.len().saturating_sub(6));
    format!("{date}T{time}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_specification() {
        let id = Name::from_number(7);
        assert_eq!(client_table(&id), "client_7_TimeData.txt");
        assert_eq!(client_samples(&id), "client_7_samples.csv");
        assert_eq!(
            received(&id, &client_table(&Name::from_number(1))),
            "client_7_received/client_1_TimeData.txt"
        );
        let wall = Wall(1_795_230_780_123_456_789);
        assert_eq!(
            aside(SERVER_TABLE, wall),
            "serverTimeData.20261121T025300Z.txt".replace("025300", "031300")
        );
        let folder = received_folder(&"a.b".parse().unwrap());
        assert_eq!(folder_aside(&folder, wall), "client_a.b_received.20261121T031300Z");
    }
}
