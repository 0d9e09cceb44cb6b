//! Refusals of chat and of calls in the words of HTTP.

use convene_accounts::{Code, Refusal};
use convene_api::Error;
use convene_calls as calls;
use convene_im::wire::Code as ChatCode;

/// Refusals of chat as HTTP has them. What is not here is a mistake of the server.
const CODES: [(ChatCode, Code); 16] = [
    (ChatCode::UnknownConversation, Code::NotFound),
    (ChatCode::NotAMember, Code::NotFound),
    (ChatCode::UnknownUser, Code::NotFound),
    (ChatCode::NoSeat, Code::NotFound),
    (ChatCode::Forbidden, Code::Forbidden),
    (ChatCode::Muted, Code::Forbidden),
    (ChatCode::Malformed, Code::Malformed),
    (ChatCode::BadTarget, Code::Malformed),
    (ChatCode::BeyondHead, Code::Malformed),
    (ChatCode::TooLong, Code::BadValue),
    (ChatCode::TooManyMembers, Code::TooMany),
    (ChatCode::LastOwner, Code::LastOwner),
    (ChatCode::Conflict, Code::Conflict),
    (ChatCode::Dissolved, Code::Dissolved),
    (ChatCode::Flood, Code::TooManyRequests),
    (ChatCode::Unavailable, Code::Unavailable),
];

/// What chat refuses.
pub(super) fn of_chat(refusal: &convene_im::Refusal) -> Error {
    let code = CODES.iter().find(|(code, _)| *code == refusal.code).map_or(Code::Internal, |(_, code)| *code);
    match refusal.retry_after_ms {
        0 => code.into(),
        wait_ms => Refusal::later(code, u64::from(wait_ms).div_ceil(1_000)).into(),
    }
}

/// What a call refuses.
pub(super) fn of_call(refusal: &calls::Refusal) -> Error {
    let code = match refusal {
        calls::Refusal::Over => Code::CallOver,
        calls::Refusal::NotInvited => Code::Forbidden,
        calls::Refusal::AnsweredElsewhere => Code::AnsweredElsewhere,
        calls::Refusal::NotNow | calls::Refusal::Exists(_) => Code::CallNotNow,
        calls::Refusal::InAnother(_) => Code::InAnotherCall,
        calls::Refusal::Count => Code::TooMany,
        calls::Refusal::Full => Code::Unavailable,
        _ => Code::Internal,
    };
    code.into()
}
