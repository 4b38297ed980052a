//! Address ranges for the `cidr` modifier.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// An IPv4 or IPv6 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cidr {
    network: u128,
    prefix: u32,
    width: u32,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CidrError {
    /// Not an address, or a prefix that is too long.
    Malformed,
    /// Bits are set after the prefix; this would be the network.
    HostBits(String),
}

impl Cidr {
    /// Reads `10.0.0.0/8` or `fe80::/10`; an address without prefix is a network of one.
    pub(crate) fn parse(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError::Malformed)?;
        let (bits, width) = bits(address);
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
            Some(_) => None,
            None => Some(width),
        };
        let prefix = prefix.filter(|&prefix| prefix <= width).ok_or(CidrError::Malformed)?;
        let network = masked(bits, prefix, width);
        if network != bits {
            let base = match address {
                IpAddr::V4(_) => IpAddr::V4(u32::try_from(network).unwrap_or_default().into()),
                IpAddr::V6(_) => IpAddr::V6(network.into()),
            };
            return Err(CidrError::HostBits(format!("{base}/{prefix}")));
        }
        Ok(Self { network, prefix, width })
    }

    /// Whether the text is an address of this network.
    pub(crate) fn contains(&self, text: &str) -> bool {
        let Ok(address) = text.trim().parse::<IpAddr>() else { return false };
        let (bits, width) = bits(address);
        width == self.width && masked(bits, self.prefix, width) == self.network
    }
}

/// The address as a number and its width in bits; IPv6 forms of IPv4 addresses count as IPv4.
fn bits(address: IpAddr) -> (u128, u32) {
    match address.to_canonical() {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

fn masked(bits: u128, prefix: u32, width: u32) -> u128 {
    let host = width - prefix;
    bits.checked_shr(host).and_then(|kept| kept.checked_shl(host)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("fe80::/10", "fe80::1", true),
            ("fe80::/10", "fec0::1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("10.0.0.0/8", "10.0.0.1.example", false),
        ] {
            assert_eq!(Cidr::parse(range).unwrap().contains(address), expected, "{range} {address}");
        }
    }

    #[test]
    fn refusals() {
        assert_eq!(Cidr::parse("10.0.0.1/8"), Err(CidrError::HostBits("10.0.0.0/8".into())));
        for text in ["10.0.0.0/33", "10.0.0/8", "10.0.0.0/+8", "x", ""] {
            assert_eq!(Cidr::parse(text), Err(CidrError::Malformed), "{text}");
        }
    }
}
