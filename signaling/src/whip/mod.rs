//! WHIP (RFC 9725) at `/whip/{room}` and WHEP (draft-ietf-wish-whep) at `/whep/{room}`: a room without LiveKit's protocol,
//! for encoders and players. One POST with an offer is a seat; its `Location` is the session.
//!
//! A WHIP token needs `roomJoin` and `canPublish`, a WHEP token `roomJoin` and `canSubscribe`. As everywhere, one identity
//! is one seat: a second session with the same identity ends the first.
//!
//! Not here: SDP and ICE, which the media plane reads, and who receives what, which the room decides.

mod endpoint;
mod fragment;
mod refuse;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, patch, post};

use crate::rooms::{Mode, Registry};
use crate::token::{AuthError, Claims, Verifier};
use crate::turn::Turn;
use session::Sessions;

/// Media type of offers and answers.
const SDP: &str = "application/sdp";
/// Media type of PATCH bodies (RFC 8840 §9).
const SDP_FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// Which of the two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Whip,
    Whep,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Whip => "whip",
            Self::Whep => "whep",
        }
    }

    fn mode(self) -> Mode {
        match self {
            Self::Whip => Mode::Whip,
            Self::Whep => Mode::Whep,
        }
    }

    fn require(self, claims: &Claims) -> Result<(), AuthError> {
        match self {
            Self::Whip => claims.require_publish(),
            Self::Whep => claims.require_subscribe(),
        }
    }
}

/// What handlers work on.
#[derive(Clone)]
struct Shared {
    protocol: Protocol,
    verifier: Arc<Verifier>,
    rooms: Arc<Registry>,
    sessions: Sessions,
    turn: Arc<Turn>,
}

/// The routes of both protocols.
pub(crate) fn routes(verifier: &Arc<Verifier>, rooms: &Arc<Registry>, turn: &Arc<Turn>) -> Router {
    [Protocol::Whip, Protocol::Whep].into_iter().fold(Router::new(), |router, protocol| {
        let shared = Shared {
            protocol,
            verifier: Arc::clone(verifier),
            rooms: Arc::clone(rooms),
            sessions: Sessions::default(),
            turn: Arc::clone(turn),
        };
        let endpoint: MethodRouter<Shared> = post(endpoint::create).options(endpoint::describe);
        let session: MethodRouter<Shared> = patch(session::change).delete(session::end).options(session::describe);
        let routes = Router::new()
            .route(&format!("/{}/{{room}}", protocol.name()), endpoint)
            .route(&format!("/{}/{{room}}/{{session}}", protocol.name()), session);
        router.merge(routes.with_state(shared))
    })
}
