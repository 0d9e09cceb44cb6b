//! People of an organisation by name, pinyin, initials or number.

use axum::Json;
use axum::extract::State;
use convene_accounts::apikey::KeyScopes;
use convene_accounts::directory;
use convene_accounts::phone::Phone;
use convene_store::orgs::Member;
use convene_store::{After, Sees};
use serde::Deserialize;
use utoipa::IntoParams;

use super::view::MembersPage;
use super::{Sight, page_of};
use crate::Api;
use crate::authenticator::Asker;
use crate::error::{Error, Reading};
use crate::page::Paging;
use crate::path::{Asked, Ids};

/// Fewer digits are part of a name.
const MIN_DIGITS: usize = 7;

/// Whom one looks for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// The beginning of a name, of any word or character in it, of its pinyin or the initials of that; or a whole number.
    #[param(max_length = 256, example = "zwm")]
    q: String,
}

/// Finds members among those whom one may see. By number only where the policy lets, and only the whole number. An API key
/// takes the scope `directory`, and sees everybody.
#[utoipa::path(get, path = "/v1/organisations/{org}/directory", tag = "members", security(("bearer" = [])),
params(("org" = u64, Path), Question, Paging), responses((status = 200, body = MembersPage), Reading))]
pub(super) async fn search(
    State(api): State<Api>,
    asker: Asker,
    Ids(org): Ids<u64>,
    Asked(Question { q }): Asked<Question>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<MembersPage>, Error> {
    let inner = &api.inner;
    let (rows, after) = (paging.rows()?, paging.after()?);
    let number = number(&q).then(|| Phone::parse(&q, inner.region).ok()).flatten();
    let lookup = number.map(|phone| inner.keys.vault.lookup(&phone));
    let question = directory::question(&q);
    let page = inner.seen_by(org, asker, KeyScopes::DIRECTORY, move |reader, org, seat| {
        let sight = Sight::of(reader, seat)?;
        if let Some(lookup) = lookup.filter(|_| sight.finds_numbers()) {
            let found = reader.member_by_number(org, lookup)?.filter(|member| sight.sees(member));
            if found.is_some() {
                return Ok(Ok((found.into_iter().collect(), None)));
            }
        }
        if question.is_empty() {
            return Ok(Ok((Vec::new(), None)));
        }
        if let Some(few) = sight.few(reader)? {
            let begins = |key: &String| key.starts_with(&question);
            let key = |member: &Member| directory::keys(&member.display_name).into_iter().find(begins);
            return Ok(Ok(page_of(few, rows, &after, key)));
        }
        let find = |after: &After, limit, sees: Sees<'_>| reader.find_members(org, &question, after, limit, sees);
        Ok(Ok(sight.page(rows, after, find)?))
    });
    Ok(Json(MembersPage::of(page.await?, &inner.keys.pictures)))
}

fn number(q: &str) -> bool {
    let digits = q.chars().filter(char::is_ascii_digit).count();
    digits >= MIN_DIGITS && q.chars().all(|c| c.is_ascii_digit() || " +-()".contains(c))
}
