//! What is measured when somebody asks, and not before: an idle process does not wake up for it.

use std::sync::{PoisonError, RwLock};

use crate::Metrics;

type Probe = Box<dyn Fn(&Metrics) + Send + Sync>;

/// See the module.
#[derive(Default)]
pub(crate) struct Probes(RwLock<Vec<Probe>>);

impl Metrics {
    /// Has `probe` run whenever somebody is about to read the metrics or asks whether the process is ready, on their task:
    /// it reads what is at hand and does not wait, and adds no probe. It lives as long as the metrics.
    pub fn when_asked(&self, probe: impl Fn(&Metrics) + Send + Sync + 'static) {
        self.probes.0.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(probe));
    }

    /// Runs the probes.
    pub(crate) fn measure(&self) {
        let probes = self.probes.0.read().unwrap_or_else(PoisonError::into_inner);
        probes.iter().for_each(|probe| probe(self));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn each_reading_measures_anew() {
        let (metrics, asked) = (Metrics::new(), AtomicI64::new(0));
        metrics.when_asked(move |metrics| metrics.rooms.set(asked.fetch_add(1, Ordering::Relaxed)));
        metrics.when_asked(|metrics| metrics.tasks.set(7));
        for reading in 0..3 {
            let text = metrics.text();
            assert!(
                text.contains(&format!("convene_rooms {reading}\n")) && text.contains("convene_tasks 7\n"),
                "{text}"
            );
        }
    }
}
