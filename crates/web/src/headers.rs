//! What browsers are told of the client beside its files: where scripts may come from, and where they may connect to.
//!
//! A script that somebody smuggles in does not run, and one that ran all the same could connect to no other host. The one of
//! this server has to be named, because chat over WebTransport is on a port of its own, and some
//! browsers do not count WebSockets of the same host as `'self'`.

/// What files may do besides connecting. Nothing that is not named.
///
/// `blob:` is what somebody has recorded or chosen, before it is sent; `data:` is pictures in the style sheet. Styles that are
/// set by script pass without `unsafe-inline` (CSP Level 3 §6.1.13: it is about markup). No code makes a script out of a text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    media-src 'self' blob:; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// What calls need, for our own pages only. The rest, which no page of ours asks for, is off.
const PERMISSIONS: &str = "camera=(self), microphone=(self), display-capture=(self), autoplay=(self), fullscreen=(self), \
    clipboard-write=(self), geolocation=(), payment=(), usb=(), serial=(), hid=(), midi=(), browsing-topics=()";

/// Names, in lower case, and values of what each file is sent with. `host`: the server as the browser reached it, with its
/// port if it named one; whatever is no host is left out.
#[must_use]
pub fn headers(host: &str) -> [(&'static str, String); 6] {
    [
        ("content-security-policy", format!("{POLICY}; connect-src {}", reachable(host))),
        ("permissions-policy", PERMISSIONS.to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
        ("x-frame-options", "DENY".to_owned()), // for browsers without `frame-ancestors`
        ("referrer-policy", "no-referrer".to_owned()),
        ("cross-origin-opener-policy", "same-origin".to_owned()),
    ]
}

/// Where scripts may connect to. An IPv6 address is none that a policy can name (CSP Level 3 §2.3.1): there chat goes over the
/// WebSocket, which `'self'` covers.
fn reachable(host: &str) -> String {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if name.is_empty() || name.contains(':') || !host.bytes().all(good) {
        return "'self'".to_owned();
    }
    // Browsers try ::1 for WebTransport to this name, where servers mostly do not listen, so the client asks for the other.
    let loopback = if name == "localhost" { " https://127.0.0.1:*" } else { "" };
    format!("'self' ws://{host} wss://{host} https://{name}:*{loopback}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_lead_to_this_host_only() {
        let rows = [
            ("chat.example", "'self' ws://chat.example wss://chat.example https://chat.example:*"),
            ("192.0.2.1:7880", "'self' ws://192.0.2.1:7880 wss://192.0.2.1:7880 https://192.0.2.1:*"),
            (
                "localhost:7880",
                "'self' ws://localhost:7880 wss://localhost:7880 https://localhost:* https://127.0.0.1:*",
            ),
            ("[2001:db8::1]:7880", "'self'"),
            ("", "'self'"),
            (":7880", "'self'"),
            ("*", "'self'"),
            ("a; script-src *", "'self'"),
            ("a'b", "'self'"),
        ];
        for (host, want) in rows {
            assert_eq!(reachable(host), want, "{host}");
        }
    }

    #[test]
    fn no_inline_script_and_no_script_of_others() {
        let [(_, policy), ..] = headers("chat.example");
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("  "), "{policy}");
    }
}
