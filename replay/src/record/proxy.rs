//! The HTTP proxy that the environment names, read as AWS's plugin reads it (Go's `http.ProxyFromEnvironment`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::dial::Service;

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// `user:password`.
    authorization: Option<String>,
}

/// The proxy for a service: `HTTPS_PROXY` for `wss`, `HTTP_PROXY` for `ws`, in capitals or not, unless `NO_PROXY` or the
/// loopback says otherwise.
pub(super) fn from_environment(service: &Service) -> Option<Proxy> {
    let variable = |name: &str| {
        std::env::var(name).or_else(|_| std::env::var(name.to_ascii_lowercase())).ok().filter(|value| !value.is_empty())
    };
    let proxy = variable(if service.is_tls { "HTTPS_PROXY" } else { "HTTP_PROXY" })?;
    if is_direct(service, &variable("NO_PROXY").unwrap_or_default()) {
        return None;
    }
    Proxy::parse(&proxy)
}

impl Proxy {
    /// Reads `http://user:password@host:port` or `host:port`; `None` for other schemes.
    fn parse(url: &str) -> Option<Self> {
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some(_) => return None,
            None => url,
        };
        let uri: http::Uri = format!("http://{}", rest.trim_end_matches('/')).parse().ok()?;
        let authority = uri.authority()?;
        let authorization = authority.as_str().rsplit_once('@').map(|(user, _)| user.to_owned());
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Some(Self { host, port: authority.port_u16().unwrap_or(80), authorization })
    }

    /// The request for a tunnel to a service.
    pub(super) fn connect(&self, service: &Service) -> String {
        let place = if service.host.contains(':') {
            format!("[{}]:{}", service.host, service.port)
        } else {
            format!("{}:{}", service.host, service.port)
        };
        let mut out = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
        if let Some(user) = &self.authorization {
            out = out + "Proxy-Authorization: Basic " + &STANDARD.encode(user) + "\r\n";
        }
        out + "\r\n"
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the password.
        f.debug_struct("Proxy").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// Whether a list of names (`*`, `host`, `.domain`, each with a port or not) or the loopback exempts a service.
fn is_direct(service: &Service, list: &str) -> bool {
    let host = service.host.to_ascii_lowercase();
    let is_loopback =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let port = format!(":{}", service.port);
    is_loopback
        || list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(
            |entry| {
                let name = entry.strip_suffix(&port).unwrap_or(&entry);
                let domain = name.trim_start_matches('*').trim_start_matches('.');
                name == "*" || host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_as_the_plugin_reads_them() {
        let service = Service::parse("wss://ssmmessages.eu-west-1.amazonaws.com/v1").unwrap();
        let rows = [
            ("", false),
            ("*", true),
            ("amazonaws.com", true),
            (".amazonaws.com, other", true),
            ("ssmmessages.eu-west-1.amazonaws.com:443", true),
            ("naws.com", false),
            ("ssmmessages.eu-west-1.amazonaws.com:80", false),
        ];
        for (list, expected) in rows {
            assert_eq!(is_direct(&service, list), expected, "{list}");
        }
        assert!(is_direct(&Service::parse("ws://127.0.0.1:1/").unwrap(), ""));
        let proxy = Proxy::parse("http://user:pass@proxy.example:3128/").unwrap();
        assert_eq!((&*proxy.host, proxy.port), ("proxy.example", 3128));
        assert!(proxy.connect(&service).contains("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n"));
        assert!(!format!("{proxy:?}").contains("pass\""));
        assert_eq!(Proxy::parse("socks5://proxy:1"), None);
    }
}
