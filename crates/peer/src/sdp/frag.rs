//! `application/trickle-ice-sdpfrag` (RFC 8840 §9): what a WHIP or WHEP client PATCHes (RFC 9725 §4.3), and our reply.

use convene_types::Mid;

use super::error::SdpError;
use super::negotiator::{Negotiator, OfferChange};
use super::{parse, print, transport};

/// Longest fragment: a page of candidates.
const MAX_FRAGMENT_BYTES: usize = 16 * 1024;
/// Candidates kept of one fragment; a host with many interfaces has a few dozen.
const MAX_CANDIDATES: usize = 64;

/// What a fragment says. Of a bundled session only the first section's lines count, so they are not kept apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// ICE ufrag: which ICE session this is about.
    pub ufrag: Option<String>,
    /// ICE password.
    pub pwd: Option<String>,
    /// First section named.
    pub mid: Option<Mid>,
    /// Values of `a=candidate`.
    pub candidates: Vec<String>,
    /// No candidate will follow.
    pub end_of_candidates: bool,
}

impl Fragment {
    /// Reads a fragment; unknown lines are passed over.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        if text.len() > MAX_FRAGMENT_BYTES {
            return Err(SdpError::new("sdp_too_large", format!("fragment longer than {MAX_FRAGMENT_BYTES} bytes")));
        }
        parse::check_line_ends(text)?;
        let mut fragment = Self::default();
        for line in text.lines() {
            let Some(("a", attribute)) = line.split_once('=') else { continue };
            let (key, value) = attribute.split_once(':').unwrap_or((attribute, ""));
            fragment.take(key, value.trim());
        }
        if fragment == Self::default() {
            return Err(SdpError::new("sdp_malformed", "no line of an ICE fragment"));
        }
        Ok(fragment)
    }

    fn take(&mut self, key: &str, value: &str) {
        match key {
            "ice-ufrag" if self.ufrag.is_none() => self.ufrag = Some(value.to_owned()),
            "ice-pwd" if self.pwd.is_none() => self.pwd = Some(value.to_owned()),
            "mid" if self.mid.is_none() => self.mid = value.parse().ok(),
            "candidate" if self.candidates.len() < MAX_CANDIDATES => self.candidates.push(value.to_owned()),
            "end-of-candidates" => self.end_of_candidates = true,
            _other => {}
        }
    }
}

impl Negotiator {
    /// Takes a fragment of the client: an ICE restart, or candidates, which an ICE-lite agent does not need. After a
    /// restart the caller sets new credentials and replies with [`Negotiator::fragment`].
    pub fn handle_fragment(&mut self, fragment: &Fragment) -> Result<OfferChange, SdpError> {
        let Some(remote) = &mut self.remote else {
            return Err(SdpError::new("sdp_no_offer", "a fragment before the first offer"));
        };
        match (&fragment.ufrag, &fragment.pwd) {
            (None, None) => Ok(OfferChange::default()),
            (Some(ufrag), pwd) if *ufrag == remote.ufrag && pwd.as_ref().is_none_or(|pwd| *pwd == remote.pwd) => {
                Ok(OfferChange::default())
            }
            (Some(ufrag), Some(pwd)) => {
                transport::check_credentials(ufrag, pwd)?;
                remote.ufrag.clone_from(ufrag);
                remote.pwd.clone_from(pwd);
                Ok(OfferChange { ice_restarted: true })
            }
            (Some(_), None) | (None, Some(_)) => {
                Err(SdpError::new("sdp_bad_ice", "half of the credentials of another ICE session"))
            }
        }
    }

    /// Our credentials and candidates as a fragment: the reply to an ICE restart (RFC 9725 §4.3.2).
    #[must_use]
    pub fn fragment(&self) -> String {
        let mut text = "a=ice-lite\r\na=ice-options:trickle\r\n".to_owned();
        let mut accepted = self.sections.iter().filter(|section| !section.rejected);
        if let Some(first) = accepted.next() {
            let mids =
                accepted.map(|section| section.mid).fold(first.mid.to_string(), |all, mid| format!("{all} {mid}"));
            let protos = first.wire.protos.join("/");
            let format = first.wire.formats.first().map_or("0", String::as_str);
            text += &format!("a=group:BUNDLE {mids}\r\n");
            text += &format!("m={} 9 {protos} {format}\r\na=mid:{}\r\n", first.wire.media, first.mid);
        }
        text += &format!("a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", self.options.ufrag, self.options.pwd);
        for candidate in print::candidate_values(&self.options) {
            text += &format!("a=candidate:{candidate}\r\n");
        }
        text + "a=end-of-candidates\r\n"
    }
}
