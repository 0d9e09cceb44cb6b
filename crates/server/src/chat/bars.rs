//! Progress bars of transfers, on stderr; nothing where that is no terminal.

use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};

/// The bar of one transfer, once it has begun.
#[derive(Debug, Default)]
pub(super) struct Bars(Mutex<Option<ProgressBar>>);

impl Bars {
    /// So many bytes of so many are there.
    pub(super) fn show(&self, what: &'static str, done: u64, total: u64) {
        let Ok(mut bar) = self.0.lock() else { return };
        let bar = bar.get_or_insert_with(|| {
            let template = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style).with_message(what)
        });
        bar.set_length(total);
        bar.set_position(done);
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        if let Ok(Some(bar)) = self.0.lock().as_deref() {
            bar.finish_and_clear();
        }
    }
}
