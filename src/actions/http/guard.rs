//! Where `http.request` may go: which addresses are fit to be connected to.
//!
//! A name is resolved once, every address it has is judged, and only these are connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use serde_json::{Map, Value};

use crate::actions::schema::text;
use crate::model::Failure;

/// The address that a call names, if it is one that can be asked.
pub(super) fn address(params: &Map<String, Value>) -> Result<Url, Failure> {
    let invalid = |problem: String| Failure::new("invalid", format!("`url`: {problem}"));
    let url =
        Url::parse(text(params, "url").unwrap_or_default()).map_err(|error| invalid(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(format!("`{}` is not http or https", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("holds a user name or password: use a header".into()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(invalid("names no host".into()));
    }
    Ok(url)
}

/// The addresses that the host has, all of which must be fit to be connected to.
pub(super) async fn resolve(url: &Url, allow: &[String]) -> Result<Vec<SocketAddr>, Failure> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((bare, port)).await;
    let found: Vec<SocketAddr> = found
        .map_err(|error| Failure::retryable("failed", format!("cannot find the address of {host}: {error}")))?
        .collect();
    if found.is_empty() {
        return Err(Failure::retryable("failed", format!("{host} has no address")));
    }
    judge(url, &found, allow)?;
    Ok(found)
}

/// Whether every address may be connected to.
fn judge(url: &Url, found: &[SocketAddr], allow: &[String]) -> Result<(), Failure> {
    let name = named(url);
    if allow.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name)) {
        return Ok(());
    }
    match found.iter().find(|address| !is_public(address.ip())) {
        None => Ok(()),
        Some(address) => {
            let message = format!(
                "{name} leads to {}, which is not a public address: add `{name}` to `actions.http.allow` in the \
                 configuration if it is meant",
                address.ip()
            );
            Err(Failure::new("refused", message))
        }
    }
}

/// Whether an address is one of the public internet (IANA's special-purpose registries, RFC 6890).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = a == 0
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        || ip.is_documentation()
        || a >= 224;
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        // Mapped, and translated by NAT64: what counts is the address inside.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        // 6to4.
        [0x2002, high, low, ..] => v4(high, low),
        // Teredo, documentation, benchmarking and other special uses.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Only this part of the address space is handed out for the internet.
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

/// Judges an address that is a number already.
pub(super) fn judge_literal(url: &Url, allow: &[String]) -> Result<(), Failure> {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or(80);
    match host.parse::<IpAddr>() {
        Ok(ip) => judge(url, &[SocketAddr::new(ip, port)], allow),
        Err(_) => Ok(()),
    }
}

/// Host and port, as the configuration names them.
pub(super) fn named(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(80))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_spelling_of_an_inner_address_gets_through() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://0/",
            "http://0.0.0.0/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://169.254.169.254/latest/meta-data/",
            "http://10.1.2.3/",
            "http://172.16.0.1/",
            "http://192.168.1.1/",
            "http://100.64.0.1/",
            "http://198.18.0.1/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[2001::1]/",
            "http://[fe80::1]/",
            "http://[fc00::1]/",
            "http://[fd00:ec2::254]/",
            "http://[ff02::1]/",
            "http://①②⑦.0.0.1/",
            "http://127.0.0.1.:80/",
            "http://0x7f000001/",
            "http://017700000001/",
            "http://127.0.1/",
            "http://0x7f.0x0.0x0.0x1/",
            "http://3232235777/",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://192.0.0.192/",
            "http://192.88.99.1/",
            "http://203.0.113.7/",
            "http://240.0.0.1/",
            "http://[::ffff:10.0.0.1]/",
            "http://[0:0:0:0:0:ffff:c0a8:0101]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[64:ff9b:1::1]/",
            "http://[2001:db8::1]/",
            "http://[3fff::1]/",
            "http://[fec0::1]/",
            "http://[100::1]/",
            "http://127。0。0。1/",
            "https://127.0.0.1:8443/admin?x=http://example.com/",
        ] {
            let mut params = Map::new();
            params.insert("url".into(), url.into());
            let url = address(&params).unwrap();
            let found = resolve(&url, &["127.0.0.1:81".into()]).await;
            match found {
                Err(failure) => assert!(failure.kind == "refused" || failure.retryable, "{url}: {failure}"),
                Ok(found) => panic!("{url} led to {found:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_every_address_it_has_and_never_looked_up_again() {
        let inner: Vec<SocketAddr> =
            vec!["93.184.216.34:80".parse().unwrap(), "10.0.0.1:80".parse().unwrap()];
        let url = Url::parse("http://rebinds.example/").unwrap();
        assert_eq!(judge(&url, &inner, &[]).unwrap_err().kind, "refused", "one inner address is enough");
        assert_eq!(judge(&url, &inner[..1], &[]), Ok(()));
        assert_eq!(judge(&url, &inner, &["REBINDS.example:80".into()]), Ok(()));

        // The connection goes to what was judged, whatever the name means a moment later: this one means nothing.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut start = [0; 4];
            std::io::Read::read_exact(&mut stream, &mut start).unwrap();
            std::io::Write::write_all(&mut stream, b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            start
        });
        let client = super::super::pinned("rebinds.invalid", &[address]).unwrap();
        let answer = client.get(format!("http://rebinds.invalid:{}/", address.port())).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &heard.join().unwrap()), (204, b"GET "));
    }

    #[test]
    fn public_addresses_are_let_through() {
        for ip in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn an_address_that_is_no_plain_http_address_is_refused() {
        for (url, expected) in [
            ("file:///etc/passwd", "`file` is not http"),
            ("gopher://x/", "`gopher` is not http"),
            ("ftp://example.com/", "`ftp` is not http"),
            ("data:text/plain,x", "`data` is not http"),
            ("javascript:alert(1)", "`javascript` is not http"),
            ("http://example.com@127.0.0.1/", "user name"),
            ("http://127.0.0.1%00.example.com/", "invalid"),
            ("http://[fe80::1%25eth0]/", "invalid IPv6"),
            ("http://exa mple.com/", "invalid"),
            ("http://256.256.256.256/", "invalid IPv4"),
            ("http://example.com:99999/", "invalid port"),
            ("http://user:pw@example.com/", "user name"),
            ("//x", "relative URL"),
            ("http:///", "empty host"),
        ] {
            let mut params = Map::new();
            params.insert("url".into(), url.into());
            let failure = address(&params).unwrap_err();
            assert!(failure.kind == "invalid" && failure.message.contains(expected), "{url}: {failure}");
        }
    }
}
