//! What the server knows better than a client about the blobs a body carries.

use convene_proto::im::{self, Code, body::Kind};

use crate::model::Refusal;

/// What the store knows of a blob that the sender may use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlobFact {
    /// Id, size and the type that was found in the content. The name is the sender's.
    pub blob: im::BlobRef,
    /// Measured duration, waveform and loudness, if it was uploaded as a voice message.
    pub voice: Option<im::Voice>,
}

/// Replaces what a client claims about its blobs by `facts`, those of `Needs.blobs` that are there for the sender.
pub fn settle_blobs(body: &mut im::Body, facts: &[BlobFact]) -> Result<(), Refusal> {
    match &mut body.kind {
        Some(Kind::Voice(voice)) => {
            let fact = settle(voice.blob.as_mut(), facts)?;
            let Some(measured) = &fact.voice else {
                return Err(Refusal::new(Code::BadVoice, "the blob was not uploaded as a voice message"));
            };
            *voice = im::Voice { blob: voice.blob.take(), ..measured.clone() };
        }
        Some(Kind::Image(image)) => {
            let fact = settle(image.blob.as_mut(), facts)?;
            if !fact.blob.mime.starts_with("image/") {
                return Err(Refusal::new(Code::BadType, "the blob is no image"));
            }
        }
        Some(Kind::File(file)) => {
            settle(file.blob.as_mut(), facts)?;
        }
        Some(Kind::Group(im::GroupChange { avatar: Some(avatar), .. })) => {
            settle(Some(avatar), facts)?;
        }
        Some(
            Kind::Group(_)
            | Kind::Text(_)
            | Kind::Location(_)
            | Kind::Card(_)
            | Kind::Custom(_)
            | Kind::Edit(_)
            | Kind::Recall(_)
            | Kind::React(_)
            | Kind::Pin(_)
            | Kind::Members(_)
            | Kind::Mute(_)
            | Kind::Call(_)
            | Kind::Erase(_)
            | Kind::Tombstone(_),
        )
        | None => {}
    }
    Ok(())
}

fn settle<'a>(blob: Option<&mut im::BlobRef>, facts: &'a [BlobFact]) -> Result<&'a BlobFact, Refusal> {
    let unknown = || Refusal::new(Code::UnknownBlob, "no such blob");
    let blob = blob.ok_or_else(unknown)?;
    let fact = facts.iter().find(|fact| fact.blob.id == blob.id).ok_or_else(unknown)?;
    blob.size = fact.blob.size;
    blob.mime.clone_from(&fact.blob.mime);
    Ok(fact)
}
