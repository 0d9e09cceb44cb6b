//! Groups of departments: made when somebody asks for one, and kept in step with who stands where, in organisations that
//! want that.
//!
//! What changes in an organisation is told after it is stored, so the group follows a moment later. What was missed, by a
//! crash too, is found by the pass at the start and every minute.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use convene_accounts::{Code, Refusal};
use convene_api::{Caller, Change, Error, Problem};
use convene_im::wire::ConversationKind;
use convene_store::Op;
use convene_types::{ConvId, DeptId, OrgId, UserId};

use super::calls::{Making, fresh};
use super::conversations::Made;
use super::{People, refusal};

/// Steps of one group in a row, of some hundred people each: an organisation that switches it on has everybody in.
const MAX_STEPS: usize = 5_000;

/// The group of a department that one stands in, or below; made if it has none, and whoever stands there is put in within a
/// moment. Where the organisation's policy has groups of departments.
#[utoipa::path(post, path = "/v1/organisations/{org}/departments/{department}/group", tag = "departments",
security(("bearer" = [])), params(("org" = u64, Path), ("department" = u64, Path)), responses(
    (status = 200, body = Made), (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "The policy has no such groups"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn group(
    State(people): State<People>,
    caller: Caller,
    Path((org, department)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Made>), Error> {
    let org = org.parse().map(OrgId).map_err(|_| Code::NotFound)?;
    let dept = department.parse().map(DeptId).map_err(|_| Code::NotFound)?;
    let conv = people.group_for(&caller, org, dept).await?;
    Ok((StatusCode::OK, Json(Made::of(conv))))
}

impl People {
    async fn group_for(&self, caller: &Caller, org: OrgId, dept: DeptId) -> Result<ConvId, Error> {
        let account = caller.account;
        let found = self.inner.store.ask(move |reader| {
            let Some(seat) = reader.seat(org, account)? else { return Ok(None) };
            let (policy, tree) = (reader.policy(org)?, reader.tree(org)?);
            let stands = seat.depts.iter().any(|own| tree.is_within(*own, dept));
            let title = tree.get(dept).filter(|_| stands).map(|dept| dept.name.clone());
            let wanted = policy.is_some_and(|(policy, _)| policy.department_groups);
            Ok(title.map(|title| (seat.user, title, wanted)))
        });
        let (maker, title, wanted) = found.await?.ok_or(Code::NotFound)?;
        if !wanted {
            let text = "Your organisation has no groups of departments: ask an administrator.";
            return Err(Refusal::saying(Code::Forbidden, text).into());
        }
        // One that was dissolved is forgotten here.
        self.follow_department(org, dept).await;
        let known = self.inner.store.ask(move |reader| reader.department_group(org, dept)).await?;
        if let Some(conv) = known {
            return Ok(conv);
        }
        let conv = self.make_group(org, dept, maker, title).await?;
        self.follow_department(org, dept).await;
        Ok(conv)
    }

    async fn make_group(&self, org: OrgId, dept: DeptId, maker: UserId, title: String) -> Result<ConvId, Error> {
        let (kind, members) = (ConversationKind::Group, Vec::new());
        let conv = self.make(Making { org, maker, kind, title, members, client_id: fresh() }).await?;
        let op = Op::DepartmentGroup { org, dept, conv };
        self.inner.chat.publish(op).await.map_err(|refused| refusal::of_chat(&refused))?;
        Ok(conv)
    }

    /// Something about departments has changed, or may have.
    pub(super) async fn departments_changed(&self, change: Change) {
        let store = &self.inner.store;
        let found = match change {
            Change::Joined { org, user, .. }
            | Change::Removed { org, user, .. }
            | Change::Profile { org, user, .. } => {
                (org, store.ask(move |reader| reader.groups_around(org, user)).await)
            }
            Change::Departments { org } | Change::Policy { org } => {
                (org, store.ask(move |reader| reader.groups_behind(org)).await)
            }
            Change::Role { .. } | Change::Dissolved { .. } | _ => return,
        };
        // A store that cannot answer is asked again by the next pass.
        let (org, Ok(depts)) = found else { return };
        for dept in depts {
            self.follow_department(org, dept).await;
        }
    }

    /// Looks at all groups of departments.
    pub(super) async fn look_at_departments(&self) {
        let orgs = self.inner.store.ask(|reader| reader.orgs_with_groups()).await.unwrap_or_default();
        for org in orgs {
            self.departments_changed(Change::Policy { org }).await;
        }
    }

    /// Puts people into the group of a department and takes others out, until it has in it who stands there.
    async fn follow_department(&self, org: OrgId, dept: DeptId) {
        for _ in 0..MAX_STEPS {
            let behind = self.inner.store.ask(move |reader| reader.is_group_behind(org, dept)).await;
            if !behind.unwrap_or(false) {
                return;
            }
            let op = Op::FollowDepartment { org, dept, client_id: fresh() };
            if let Err(refused) = self.inner.chat.publish(op).await {
                // Full, or the store is busy: the next pass tries again.
                tracing::warn!(%refused, %org, %dept, "a group does not follow its department");
                return;
            }
        }
    }
}
