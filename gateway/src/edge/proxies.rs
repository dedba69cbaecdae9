//! Whose address counts when a proxy stands before us?

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

/// The address at the other end of the socket; the listener puts it into the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The proxies whose `x-forwarded-for` is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<(IpAddr, u8)>);

/// Neither an address nor a network like `10.0.0.0/8`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network like 10.0.0.0/8")]
pub struct BadProxy(pub String);

impl TrustedProxies {
    /// Reads addresses and networks.
    ///
    /// # Errors
    /// [`BadProxy`] with the first text that is neither.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, BadProxy> {
        let read = |text: &str| {
            let (address, bits) = match text.split_once('/') {
                Some((address, bits)) => (address, Some(bits)),
                None => (text, None),
            };
            let address: IpAddr = address.trim().parse().ok()?;
            let width = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(width), |bits| bits.trim().parse().ok())?;
            (bits <= width).then_some((address, bits))
        };
        let nets = texts.into_iter().map(|text| read(text).ok_or_else(|| BadProxy(text.to_owned())));
        nets.collect::<Result<_, _>>().map(Self)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|&(net, bits)| match (net, address) {
            (IpAddr::V4(net), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(bits);
                u32::from(net).checked_shr(shift) == u32::from(address).checked_shr(shift)
            }
            (IpAddr::V6(net), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(bits);
                u128::from(net).checked_shr(shift) == u128::from(address).checked_shr(shift)
            }
            _ => false,
        })
    }

    /// The client's address: the last one in `x-forwarded-for` that no trusted proxy of ours has, or the peer itself.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let lines = headers.get_all("x-forwarded-for");
        let named =
            lines.iter().rev().filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
        for hop in named {
            if !self.trusts(client) {
                break;
            }
            let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_a_trusted_proxy_may_say_who_the_client_is() {
        let trusted = TrustedProxies::parse(["10.0.0.0/8", "::1", "0.0.0.0/32"]).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.9.9.9".parse().unwrap());
        assert_eq!(trusted.client(ip("10.1.1.1"), &headers), ip("1.2.3.4"));
        assert_eq!(trusted.client(ip("9.9.9.9"), &headers), ip("9.9.9.9"), "a stranger is not believed");
        headers.insert("x-forwarded-for", "what?".parse().unwrap());
        assert_eq!(trusted.client(ip("10.1.1.1"), &headers), ip("10.1.1.1"));
        assert_eq!(TrustedProxies::parse(["10.0.0.0/33"]), Err(BadProxy("10.0.0.0/33".into())));
        let all = TrustedProxies::parse(["0.0.0.0/0"]).unwrap();
        assert!(all.trusts(ip("8.8.8.8")) && !all.trusts(ip("::1")));
    }
}
