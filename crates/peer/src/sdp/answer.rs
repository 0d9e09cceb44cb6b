//! The answerer: a client's offer onto the sections there are, and the answer to it.

use convene_types::{Ssrc, TrackId};

use super::error::SdpError;
use super::negotiator::{Negotiator, OfferChange, Role};
use super::outgoing::{Msid, Outgoing};
use super::parse::{ClientOffer, Remote, RemoteMedia};
use super::print::{self, Direction, Style};
use super::section::Section;
use super::transport::Description;

/// Stream token of reserved sections: one for all, so that a player puts its audio and video in sync.
const RESERVED_STREAM: &str = "convene";

pub(super) fn handle_offer(state: &mut Negotiator, ClientOffer(offer): ClientOffer) -> Result<OfferChange, SdpError> {
    if state.role != Role::Answerer {
        return Err(SdpError::new("sdp_wrong_role", "the server makes the offers on this transport"));
    }
    check_accepted(&offer)?;
    check_order(&state.sections, &offer)?;
    let remote = offer.transport?;
    let change = state.check_remote(&remote)?;

    // Nothing fails from here on.
    let mut old = std::mem::take(&mut state.sections).into_iter();
    for media in offer.media {
        let section = merge(state, old.next(), media);
        state.sections.push(section);
    }
    state.remote = Some(remote);
    state.bundle = offer.bundle;
    state.allow_mixed = offer.allow_mixed;
    state.place_pending();
    Ok(change)
}

pub(super) fn answer(state: &mut Negotiator) -> String {
    let version = state.next_version();
    let (bundle, allow_mixed) = (state.bundle, state.allow_mixed);
    let style = Style { description: Description::Answer, version, bundle, allow_mixed };
    let text = print::description(&state.options, &style, &state.sections, direction);
    for section in &mut state.sections {
        section.sending = direction(section).sends;
        section.announced = section.outgoing.as_ref().map(|outgoing| outgoing.key).filter(|_key| section.sending);
        if section.reserved.is_some() {
            section.announced = None; // the client knows the reservation, not who uses it
        }
    }
    // Sections that this answer made inactive can carry what waits, from the next offer on.
    state.place_pending();
    text
}

fn direction(section: &Section) -> Direction {
    let sends = section.wire.remote_receives && (section.outgoing.is_some() || section.reserved.is_some());
    Direction { sends, receives: section.receiving }
}

/// RFC 8843 §1.3 and RFC 8834 §4.5: one port for everything.
fn check_accepted(offer: &Remote) -> Result<(), SdpError> {
    let accepted = || offer.media.iter().filter(|media| !media.section.rejected);
    if accepted().next().is_none() {
        return Err(SdpError::new("sdp_nothing_acceptable", "no section that can be used"));
    }
    // RFC 8859 §5.1: bundled sections may leave the line to the first one.
    let rtp = || accepted().filter(|media| media.section.kind.media().is_some());
    if rtp().next().is_some() && !rtp().any(|media| media.rtcp_mux) {
        return Err(SdpError::new("sdp_no_rtcp_mux", "RTCP on a port of its own is not supported"));
    }
    Ok(())
}

/// RFC 8829 §5.2.2: sections stay where they are. Only a rejected one may be used for something else (§5.2.2 "recycled").
fn check_order(sections: &[Section], offer: &Remote) -> Result<(), SdpError> {
    if offer.media.len() < sections.len() {
        return Err(SdpError::new("sdp_sections_removed", "fewer sections than before"));
    }
    for (old, new) in sections.iter().zip(&offer.media) {
        if old.rejected || (new.section.rejected && !new.has_mid) {
            continue;
        }
        if old.mid != new.section.mid {
            return Err(SdpError::new("sdp_mid_changed", format!("section {} is called {}", old.mid, new.section.mid)));
        }
        if old.kind != new.section.kind {
            return Err(SdpError::new("sdp_kind_changed", format!("section {} has another media type", old.mid)));
        }
    }
    Ok(())
}

/// The offered section with what the old one at its place had assigned.
fn merge(state: &mut Negotiator, old: Option<Section>, media: RemoteMedia) -> Section {
    let index = state.sections.len();
    let mut section = media.section;
    if let Some(old) = old.filter(|old| !old.rejected) {
        section.mid = old.mid;
        section.sending = old.sending;
        section.announced = old.announced;
        section.outgoing = old.outgoing;
        section.reserved = old.reserved;
        section.prefer = old.prefer;
        section.order_codecs();
    }
    if section.rejected || !section.wire.remote_receives {
        section.reserved = None;
        section.sending = false;
        if let Some(outgoing) = section.outgoing.take() {
            state.displace(&outgoing);
        }
    }
    if section.rejected {
        section.announced = None;
    }
    if state.options.reserve_sections && section.kind.media().is_some() {
        section.receiving = false;
        let wanted = !section.rejected && section.wire.remote_receives && section.reserved.is_none();
        if wanted {
            section.reserved = Some(reservation(state.options.session_id, index, &section));
        }
    }
    if !section.receiving {
        section.rids.clear();
        section.ssrcs.clear();
        section.fid.clear();
        section.msid = None;
    }
    section.refresh_flags();
    section
}

/// What a reserved section sends with. Its key is never used: `attach` puts the track's own in.
fn reservation(session_id: u64, index: usize, section: &Section) -> Outgoing {
    let index = u64::try_from(index).unwrap_or(u64::MAX);
    let ssrc = |n: u64| {
        // Never 0, which tools take for "none"; the index in the low bits keeps those of one session apart.
        let high = spread(session_id) & 0xffff_f800;
        Ssrc(u32::try_from(high | (index.wrapping_mul(2).wrapping_add(n) & 0x3ff) | 0x400).unwrap_or(1))
    };
    let track = format!("{}-{}", section.wire.media, section.mid);
    let msid = Msid { stream: RESERVED_STREAM.to_owned(), track, reused: None };
    Outgoing { key: TrackId(u64::MAX), msid, ssrc: ssrc(0), rtx_ssrc: ssrc(1) }
}

/// SplitMix64 finaliser: neighbouring session ids give SSRCs far apart. SSRCs are public, so it need not be secret.
fn spread(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
