//! Which names this engine answers to. A page of another site can make a browser resolve that site's own name to this
//! address (DNS rebinding), and would then read and act here as if it were ours: its `Host` gives it away.
//!
//! Loopback names and addresses are always answered; `hosts:` in the configuration adds others, such as the name under
//! which a proxy passes requests on. Start with [`Hosts::check`].

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header;
use axum::http::uri::Authority;

use super::problem::Problem;

/// The names that are answered to besides loopback.
#[derive(Debug)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// Loopback and these: a name or an address answers on any port, `name:port` on that one.
    pub fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| name.trim().to_ascii_lowercase()).collect())
    }

    /// Refuses a request that is meant for another host.
    ///
    /// # Errors
    /// 421.
    pub fn check(&self, request: &Request) -> Result<(), Problem> {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let named = hosts.next().map(|host| host.to_str().unwrap_or_default());
        // A target with a host of its own overrides the header (RFC 9112 section 3.2.2).
        let meant = request.uri().authority().map(Authority::as_str).or(named).unwrap_or_default();
        if hosts.next().is_none() && self.answers_to(meant) {
            return Ok(());
        }
        let meant: String = meant.chars().take(100).collect();
        Err(Problem::new(
            421,
            format!(
                "this engine does not answer to the host `{meant}`: use 127.0.0.1, or add it to `hosts:` in the configuration"
            ),
        ))
    }

    fn answers_to(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if host.contains('@') {
            return false;
        }
        let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let loopback = name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        loopback
            || name == "localhost"
            || self.0.iter().any(|known| {
                known.trim_start_matches('[').trim_end_matches(']') == name
                    || host.eq_ignore_ascii_case(known)
            })
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn loopback_and_configured_hosts_are_answered_and_no_other() {
        let hosts = Hosts::new(&["Paramedic.example".into(), "proxy.example:8443".into(), "10.1.2.3".into()]);
        for (host, fine) in [
            ("127.0.0.1:7112", true),
            ("127.9.9.9", true),
            ("[::1]:7112", true),
            ("localhost", true),
            ("LOCALHOST:80", true),
            ("paramedic.example:7112", true),
            ("proxy.example:8443", true),
            ("10.1.2.3:7112", true),
            ("proxy.example", false),
            ("proxy.example:8444", false),
            ("evil.example:7112", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("user@127.0.0.1", false),
            ("10.0.0.1", false),
            ("", false),
            ("::1", false),
        ] {
            let request = Request::builder().header("host", host).body(Body::empty()).unwrap();
            assert_eq!(hosts.check(&request).is_ok(), fine, "{host}");
        }
        let of = |uri: &str, hosts: &[&str]| {
            let mut request = Request::builder().uri(uri);
            for host in hosts {
                request = request.header("host", *host);
            }
            request.body(Body::empty()).unwrap()
        };
        assert!(hosts.check(&of("/", &[])).is_err(), "a browser always names a host");
        assert!(hosts.check(&of("/", &["localhost", "evil.example"])).is_err());
        assert!(hosts.check(&of("http://evil.example/", &["localhost"])).is_err());
    }
}
