//! Sets of networks, searched in the logarithm of their size.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A set of networks. Addresses of IPv4 in IPv6 form count as IPv4.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks {
    /// Ascending, none within another.
    four: Vec<Ipv4Net>,
    /// Ascending, none within another.
    six: Vec<Ipv6Net>,
}

impl Networks {
    /// The set of all addresses of `networks`.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let (mut four, mut six) = (Vec::new(), Vec::new());
        for network in networks {
            match network {
                IpNet::V4(network) => four.push(network),
                IpNet::V6(network) => six.push(network),
            }
        }
        let (mut four, mut six) = (Ipv4Net::aggregate(&four), Ipv6Net::aggregate(&six));
        four.sort_unstable();
        six.sort_unstable();
        Self { four, six }
    }

    /// Whether `address` is in one of the networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let after = self.four.partition_point(|n| n.network() <= address);
                after > 0 && self.four[after - 1].contains(&address)
            }
            IpAddr::V6(address) => {
                let after = self.six.partition_point(|n| n.network() <= address);
                after > 0 && self.six[after - 1].contains(&address)
            }
        }
    }
}

/// An address or a network in CIDR form. Bits beyond the prefix are cleared, and IPv4 in IPv6
/// form becomes IPv4, which is what clients are compared as.
///
/// # Errors
/// What is wrong with it, as the beginning of a sentence.
pub fn network(word: &str) -> Result<IpNet, String> {
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
    use proptest::prelude::*;

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

    proptest! {
        /// Small numbers, so that networks overlap and addresses are near their borders.
        #[test]
        fn a_set_has_what_its_networks_have(
            networks in proptest::collection::vec((0_u32..64, 24_u8..=32), 0..12),
            address in 0_u32..64,
        ) {
            let networks: Vec<_> = networks
                .into_iter()
                .map(|(address, prefix)| IpNet::V4(Ipv4Net::new(address.into(), prefix).unwrap().trunc()))
                .collect();
            let address = IpAddr::V4(address.into());
            let one_has = networks.iter().any(|network| network.contains(&address));
            prop_assert_eq!(Networks::new(networks).contains(address), one_has);
        }
    }

    #[test]
    fn both_families() {
        let set = Networks::new(["10.0.0.0/8", "2001:db8::/32"].map(|w| network(w).unwrap()));
        let has = |address: &str| set.contains(address.parse().unwrap());
        assert!(has("10.9.9.9") && has("::ffff:10.1.1.1") && has("2001:db8::5"));
        assert!(!has("11.0.0.0") && !has("2001:db9::"));
        assert!(!Networks::default().contains("::".parse().unwrap()));
    }
}
