//! What counts as one address, wherever places or lines are counted by address. Touches no socket.

use std::net::{IpAddr, Ipv6Addr};

/// The address that a host is counted by: of IPv6 its network of 64 bits, for a host may have all of it. An IPv4 address
/// that an IPv6 socket shows as `::ffff:a.b.c.d` is what it is.
pub fn counted_address(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_a_host_counts_as_one_address() {
        for (ip, counted) in [
            ("10.0.0.7", "10.0.0.7"),
            ("::ffff:10.0.0.7", "10.0.0.7"),
            ("fd00::1:0:0:0:1", "fd00:0:0:1::"),
            ("fd00::1:9:9:9:9", "fd00:0:0:1::"),
            ("fd00::2:0:0:0:1", "fd00:0:0:2::"),
            ("::1", "::1"),
        ] {
            assert_eq!(counted_address(ip.parse().unwrap()), counted.parse::<IpAddr>().unwrap(), "{ip}");
        }
    }
}
