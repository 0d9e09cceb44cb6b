//! A session goes on, or ends.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use convene_accounts::session::{End, Presented};
use convene_accounts::{Code, Refusal};
use convene_store::accounts::{Op, Outcome, Which};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::Api;
use crate::answer::Tokens;
use crate::authenticator::Caller;
use crate::body::Body;
use crate::error::{Error, Problem};

/// A refresh token that has not been used.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Refresh {
    /// Of the latest answer.
    #[schema(max_length = 256)]
    refresh_token: String,
}

/// Gives new tokens for a refresh token. One that was used before ends the session: somebody has a copy of it. The one
/// before the latest is answered once more within a minute, for answers that were lost on the way.
#[utoipa::path(post, path = "/v1/auth/refresh", tag = "auth", request_body = Refresh, responses(
    (status = 200, body = Tokens), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn refresh(
    State(api): State<Api>,
    Body(Refresh { refresh_token }): Body<Refresh>,
) -> Result<Json<Tokens>, Error> {
    let inner = &api.inner;
    let presented = Presented::parse(&refresh_token)?;
    let (id, generation) = (presented.id, presented.generation);
    let session = inner.store.ask(move |reader| reader.session(id)).await?;
    inner.keys.refresh.verify(&presented, session.as_ref())?;
    let refreshed = match inner.store.account(Op::Refresh { id, generation }).await {
        Ok(Outcome::Refreshed(session)) => session,
        Ok(outcome) => {
            tracing::error!(?outcome, "the store answered another question");
            return Err(Code::Internal.into());
        }
        Err(refusal) => {
            if refusal.code == Code::SessionStolen {
                inner.authenticator.end(session.as_slice(), End::Stolen);
            }
            return Err(refusal.into());
        }
    };
    let account = inner.account(refreshed.account).await?;
    Ok(Json(inner.tokens(&refreshed, &account.display_name)?))
}

/// Ends the session whose access token this is.
#[utoipa::path(post, path = "/v1/auth/sign-out", tag = "auth", security(("bearer" = [])), responses(
    (status = 204), (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn sign_out(State(api): State<Api>, caller: Caller) -> Result<StatusCode, Error> {
    api.end(caller.account, Which::One(caller.session), End::SignedOut).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Api {
    /// Ends sessions, everywhere and at once. Answers how many.
    pub(crate) async fn end(
        &self,
        account: convene_types::AccountId,
        which: Which,
        end: End,
    ) -> Result<usize, Refusal> {
        let outcome = self.inner.store.account(Op::End { account, which, end }).await?;
        let Outcome::Ended(sessions) = outcome else {
            tracing::error!(?outcome, "the store answered another question");
            return Err(Code::Internal.into());
        };
        self.inner.authenticator.end(&sessions, end);
        Ok(sessions.len())
    }
}
