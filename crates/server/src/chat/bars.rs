//! Progress bars of transfers, on stderr; nothing where that is no terminal.

use std::collections::HashMap;
use std::sync::Mutex;

use convene_client::ClientId;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The bars of the transfers that have begun, one below the other.
#[derive(Debug, Default)]
pub(super) struct Bars {
    all: MultiProgress,
    by_id: Mutex<HashMap<ClientId, ProgressBar>>,
}

impl Bars {
    /// So many bytes of so many are there.
    pub(super) fn show(&self, id: ClientId, what: &'static str, done: u64, total: u64) {
        let Ok(mut bars) = self.by_id.lock() else { return };
        let bar = bars.entry(id).or_insert_with(|| {
            let template = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            self.all.add(ProgressBar::new(total).with_style(style).with_message(what))
        });
        bar.set_length(total);
        bar.set_position(done);
    }

    /// Takes a bar away.
    pub(super) fn clear(&self, id: ClientId) {
        if let Some(bar) = self.by_id.lock().ok().and_then(|mut bars| bars.remove(&id)) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    /// Makes room for lines of text. The bars come back with their next bytes.
    pub(super) fn hide(&self) {
        let _ = self.all.clear(); // no terminal, no bars
    }
}
