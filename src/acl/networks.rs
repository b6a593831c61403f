//! Addresses and networks of `src`.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// An address or a network in CIDR form. Bits beyond the prefix are cleared, and IPv4 in IPv6
/// form becomes IPv4, which is what clients are compared as.
pub(super) fn network(word: &str) -> Result<IpNet, String> {
    if let Ok(network) = word.parse::<IpNet>() {
        return Ok(canonical(network.trunc()));
    }
    if let Ok(address) = word.parse::<IpAddr>() {
        return Ok(canonical(IpNet::from(address)));
    }
    let address = word.split_once('/').map_or(word, |(address, _)| address);
    match address.parse::<IpAddr>() {
        Ok(_) => Err(format!("`{word}` has a wrong prefix length")),
        Err(_) => Err(format!("`{word}` is not an IP address or network")),
    }
}

fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(six) = network else {
        return network;
    };
    let prefix = six.prefix_len().checked_sub(96);
    six.addr()
        .to_ipv4_mapped()
        .zip(prefix)
        .and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok())
        .map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks() {
        let text = |word| network(word).unwrap().to_string();
        assert_eq!(text("10.1.2.3/8"), "10.0.0.0/8");
        assert_eq!(text("10.1.2.3"), "10.1.2.3/32");
        assert_eq!(text("::1"), "::1/128");
        assert_eq!(text("::ffff:10.0.0.0/104"), "10.0.0.0/8");
        assert_eq!(text("::/0"), "::/0");
        assert!(network("10.0.0.0/33").unwrap_err().contains("prefix"));
        assert!(network("10.0.0").is_err());
        assert!(network("/8").is_err());
    }
}
