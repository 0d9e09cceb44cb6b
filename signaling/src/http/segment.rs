//! Writing a name into a URL.

/// Percent-encodes a name as one path segment (RFC 3986 §2.3: everything but unreserved characters).
pub(crate) fn segment(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn only_unreserved_characters_stay() {
        for (name, want) in [("room-1_a.~", "room-1_a.~"), ("a b/c?d%", "a%20b%2Fc%3Fd%25"), ("é", "%C3%A9"), ("", "")]
        {
            assert_eq!(segment(name), want);
        }
    }
}
