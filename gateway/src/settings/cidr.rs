//! Whose forwarded address counts? A block of addresses, as in `10.0.0.0/8`.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// A block of addresses. An IPv4 block also holds the IPv6 form (`::ffff:…`) of its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

/// A text that is no block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCidr {
    /// Neither an address nor an address and a prefix.
    #[error("not a block of addresses like `10.0.0.0/8` or `::1`")]
    Syntax,
    /// More bits than the address has.
    #[error("the prefix of this address has at most {0} bits")]
    Prefix(u8),
    /// Bits behind the prefix, so that it is unclear what was meant.
    #[error("`{given}` is one address, `{block}` the block it lies in: write what is meant")]
    HostBits {
        /// As written.
        given: String,
        /// What it would be.
        block: Cidr,
    },
}

impl Cidr {
    /// Whether `ip` lies in the block.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let same_kind = self.network.is_ipv4() == ip.to_canonical().is_ipv4();
        same_kind && masked(bits(ip.to_canonical()), self.shift()) == bits(self.network)
    }

    /// Bits behind the prefix, of the address's own width.
    fn shift(&self) -> u32 {
        u32::from(width(self.network).saturating_sub(self.prefix))
    }
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// `bits` with the last `shift` of them cleared.
fn masked(bits: u128, shift: u32) -> u128 {
    bits & u128::MAX.checked_shl(shift).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = BadCidr;

    fn from_str(text: &str) -> Result<Self, BadCidr> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let given: IpAddr = address.parse().map_err(|_| BadCidr::Syntax)?;
        let prefix = match prefix {
            None => width(given),
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|&prefix| prefix <= width(given))
                .ok_or(BadCidr::Prefix(width(given)))?,
            Some(_) => return Err(BadCidr::Syntax),
        };
        let kept = masked(bits(given), Self { network: given, prefix }.shift());
        let network = match given {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(kept).unwrap_or(0).into()),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(kept)),
        };
        let block = Self { network, prefix };
        if network == given { Ok(block) } else { Err(BadCidr::HostBits { given: text.to_owned(), block }) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(block: &str, ip: &str) -> bool {
        block.parse::<Cidr>().unwrap().contains(ip.parse().unwrap())
    }

    #[test]
    fn a_block_holds_its_addresses_in_both_forms_and_no_others() {
        assert!(holds("10.0.0.0/8", "10.255.0.1"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(!holds("10.0.0.0/8", "::10.0.0.1"), "the old compatible form is another address");
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.8"));
        assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::2") && !holds("2001:db8::/32", "2001:db9::1"));
        assert!(holds("::/0", "::1") && !holds("::/0", "127.0.0.1"));
    }

    #[test]
    fn a_block_is_written_without_doubt() {
        assert_eq!("10.0.0.0/33".parse::<Cidr>(), Err(BadCidr::Prefix(32)));
        assert_eq!("::/999".parse::<Cidr>(), Err(BadCidr::Prefix(128)));
        for bad in ["", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "localhost", "10.0.0.0/8/8", "/8"] {
            assert_eq!(bad.parse::<Cidr>(), Err(BadCidr::Syntax), "{bad:?}");
        }
        let doubtful = "10.1.2.3/8".parse::<Cidr>().unwrap_err();
        assert_eq!(
            doubtful.to_string(),
            "`10.1.2.3/8` is one address, `10.0.0.0/8` the block it lies in: write what is meant"
        );
    }
}
