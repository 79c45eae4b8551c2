//! CloudEvents in binary mode: attributes in `ce-*` headers, the body is the payload.

use super::{DecodeError, Kind};

/// The attributes in `headers`, under their names without `ce-`; empty if there are none. Values are unquoted and
/// percent-decoded, as the HTTP binding (3.1.3.2) has it.
pub(super) fn attributes<'h>(
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
) -> Result<Vec<(String, String)>, DecodeError> {
    let mut attributes: Vec<(String, String)> = Vec::new();
    for (header, value) in headers {
        let Some((start, name)) = header.split_at_checked(3) else { continue };
        if !start.eq_ignore_ascii_case("ce-") {
            continue;
        }
        let name = name.to_ascii_lowercase();
        let bad = |message: &str| DecodeError {
            kind: Kind::BadRequest,
            place: None,
            field: Some(format!("ce-{name}")),
            message: message.into(),
        };
        let text = decoded(value).ok_or_else(|| bad("not UTF-8 after percent-decoding"))?;
        if attributes.iter().any(|(known, _)| *known == name) {
            return Err(bad("given twice"));
        }
        attributes.push((name, text));
    }
    Ok(attributes)
}

fn decoded(value: &[u8]) -> Option<String> {
    let value = unquoted(value.trim_ascii());
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_slice();
    while let Some((&byte, tail)) = rest.split_first() {
        match (byte, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            _ => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// Takes off double quotes around the whole, and the backslashes they made necessary.
fn unquoted(value: &[u8]) -> Vec<u8> {
    let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let Some(inner) = inner else { return value.into() };
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.iter();
    while let Some(byte) = rest.next() {
        bytes.push(if *byte == b'\\' { *rest.next().unwrap_or(byte) } else { *byte });
    }
    bytes
}

fn digit(hex: u8) -> u8 {
    match hex {
        b'0'..=b'9' => hex - b'0',
        _ => (hex | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_read_as_the_http_binding_writes_them() {
        for (value, expected) in [
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
            ("plain", "plain"),
            ("\"a \\\"b\\\" %41\"", "a \"b\" A"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("grün", "grün"),
            ("", ""),
        ] {
            let found = attributes([("CE-Subject", value.as_bytes()), ("host", b"x")]).unwrap();
            assert_eq!(found, [("subject".to_owned(), expected.to_owned())]);
        }
        assert!(attributes([("ce-subject", b"%ff".as_slice())]).is_err());
        let twice = attributes([("ce-id", b"1".as_slice()), ("Ce-Id", b"2")]).unwrap_err();
        assert_eq!(twice.to_string(), "`ce-id`: given twice");
    }
}
