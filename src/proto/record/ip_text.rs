//! An IP address as rows show it, formatted once for a run. Never parses and never resolves.

use std::fmt;
use std::io::Write;
use std::net::IpAddr;

/// Longest text: eight groups of four digits and seven colons.
const BYTES_MAX: usize = 39;

/// The text of an IP address, kept inline. An IPv4 address that came in over an IPv6 socket is
/// shown as IPv4, so that one host has one text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IpText {
    bytes: [u8; BYTES_MAX],
    len: u8,
}

impl IpText {
    /// The text of `ip`; IPv6 as in RFC 5952.
    pub fn new(ip: IpAddr) -> IpText {
        let mut bytes = [0; BYTES_MAX];
        let mut free = &mut bytes[..];
        write!(free, "{}", ip.to_canonical()).expect("the longest address fits");
        let len = (BYTES_MAX - free.len()) as u8;
        IpText { bytes, len }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("an address is ASCII")
    }

    /// As bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl From<IpAddr> for IpText {
    fn from(ip: IpAddr) -> IpText {
        IpText::new(ip)
    }
}

impl fmt::Display for IpText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for IpText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(ip: &str) -> String {
        IpText::new(ip.parse().unwrap()).to_string()
    }

    #[test]
    fn one_host_has_one_text() {
        assert_eq!(text("10.0.0.7"), "10.0.0.7");
        assert_eq!(text("::ffff:10.0.0.7"), "10.0.0.7");
        assert_eq!(text("2001:DB8:0:0::1"), "2001:db8::1");
        assert_eq!(text("::1"), "::1");
        assert_eq!(text("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").len(), BYTES_MAX);
    }

    proptest! {
        #[test]
        fn every_address_fits_and_comes_back(ip: IpAddr) {
            let text = IpText::new(ip);
            prop_assert_eq!(text.as_str().parse::<IpAddr>().unwrap(), ip.to_canonical());
        }
    }
}
