//! Which addresses clients are told to send media to.

use std::io;
use std::net::IpAddr;

/// Most addresses offered. Each is a candidate line in every SDP and a check of every client; hosts with container
/// networks have dozens that nobody outside reaches.
const MAX_ADVERTISED: usize = 16;

/// `node_ip` as configured, else the address media is bound to, else those of the network interfaces: loopback only in
/// development, or where there is nothing else.
pub(crate) fn advertised(node_ip: &[IpAddr], bind: IpAddr, dev: bool) -> io::Result<Vec<IpAddr>> {
    if !node_ip.is_empty() {
        return Ok(node_ip.to_vec());
    }
    if !bind.is_unspecified() {
        return Ok(vec![bind]);
    }
    Ok(choose(if_addrs::get_if_addrs()?.into_iter().map(|interface| interface.ip()), bind, dev))
}

fn choose(all: impl Iterator<Item = IpAddr>, bind: IpAddr, dev: bool) -> Vec<IpAddr> {
    let usable = all.filter(|ip| bind.is_ipv6() || ip.is_ipv4()).filter(|ip| !is_link_local(ip));
    let (loopback, mut outside): (Vec<_>, Vec<_>) = usable.partition(IpAddr::is_loopback);
    outside.truncate(MAX_ADVERTISED);
    if dev || outside.is_empty() {
        outside.extend(loopback);
    }
    outside
}

/// A link-local address means nothing without the interface's name, and a candidate carries none (RFC 8839 §5.1).
fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn chooses_by_mode_and_family() {
        let all = ["127.0.0.1", "192.0.2.1", "169.254.0.7", "::1", "2001:db8::1", "fe80::1"];
        let rows: [(&str, bool, &[&str], &[&str]); 5] = [
            ("0.0.0.0", false, &all, &["192.0.2.1"]),
            ("0.0.0.0", true, &all, &["192.0.2.1", "127.0.0.1"]),
            ("::", false, &all, &["192.0.2.1", "2001:db8::1"]),
            ("::", true, &all, &["192.0.2.1", "2001:db8::1", "127.0.0.1", "::1"]),
            ("0.0.0.0", false, &["127.0.0.1", "::1"], &["127.0.0.1"]),
        ];
        for (bind, dev, interfaces, want) in rows {
            assert_eq!(choose(ips(interfaces).into_iter(), bind.parse().unwrap(), dev), ips(want), "{bind} dev={dev}");
        }
    }

    #[test]
    fn what_is_configured_wins() {
        let given = ips(&["203.0.113.7"]);
        assert_eq!(advertised(&given, "0.0.0.0".parse().unwrap(), true).unwrap(), given);
        assert_eq!(advertised(&[], given[0], true).unwrap(), given);
    }
}
