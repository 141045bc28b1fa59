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

/// Where a member keeps a file that it received.
pub fn received(id: &Name, file: &str) -> String {
    format!("client_{id}_received/{file}")
}

/// What an older file at `path` is called from `wall` on: `serverTimeData.20261121T025300Z.txt`.
pub fn aside(path: &str, wall: Wall) -> String {
    // "2026-11-21 02:53:00 UTC", without what file systems and shells dislike.
    let digits: String = utc_text(wall).chars().filter(char::is_ascii_digit).collect();
    let (date, time) = digits.split_at(digits.len().saturating_sub(6));
    let (stem, ending) = path.rsplit_once('.').unwrap_or((path, ""));
    format!("{stem}.{date}T{time}Z.{ending}")
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
    }
}
