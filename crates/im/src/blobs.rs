//! Files and voice messages. Not served yet: each request says so.

use std::sync::Arc;

use convene_im_core::model::Refusal;
use convene_proto::im::{self, Code, frame::Body};

use crate::session::{Owner, Session};
use crate::shared::Shared;

fn not_served<T>() -> Result<T, Refusal> {
    Err(Refusal::new(Code::Unimplemented, "this server serves no files"))
}

pub(crate) async fn answer(_: &Shared, _: Owner, _: Body) -> Result<Body, Refusal> {
    std::future::ready(()).await;
    not_served()
}

pub(crate) async fn get_on_control(_: &Arc<Shared>, _: &Arc<Session>, _: u64, _: im::BlobGet) -> Result<(), Refusal> {
    std::future::ready(()).await;
    not_served()
}

pub(crate) struct Download;

impl Download {
    pub(crate) async fn open(_: &Shared, _: Owner, _: im::BlobGet) -> Result<Self, Refusal> {
        std::future::ready(()).await;
        not_served()
    }

    pub(crate) async fn next(&mut self, _: &Shared) -> Result<Option<im::BlobData>, Refusal> {
        std::future::ready(()).await;
        not_served()
    }
}
